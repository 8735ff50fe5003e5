"""What a hunt for the worst order found, against what as many random orders would have found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nai import metrics
from sweep.analysis.arms import Arm, Floats, Order, accuracy
from sweep.analysis.asked import Hunt


@dataclass(frozen=True)
class Found:
    """The outcome of a hunt: test accuracies 0..1 at the end; None where nothing is on record.

    `course` is the best found after each try. `drawn` random orders, out of `pool` on record, are expected to
    find `expected` at best, and what the hunt found, or better, with chance `luck`; the pool is all orders if
    they are on record, else the hunt's reference. `rank` is that of the find among all orders, 1 the very
    worst (or best), if all are on record. `elsewhere` is the mean of that order over the `others`, the other
    seeds that it is on record with: what is found with one pair of seeds is partly their chance.
    """

    suggestion: str
    label: str
    seeds: tuple[int, int]
    worst: bool
    tried: int
    budget: int
    cost: int
    value: float | None = None
    order: Order | None = None
    course: tuple[float, ...] = ()
    pool: int = 0
    drawn: int = 0
    expected: float | None = None
    luck: float | None = None
    rank: int | None = None
    others: int = 0
    elsewhere: float | None = None


def hunted(hunt: Hunt, arm: Arm) -> Found:
    """The outcome of a hunt from the records of its suggestion."""
    known = {
        order: value
        for (order, seeds), row in arm.cells.items()
        if seeds == hunt.seeds and (value := _final(accuracy(row, "test"), order)) is not None
    }
    tried = {order: known[order] for order in hunt.orders if order in known}
    plain = (arm.suggestion, arm.label, hunt.seeds, hunt.worst, len(tried), hunt.budget, hunt.cost)
    if not tried:
        return Found(*plain)
    sign = 1 if hunt.worst else -1
    values = sign * np.array(list(tried.values()))
    order = list(tried)[int(values.argmin())]
    course = tuple((sign * np.minimum.accumulate(values)).tolist())
    evidence = _compared(known, tried, hunt, sign) | _elsewhere(arm, order, hunt)
    return Found(*plain, course[-1], order, course, **evidence)


def _elsewhere(arm: Arm, order: Order, hunt: Hunt) -> dict[str, Any]:
    """What the order reaches with the other seeds on record."""
    rows = [row for (ran, seeds), row in arm.cells.items() if ran == order and seeds != hunt.seeds]
    values = [value for row in rows if (value := _final(accuracy(row, "test"), order)) is not None]
    return {"others": len(values), "elsewhere": float(np.mean(values)) if values else None}


def _compared(
    known: Mapping[Order, float], tried: Mapping[Order, float], hunt: Hunt, sign: int
) -> dict[str, Any]:
    """The find against random orders."""
    everything = len(known) == math.factorial(len(next(iter(tried))))
    chosen = _pool(known, tried, hunt, everything)
    values, best = (
        np.sort(sign * np.array([known[order] for order in chosen])),
        min(sign * v for v in tried.values()),
    )
    drawn = min(hunt.random, len(values))
    found: dict[str, Any] = {"pool": len(values), "drawn": drawn}
    if drawn:
        chances = _least_of(len(values), drawn)
        found["expected"] = float(sign * (values * chances).sum())
        found["luck"] = float(chances[values <= best].sum())
    if everything:
        found["rank"] = 1 + int((values < best).sum())
    return found


def _pool(
    known: Mapping[Order, float], tried: Mapping[Order, float], hunt: Hunt, everything: bool
) -> list[Order]:
    if everything:
        return list(known)
    if hunt.reference:
        return [order for order in hunt.reference if order in known]
    return [order for order in known if order not in tried]


def _least_of(count: int, drawn: int) -> Floats:
    """Chance [count] that the i-th smallest of so many is the least of `drawn` of them, none drawn twice."""
    whole = math.comb(count, drawn)
    return np.array([math.comb(count - i - 1, drawn - 1) / whole for i in range(count)])


def _final(matrix: Floats | None, order: Order) -> float | None:
    """Average accuracy at the end; None for an order that ends early, which is no order of all tasks."""
    if matrix is None or len(order) != matrix.shape[1]:
        return None
    return metrics.average_accuracy(matrix, order)
