"""Record rows made from arithmetic, without any training: as a sweep would have written them."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Order = tuple[int, ...]
Seed = tuple[int, int]


def settings(method: str, **fields: object) -> dict[str, Any]:
    return {
        "benchmark": {"name": "split", "dataset": "digits", "digest": "0" * 8},
        "model": {"name": "mlp", "widths": [100, 100]},
        "method": {"name": method, **fields},
        "training": {"epochs": 20},
    }


def suggestion(chosen: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]


def row(chosen: dict[str, Any], order: Order, seed: Seed, **given: Any) -> dict[str, Any]:
    """One row; `given` holds valid, test, error and whatever else should differ from the plain case."""
    identity = json.dumps([chosen, order, seed])
    plain: dict[str, Any] = {
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "suggestion": suggestion(chosen),
        "settings": json.dumps(chosen, sort_keys=True),
        "benchmark": "split",
        "scenario": "task",
        "model": "mlp",
        "method": chosen["method"]["name"],
        "order": list(order),
        "seed_init": seed[0],
        "seed_data": seed[1],
        "valid": None,
        "test": None,
        "effective_strength": None,
        "seconds": 0.5,
        "device": "cpu",
        "width": 1,
        "versions": "{}",
        "error": None,
        "chosen": None,
        "finished": 1.0,
    }
    return plain | given


def flat(value: float, tasks: int = 2) -> list[list[float]]:
    """A matrix in which every accuracy is `value`, so that the average accuracy is."""
    return [[value] * tasks for _ in range(tasks + 1)]


def matrix(order: Order, loss: float, noise: np.random.Generator) -> list[list[float]]:
    """A matrix of 0.5 before a task, about 0.985 after it, and `loss` less for each task after that."""
    tasks = len(order)
    lines = np.full((tasks + 1, tasks), 0.5)
    for position, task in enumerate(order):
        age = np.arange(tasks - position)
        lines[position + 1 :, task] = 0.985 - loss * age * (1 + 0.3 * task) - noise.uniform(0, 0.01, len(age))
    return np.clip(lines, 0, 1).tolist()


def runs(
    chosen: dict[str, Any], orders: Iterable[Order], seeds: Sequence[Seed], *, loss: float, salt: int = 0
) -> list[dict[str, Any]]:
    """A full crossing of orders and seeds; `loss` a task, more in orders that begin with late tasks."""
    made = []
    for order in orders:
        for seed in seeds:
            noise = np.random.default_rng([salt, *seed, *order])
            hard = loss * (1 + 0.4 * order[0])
            given = {split: matrix(order, hard, noise) for split in ("valid", "test")}
            made.append(row(chosen, order, seed, **given))
    return made
