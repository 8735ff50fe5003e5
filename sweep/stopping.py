"""When a suggestion has run on some of the orders: is it worth the others? Compared on the same orders.

Rules decide from the suggestion's own values and those of suggestions that were complete before it was made.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from nai.orders import Order

Values = tuple[float, ...]
"""One number for each objective."""
Measure = Callable[[str, Sequence[Order]], Values | None]
"""The objectives of a suggestion over some orders; None unless all its runs on them have results."""
ROUNDING = 1e-12
"""Differences of accuracies below this are rounding."""


HALVING = ("asha", "hyperband")
"""Rules of successive halving: a rung's best pass, compared with all that came as far."""
FEWEST = 3
"""Orders of a race: a test needs two differences, a spread two orders, and each order is left out once."""
BALANCED = 5040
"""Orders that are balanced, all of 7 tasks; the time grows with their square: for so many about a second."""


class Course(NamedTuple):
    """How a suggestion has run: its values by step, how it ended, and its value in the end."""

    reports: Sequence[tuple[int, float]]
    state: str
    value: float


def race(
    measure: Measure,
    name: str,
    rivals: Sequence[str],
    orders: Sequence[Order],
    *,
    directions: Sequence[int],
    level: float,
) -> bool:
    """Whether one rival is ahead of a suggestion in every objective, each by a one-sided t test at `level`.

    The test is on the jackknife pseudo-values of the difference over the same orders; those of the mean are
    the plain differences. Never on fewer than three orders.
    Source: Birattari et al. 2002 (racing); Tukey 1958 (pseudo-values); Maron and Moore 1994.
    """
    if len(orders) < FEWEST:
        return False
    for rival in rivals:
        values = pseudo_values(measure, name, rival, orders)
        if values is not None and all(behind(values[:, k] * way) < level for k, way in enumerate(directions)):
            return True
    return False


def pseudo_values(
    measure: Measure, name: str, rival: str, orders: Sequence[Order]
) -> NDArray[np.float64] | None:
    """R theta(all) - (R - 1) theta(all but one) [orders, objectives], theta = suggestion minus rival.

    None when one of the two lacks a run.
    """
    rest = [[o for j, o in enumerate(orders) if j != i] for i in range(len(orders))]
    own, other = ([measure(one, part) for part in (orders, *rest)] for one in (name, rival))
    if None in own or None in other:
        return None
    theta = np.array(own, dtype=np.float64) - np.array(other, dtype=np.float64)
    return np.asarray(len(orders) * theta[0] - (len(orders) - 1) * theta[1:])


def behind(values: NDArray[np.float64]) -> float:
    """The p-value of the claim that the mean of these differences is below 0; 0 or 1 if they are constant."""
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    if not math.isfinite(mean + spread):
        return 1.0
    if spread <= ROUNDING * len(values):
        return float(mean >= -ROUNDING * len(values))
    return float(t.cdf(mean / (spread / math.sqrt(len(values))), len(values) - 1))


def estimate(
    measure: Measure, name: str, ahead: Sequence[tuple[str, Values]], orders: Sequence[Order]
) -> Values:
    """What a stopped suggestion might have reached over all orders: told to the sampler, used for no choice.

    ahead: for each objective a rival and its values over all orders: those, plus the difference over the
    orders that both ran, so that easy first orders do not flatter it. Without rivals its own values so far.
    """
    own = measure(name, orders)
    assert own is not None
    paired = [(whole[k], measure(rival, orders)) for k, (rival, whole) in enumerate(ahead)]
    if any(other is None for _, other in paired) or not paired:
        return own
    return tuple(whole + own[k] - other[k] for k, (whole, other) in enumerate(paired) if other is not None)


def balanced(orders: Sequence[Order], seed: int = 0) -> tuple[Order, ...]:
    """The same orders so that the first of them stand for all: each task in each position equally often.

    Of those whose places were taken least so far the next is chosen by chance; of all orders of n tasks the
    first n are a Latin square. Orders as listed would start a race with those that begin with the same task.
    Of more than `BALANCED` orders the first are chosen from so many draws, and the others come as drawn: a
    draw of thousands holds each task in each position about equally often of itself.
    """
    drawn = sorted(orders, key=lambda order: hashlib.sha256(f"{seed}/{order}".encode()).digest())
    among = np.array(drawn[:BALANCED], dtype=np.int16)  # [orders, positions]
    taken = np.zeros(len(among), dtype=np.int64)  # how often the places of each order were taken
    out: list[int] = []
    for _ in among:
        out.append(int(taken.argmin()))
        taken += (among == among[out[-1]]).sum(1)
        taken[out[-1]] = np.iinfo(np.int64).max // 2
    return (*(drawn[place] for place in out), *drawn[BALANCED:])


def front(points: Sequence[Values], directions: Sequence[int]) -> list[int]:
    """Places of the points that no other is as good as in all and better than in one; the first of equals."""
    signed = [tuple(v * way for v, way in zip(point, directions, strict=True)) for point in points]
    return [
        i
        for i, one in enumerate(signed)
        if not any(
            all(a >= b for a, b in zip(other, one, strict=True)) and (other != one or j < i)
            for j, other in enumerate(signed)
            if j != i
        )
    ]
