"""What a sample of task orders crossed with seeds can say about the mean over all orders and seeds."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    return float(_quantile(max(1.0, freedom), level) * variance**0.5)


def seeds_half_width(by_seed: Floats, level: float = 0.95) -> float | None:
    """Half-width of the interval for the mean of `by_seed` [seeds] over seeds; None with fewer than two.

    For what is exact over orders, all of them having been run. Source: Student 1908.
    """
    seeds = len(by_seed)
    if seeds < 2:
        return None
    return float(_quantile(seeds - 1, level) * by_seed.std(ddof=1) / seeds**0.5)


def order_share(values: Floats) -> float | None:
    """Share 0..1 of the variance of single runs that the order explains; None with one order or one seed.

    `values` is [orders, seeds]. Source: two-way random effects, components from mean squares, at least 0.
    """
    orders, seeds = values.shape
    if orders < 2 or seeds < 2:
        return None
    by_order, by_seed, rest = mean_squares(values)
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


MOST_ORDERS = 100_000
"""More orders than this are not looked at: nobody would run them."""


def needed_orders(values: Floats, population: int, *, half_width: float, level: float = 0.95) -> int | None:
    """The fewest orders with which the mean is expected to be known to this half-width, accuracy 0..1.

    values: [orders, seeds], a sample that tells how orders, seeds and the rest vary; if it reaches the
    half-width, its own number of orders. population: how many orders exist. None where no number of orders is
    enough, since what the seeds leave uncertain stays (`least_half_width`), or where there are not 2 orders
    and 2 seeds to tell from. Source: as `crossed_half_width`.
    """
    reached = crossed_half_width(values, population, level)
    if reached is None or reached <= half_width:
        return None if reached is None else len(values)
    counts = np.arange(len(values) + 1, min(population, MOST_ORDERS) + 1)
    enough = np.flatnonzero(_expected_half_width(values, counts, population, level) <= half_width)
    return int(counts[enough[0]]) if enough.size else None


def least_half_width(values: Floats, population: int, level: float = 0.95) -> float | None:
    """The half-width to be expected with all the orders there are: more seeds alone would make it smaller.

    values: [orders, seeds], as for `needed_orders`; None with fewer than 2 of either.
    """
    if min(values.shape) < 2:
        return None
    everything = np.array([population], dtype=np.float64)
    return float(_expected_half_width(values, everything, population, level)[0])


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
    by_order, by_seed, rest = mean_squares(values)
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
    return np.asarray(_quantile(np.maximum(1.0, freedom), level) * variance**0.5)


def _variance_parts(values: Floats, unseen: float) -> Floats:
    """Contributions [3] of orders, seeds and the rest to the variance of the mean."""
    by_order, by_seed, rest = mean_squares(values)
    return np.array([unseen * by_order, by_seed, -unseen * rest]) / values.size


def mean_squares(values: Floats) -> Floats:
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


def _quantile(freedom: Any, level: float) -> Any:
    """Student's t that `level` of its draws stay below in size."""
    from scipy.special import stdtrit  # where it is used: its import takes longer than a command may

    return stdtrit(freedom, 0.5 + level / 2)
