"""Accuracy against how far apart orders are, and against how alike their neighbouring tasks are."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.analysis.arms import Arm, Crossing, Floats, Order
from sweep.analysis.holds import Holds, counts
from sweep.analysis.ranks import average_ranks
from sweep.analysis.stages import Similarity, Stage
from sweep.analysis.tables import final_averages, measured

MOST = 400
"""Orders of which every two are compared; of more, the first so many are."""


@dataclass(frozen=True)
class OrderLine:
    """One order of an arm, seeds averaged: accuracies 0..1, and where the order lies.

    `lowest`, `highest`: of single seeds. `from_best`, `from_worst`: Kendall distance to the best and the
    worst order on record, 0..T(T-1)/2, None for orders of other tasks than those. `similarity`: mean of
    neighbouring tasks, None where it is not on record.
    """

    suggestion: str
    label: str
    order: Order
    seeds: int
    missing: int
    failed: int
    accuracy: float
    lowest: float
    highest: float
    forgetting: float | None
    learning_accuracy: float
    from_best: int | None
    from_worst: int | None
    similarity: float | None
    holds: Holds


@dataclass(frozen=True)
class Distance:
    """Orders at a Kendall distance: `accuracy` of those so far from the best order, None where there is none.

    `difference` is the mean size of the difference between any two orders that are so far apart, `pairs`.
    """

    suggestion: str
    label: str
    distance: int
    orders: int
    seeds: int
    missing: int
    failed: int
    accuracy: float | None
    pairs: int
    difference: float | None
    holds: Holds = "neither"


@dataclass(frozen=True)
class Relation:
    """Rank correlations (Spearman, -1..1) over orders, seeds averaged; None where nothing varies.

    `best`: of accuracy with the distance from the best order, which is chosen by that accuracy.
    `apart`: of the difference between two orders with their distance. `similarity`: of accuracy with the mean
    similarity of neighbouring tasks.
    """

    suggestion: str
    label: str
    orders: int
    seeds: int
    missing: int
    failed: int
    best: float | None
    apart: float | None
    similarity: float | None
    holds: Holds = "neither"


def order_lines(stage: Stage) -> tuple[OrderLine, ...]:
    """Every order of every arm: its accuracy, and how it lies to the best and the worst order."""
    return tuple(line for arm, runs in stage.known() for line in _orders(arm, runs, stage.similarity))


def distances(stage: Stage) -> tuple[Distance, ...]:
    """Accuracy against Kendall distance: are orders that differ little alike in what they reach?"""
    return tuple(
        line for arm, runs in stage.known() if len(runs.orders) > 1 for line in _distances(arm, runs)
    )


def relations(stage: Stage) -> tuple[Relation, ...]:
    """Rank correlations of accuracy with the distance of orders and with the likeness of neighbours."""
    return tuple(
        _relation(arm, runs, stage.similarity) for arm, runs in stage.known() if len(runs.orders) > 2
    )


def kendall_distances(orders: tuple[Order, ...]) -> NDArray[np.int64]:
    """Pairs of tasks that two orders train the other way round, [orders, orders]. Source: Kendall 1938."""
    tasks = sorted(orders[0])
    places = np.array([[order.index(task) for task in tasks] for order in orders])
    first, later = np.triu_indices(len(tasks), 1)
    ahead = (places[:, first] < places[:, later]).astype(np.int64)  # [orders, pairs]
    return np.asarray(ahead @ (1 - ahead).T + (1 - ahead) @ ahead.T)


def neighbours(order: Order, similarity: Similarity) -> float | None:
    """Mean similarity of tasks that follow each other; None for one task."""
    each = [similarity[one][other] for one, other in itertools.pairwise(order)]
    return sum(each) / len(each) if each else None


def correlation(one: Floats, other: Floats) -> float | None:
    """Spearman's rank correlation; None where either does not vary."""
    left, right = average_ranks(one), average_ranks(other)
    if len(one) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])


def _comparable(runs: Crossing) -> bool:
    """Whether all orders are of the same tasks, so that they have a distance."""
    return len({frozenset(order) for order in runs.orders}) == 1


def _apart(runs: Crossing, order: Order) -> NDArray[np.int64]:
    """Kendall distance [orders] of each order to this one."""
    return kendall_distances((order, *runs.orders))[0, 1:]


def _distances_to(runs: Crossing, at: int) -> list[int | None]:
    """Kendall distance of each order to the one at this place."""
    if not _comparable(runs):
        return [None] * len(runs.orders)
    return [int(distance) for distance in _apart(runs, runs.orders[at])]


def _orders(arm: Arm, runs: Crossing, similarity: Similarity | None) -> Iterator[OrderLine]:
    averages = final_averages(runs)
    by_order = averages.mean(1)
    forgotten, learnt = (measured(runs, name).mean(1) for name in ("forgetting", "learning_accuracy"))
    best, worst = (_distances_to(runs, int(at)) for at in (by_order.argmax(), by_order.argmin()))
    for i, order in enumerate(runs.orders):
        yield OrderLine(
            arm.suggestion,
            arm.label,
            order,
            len(runs.seeds),
            runs.missing,
            runs.failed,
            accuracy=float(by_order[i]),
            lowest=float(averages[i].min()),
            highest=float(averages[i].max()),
            forgetting=float(forgotten[i]) if np.isfinite(forgotten[i]) else None,
            learning_accuracy=float(learnt[i]),
            from_best=best[i],
            from_worst=worst[i],
            similarity=None if similarity is None else neighbours(order, similarity),
            holds="seeds" if len(runs.seeds) > 1 else "neither",
        )


def _distances(arm: Arm, runs: Crossing) -> Iterator[Distance]:
    if not _comparable(runs):
        return
    by_order = final_averages(runs).mean(1)
    far = _apart(runs, runs.orders[int(by_order.argmax())])
    apart, differences = _pairs(runs, by_order)
    for distance in sorted({*far.tolist(), *apart.tolist()}):
        at, pairs = far == distance, apart == distance
        yield Distance(
            arm.suggestion,
            arm.label,
            distance,
            **{**counts(runs), "orders": int(at.sum())},
            accuracy=float(by_order[at].mean()) if at.any() else None,
            pairs=int(pairs.sum()),
            difference=float(differences[pairs].mean()) if pairs.any() else None,
        )


def _pairs(runs: Crossing, by_order: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Distance and size of the difference of every two orders."""
    some = runs.orders[:MOST]
    one, other = np.triu_indices(len(some), 1)
    return kendall_distances(some)[one, other], np.abs(by_order[one] - by_order[other])


def _relation(arm: Arm, runs: Crossing, similarity: Similarity | None) -> Relation:
    by_order = final_averages(runs).mean(1)
    best = apart = alike = None
    if _comparable(runs):
        best = correlation(by_order, _apart(runs, runs.orders[int(by_order.argmax())]).astype(np.float64))
        far, differences = _pairs(runs, by_order)
        apart = correlation(differences, far.astype(np.float64))
    if similarity is not None and len(runs.orders[0]) > 1:
        likeness = np.array([neighbours(order, similarity) for order in runs.orders], dtype=np.float64)
        alike = correlation(by_order, likeness)
    return Relation(arm.suggestion, arm.label, **counts(runs), best=best, apart=apart, similarity=alike)
