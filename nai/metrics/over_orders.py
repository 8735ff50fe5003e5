"""Numbers over orders: the mean, the bad end, the spread; and objectives made of them.

`values` is [orders], one number an order, its seeds averaged before. `direction` is that of the metric and
has no default: the worst order has the least accuracy, but the most forgetting. Spread over orders is nan
when there is one order only.
"""

import math
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nai.metrics.matrix import METRICS, Array, arrived, running
from nai.orders import Order


def _aligned(values: npt.ArrayLike, direction: int) -> Array:
    """The values with their sign turned so that larger is better; ValueError when there are none."""
    numbers = np.asarray(values, dtype=np.float64)
    if direction not in (-1, 1):
        raise ValueError(f"direction {direction} is not +1 or -1: take METRICS[name].direction")
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"values of shape {numbers.shape} are not one an order: average the seeds first")
    return direction * numbers


def mean(values: npt.ArrayLike, direction: int) -> float:
    """The mean over orders, whichever way is better."""
    return direction * float(_aligned(values, direction).mean())


def std(values: npt.ArrayLike) -> float:
    """Standard deviation over orders (divisor R - 1), nan for one order; small is steady for any metric."""
    numbers = _aligned(values, +1)
    return float(numbers.std(ddof=1)) if numbers.size > 1 else math.nan


def worst(values: npt.ArrayLike, direction: int) -> float:
    """The value of the worst order: the smallest when larger is better, the largest when smaller is."""
    return direction * float(_aligned(values, direction).min())


def best(values: npt.ArrayLike, direction: int) -> float:
    """The value of the best order: luck, not merit, and so no objective."""
    return direction * float(_aligned(values, direction).max())


def cvar(values: npt.ArrayLike, direction: int, *, share: float = 0.1) -> float:
    """Mean over the worst ceil(share * R) orders (conditional value at risk), share in (0, 1].

    Share 1 is the mean, a share of one order or less the worst. Source: Rockafellar and Uryasev 2000.
    """
    aligned = _aligned(values, direction)
    if not 0 < share <= 1:
        raise ValueError(f"share {share} is not in (0, 1]: 0.1 is the worst tenth of the orders")
    if np.isnan(aligned).any():  # sorted, it would hide at the good end
        return math.nan
    tail = math.ceil(Fraction(str(float(share))) * aligned.size)  # in floats .07 of 100 is more than 7
    return direction * float(np.sort(aligned)[:tail].mean())


def mean_minus_std(values: npt.ArrayLike, direction: int, *, weight: float = 1.0) -> float:
    """The mean moved `weight` standard deviations to the worse side: down for accuracy, up for forgetting."""
    aligned = _aligned(values, direction)
    if aligned.size < 2:
        raise ValueError("mean_minus_std of 1 order has no deviation: give 2 or more, or take the mean")
    if weight < 0:
        raise ValueError(f"weight {weight} would reward deviation: give 0 or more")
    return direction * (float(aligned.mean()) - weight * std(aligned))


def aopd(final: npt.ArrayLike, learnt: npt.ArrayLike | None = None) -> float:
    """How far a task's final accuracy ranges over orders, mean over tasks: small is steady.

    final, learnt: as `order_spread` takes them.
    """
    return order_spread(final, learnt).aopd


def mopd(final: npt.ArrayLike, learnt: npt.ArrayLike | None = None) -> float:
    """How far the final accuracy of the most moved task ranges over orders: small is steady.

    final, learnt: as `order_spread` takes them.
    """
    return order_spread(final, learnt).mopd


def mean_minus_aopd(values: npt.ArrayLike, direction: int, spread: float, *, weight: float = 1.0) -> float:
    """The mean moved `weight` times the AOPD to the worse side: down for accuracy, up for forgetting."""
    if weight < 0:
        raise ValueError(f"weight {weight} would reward a range: give 0 or more")
    return direction * (float(_aligned(values, direction).mean()) - weight * spread)


AGGREGATES: dict[str, Callable[..., float]] = {
    "mean": mean,
    "worst": worst,
    "cvar": cvar,
    "mean_minus_std": mean_minus_std,
    "mean_minus_aopd": mean_minus_aopd,
    "std": std,
    "aopd": aopd,
    "mopd": mopd,
}
SPREADS = ("std", "aopd", "mopd")
"""Aggregates that are better small whichever way the metric goes; AOPD and MOPD are of final accuracy."""
NEED_TWO = ("mean_minus_std", "mean_minus_aopd", *SPREADS)
"""Aggregates that one order does not have."""


def by_order(metric: str, matrices: npt.ArrayLike, orders: Sequence[Order]) -> Array:
    """A metric of `METRICS` for every order, averaged over its seeds, [orders].

    matrices: [orders, seeds, tasks + 1, tasks].
    """
    measure = METRICS[_known("metric", metric, METRICS)].stacked
    return _over_seeds(measure(arrived(_crossed(matrices, orders), orders)))


def direction(metric: str, aggregate: str) -> int:
    """Which way an objective is better: +1 larger, -1 smaller."""
    _known("aggregate", aggregate, AGGREGATES)
    return -1 if aggregate in SPREADS else METRICS[_known("metric", metric, METRICS)].direction


