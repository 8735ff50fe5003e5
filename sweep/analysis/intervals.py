"""What a sample of task orders crossed with seeds can say about the mean over all orders and seeds."""

import math

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
