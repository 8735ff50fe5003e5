"""Tables over arms: what each reaches over orders and seeds, paired differences, the search and its curve."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nai import metrics
from sweep.analysis.arms import (
    Arm,
    Crossing,
    Floats,
    Order,
    Row,
    Seed,
    arms,
    crossing,
    shared_crossing,
)
from sweep.analysis.intervals import crossed_half_width, order_share, unseen_worse

TAIL = 0.1
"""Share of the orders over which CVaR averages."""


@dataclass(frozen=True)
class ArmSummary:
    """What one arm reaches over `orders` x `seeds` runs; accuracies 0..1, None where nothing is on record.

    `half` is the 95 % half-width of `mean` over both, or None with the reason in `interval`. Order statistics
    are of seed averages: a range over single runs would measure the seeds.
    """

    suggestion: str
    label: str
    method: str
    orders: int
    seeds: int
    missing: int
    failed: int
    mean: float | None = None
    half: float | None = None
    interval: str = "nothing on record"
    std: float | None = None
    worst: float | None = None
    worst_order: Order | None = None
    best: float | None = None
    best_order: Order | None = None
    cvar: float | None = None
    aopd: float | None = None
    mopd: float | None = None
    disparity: float | None = None
    forgetting: float | None = None
    learning_accuracy: float | None = None
    backward_transfer: float | None = None
    order_share: float | None = None
    unseen_worse: float | None = None


@dataclass(frozen=True)
class Paired:
    """Mean difference of an arm to a baseline on the same orders and seeds, above 0 if the arm is better."""

    suggestion: str
    baseline: str
    orders: int
    seeds: int
    mean: float | None = None
    half: float | None = None
    interval: str = "nothing on record"
    won: float | None = None
    """Share 0..1 of the orders in which the arm is better, seeds averaged first; a tie counts as half."""


def summary(
    rows: Iterable[Row], orders: Sequence[Order], seeds: Sequence[Seed], split: str = "test"
) -> tuple[ArmSummary, ...]:
    """One summary for each arm of `rows`, over exactly these orders and seeds."""
    return tuple(summarise(arm, orders, seeds, split) for arm in arms(rows))


def summarise(arm: Arm, orders: Sequence[Order], seeds: Sequence[Seed], split: str = "test") -> ArmSummary:
    """What one arm reaches over the largest full crossing of these orders and seeds, and what lacks."""
    runs = crossing(arm, orders, seeds, split)
    counts = (len(runs.orders), len(runs.seeds), runs.missing, runs.failed)
    return ArmSummary(
        arm.suggestion, arm.label, arm.method, *counts, **(_known(_figures(runs)) if runs.orders else {})
    )


def paired(
    rows: Iterable[Row],
    arm: str,
    baseline: str,
    *,
    orders: Sequence[Order],
    seeds: Sequence[Seed],
    split: str = "test",
) -> Paired:
    """Difference of suggestion `arm` to `baseline` on the orders and seeds that both have on record."""
    by_name = {found.suggestion: found for found in arms(rows)}
    if arm not in by_name or baseline not in by_name:
        return Paired(arm, baseline, 0, 0)
    ours, theirs = shared_crossing((by_name[arm], by_name[baseline]), orders, seeds, split=split)
    if not ours.orders:
        return Paired(arm, baseline, 0, 0)
    gain = final_averages(ours) - final_averages(theirs)
    by_order = gain.mean(1)
    half, interval = _interval(gain, ours)
    won = float(((by_order > 0) + 0.5 * (by_order == 0)).mean())
    return Paired(arm, baseline, len(ours.orders), len(ours.seeds), float(gain.mean()), half, interval, won)


def final_averages(runs: Crossing) -> Floats:
    """Average final accuracy [orders, seeds] of every run."""
    return _measure(runs, "average_accuracy")


def _figures(runs: Crossing) -> dict[str, Any]:
    """The figures of a summary, by field name."""
    tasks = runs.matrices.shape[-1]
    averages = final_averages(runs)
    half, interval = _interval(averages, runs)
    by_order = averages.mean(1)
    spread = metrics.order_spread(runs.matrices[:, :, -1])
    lowest, highest = int(by_order.argmin()), int(by_order.argmax())
    return {
        "mean": float(averages.mean()),
        "half": half,
        "interval": interval,
        "std": metrics.std(by_order),
        "worst": float(by_order[lowest]),
        "worst_order": runs.orders[lowest],
        "best": float(by_order[highest]),
        "best_order": runs.orders[highest],
        "cvar": metrics.cvar(by_order, +1, share=TAIL),
        "aopd": spread.aopd,
        "mopd": spread.mopd,
        "disparity": metrics.disparity_of_average(runs.matrices, runs.orders).mean,
        **{
            name: float(_measure(runs, name).mean())
            for name in ("forgetting", "learning_accuracy", "backward_transfer")
        },
        "order_share": order_share(averages),
        "unseen_worse": unseen_worse(len(runs.orders), math.factorial(tasks)),
    }


def _known(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures with None for what does not exist, such as a range over one order or forgetting of one task."""
    odd = {name for name, value in figures.items() if isinstance(value, float) and not math.isfinite(value)}
    return {name: None if name in odd else value for name, value in figures.items()}


def _measure(runs: Crossing, name: str) -> Floats:
    """A metric of nai.metrics, by name, for every run [orders, seeds]."""
    measure = metrics.METRICS[name]
    found = [
        [measure(run, order) for run in line] for order, line in zip(runs.orders, runs.matrices, strict=True)
    ]
    return np.array(found, dtype=np.float64)


def _interval(values: Floats, runs: Crossing) -> tuple[float | None, str]:
    """Half-width of the mean of `values` [orders, seeds] and what it stands for."""
    half = crossed_half_width(values, math.factorial(runs.matrices.shape[-1]))
    if half is not None:
        return half, "95 % over orders and seeds"
    return None, "one order, no interval" if len(values) < 2 else "orders only, this seed"
