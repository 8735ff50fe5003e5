"""The search in figures: which suggestion is best on validation data, and what a setting does to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sweep.analysis.arms import Arm, Crossing, Order, Seed, crossing, numeric, setting, varied
from sweep.analysis.goals import Goal, aggregate, fronts
from sweep.analysis.tables import final_averages


@dataclass(frozen=True)
class Ranked:
    """A suggestion of the search with its validation figures over the search orders.

    `values` are the goals, None unless every order and seed is on record, for fewer orders are another
    question. `stopped` is how many orders it had when it was dropped. `front` counts Pareto fronts from 1
    where there are two goals.
    """

    suggestion: str
    label: str
    method: str
    settings: Mapping[str, Any]
    orders: int
    seeds: int
    missing: int
    failed: int
    values: tuple[float, ...] | None
    mean: float | None
    worst: float | None
    stopped: int | None = None
    front: int | None = None

    @property
    def value(self) -> float | None:
        """The first goal, None where it has none."""
        return self.values[0] if self.values else None


@dataclass(frozen=True)
class Point:
    """One suggestion on the curve of a numeric setting: validation accuracy, mean and worst order."""

    suggestion: str
    label: str
    method: str
    setting: str
    at: float
    choices: str
    """The other searched settings that are no numbers, as one text: points that share it form one line."""
    mean: float
    worst: float
    orders: int
    seeds: int


def ranking(
    group: Iterable[Arm],
    orders: Sequence[Order],
    seeds: Sequence[Seed],
    *,
    goals: Sequence[Goal] = (Goal(),),
    stopped: Mapping[str, int] | None = None,
) -> tuple[Ranked, ...]:
    """Suggestions of the search, best first; those without all orders, or dropped before, come last.

    With two goals those of the first Pareto front come first, each front by the first goal. `stopped` are
    suggestions that a rule dropped, with the orders they had.
    """
    gone = stopped or {}
    ranked = [
        _rank(arm, crossing(arm, orders, seeds, "valid"), goals, gone.get(arm.suggestion)) for arm in group
    ]
    ways = [goal.direction for goal in goals]
    if len(goals) > 1:
        ranked = _with_fronts(ranked, ways)

    def place(one: Ranked) -> tuple[Any, ...]:
        gains = tuple(-way * value for way, value in zip(ways, one.values or (), strict=False))
        return one.values is None, one.front or 0, gains, -(one.stopped or one.orders), one.suggestion

    return tuple(sorted(ranked, key=place))


def strength_curve(
    ranked: Iterable[Ranked], group: Sequence[Arm], name: str | None = None
) -> tuple[Point, ...]:
    """Validation accuracy of every suggestion against a searched numeric setting, sorted by its value.

    `name` is a dotted setting, by default "method.strength" if it was searched, else the first numeric one
    (no curve where there is none). Suggestions with fewer orders than asked are in, with their count.
    """
    searched = varied(group)
    name = name or _main(searched)
    if name is None:
        return ()
    arms = {arm.suggestion: arm for arm in group}
    points = [_point(one, arms[one.suggestion], name, searched) for one in ranked]
    found = [point for point in points if point]
    return tuple(sorted(found, key=lambda point: (point.choices, point.at, point.suggestion)))


def _rank(arm: Arm, runs: Crossing, goals: Sequence[Goal], stopped: int | None) -> Ranked:
    whole = runs.orders and not runs.missing and not runs.failed and stopped is None
    by_order = final_averages(runs).mean(1) if runs.orders else None
    return Ranked(
        arm.suggestion,
        arm.label,
        arm.method,
        arm.settings,
        len(runs.orders),
        len(runs.seeds),
        runs.missing,
        runs.failed,
        values=tuple(aggregate(goal, runs.matrices, runs.orders) for goal in goals) if whole else None,
        mean=None if by_order is None else float(by_order.mean()),
        worst=None if by_order is None else float(by_order.min()),
        stopped=stopped,
    )


def _with_fronts(ranked: Sequence[Ranked], ways: Sequence[int]) -> list[Ranked]:
    whole = [one for one in ranked if one.values is not None]
    numbers = fronts([one.values for one in whole if one.values is not None], ways)
    front = {one.suggestion: number for one, number in zip(whole, numbers, strict=True)}
    return [replace(one, front=front.get(one.suggestion)) for one in ranked]


def _point(one: Ranked, arm: Arm, name: str, searched: Mapping[str, Any]) -> Point | None:
    at = setting(arm, name)
    if one.mean is None or one.worst is None or at is None:
        return None
    others = {key.rpartition(".")[2]: setting(arm, key) for key in searched if not numeric(searched[key])}
    return Point(
        one.suggestion,
        one.label,
        one.method,
        name,
        at=float(at),
        choices=", ".join(f"{key} {value}" for key, value in others.items() if value is not None),
        mean=one.mean,
        worst=one.worst,
        orders=one.orders,
        seeds=one.seeds,
    )


def _main(searched: Mapping[str, tuple[Any, ...]]) -> str | None:
    """The searched setting to draw the curve over: the strength, or the first that takes numbers alone."""
    names = [name for name, values in searched.items() if numeric(values)]
    return "method.strength" if "method.strength" in names else next(iter(names), None)
