"""Numbers from accuracy matrices: of one run, over orders, and of the spread between orders.

A matrix is ``[tasks + 1, tasks]``, accuracies 0..1: row r after r tasks (row 0 untrained), column = home
task. In formulas R[i, j] is the accuracy on the j-th task *in order of arrival* after training the i-th, i
and j in 1..T, and b_j that of the untrained network. What compares earlier tasks with later ones is nan
when there is one task only, spread over orders is nan when there is one order only, and a nan that goes in
comes out.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nai.orders import Order, check

Array = npt.NDArray[np.float64]


def _arrived(matrix: npt.ArrayLike, order: Order) -> Array:
    """R below its untrained row, [tasks + 1, tasks], columns in order of arrival; ValueError on a misfit."""
    accuracy = np.asarray(matrix, dtype=np.float64)
    expected = (len(order) + 1, len(order))
    if accuracy.shape != expected:
        raise ValueError(
            f"a matrix of shape {accuracy.shape} does not fit order {order}: "
            f"expected {expected}, row 0 the untrained network, columns the home tasks"
        )
    outside = accuracy[(accuracy < 0) | (accuracy > 1)]
    if outside.size:
        raise ValueError(f"accuracy {outside[0]} is not in 0..1: divide per cent by 100")
    return accuracy[:, check(order, len(order))]


def _learned(arrived: Array) -> Array:
    """R[j, j], [tasks]: accuracy on each task just after it was trained."""
    return np.diagonal(arrived[1:])


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else math.nan


def running_averages(matrix: npt.ArrayLike, order: Order) -> Array:
    """A_i = (1/i) sum_{j<=i} R[i, j], [tasks]: average accuracy on the tasks seen, after each of them."""
    arrived = _arrived(matrix, order)[1:]
    return np.asarray(np.tril(arrived).sum(axis=1) / np.arange(1, len(order) + 1))


def average_accuracy(matrix: npt.ArrayLike, order: Order) -> float:
    """ACC = (1/T) sum_j R[T, j]: accuracy over all tasks at the end.

    Source: Lopez-Paz and Ranzato 2017, "Gradient episodic memory", section 2.
    """
    return _mean(_arrived(matrix, order)[-1])


def average_incremental_accuracy(matrix: npt.ArrayLike, order: Order) -> float:
    """(1/T) sum_i (1/i) sum_{j<=i} R[i, j]: the running averages, averaged. Source: Rebuffi et al. 2017."""
    return _mean(running_averages(matrix, order))


def forgetting(matrix: npt.ArrayLike, order: Order) -> float:
    """(1/(T-1)) sum_{j<T} (max_{j<=i<T} R[i, j] - R[T, j]): fall from the best accuracy before the end.

    Negative when the last task made earlier ones better. Not first minus last, and the last row is not among
    the best: libraries differ in both. Source: Chaudhry et al. 2018, "Riemannian walk", forgetting measure.
    """
    arrived = _arrived(matrix, order)[1:]
    peaks = [arrived[task:-1, task].max() for task in range(len(order) - 1)]
    return _mean(np.asarray(peaks) - arrived[-1, :-1])


def backward_transfer(matrix: npt.ArrayLike, order: Order) -> float:
    """BWT = (1/(T-1)) sum_{j<T} (R[T, j] - R[j, j]). Source: Lopez-Paz and Ranzato 2017, section 2."""
    arrived = _arrived(matrix, order)
    return _mean((arrived[-1] - _learned(arrived))[:-1])


def forward_transfer(matrix: npt.ArrayLike, order: Order) -> float:
    """FWT = (1/(T-1)) sum_{j>=2} (R[j-1, j] - b_j), b_j from row 0.

    Source: Lopez-Paz and Ranzato 2017, section 2.
    """
    arrived = _arrived(matrix, order)
    return _mean((np.diagonal(arrived) - arrived[0])[1:])


def learning_accuracy(matrix: npt.ArrayLike, order: Order) -> float:
    """LA = (1/T) sum_j R[j, j]: accuracy on each task just after it was trained.

    Source: Riemer et al. 2019, "Learning to learn without forgetting".
    """
    return _mean(_learned(_arrived(matrix, order)))


def min_accuracy(matrix: npt.ArrayLike, order: Order) -> float:
    """(1/(T-1)) sum_{j<T} min_{i>j} R[i, j]: the lowest each task fell to, averaged.

    Source: De Lange et al. 2023, "Continual evaluation for lifelong learning", min-ACC. Theirs looks at every
    iteration, this at the ends of tasks only, so it bounds theirs from above.
    """
    arrived = _arrived(matrix, order)[1:]
    return _mean(np.asarray([arrived[task + 1 :, task].min() for task in range(len(order) - 1)]))


def intransigence(matrix: npt.ArrayLike, order: Order, joint: npt.ArrayLike) -> float:
    """(1/T) sum_i (a*_i - R[i, i]): how much less of a task is learned than by joint training.

    joint: either the matrix of a joint run in the same order, [tasks + 1, tasks], whence a*_i is the
    accuracy on the i-th task after joint training on the first i; or a* itself, [tasks], by *home* task
    like every column. Smaller is better, below 0 is better than joint. Source: Chaudhry et al. 2018,
    intransigence, averaged over tasks.
    """
    reference = np.asarray(joint, dtype=np.float64)
    if reference.ndim == 1:
        reference = np.broadcast_to(reference, (len(order) + 1, reference.size))
    return _mean(_learned(_arrived(reference, order)) - _learned(_arrived(matrix, order)))


@dataclass(frozen=True)
class Metric:
    """A number of one run, metric(matrix, order), and which way is better: +1 larger, -1 smaller."""

    function: Callable[[npt.ArrayLike, Order], float]
    direction: int

    def __call__(self, matrix: npt.ArrayLike, order: Order) -> float:
        return self.function(matrix, order)


METRICS: dict[str, Metric] = {
    "average_accuracy": Metric(average_accuracy, +1),
    "average_incremental_accuracy": Metric(average_incremental_accuracy, +1),
    "forgetting": Metric(forgetting, -1),
    "backward_transfer": Metric(backward_transfer, +1),
    "forward_transfer": Metric(forward_transfer, +1),
    "learning_accuracy": Metric(learning_accuracy, +1),
    "min_accuracy": Metric(min_accuracy, +1),
}


# Aggregates over orders. `values` is [orders], one number an order, its seeds averaged before. `direction`
# is that of the metric and has no default: the worst order has the least accuracy, but the most forgetting.


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


# Those that can be an objective; std cannot, since it is better small whichever way the metric goes.
AGGREGATES: dict[str, Callable[..., float]] = {
    "mean": mean,
    "worst": worst,
    "cvar": cvar,
    "mean_minus_std": mean_minus_std,
}


def _each(
    function: Callable[[npt.ArrayLike, Order], float | Array],
    matrices: npt.ArrayLike,
    orders: Sequence[Order],
) -> Array:
    """function(matrix, order) averaged over seeds, [orders, ...], for [orders, seeds, tasks + 1, tasks]."""
    stacked = np.asarray(matrices, dtype=np.float64)
    if stacked.ndim != 4 or len(orders) != len(stacked) or not stacked.size:
        raise ValueError(
            f"matrices of shape {stacked.shape} do not fit {len(orders)} orders: "
            "expected [orders, seeds, tasks + 1, tasks], at least 1 of each"
        )
    pairs = zip(stacked, orders, strict=True)
    values = [np.stack([np.asarray(function(run, order)) for run in runs]) for runs, order in pairs]
    return np.asarray(np.stack(values).mean(axis=1))


def by_order(metric: str, matrices: npt.ArrayLike, orders: Sequence[Order]) -> Array:
    """A metric of `METRICS` for every order, averaged over its seeds, [orders].

    matrices: [orders, seeds, tasks + 1, tasks].
    """
    return _each(METRICS[_known("metric", metric, METRICS)], matrices, orders)


def objective(
    metric: str, aggregate: str, matrices: npt.ArrayLike, orders: Sequence[Order], **options: float
) -> float:
    """One number for a suggestion: the metric, averaged over seeds, then aggregated over orders.

    matrices: [orders, seeds, tasks + 1, tasks]. options: share of cvar, weight of mean_minus_std. Larger is
    better or smaller is, as METRICS[metric].direction says.
    """
    summarise = AGGREGATES[_known("aggregate", aggregate, AGGREGATES)]
    return summarise(by_order(metric, matrices, orders), METRICS[metric].direction, **options)


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


def order_spread(final: npt.ArrayLike) -> OrderSpread:
    """OPD_t = max_r P_t^r - min_r P_t^r over orders r, AOPD its mean and MOPD its maximum over tasks t.

    final: accuracy at the end by home task, [orders, seeds, tasks], or [orders, tasks] averaged over seeds.
    Seeds are averaged before the range, or it would measure their noise. nan for one order, which shows no
    spread. Source: Yoon et al. 2020, order-normalized performance disparity.
    """
    accuracy = np.asarray(final, dtype=np.float64)
    if accuracy.ndim not in (2, 3) or not accuracy.size:
        raise ValueError(
            f"final accuracies of shape {accuracy.shape} have no spread: "
            "expected [orders, seeds, tasks] or [orders, tasks], at least 1 of each"
        )
    seeds = accuracy.shape[1] if accuracy.ndim == 3 else None
    opd = _range(accuracy if seeds is None else accuracy.mean(axis=1))
    return OrderSpread(opd, float(opd.mean()), float(opd.max()), len(accuracy), seeds)


def disparity_of_average(matrices: npt.ArrayLike, orders: Sequence[Order]) -> Disparity:
    """D_i = max_r A_i^r - min_r A_i^r over orders r, A_i^r the running average after i tasks; D their mean.

    matrices: [orders, seeds, tasks + 1, tasks]; seeds are averaged before the range. nan for one order. Not
    OPD, which compares one task at the end: here each order has seen other tasks at every step but the last.
    Source: Kim and Lee, "Continual learning with neuron activation importance", performance disparity.
    """
    steps = _range(_each(running_averages, matrices, orders))
    return Disparity(steps, float(steps.mean()), len(orders), np.shape(matrices)[1])


def _range(values: Array) -> Array:
    """Largest less smallest over the first axis, orders; nan for a single one."""
    return np.asarray(np.ptp(values, axis=0)) if len(values) > 1 else np.full_like(values[0], math.nan)
