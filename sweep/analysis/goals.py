"""What a search improves: one number of a suggestion, or two of which neither is to be had for the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nai import metrics
from sweep.analysis.arms import Floats, Order


@dataclass(frozen=True)
class Goal:
    """What the search improves: a metric of each run, averaged over seeds and aggregated over orders.

    `metric` and `aggregate` are names in nai.metrics, `options` such as the share of cvar.
    """

    metric: str = "average_accuracy"
    aggregate: str = "mean"
    options: Mapping[str, float] = field(default_factory=dict)

    @property
    def direction(self) -> int:
        """Which way is better: +1 larger, -1 smaller."""
        return metrics.direction(self.metric, self.aggregate)

    @property
    def words(self) -> str:
        """The goal as people say it: "accuracy (worst order)"."""
        metric = "accuracy" if self.metric == "average_accuracy" else self.metric.replace("_", " ")
        weight, share = self.options.get("weight", 1.0), self.options.get("share", 0.1)
        how = {
            "mean": "mean",
            "worst": "worst order",
            "cvar": f"mean of the worst {100 * share:g} %",
            "mean_minus_std": f"mean less {weight:g} standard deviations",
            "mean_minus_aopd": f"mean less {weight:g} AOPD",
            "std": "standard deviation over orders",
        }.get(self.aggregate, f"{self.aggregate.upper()} of the tasks")
        return f"{metric} ({how})"


def aggregate(goal: Goal, matrices: Floats, orders: Sequence[Order]) -> float:
    """The goal of one suggestion over these orders, whole or ending early but all of one length.

    matrices: [orders, seeds, tasks learnt + 1, tasks]. ValueError for an aggregate that needs two orders.
    """
    return metrics.objective(goal.metric, goal.aggregate, matrices, orders, **dict(goal.options))


def by_order(goal: Goal, matrices: Floats, orders: Sequence[Order]) -> Floats:
    """The goal's metric in each order, seeds averaged, [orders]: what its aggregate is made of."""
    return metrics.by_order(goal.metric, matrices, orders)


def fronts(values: Sequence[Sequence[float]], directions: Sequence[int]) -> list[int]:
    """Number of the Pareto front of each point, from 1: nothing beats the first, the first alone the second.

    values: [points, goals]. One point beats another if it is better in one goal and no worse in the others.
    Source: Deb et al. 2002, non-dominated sorting.
    """
    gains = np.asarray(values, dtype=np.float64).reshape(len(values), len(directions)) * directions
    numbers = np.ones(len(gains), dtype=np.int64)
    ahead: list[int] = []  # whoever beats a point comes before it in this order
    for point in np.lexsort(-gains.T[::-1]):
        others = gains[ahead]
        beat = (others >= gains[point]).all(1) & (others > gains[point]).any(1)
        numbers[point] = 1 + numbers[ahead][beat].max(initial=0)
        ahead.append(int(point))
    return [int(number) for number in numbers]
