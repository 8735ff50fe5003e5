"""What a hunt for the worst order found, against what as many random orders would have found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nai import metrics
from sweep.analysis.arms import Arm, Floats, Order, accuracy
from sweep.analysis.asked import Hunt
from sweep.worst.evidence import beyond_share


@dataclass(frozen=True)
class Found:
    """The outcome of a hunt: test accuracies 0..1 at the end; None where nothing is on record.

    `course` is the best after each try, that of the orders known before included. The `drawn` random orders
    of its reference found `expected` at best; at 95 % fewer than a `share` of all orders are beyond the find.
    If all orders are on record `rank` is that of the find among all, 1 the very worst (or best), and so many
    random orders are expected to find `expected`, and the find or better with chance `luck`. `elsewhere` is
    the mean of that order over the `others`, the other seeds that it is on record with: what is found with
    one pair of seeds is partly their chance.
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
    drawn: int = 0
    expected: float | None = None
    share: float | None = None
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
    tried = [order for order in hunt.orders if order in known]
    seen = dict.fromkeys([*(order for order in hunt.known if order in known), *tried])
    plain = (arm.suggestion, arm.label, hunt.seeds, hunt.worst, len(tried), hunt.budget, hunt.cost)
    if not seen:
        return Found(*plain)
    sign = 1 if hunt.worst else -1
    values = sign * np.array([known[order] for order in seen])
    order = list(seen)[int(values.argmin())]
    course = tuple((sign * np.minimum.accumulate(values)).tolist())[len(seen) - len(tried) :]
    evidence = _compared(known, known[order], hunt, sign) | _elsewhere(arm, order, hunt)
    return Found(*plain, known[order], order, course, **evidence)


def _elsewhere(arm: Arm, order: Order, hunt: Hunt) -> dict[str, Any]:
    """What the order reaches with the other seeds on record."""
    rows = [row for (ran, seeds), row in arm.cells.items() if ran == order and seeds != hunt.seeds]
    values = [value for row in rows if (value := _final(accuracy(row, "test"), order)) is not None]
    return {"others": len(values), "elsewhere": float(np.mean(values)) if values else None}


def _compared(known: Mapping[Order, float], find: float, hunt: Hunt, sign: int) -> dict[str, Any]:
    """The find against random orders: all there are, or those of the reference."""
    everything = math.factorial(len(next(iter(known))))
    drawn = [sign * known[order] for order in hunt.reference if order in known]
    if len(known) < everything:
        if not drawn:
            return {}
        share = beyond_share(sum(one < sign * find for one in drawn), len(drawn), everything)
        return {"drawn": len(drawn), "expected": sign * min(drawn), "share": share}
    values = np.sort(sign * np.array(list(known.values())))
    found: dict[str, Any] = {"rank": 1 + int((values < sign * find).sum()), "drawn": len(drawn)}
    if drawn:
        chances = _least_of(len(values), len(drawn))
        found["expected"] = float(sign * (values * chances).sum())
        found["luck"] = float(chances[values <= sign * find].sum())
    return found


def _least_of(count: int, drawn: int) -> Floats:
    """Chance [count] that the i-th smallest of so many is the least of `drawn` of them, none drawn twice."""
    whole = math.comb(count, drawn)
    return np.array([math.comb(count - i - 1, drawn - 1) / whole for i in range(count)])


def _final(matrix: Floats | None, order: Order) -> float | None:
    """Average accuracy at the end; None for an order that ends early, which is no order of all tasks."""
    if matrix is None or len(order) != matrix.shape[1]:
        return None
    return metrics.average_accuracy(matrix, order)
