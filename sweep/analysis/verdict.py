"""The answer of a sweep in one plain sentence, and what to keep in mind when reading it."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.analysis.arms import Order
from sweep.analysis.tables import ArmSummary, Paired

SEED_NOISE = 0.2
"""Below this share of the variance the "order effect" is mostly chance of the seed."""


@dataclass(frozen=True)
class Verdict:
    """One sentence and its cautions, each a sentence."""

    sentence: str
    cautions: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """The sentence and its cautions, for a notebook."""
        items = "".join(f"<li>{html.escape(caution)}</li>" for caution in self.cautions)
        return f"<p><strong>{html.escape(self.sentence)}</strong></p>" + (
            f"<ul>{items}</ul>" if items else ""
        )


def verdict(
    best: ArmSummary | None,
    baselines: Sequence[ArmSummary] = (),
    pairs: Sequence[Paired] = (),
    *,
    search_orders: Sequence[Order] = (),
    confirm_orders: Sequence[Order] = (),
    tuning: str = "",
) -> Verdict:
    """What the best suggestion reaches, how it compares with the first baseline, and how the order matters.

    `pairs` are the differences of `best` to `baselines`, in their order; `tuning` is how its settings were
    chosen, said behind its name.
    """
    if best is None:
        return Verdict(
            "No suggestion has all its search runs on record yet, so there is no best one to judge."
        )
    shared = len(set(search_orders) & set(confirm_orders))
    warned = tuple(_cautions(best, baselines, pairs, shared))
    if best.mean is None or best.worst is None:
        return Verdict(
            f"{best.label} leads the search, but there is no run on test data to judge it by yet.", warned
        )
    parts = [
        _reached(best, tuning),
        *_compared(best, baselines[:1], pairs[:1]),
        *_ordered(best, baselines[:1]),
    ]
    return Verdict("; ".join(parts) + ".", warned)


def _reached(best: ArmSummary, tuning: str) -> str:
    spread = "" if best.half is None else f" ± {_points(best.half)}"
    over = f"{counted(best.orders, 'order')} and {counted(best.seeds, 'seed')}"
    worst = f"{_percent(best.worst)} in the worst order"
    name = f"{best.label} ({tuning})" if tuning else best.label
    return f"{name} reaches {_percent(best.mean)}{spread} on average over {over}, and {worst}"


def _compared(best: ArmSummary, baselines: Sequence[ArmSummary], pairs: Sequence[Paired]) -> list[str]:
    """The clause against the baseline; none when there is no baseline or nothing to compare."""
    if not baselines or not pairs or baselines[0].suggestion == best.suggestion:
        return []
    name, pair = baselines[0].label, pairs[0]
    if pair.mean is None or pair.won is None:
        return [f"there are no runs of {name} on the same orders and seeds to compare it with yet"]
    spread = "" if pair.half is None else f" ± {_points(pair.half)}"
    size = f"{_points(abs(pair.mean))}{spread} points"
    if _is_noise(pair):
        side = "above" if pair.mean >= 0 else "below"
        return [f"that is {size} {side} {name}, a difference that these runs cannot tell from none"]
    ahead = f"better in {100 * pair.won:.0f} % of the orders"
    return [
        f"that is {size} above {name}, {ahead}" if pair.mean > 0 else f"it loses to {name} by {size}, {ahead}"
    ]


def _ordered(best: ArmSummary, baselines: Sequence[ArmSummary]) -> list[str]:
    """The clause on how the order moves single tasks; none with one order, which moves nothing."""
    if best.aopd is None:
        return []
    said = f"the order moves a task's final accuracy by {_points(best.aopd)} points on average (AOPD) and by"
    said += f" up to {_points(best.mopd)} (MOPD) over {counted(best.orders, 'order')}"
    same = [
        other for other in baselines if other.orders == best.orders and other.suggestion != best.suggestion
    ]
    others = "".join(f", {other.label}: {_points(other.aopd)} and {_points(other.mopd)}" for other in same)
    return [said + others]


def _cautions(
    best: ArmSummary, baselines: Sequence[ArmSummary], pairs: Sequence[Paired], shared: int
) -> list[str]:
    cautions = []
    if shared:
        orders = counted(shared, "order")
        cautions.append(
            f"Search and confirmation share {orders}: settings are judged on orders that chose them."
        )
    if best.seeds == 1:
        cautions.append("One seed only: the figures hold for this seed, there is no interval over seeds.")
    if best.orders == 1:
        cautions.append("One order only: nothing here says how much the order matters.")
    if best.order_share is not None and best.order_share < SEED_NOISE and best.orders > 1:
        share = f"{100 * best.order_share:.0f} %"
        cautions.append(
            f"The order explains only {share} of the variance of {best.label}: its AOPD is mostly seed noise."
        )
    cautions += [_lacking(arm) for arm in (best, *baselines) if arm.failed or (arm.missing and arm.orders)]
    return cautions + [
        _beaten(pair, baselines) for pair in pairs[1:] if pair.mean is not None and pair.mean < 0
    ]


def unsure(until: Mapping[str, Any] | None) -> list[str]:
    """Arms whose orders are too few for what was asked, or that no number of orders can make as sure."""
    if until is None or until["met"]:
        return []
    asked = until["asked"]
    aim = f"an order of the worst {_percent(asked['tail'])}" if "tail" in asked else ""
    aim = aim or f"a mean to ± {_points(asked['half_width'])} points"
    return [_short(one, aim) for one in until["arms"] if (one["needed"] or math.inf) > one["orders"]]


def _short(one: Mapping[str, Any], aim: str) -> str:
    if one["needed"] is not None:
        return (
            f"{one['label']} has {one['orders']} of the {counted(one['needed'], 'order')} that {aim} needs."
        )
    least = "" if one["least"] is None else f" (at best ± {_points(one['least'])})"
    return f"{one['label']}: no number of orders gives {aim} with so few seeds{least}."


def _lacking(arm: ArmSummary) -> str:
    runs = f"{counted(arm.orders, 'order')} × {counted(arm.seeds, 'seed')}"
    used = f"its figures use {runs}" if arm.orders else "so it has no figures"
    return f"{arm.label}: {counted(arm.failed, 'run')} failed and {arm.missing} not on record; {used}."


def _beaten(pair: Paired, baselines: Sequence[ArmSummary]) -> str:
    name = next(arm.label for arm in baselines if arm.suggestion == pair.baseline)
    spread = "" if pair.half is None else f" ± {_points(pair.half)}"
    said = f"{name} is {_points(abs(pair.mean or 0))}{spread} points above it on the same orders and seeds"
    return f"{said}, which is within the noise." if _is_noise(pair) else f"{said}."


def _is_noise(pair: Paired) -> bool:
    """Whether these runs cannot tell the difference from none."""
    return pair.mean == 0 or (pair.mean is not None and pair.half is not None and abs(pair.mean) <= pair.half)


def _percent(share: float | None) -> str:
    return "no value" if share is None else f"{100 * share:.2f} %"


def _points(share: float | None) -> str:
    return "no value" if share is None else f"{100 * share:.2f}"


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 order", "2 orders"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
