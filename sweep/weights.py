"""The weights of one run of a sweep as a file: it is trained again, which gives the bits it had."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import Tensor

from nai import trial as nai_trial
from nai.learn import Lesson
from nai.methods.base import Method, overrides
from nai.tasks import Benchmark
from nai.trial import Outcome
from sweep import parts
from sweep.bundle import trial_of
from sweep.jobs import Run

Row = Mapping[str, Any]
MEMORY = "memory."
"""Before the names of what else a method needs to predict, such as PackNet's masks."""


@dataclass(frozen=True)
class Weights:
    """A file of weights, the row of the run that they are of, and how far its accuracies are off the record.

    `off`: 0 where the run was the same bit by bit, as on the same kind of machine with the same PyTorch.
    """

    path: Path
    row: Row
    off: float


def best_run(rows: Iterable[Row], results: Mapping[str, Any]) -> Row:
    """The run of the best suggestion that is best on validation data; ValueError where there is none."""
    first = results["best"] or next(iter(results["table"]), None)
    runs = [row for row in rows if first and row["suggestion"] == first["suggestion"] and not row["error"]]
    if not runs:
        raise ValueError("no run of a best suggestion is on record yet: there are no weights to write")
    return max(runs, key=lambda row: (_final(row), row["fingerprint"]))


def run_named(beginning: str, rows: Iterable[Row]) -> Row:
    """The run whose fingerprint begins so; ValueError when there is none, several, or one that failed."""
    found = [row for row in rows if row["fingerprint"].startswith(beginning)]
    if len(found) != 1:
        raise ValueError(f"{beginning!r} is the beginning of {len(found)} fingerprints on record, not of one")
    if found[0]["error"]:
        raise ValueError(f"run {beginning} failed ({found[0]['error']}): it has no weights")
    return found[0]


def write(path: Path, row: Row, benchmark: Benchmark, device: str = "auto") -> Weights:
    """Train a row's run again and write its weights as safetensors, with what they are of as metadata.

    Errors: ValueError where the data are no longer those of the row, or the run fails now.
    """
    settings = json.loads(row["settings"])
    if settings["benchmark"].pop("digest") != benchmark.digest:
        raise ValueError("the data are no longer those that this run was trained on")
    trial = trial_of(settings, Run(tuple(row["order"]), (row["seed_init"], row["seed_data"])))
    outcome = nai_trial.run(trial, benchmark=benchmark, device=device)
    if outcome.result.error or outcome.result.lesson is None:
        raise ValueError(f"trained again, this run fails: {outcome.result.error}")
    tensors = _tensors(outcome.result.lesson, trial.method)
    parts.replace(path, save(tensors, _about(row)))
    return Weights(path, row, _off(row, outcome))


def _final(row: Row) -> float:
    """Accuracy over all tasks in the end, on validation data where there are some."""
    matrix: Sequence[Sequence[float]] = row["valid"] or row["test"]
    return float(np.mean(matrix[-1]))


def _tensors(lesson: Lesson, method: Method) -> dict[str, Tensor]:
    held = lesson.memory if overrides(method, "predict") else {}
    named = lesson.params | {MEMORY + name: value for name, value in held.items()}
    return {name: value.cpu().contiguous() for name, value in named.items()}


def _about(row: Row) -> dict[str, str]:
    """Metadata of the file, as JSON texts."""
    names = ("fingerprint", "suggestion", "settings", "order", "seed_init", "seed_data", "versions")
    return {name: row[name] if isinstance(row[name], str) else json.dumps(row[name]) for name in names}


def _off(row: Row, outcome: Outcome) -> float:
    """The largest difference of an accuracy to the record's."""
    pairs = ((row[split], getattr(outcome.result, split)) for split in ("valid", "test"))
    return max(
        (float(np.abs(np.asarray(one) - ours.numpy()).max()) for one, ours in pairs if one), default=0.0
    )