def objective(
    metric: str, aggregate: str, matrices: npt.ArrayLike, orders: Sequence[Order], **options: float
) -> float:
    """One number for a suggestion: the metric, averaged over seeds, then aggregated over orders.

    matrices: [orders, seeds, tasks + 1, tasks]. options: share of cvar, weight of mean_minus_std and of
    mean_minus_aopd. Larger is better or smaller is, as `direction` says.
    """
    summarise = AGGREGATES[_known("aggregate", aggregate, AGGREGATES)]
    if len(orders) < 2 and aggregate in NEED_TWO:
        raise ValueError(f"{aggregate} of 1 order has no deviation: give 2 or more, or take the mean")
    if aggregate in ("aopd", "mopd"):
        return summarise(*_final(matrices, orders))
    values, way = by_order(metric, matrices, orders), METRICS[metric].direction
    if aggregate == "std":
        return summarise(values)
    if aggregate == "mean_minus_aopd":
        return summarise(values, way, aopd(*_final(matrices, orders)), **options)
    return summarise(values, way, **options)


def _crossed(matrices: npt.ArrayLike, orders: Sequence[Order]) -> Array:
    stacked = np.asarray(matrices, dtype=np.float64)
    if stacked.ndim != 4 or len(orders) != len(stacked) or not stacked.size:
        raise ValueError(
            f"matrices of shape {stacked.shape} do not fit {len(orders)} orders: "
            "expected [orders, seeds, tasks + 1, tasks], at least 1 of each"
        )
    return stacked


def _over_seeds(values: Array) -> Array:
    """[orders, ...] from [orders, seeds, ...]; one by one: no bit depends on the number of orders."""
    total = values[:, 0]
    for seed in range(1, values.shape[1]):
        total = total + values[:, seed]
    return np.asarray(total / values.shape[1])


def _final(matrices: npt.ArrayLike, orders: Sequence[Order]) -> tuple[Array, npt.NDArray[np.bool_] | None]:
    """Accuracy at the end by home task, seeds averaged, [orders, tasks]; which are learnt, None for all."""
    final = _over_seeds(_crossed(matrices, orders)[:, :, -1])
    learnt = np.zeros(final.shape, dtype=np.bool_)
    for line, order in zip(learnt, orders, strict=True):
        line[list(order)] = True
    return final, None if learnt.all() else learnt


def _known(kind: str, name: str, names: Collection[str]) -> str:
    if name not in names:
        raise ValueError(f"{kind} {name!r} is unknown: choose from {', '.join(names)}")
    return name


class OrderSpread(NamedTuple):
    """How far the final accuracy of each task ranges over orders.

    A range grows with what it is taken over: of a normal distribution, 120 orders show 2.2 times the range of
    5. So never compare spreads of unequal `orders`.
    """

    opd: Array  # [tasks], by home task
    aopd: float
    mopd: float
    orders: int
    seeds: int | None  # None: averaged before they came here


class Disparity(NamedTuple):
    """How far the running average accuracy ranges over orders; not to be compared at unequal `orders`."""

    steps: Array  # [tasks], after each task
    mean: float
    orders: int
    seeds: int


def order_spread(final: npt.ArrayLike, learnt: npt.ArrayLike | None = None) -> OrderSpread:
    """OPD_t = max_r P_t^r - min_r P_t^r over orders r, AOPD its mean and MOPD its maximum over tasks t.

    final: accuracy at the end by home task, [orders, seeds, tasks], or [orders, tasks] averaged over seeds.
    learnt: whether an order has a task at all, [orders, tasks], by default all; a range is over the orders
    that have the task, and nan with fewer than two. Seeds are averaged before the range, or it would measure
    their noise. Source: Yoon et al. 2020, order-normalized performance disparity.
    """
    accuracy = np.asarray(final, dtype=np.float64)
    if accuracy.ndim not in (2, 3) or not accuracy.size:
        raise ValueError(
            f"final accuracies of shape {accuracy.shape} have no spread: "
            "expected [orders, seeds, tasks] or [orders, tasks], at least 1 of each"
        )
    seeds = accuracy.shape[1] if accuracy.ndim == 3 else None
    averaged = accuracy if seeds is None else _over_seeds(accuracy)
    opd = _range(averaged) if learnt is None else _range_where(averaged, np.asarray(learnt, dtype=np.bool_))
    there = opd if learnt is None else opd[np.asarray(learnt).sum(0) > 1]
    aopd, mopd = (float(there.mean()), float(there.max())) if there.size else (math.nan, math.nan)
    return OrderSpread(opd, aopd, mopd, len(accuracy), seeds)


def disparity_of_average(matrices: npt.ArrayLike, orders: Sequence[Order]) -> Disparity:
    """D_i = max_r A_i^r - min_r A_i^r over orders r, A_i^r the running average after i tasks; D their mean.

    matrices: [orders, seeds, tasks + 1, tasks]; seeds are averaged before the range. nan for one order. Not
    OPD, which compares one task at the end: here each order has seen other tasks at every step but the last.
    Source: Kim and Lee, "Continual learning with neuron activation importance", performance disparity.
    """
    steps = _range(_over_seeds(running(arrived(_crossed(matrices, orders), orders))))
    return Disparity(steps, float(steps.mean()), len(orders), np.shape(matrices)[1])


def _range(values: Array) -> Array:
    """Largest less smallest over the first axis, orders; nan for a single one."""
    return np.asarray(np.ptp(values, axis=0)) if len(values) > 1 else np.full_like(values[0], math.nan)


def _range_where(values: Array, there: npt.NDArray[np.bool_]) -> Array:
    """The same over those orders alone that are there; nan with fewer than two."""
    high = np.where(there, values, -math.inf).max(axis=0)
    low = np.where(there, values, math.inf).min(axis=0)
    return np.where(there.sum(0) > 1, high - low, math.nan)
