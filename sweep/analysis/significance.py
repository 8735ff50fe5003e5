"""Whether a mean difference over task orders can be chance: tests whose error rates were measured.

`python benchmarks/coverage.py` measures them, with noise shared by prefixes as the order tree shares it.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sweep.analysis.arms import Floats
from sweep.analysis.intervals import mean_squares

FEW, FINE, COARSE = 20, 128, 8
"""Cells of a chi-square that the crossed test averages over: fine with few degrees of freedom."""
CELLS = 20_000
"""Cells of the grid on which the sums of flipped differences are counted; rounding moves p below 1e-3."""


def crossed_p(gains: Floats, population: int) -> float | None:
    """Chance 0..1 of a mean difference this large if there is none over all orders and seeds, two-sided.

    gains: [orders, seeds], differences of two methods on the same runs. population: how many orders exist;
    where all were run only the seeds are chance. None with fewer than two orders or seeds. It is the mean of
    two chances, both worked out on a grid of chi-squares instead of drawn: of this mean over its standard
    error, if the effects of orders, seeds and the rest are as large as those seen (a parametric bootstrap,
    which with three seeds rejects up to 9 % of true nulls at 5 %); and of this mean, if the seeds' part is as
    uncertain as so few seeds leave it (fiducial, down to 2 %). A flip of signs over orders or Wilcoxon's test
    would take orders as independent, but they share prefixes and seeds, and rejects up to 90 %. Source: after
    Krishnamoorthy, Lu and Mathew 2007, and Fisher 1941; the mean of both is our own, and was measured.
    """
    if min(gains.shape) < 2:
        return None
    unseen = max(0.0, 1 - gains.shape[0] / population)
    squares = mean_squares(gains)
    size = abs(float(gains.mean())) * math.sqrt(gains.size)
    if squares[1] <= 0 and unseen * (squares[0] - squares[2]) <= 0:
        return 1.0 if size == 0 else 0.0
    return (_as_seen(size, squares, unseen, gains.shape) + _as_uncertain(size, squares, unseen, gains)) / 2


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
    found = float(ways[reached >= abs(int(steps.sum())) * (1 - 1e-6)].sum())
    return min(1.0, max(found, 2.0 ** (1 - orders)))  # what was seen, and its opposite, are among the ways


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


def _as_seen(size: float, squares: Floats, unseen: float, shape: tuple[int, ...]) -> float:
    """Chance of the mean over its error, if mean squares are expected to be as they were seen."""
    orders, seeds = shape
    rest = float(squares[2])
    expected = max(float(squares[0]), rest), max(float(squares[1]), rest), rest
    freedoms = orders - 1, seeds - 1, (orders - 1) * (seeds - 1)
    drawn = [of * _chi_square(freedom) for of, freedom in zip(expected, freedoms, strict=True)]
    drawn_variance = _variance(drawn[0][:, None, None], drawn[1][:, None], drawn[2], unseen)
    true = expected[1] + unseen * (expected[0] - rest)
    seen = _variance(squares[0], squares[1], squares[2], unseen)
    return _two_sided(size * np.sqrt(drawn_variance / (seen * true)))


def _as_uncertain(size: float, squares: Floats, unseen: float, gains: Floats) -> float:
    """Chance of the mean, if the true part of the seeds is that seen over a chi-square."""
    of_orders = max(0.0, unseen * float(squares[0] - squares[2]))
    of_seeds = float(squares[1]) / _chi_square(gains.shape[1] - 1)
    return _two_sided(size / np.sqrt(of_seeds + of_orders))


def _variance(by_order: Any, by_seed: Any, rest: Any, unseen: float) -> Any:
    """Variance of the mean, times the number of runs, from mean squares."""
    return by_seed + np.maximum(0, unseen * (by_order - rest))


def _chi_square(freedom: int) -> Floats:
    """Quantiles of a chi-square over its degrees of freedom, each standing for an equal share of the chance.

    With few degrees of freedom the low end decides, and is cut finer.
    """
    from scipy.special import gammaincinv  # where it is used: its import takes longer than a command may

    cells = FINE if freedom < FEW else COARSE
    return np.asarray(2 / freedom * gammaincinv(freedom / 2, (np.arange(cells) + 0.5) / cells))


def _two_sided(sizes: Floats) -> float:
    """Mean chance that a standard normal number is at least so large."""
    from scipy.special import ndtr

    return float(2 * np.asarray(ndtr(-sizes)).mean())
