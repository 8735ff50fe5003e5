"""The search in figures: which suggestion is best on validation data, and what a setting does to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nai import metrics
from sweep.analysis.arms import Arm, Crossing, Order, Row, Seed, arms, crossing, numeric, setting, varied
from sweep.analysis.tables import final_averages


@dataclass(frozen=True)
class Goal:
    """What the search improves: a metric of each run, averaged over seeds and aggregated over orders.

    `metric` and `aggregate` are names in nai.metrics, `options` such as the share of cvar.
    """

    metric: str = "average_accuracy"
    aggregate: str = "mean"
    options: Mapping[str, float] = field(default_factory=dict)


GOAL = Goal()


@dataclass(frozen=True)
class Ranked:
    """A suggestion of the search with its validation figures over the search orders."""

    suggestion: str
    label: str
    settings: Mapping[str, Any]
    orders: int
    seeds: int
    missing: int
    failed: int
    value: float | None
    """The goal; None unless every order and seed is on record, for fewer orders are another question."""
    mean: float | None
    worst: float | None


@dataclass(frozen=True)
class Point:
    """One suggestion on the curve of a numeric setting: validation accuracy, mean and worst order."""

    suggestion: str
    label: str
    setting: str
    at: float
    choices: str
    """The other searched settings that are no numbers, as one text: points that share it form one line."""
    mean: float
    worst: float
    orders: int
    seeds: int


def ranking(
    rows: Iterable[Row], orders: Sequence[Order], seeds: Sequence[Seed], goal: Goal = GOAL
) -> tuple[Ranked, ...]:
    """Suggestions of the search, best validation value first; those without a value come last."""
    ranked = [_rank(arm, crossing(arm, orders, seeds, "valid"), goal) for arm in arms(rows)]
    way = metrics.METRICS[goal.metric].direction

    def place(one: Ranked) -> tuple[bool, float, int, str]:
        return one.value is None, -way * (one.value or 0), -one.orders, one.suggestion

    return tuple(sorted(ranked, key=place))


def strength_curve(
    rows: Iterable[Row], orders: Sequence[Order], seeds: Sequence[Seed], name: str | None = None
) -> tuple[Point, ...]:
    """Validation accuracy of every suggestion against a searched numeric setting, sorted by its value.

    `name` is a dotted setting, by default "method.strength" if it was searched, else the first numeric one
    (no curve where there is none). Suggestions with fewer orders than asked are in, with their count.
    """
    group = arms(rows)
    searched = varied(group)
    name = name or _main(searched)
    if name is None:
        return ()
    points = [_point(arm, name, searched, crossing(arm, orders, seeds, "valid")) for arm in group]
    found = [point for point in points if point]
    return tuple(sorted(found, key=lambda point: (point.choices, point.at, point.suggestion)))


def _rank(arm: Arm, runs: Crossing, goal: Goal) -> Ranked:
    whole = runs.orders and not runs.missing and not runs.failed
    by_order = final_averages(runs).mean(1) if runs.orders else None
    return Ranked(
        arm.suggestion,
        arm.label,
        arm.settings,
        len(runs.orders),
        len(runs.seeds),
        runs.missing,
        runs.failed,
        value=_value(runs, goal) if whole else None,
        mean=None if by_order is None else float(by_order.mean()),
        worst=None if by_order is None else float(by_order.min()),
    )


def _value(runs: Crossing, goal: Goal) -> float:
    return metrics.objective(goal.metric, goal.aggregate, runs.matrices, runs.orders, **dict(goal.options))


def _point(arm: Arm, name: str, searched: Mapping[str, Any], runs: Crossing) -> Point | None:
    at = setting(arm, name)
    if not runs.orders or at is None:
        return None
    others = {key.rpartition(".")[2]: setting(arm, key) for key in searched if not numeric(searched[key])}
    by_order = final_averages(runs).mean(1)
    return Point(
        arm.suggestion,
        arm.label,
        name,
        at=float(at),
        choices=", ".join(f"{key} {value}" for key, value in others.items() if value is not None),
        mean=float(by_order.mean()),
        worst=float(by_order.min()),
        orders=len(runs.orders),
        seeds=len(runs.seeds),
    )


def _main(searched: Mapping[str, tuple[Any, ...]]) -> str | None:
    """The searched setting to draw the curve over: the strength, or the first that takes numbers alone."""
    names = [name for name, values in searched.items() if numeric(values)]
    return "method.strength" if "method.strength" in names else next(iter(names), None)
