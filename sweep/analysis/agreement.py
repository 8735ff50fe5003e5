"""Whether what is best depends on the order: of methods, and of the settings of one method."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep.analysis.arms import Arm, Floats, shared_crossing
from sweep.analysis.holds import Holds
from sweep.analysis.ranks import concordance
from sweep.analysis.stages import Stage
from sweep.analysis.tables import final_averages

AGREE, DISAGREE = 0.7, 0.3
"""Kendall's W from which orders are said to agree, and below which to disagree."""


@dataclass(frozen=True)
class Agreement:
    """How far the orders rank the same `items` alike, seeds averaged: Kendall's `w`, 0..1.

    `best` is ahead in the mean, and first in a share `first` of the orders; `winners` are first somewhere.
    `gain`: accuracy to be won by choosing in each order what is best there instead, chosen on all seeds but
    one and judged on that; None with one seed. `left_out`: those that lack runs.
    """

    over: str
    items: int
    left_out: int
    orders: int
    seeds: int
    missing: int
    failed: int
    w: float | None = None
    best: str | None = None
    first: float | None = None
    winners: int = 0
    gain: float | None = None
    says: str = "There are no orders that all of them ran."
    holds: Holds = "neither"


def agreement(stage: Stage) -> tuple[Agreement, ...]:
    """Does the best method, and the best setting of each method, depend on the order?

    One line for the methods (the first arm of each), then one for the settings of each method.
    """
    return tuple(_line(over, group, stage) for over, group in _fields(stage))


def gain_of_choosing(values: Floats) -> float | None:
    """What choosing the best item in each order wins over the one that is best in the mean.

    values: [items, orders, seeds]. Chosen on all seeds but one and judged on that one, each in turn, so that
    chance which looks like merit is not counted; None with one seed.
    """
    seeds = values.shape[2]
    if seeds < 2:
        return None
    gains = []
    for seed in range(seeds):
        seen = np.delete(values, seed, axis=2).mean(2)  # [items, orders]
        judged, orders = values[:, :, seed], np.arange(values.shape[1])
        gains.append((judged[seen.argmax(0), orders] - judged[seen.mean(1).argmax()]).mean())
    return float(np.mean(gains))


def _fields(stage: Stage) -> Iterator[tuple[str, Sequence[Arm]]]:
    firsts = [group[0] for group in stage.groups.values()]
    if len(firsts) > 1 and stage.name == "confirm":
        yield "methods", firsts
    for name, group in stage.groups.items():
        if len(group) > 1:
            yield f"settings of {name}", group


def _line(over: str, group: Sequence[Arm], stage: Stage) -> Agreement:
    complete = [arm for arm in group if stage.complete(arm)]
    ran = complete if len(complete) > 1 else group
    crossings = shared_crossing(ran, stage.orders, stage.seeds, split=stage.split)
    lacking = [stage.crossings[arm.suggestion] for arm in group]
    sizes: dict[str, Any] = {
        "items": len(ran),
        "left_out": len(group) - len(ran),
        "orders": len(crossings[0].orders),
        "seeds": len(crossings[0].seeds),
        "missing": sum(runs.missing for runs in lacking),
        "failed": sum(runs.failed for runs in lacking),
    }
    if not crossings[0].orders:
        return Agreement(over, **sizes)
    values = np.stack([final_averages(runs) for runs in crossings])
    return Agreement(over, **sizes, **_ranked(values, [arm.label for arm in ran]))


def _ranked(values: Floats, labels: Sequence[str]) -> dict[str, Any]:
    """The figures of `values` [items, orders, seeds], by field name."""
    by_order = values.mean(2)
    best, w = int(by_order.mean(1).argmax()), concordance(by_order.T)
    return {
        "w": w,
        "best": labels[best],
        "first": float((by_order[best] == by_order.max(0)).mean()),
        "winners": len(set(by_order.argmax(0).tolist())),
        "gain": gain_of_choosing(values),
        "says": _says(w, values.shape[2]),
    }


def _says(w: float | None, seeds: int) -> str:
    """The answer in a sentence."""
    if w is None:
        return "There are not two of them with two orders to rank."
    chance = "" if seeds > 1 else " One seed: the chance of the seed is in it."
    if w >= AGREE:
        return f"What is best hardly depends on the order.{chance}"
    if w >= DISAGREE:
        return f"What is best depends on the order in part.{chance}"
    return f"The orders rank them differently: what is best depends on the order, or on chance.{chance}"
