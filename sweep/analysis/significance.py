"""Whether a mean difference over task orders can be chance: tests whose error rates were measured.

`python benchmarks/coverage.py` measures them, with noise shared by prefixes as the order tree shares it.
"""

import math
from collections.abc import Sequence

import numpy as np

from sweep.analysis.arms import Floats
from sweep.analysis.intervals import mean_squares

GRID = 16
"""Quantiles of each mean square that the crossed test averages over."""
CELLS = 20_000
"""Cells of the grid on which the sums of flipped differences are counted; rounding moves p below 1e-3."""


def crossed_p(gains: Floats, population: int) -> float | None:
    """Chance 0..1 of a mean difference this large if there is none over all orders and seeds, two-sided.

    gains: [orders, seeds], differences of two methods on the same runs. population: how many orders exist;
    where all were run only the seeds are chance. None with fewer than two orders or seeds. The reference is
    the distribution of mean / standard error under normal effects of orders, seeds and the rest as large as
    those seen: a parametric bootstrap, worked out on a grid instead of drawn. A flip of signs over orders or
    Wilcoxon's test would take orders as independent, but they share prefixes and seeds. Source: after
    Krishnamoorthy, Lu and Mathew 2007, parametric bootstrap for unequal variances.
    """
    orders, seeds = gains.shape
    if min(orders, seeds) < 2:
        return None
    unseen = max(0.0, 1 - orders / population)
    by_order, by_seed, rest = mean_squares(gains)
    seen = float(_variance(by_order, by_seed, rest, unseen))
    if seen <= 0:
        return 1.0 if gains.mean() == 0 else 0.0
    of_order, of_seed = max(by_order, rest), max(by_seed, rest)
    spread = unseen * (of_order - rest) + of_seed  # of the mean, if these were the true effects
    freedoms = orders - 1, seeds - 1, (orders - 1) * (seeds - 1)
    drawn = [
        _chi_square(of, freedom) for of, freedom in zip((of_order, of_seed, rest), freedoms, strict=True)
    ]
    errors = _variance(drawn[0][:, None, None], drawn[1][:, None], drawn[2], unseen)
    return float(2 * _below(-abs(gains.mean()) * np.sqrt(gains.size / seen * errors / spread)).mean())


def sign_flip_p(gains: Floats, population: int) -> float | None:
    """Chance of a mean difference this large if orders help either method alike, with these seeds alone.

    gains: [orders], seeds averaged; their signs are flipped in every way there is, counted exactly up to the
    grid. The sums shrink by the finite-population factor, since a sample of most orders leaves less to
    chance. None with fewer than two orders, or all of them: then the difference with these seeds is exact.
    It says nothing of other seeds. Source: Fisher 1935.
    """
    orders = len(gains)
    if orders < 2 or orders >= population:
        return None
    whole = float(np.abs(gains).sum())
    if whole == 0:
        return 1.0
    steps = np.rint(gains * (CELLS / whole)).astype(np.int64)
    middle = int(np.abs(steps).sum())
    ways = np.zeros(2 * middle + 1)
    ways[middle] = 1.0
    for step in steps:
        ways = (np.roll(ways, step) + np.roll(ways, -step)) / 2
    reached = np.abs(np.arange(len(ways)) - middle) * math.sqrt(1 - orders / population)
    return float(min(1.0, ways[reached >= abs(int(steps.sum()))].sum()))


def holm(chances: Sequence[float | None]) -> list[float | None]:
    """The same chances, raised for their number: all those below a level hold together. None stays None.

    Source: Holm 1979, step-down.
    """
    tested = sorted((p, i) for i, p in enumerate(chances) if p is not None)
    raised: list[float | None] = [None] * len(chances)
    least = 0.0
    for rank, (p, i) in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - rank) * p))
        raised[i] = least
    return raised


def _variance(by_order: Floats, by_seed: Floats, rest: Floats, unseen: float) -> Floats:
    """Variance of the mean, times the number of runs, from mean squares."""
    return np.asarray(by_seed + np.maximum(0, unseen * (by_order - rest)))


def _chi_square(mean: float, freedom: int) -> Floats:
    """Quantiles [GRID] of a mean square with this mean, each standing for an equal share of the chance."""
    from scipy.special import gammaincinv  # where it is used: its import takes longer than a command may

    at = (np.arange(GRID) + 0.5) / GRID
    return np.asarray(mean * 2 / freedom * gammaincinv(freedom / 2, at))


def _below(values: Floats) -> Floats:
    from scipy.special import ndtr

    return np.asarray(ndtr(values))
