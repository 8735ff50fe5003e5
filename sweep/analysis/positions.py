"""What a task's place in the order does to it, and what the tasks before it do."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nai import metrics
from sweep.analysis.arms import Arm, Crossing, Floats
from sweep.analysis.holds import Holds, counts, mean_holds, whole
from sweep.analysis.intervals import seeds_half_width
from sweep.analysis.stages import Stage


@dataclass(frozen=True)
class Position:
    """Accuracy 0..1 of a task that is learnt at a position, both from 0; `task` None: of all tasks.

    `final` is that at the end, `learnt` that just after it was learnt. `half` is the 95 % half-width of
    `final` over seeds, where all orders were run.
    """

    suggestion: str
    label: str
    task: int | None
    position: int
    orders: int
    seeds: int
    missing: int
    failed: int
    final: float
    half: float | None
    learnt: float
    holds: Holds


@dataclass(frozen=True)
class Predecessor:
    """How much better (above 0) or worse a task ends in the orders with another one ahead of it.

    `ahead`: just before it, or any time before; compared with all other orders. `half` is the 95 % half-width
    over seeds, where all orders were run.
    """

    suggestion: str
    label: str
    task: int
    predecessor: int
    ahead: Literal["just before", "before"]
    orders: int
    others: int
    seeds: int
    missing: int
    failed: int
    effect: float
    half: float | None
    holds: Holds


def positions(stage: Stage) -> tuple[Position, ...]:
    """Accuracy at the end, and just after learning, by when a task is learnt: is being early harmful?"""
    return tuple(line for arm, runs in stage.known() for line in _positions(arm, runs))


def predecessors(stage: Stage) -> tuple[Predecessor, ...]:
    """What it does to a task that another one comes before it: mean final accuracy with, less without.

    Other tasks keep their balance only where all orders were run, or the design is balanced.
    """
    return tuple(line for arm, runs in stage.known() for line in _predecessors(arm, runs))


def _positions(arm: Arm, runs: Crossing) -> Iterator[Position]:
    """All tasks together first, then each where it came up at a position."""
    orders = np.array(runs.orders)
    arrived = metrics.arrived(runs.matrices, runs.orders)
    final, learnt = arrived[:, :, -1], np.diagonal(arrived[:, :, 1:], axis1=2, axis2=3)
    tasks = [None, *sorted(set(orders.ravel().tolist()))]
    for task, place in itertools.product(tasks, range(orders.shape[1])):
        there = np.full(len(orders), True) if task is None else orders[:, place] == task
        if there.any():
            values = final[there, :, place]
            half = seeds_half_width(values.mean(0)) if whole(runs) else None
            yield Position(
                arm.suggestion,
                arm.label,
                task,
                place,
                **{**counts(runs), "orders": int(there.sum())},
                final=float(values.mean()),
                half=half,
                learnt=float(learnt[there, :, place].mean()),
                holds=mean_holds(runs),
            )


def _predecessors(arm: Arm, runs: Crossing) -> Iterator[Predecessor]:
    if len(runs.orders) < 2:
        return
    final, when = runs.matrices[:, :, -1], _places(runs)
    tasks = sorted({task for order in runs.orders for task in order})
    for task, other in itertools.permutations(tasks, 2):
        gap = when[:, task] - when[:, other]
        both = np.isfinite(gap)
        for ahead, with_it in (("just before", gap == 1), ("before", gap > 0)):
            line = _contrast(final[both, :, task], with_it[both])
            if line is not None:
                half = seeds_half_width(line) if whole(runs) else None
                number = int(with_it[both].sum()), int((~with_it[both]).sum())
                sizes = len(runs.seeds), runs.missing, runs.failed
                yield Predecessor(
                    arm.suggestion,
                    arm.label,
                    task,
                    other,
                    ahead,  # type: ignore[arg-type]  # of the two above
                    *number,
                    *sizes,
                    effect=float(line.mean()),
                    half=half,
                    holds=mean_holds(runs),
                )


def _places(runs: Crossing) -> Floats:
    """When each order learns each task, [orders, tasks]; nan for a task that it does not."""
    when = np.full((len(runs.orders), runs.matrices.shape[-1]), np.nan)
    for line, order in zip(when, runs.orders, strict=True):
        line[list(order)] = np.arange(len(order))
    return when


def _contrast(values: Floats, with_it: NDArray[np.bool_]) -> Floats | None:
    """Mean of `values` [orders, seeds] over these orders less that over the others, [seeds]."""
    if with_it.all() or not with_it.any():
        return None
    return np.asarray(values[with_it].mean(0) - values[~with_it].mean(0))
