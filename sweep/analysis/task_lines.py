"""How far the order moves each task, against what the chance of single nets alone would move it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nai import metrics
from sweep.analysis.arms import Arm, Crossing, Floats, Order, Seed, accuracy
from sweep.analysis.holds import Holds, counts, mean_holds
from sweep.analysis.stages import Stage


@dataclass(frozen=True)
class TaskLine:
    """The final accuracy 0..1 of a task over orders, seeds averaged: mean, OPD and the orders at its ends.

    `opd_by_seed`: the range of single runs with each seed; it holds the chance of the seed, too. `floor`: the
    OPD that as many orders with as many seeds would show by the chance of independent nets alone, from the
    spread of `nets` single-task runs; None without two of them.
    """

    suggestion: str
    label: str
    task: int
    orders: int
    seeds: int
    missing: int
    failed: int
    mean: float
    mean_holds: Holds
    opd: float | None
    opd_by_seed: tuple[float, ...]
    lowest: float
    lowest_order: Order
    highest: float
    highest_order: Order
    floor: float | None = None
    nets: int = 0
    nets_missing: int = 0
    nets_failed: int = 0
    holds: Holds = "neither"


def task_lines(stage: Stage) -> tuple[TaskLine, ...]:
    """How far the order moves each task (OPD), its ends, and what single-task nets would show by chance.

    Ranges grow with the number of orders and hold for these runs alone. Source: Yoon et al. 2020, OPD.
    """
    return tuple(line for arm, runs in stage.known() for line in _of_arm(arm, runs, stage))


def expected_range(count: int) -> float:
    """Expected range of so many independent normal numbers, in standard deviations. Source: Tippett 1925."""
    from scipy.special import ndtr  # where it is used: its import takes longer than a command may

    at = np.linspace(-10, 10, 4001)
    below = ndtr(at)
    return float(np.trapezoid(1 - below**count - (1 - below) ** count, at))


def noise_floor(alone: Floats, *, orders: int, seeds: int) -> float | None:
    """The OPD to expect of a task if every order were an independent net that learnt it alone.

    alone: [nets] accuracy of single-task nets, with a seed each; orders, seeds: those of the OPD, whose seeds
    are averaged first. None with fewer than two nets or orders. Taken as normal.
    """
    if len(alone) < 2 or orders < 2:
        return None
    return expected_range(orders) * float(alone.std(ddof=1)) / math.sqrt(seeds)


def alone(arm: Arm, task: int, seeds: Sequence[Seed], split: str) -> tuple[Floats, int, int]:
    """Accuracy [nets] of an arm's nets that learnt this task alone; how many are missing, and have failed."""
    rows = [arm.cells.get(((task,), seed)) for seed in seeds]
    found = [matrix[-1, task] for row in rows if (matrix := accuracy(row, split)) is not None]
    missing = sum(row is None for row in rows)
    return np.array(found), missing, len(rows) - missing - len(found)


def _of_arm(arm: Arm, runs: Crossing, stage: Stage) -> list[TaskLine]:
    final = runs.matrices[:, :, -1]  # [orders, seeds, tasks]
    tasks = sorted({task for order in runs.orders for task in order})
    return [_line(arm, runs, task, final[:, :, task], stage) for task in tasks]


def _line(arm: Arm, runs: Crossing, task: int, values: Floats, stage: Stage) -> TaskLine:
    there = [task in order for order in runs.orders]
    orders = [order for order, has in zip(runs.orders, there, strict=True) if has]
    values = values[there]
    by_order = values.mean(1)
    low, high = int(by_order.argmin()), int(by_order.argmax())
    nets, missing, failed = alone(arm, task, stage.nets, stage.split)
    several = len(orders) > 1
    return TaskLine(
        arm.suggestion,
        arm.label,
        task,
        **{**counts(runs), "orders": len(orders)},
        mean=float(values.mean()),
        mean_holds=mean_holds(runs),
        opd=float(metrics.order_spread(by_order[:, None]).opd[0]) if several else None,
        opd_by_seed=tuple(np.ptp(values, axis=0).tolist()) if several else (),
        lowest=float(by_order[low]),
        lowest_order=orders[low],
        highest=float(by_order[high]),
        highest_order=orders[high],
        floor=noise_floor(nets, orders=len(orders), seeds=len(runs.seeds)),
        nets=len(nets),
        nets_missing=missing,
        nets_failed=failed,
    )
