"""Do the intervals of the analysis cover, and do its tests reject as rarely as they say?

    python benchmarks/coverage.py [--draws 1000] [--seed 0] [--json]

Each draw makes final accuracies of two methods over the 120 orders of 5 tasks with effects that are known:
of the order (skewed), of a task's position, of the strength (the methods' means) and of the seed; and noise
summed along the prefixes of each order, new for each seed, so that orders which start alike share it until
they part, as the order tree has it. R of the orders are drawn at random, and S seeds. Printed is how often

* the 95 % interval of a method's mean, and of the difference of two, covers the truth (asked: 90 to 99 %);
* the test of that difference rejects, at level 5 %, a difference that is none (asked: 3 to 8 %); beside it
  what a flip of signs over orders would do, which takes orders as independent;
* with one seed, the test for that seed alone rejects a difference that is none over all orders with it;
* with all orders run, the intervals of the position and the predecessor tables cover.

Margins are 95 % of the binomial. About 5 minutes on one core; nothing is trained.
"""

import argparse
import itertools
import json
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweep.analysis.intervals import crossed_half_width, seeds_half_width
from sweep.analysis.significance import crossed_p, sign_flip_p

Floats = NDArray[np.float64]
TASKS = 5
ORDERS = np.array(list(itertools.permutations(range(TASKS))))
_PREFIXES = {
    p: i for i, p in enumerate(sorted({tuple(o[:d]) for o in ORDERS.tolist() for d in range(1, TASKS + 1)}))
}
PATHS = np.array([[_PREFIXES[tuple(o[:d])] for d in range(1, TASKS + 1)] for o in ORDERS.tolist()])
WHEN = np.argsort(ORDERS, axis=1)  # [orders, tasks] position of each task
POSITION = np.array([-0.06, -0.02, 0.0, 0.03, 0.05])
STRENGTH = 0.02
LEVEL = 0.05


class World(NamedTuple):
    """Standard deviations of what moves accuracies: orders, seeds, and noise at each node of the tree."""

    order: float
    seed: float
    noise: float


WORLDS = {
    "order, seed and noise": World(0.02, 0.01, 0.01),
    "mostly order": World(0.04, 0.004, 0.004),
    "mostly seed": World(0.01, 0.03, 0.01),
    "no order effect": World(0.0, 0.0, 0.02),
}
SIZES = tuple(itertools.product((24, 60, 120), (3, 5)))


class Made(NamedTuple):
    """Final accuracies [orders, seeds, tasks] of a method over all orders; the true ones [orders, tasks]."""

    seen: Floats
    true: Floats


def method(rng: np.random.Generator, world: World, mean: float, seeds: int) -> Made:
    """A method whose mean over all orders is `mean`, with effects of its own."""
    skewed = -rng.gamma(2, 1, len(ORDERS))
    by_order = world.order * (skewed - skewed.mean()) / math.sqrt(2)
    true = mean + by_order[:, None] + POSITION[WHEN] - POSITION.mean()
    nodes = rng.normal(0, world.noise, (seeds, len(_PREFIXES), TASKS))
    noise = nodes[:, PATHS].sum(2) + rng.normal(0, world.seed, (seeds, 1, 1))  # [seeds, orders, tasks]
    return Made(true[:, None] + noise.transpose(1, 0, 2), true)


def draw(rng: np.random.Generator, world: World, orders: int, seeds: int) -> dict[str, float]:
    """What one draw shows: 1 where an interval covers, or a test rejects, else 0."""
    weak, strong = (method(rng, world, mean, seeds) for mean in (0.8, 0.8 + STRENGTH))
    picked = rng.choice(len(ORDERS), orders, replace=False)
    values, better = weak.seen.mean(2)[picked], strong.seen.mean(2)[picked]
    gains = better - values
    null = gains - STRENGTH
    found = {
        "mean": covers(values.mean(), crossed_half_width(values, len(ORDERS)), weak.true.mean()),
        "difference": covers(gains.mean(), crossed_half_width(gains, len(ORDERS)), STRENGTH),
        "rejected": float((crossed_p(null, len(ORDERS)) or 0) < LEVEL),
        "rejected by signs of orders": float(_flip(null.mean(1)) < LEVEL),
    }
    return found | (_of_all(weak) if orders == len(ORDERS) else _of_one(rng, weak, strong, picked))


def covers(value: float, half: float | None, truth: float) -> float:
    """1 if the truth is within the interval."""
    return float(half is not None and abs(value - truth) <= half)


def _of_one(rng: np.random.Generator, weak: Made, strong: Made, picked: NDArray[Any]) -> dict[str, float]:
    """The test with one seed, of a difference that is none over all orders with that seed."""
    gains = (strong.seen - weak.seen).mean(2)[:, 0]
    p = sign_flip_p((gains - gains.mean())[picked], len(ORDERS))
    return {"rejected, one seed": float((p or 0) < LEVEL)}


def _of_all(made: Made) -> dict[str, float]:
    """Intervals over seeds of what all orders show: task 0 in the first place, task 0 with task 1 ahead."""
    first, ahead = WHEN[:, 0] == 0, WHEN[:, 1] < WHEN[:, 0]
    seen, true = made.seen[:, :, 0], made.true[:, 0]
    place = seen[first].mean(0)
    effect = seen[ahead].mean(0) - seen[~ahead].mean(0)
    return {
        "position": covers(place.mean(), seeds_half_width(place), true[first].mean()),
        "predecessor": covers(
            effect.mean(), seeds_half_width(effect), true[ahead].mean() - true[~ahead].mean()
        ),
    }


def _flip(gains: Floats) -> float:
    """p of a flip of signs over orders, as if they were independent draws of endlessly many."""
    return sign_flip_p(gains, 10**9) or 0.0


def measured(world: World, orders: int, seeds: int, *, draws: int, seed: int) -> dict[str, float]:
    """Share 0..1 of the draws in which each interval covers and each test rejects."""
    rng = np.random.default_rng([seed, orders, seeds])
    every = [draw(rng, world, orders, seeds) for _ in range(draws)]
    return {name: sum(one[name] for one in every) / draws for name in every[0]}


def margin(share: float, draws: int) -> float:
    """95 % of the binomial about a share."""
    return 1.96 * math.sqrt(share * (1 - share) / draws)


def _main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    wanted.add_argument("--draws", type=int, default=1000)
    wanted.add_argument("--seed", type=int, default=0)
    wanted.add_argument("--json", action="store_true")
    given = wanted.parse_args()
    lines = []
    for (name, world), (orders, seeds) in itertools.product(WORLDS.items(), SIZES):
        shares = measured(world, orders, seeds, draws=given.draws, seed=given.seed)
        lines.append({"effects": name, "orders": orders, "seeds": seeds, **shares})
        if not given.json:
            said = ", ".join(f"{key} {100 * share:.1f}" for key, share in shares.items())
            print(f"{name}, R {orders}, S {seeds}: {said} (%)", flush=True)
    if given.json:
        print(json.dumps({"draws": given.draws, "cells": lines}))


if __name__ == "__main__":
    _main()
