"""What random orders prove about an order that a hunt found."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from nai.metrics import METRICS

LEVEL = 0.95


class Evidence(NamedTuple):
    """The found value beside those of random orders.

    random: how many they are. more_extreme: how many of them are beyond the found value. random_value: the
    most extreme of them. share: fewer than this share 0..1 of all orders are beyond the found value, by
    95 %.
    """

    value: float
    random: int
    more_extreme: int
    random_value: float
    share: float


def evidence(
    value: float,
    random_values: Sequence[float],
    *,
    tasks: int,
    direction: str = "worst",
    metric: str = "average_accuracy",
) -> Evidence:
    """How the value of the found order stands among values of orders drawn at random without replacement.

    The draws must not depend on the hunt. With all tasks! orders given, the share is that of orders beyond
    it, plus one. Errors: ValueError without random values, or with more of them than there are orders.
    """
    population = math.factorial(tasks)
    if not 0 < len(random_values) <= population:
        raise ValueError(f"{len(random_values)} random orders of {population}: give 1 or more, each once")
    sign = METRICS[metric].direction * (1 if direction == "worst" else -1)
    extreme = sign * min(sign * drawn for drawn in random_values)
    beyond = sum(sign * drawn < sign * value for drawn in random_values)
    share = beyond_share(beyond, len(random_values), population)
    return Evidence(value, len(random_values), beyond, extreme, share)


def beyond_share(beyond: int, drawn: int, population: int, level: float = LEVEL) -> float:
    """Fewer than this share of all orders are beyond a value that `beyond` of `drawn` random ones are beyond.

    Source: hypergeometric upper bound; with `beyond` 0 it is `sweep.analysis.intervals.unseen_worse`.
    """
    low, high = beyond, population - (drawn - beyond)
    while low < high:
        middle = (low + high + 1) // 2
        few = _chance_of_few(beyond, drawn, middle, population)
        low, high = (middle, high) if few > 1 - level else (low, middle - 1)
    return (low + 1) / population


def _chance_of_few(beyond: int, drawn: int, marked: int, population: int) -> float:
    """Chance that at most `beyond` of the draws are among the marked of the population."""
    ways = sum(
        math.comb(marked, hits) * math.comb(population - marked, drawn - hits) for hits in range(beyond + 1)
    )
    return ways / math.comb(population, drawn)
