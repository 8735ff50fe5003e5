"""What a sample of task orders crossed with seeds can say about the mean over all orders and seeds."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]


def crossed_half_width(values: Floats, population: int, level: float = 0.95) -> float | None:
    """Half-width of the interval for the mean of `values` [orders, seeds], both drawn at random.

    `population` is how many orders exist (tasks!): when all of them were run, only the seeds are uncertain.
    None with fewer than two orders or two seeds: nothing then shows how far a new draw would fall.
    Source: two-way random effects without replication, finite-population factor; degrees of freedom after
    Satterthwaite 1946.
    """
    orders, seeds = values.shape
    if orders < 2 or seeds < 2:
        return None
    parts = _variance_parts(values, 1 - orders / population)
    variance = max(parts.sum(), parts[1])
    if variance <= 0:
        return 0.0
    freedom = variance**2 / (parts**2 / _freedoms(orders, seeds)).sum()
    return float(stdtrit(max(1.0, freedom), 0.5 + level / 2) * variance**0.5)


def order_share(values: Floats) -> float | None:
    """Share 0..1 of the variance of single runs that the order explains; None with one order or one seed.

    `values` is [orders, seeds]. Source: two-way random effects, components from mean squares, at least 0.
    """
    orders, seeds = values.shape
    if orders < 2 or seeds < 2:
        return None
    by_order, by_seed, rest = _mean_squares(values)
    components = np.maximum([(by_order - rest) / seeds, (by_seed - rest) / orders, rest], 0)
    return float(components[0] / components.sum()) if components.sum() > 0 else 0.0


def unseen_worse(orders: int, population: int, level: float = 0.95) -> float:
    """Fewer than this share 0..1 of all orders are worse than the worst of a random sample, by `level`.

    Source: hypergeometric chance of missing every one of k worse orders in draws without replacement.
    """
    if orders >= population:
        return 0.0
    low, high = 0, population - orders  # `low` worse orders can hide from the sample, `high + 1` cannot
    while low < high:
        middle = (low + high + 1) // 2
        hidden = math.prod((population - middle - drawn) / (population - drawn) for drawn in range(orders))
        low, high = (middle, high) if hidden > 1 - level else (low, middle - 1)
    return (low + 1) / population


class Needed(NamedTuple):
    """How many orders a question needs, None if no number of them can answer it.

    `half` is the half-width of the mean to be expected with so many, or with all there are if none suffice;
    None for a tail.
    """

    orders: int | None
    half: float | None = None


MOST_ORDERS = 100_000
"""More orders than this are not looked at: nobody would run them."""


def needed_orders(until: Mapping[str, float], values: Floats, population: int) -> Needed:
    """How many orders the confirmation needs, all told: for "half_width" of the mean, or for the "tail".

    values: what the arm has reached so far, [orders, seeds]; it says nothing about the tail. population: how
    many orders exist. ValueError for another question.
    """
    match dict(until):
        case {"half_width": asked, **rest} if not rest:
            return orders_for_half_width(values, population, asked)
        case {"tail": share, **rest} if not rest:
            return Needed(orders_for_tail(share, population))
    raise ValueError(f"until {dict(until)} is no question: give half_width=0.002 or tail=0.05")


def orders_for_half_width(values: Floats, population: int, asked: float, level: float = 0.95) -> Needed:
    """The fewest orders with which the mean is expected to have at most this half-width, 0..1.

    values: [orders, seeds], a sample that tells how orders, seeds and the rest vary; 2 of each at least. What
    the seeds alone leave uncertain stays, however many orders there are. Source: as `crossed_half_width`.
    """
    orders, seeds = values.shape
    reached = crossed_half_width(values, population, level)
    if reached is None:
        raise ValueError(
            f"{orders} orders and {seeds} seeds give no half-width: confirm with 2 orders and 2 seeds or more"
        )
    if reached <= asked:
        return Needed(orders, reached)
    counts = np.arange(orders + 1, min(population, MOST_ORDERS) + 1)
    expected = _expected_half_width(values, counts, population, level)
    enough = np.flatnonzero(expected <= asked)
    if enough.size:
        return Needed(int(counts[enough[0]]), float(expected[enough[0]]))
    everything = _expected_half_width(values, np.array([population], dtype=np.float64), population, level)
    return Needed(None, float(everything[0]))


def orders_for_tail(share: float, population: int, level: float = 0.95) -> int:
    """The fewest random orders of which one is among the worst `share` of all orders, by `level`.

    A share below that of a single order is that of the single worst. Source: as `unseen_worse`.
    """
    if not 0 < share < 1:
        raise ValueError(f"tail {share} is not in 0..1: 0.05 is the worst twentieth of the orders")
    worst = max(1, math.floor(Fraction(str(float(share))) * population))
    hidden, drawn = 1.0, 0  # the chance that none of them is in the sample
    while hidden > 1 - level + 1e-12:
        hidden *= (population - worst - drawn) / (population - drawn)
        drawn += 1
    return drawn


def _expected_half_width(values: Floats, counts: NDArray[Any], population: int, level: float) -> Floats:
    """Half-width [counts] of the mean with so many orders instead, if they vary like those of `values`."""
    orders, seeds = values.shape
    by_order, by_seed, rest = _mean_squares(values)
    of_order, of_seed = max(0.0, by_order - rest) / seeds, max(0.0, by_seed - rest) / orders
    unseen = np.maximum(0, 1 - counts / population)
    squares = (
        unseen * (rest + seeds * of_order),
        rest + counts * of_seed,
        -unseen * rest,
    )
    parts = np.stack([np.broadcast_to(part, counts.shape) for part in squares]) / (counts * seeds)
    freedoms = np.stack([counts - 1, np.full(counts.shape, seeds - 1), (counts - 1) * (seeds - 1)])
    variance = np.maximum(parts.sum(0), parts[1])
    scale = (parts**2 / freedoms).sum(0)
    freedom = np.divide(variance**2, scale, out=np.ones_like(variance), where=scale > 0)
    return np.asarray(stdtrit(np.maximum(1.0, freedom), 0.5 + level / 2) * variance**0.5)


def _variance_parts(values: Floats, unseen: float) -> Floats:
    """Contributions [3] of orders, seeds and the rest to the variance of the mean."""
    by_order, by_seed, rest = _mean_squares(values)
    return np.array([unseen * by_order, by_seed, -unseen * rest]) / values.size


def _mean_squares(values: Floats) -> Floats:
    """Mean squares [3] between orders, between seeds, and of the rest; `values` [orders, seeds]."""
    orders, seeds = values.shape
    mean, by_order, by_seed = values.mean(), values.mean(1), values.mean(0)
    rest = values - by_order[:, None] - by_seed + mean
    squares = [
        seeds * ((by_order - mean) ** 2).sum(),
        orders * ((by_seed - mean) ** 2).sum(),
        (rest**2).sum(),
    ]
    return np.array(squares) / _freedoms(orders, seeds)


def _freedoms(orders: int, seeds: int) -> Floats:
    """Degrees of freedom [3] of the mean squares."""
    return np.array([orders - 1, seeds - 1, (orders - 1) * (seeds - 1)], dtype=np.float64)
