"""Where the variance between runs comes from, and so what more runs would help."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep.analysis.arms import Arm, Floats, shared_crossing
from sweep.analysis.holds import Holds, counts, mean_holds, whole
from sweep.analysis.stages import Stage
from sweep.analysis.tables import final_averages

SEED_NOISE = 0.2
"""Below this share of the variance the "order effect" is mostly chance of the seed."""


@dataclass(frozen=True)
class Components:
    """Standard deviations (accuracy 0..1) that order, seed, settings and the rest add to single runs.

    None where there is one level only, or nothing to tell it from the rest. `order_share` is of the variance
    of runs with equal settings. `advice` says what more runs would help.
    """

    over: str
    arms: int
    orders: int
    seeds: int
    missing: int
    failed: int
    order: float | None
    seed: float | None
    settings: float | None
    rest: float | None
    order_share: float | None
    advice: str
    holds: Holds


def components(stage: Stage) -> tuple[Components, ...]:
    """How much of the variance between runs is due to order, seed, settings and chance, and what would help.

    First a line for the settings of each method that ran all their orders, then one for every arm. Source:
    random effects from the mean squares of a full crossing, interactions in the rest, at least 0.
    """
    lines = [_of_settings(name, group, stage) for name, group in _searched(stage)]
    return (*lines, *(_of_arm(arm, stage) for arm, _ in stage.known()))


def variance_components(values: Floats) -> Floats:
    """Variance [axes + 1] that each axis of `values` adds to single numbers, last the rest; nan: not to tell.

    values: a full crossing, an axis for every factor. Source: mean squares of main effects less that of the
    rest, divided by the numbers behind a level.
    """
    grand = values.mean()
    freedoms = np.array(values.shape) - 1
    squares = np.array(
        [
            (values.size / levels)
            * ((values.mean(tuple(a for a in range(values.ndim) if a != axis)) - grand) ** 2).sum()
            for axis, levels in enumerate(values.shape)
        ]
    )
    left = values.size - 1 - freedoms.sum()
    if left <= 0:
        return np.full(values.ndim + 1, np.nan)
    rest = max(0.0, ((values - grand) ** 2).sum() - squares.sum()) / left
    behind = values.size / np.array(values.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.maximum((squares / freedoms - rest) / behind, 0)
    return np.append(np.where(freedoms > 0, found, np.nan), rest)


def advice(values: Floats, *, every: bool) -> str:
    """What would make the mean of `values` [orders, seeds] surer, in words; every: all orders were run."""
    orders, seeds = values.shape
    if seeds < 2:
        return "One seed: what the order does cannot be told from the chance of the seed; run more seeds."
    if orders < 2:
        return "One order: nothing tells what the order does; run more orders."
    by_order, by_seed, rest = variance_components(values)
    total = by_order + by_seed + rest
    if total <= 0:
        return "All runs reach the same: more of them would change nothing."
    noise = ", and the order effect is mostly seed noise" if by_order / total < SEED_NOISE else ""
    if every:
        return f"More seeds would help: all orders were run{noise}."
    from_orders, from_seeds = by_order / orders, by_seed / seeds
    if max(from_orders, from_seeds) <= rest / (orders * seeds):
        return f"More orders or more seeds would help alike{noise}."
    return f"More {'orders' if from_orders > from_seeds else 'seeds'} would help{noise}."


def _of_arm(arm: Arm, stage: Stage) -> Components:
    runs = stage.crossings[arm.suggestion]
    values = final_averages(runs)
    order, seed, rest = _known(variance_components(values))
    said = advice(values, every=whole(runs))
    return Components(
        arm.label, 1, **counts(runs), **_figures(order, seed, None, rest), advice=said, holds=mean_holds(runs)
    )


def _searched(stage: Stage) -> list[tuple[str, tuple[Arm, ...]]]:
    """Arms of each method that ran all orders of the stage, where there are several."""
    ran = {name: tuple(filter(stage.complete, group)) for name, group in stage.groups.items()}
    return [(name, group) for name, group in ran.items() if len(group) > 1]


def _of_settings(name: str, group: Sequence[Arm], stage: Stage) -> Components:
    crossings = shared_crossing(group, stage.orders, stage.seeds, split=stage.split)
    values = np.stack([final_averages(runs) for runs in crossings])
    settings, order, seed, rest = _known(variance_components(values))
    lacking = [stage.crossings[arm.suggestion] for arm in stage.groups[name]]
    said = "The settings move runs more than order and seed do."
    if (settings or 0.0) <= (order or 0.0) + (seed or 0.0):
        said = "Order and seed move runs more than the settings do."
    return Components(
        f"settings of {name}",
        len(group),
        values.shape[1],
        values.shape[2],
        sum(runs.missing for runs in lacking),
        sum(runs.failed for runs in lacking),
        **_figures(order, seed, settings, rest),
        advice=said,
        holds=mean_holds(crossings[0]),
    )


def _figures(
    order: float | None, seed: float | None, settings: float | None, rest: float | None
) -> dict[str, Any]:
    """Standard deviations of variances, by field name, and the share of the order."""
    parts = {"order": order, "seed": seed, "settings": settings, "rest": rest}
    whole = (order or 0.0) + (seed or 0.0) + (rest or 0.0)
    share = None if order is None or seed is None else (order / whole if whole > 0 else 0.0)
    roots = {name: None if part is None else math.sqrt(part) for name, part in parts.items()}
    return {**roots, "order_share": share}


def _known(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
