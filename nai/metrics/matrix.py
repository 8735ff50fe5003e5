"""Numbers of single runs, from their accuracy matrices.

A matrix is ``[tasks learnt + 1, tasks]``, accuracies 0..1: row r after r tasks (row 0 untrained), column =
home task. An order that ends early, of k of the tasks, has k + 1 rows, and what is said of it is over its k
tasks alone. In formulas R[i, j] is the accuracy on the j-th task *in order of arrival* after training the
i-th, i and j in 1..T, and b_j that of the untrained network. What compares earlier tasks with later ones is
nan when there is one task only, and a nan that goes in comes out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nai.orders import Order, check

Array = npt.NDArray[np.float64]


def arrived(matrices: npt.ArrayLike, orders: Sequence[Order]) -> Array:
    """R with its untrained row, [orders, ..., T + 1, T], columns in order of arrival, for orders of T tasks.

    matrices: [orders, ..., T + 1, tasks], one or more of any number of seeds for each order. ValueError for
    matrices that do not fit.
    """
    accuracy = np.asarray(matrices, dtype=np.float64)
    learnt = {len(order) for order in orders}
    if accuracy.ndim < 3 or len(accuracy) != len(orders) or len(learnt) != 1 or not accuracy.size:
        raise ValueError(
            f"matrices of shape {accuracy.shape} do not fit {len(orders)} orders: expected "
            "[orders, seeds, tasks + 1, tasks], at least 1 of each, and orders of equal length"
        )
    rows, tasks = accuracy.shape[-2:]
    expected = (learnt.pop() + 1, tasks)
    if rows != expected[0] or tasks < expected[0] - 1:
        raise ValueError(_misfit(accuracy.shape[-2:], tuple(orders[0])))
    outside = accuracy[(accuracy < 0) | (accuracy > 1)]
    if outside.size:
        raise ValueError(f"accuracy {outside[0]} is not in 0..1: divide per cent by 100")
    columns = _columns(orders, tasks)
    shape = (len(orders), *(1 for _ in accuracy.shape[1:-1]), columns.shape[1])
    return np.take_along_axis(accuracy, columns.reshape(shape), axis=-1)


def _misfit(shape: tuple[int, ...], order: Order) -> str:
    rows, tasks = len(order) + 1, max(len(order), shape[1])
    return (
        f"a matrix of shape {shape} does not fit order {order}: "
        f"expected {(rows, tasks)}, row 0 the untrained network, columns the home tasks"
    )


def _columns(orders: Sequence[Order], tasks: int) -> npt.NDArray[np.int64]:
    """The orders' tasks as columns, [orders, T]; ValueError unless each order names its tasks once."""
    columns = np.array(orders)
    ranked = np.sort(columns, axis=1)
    repeated = (np.diff(ranked, axis=1) == 0).any(1) | (ranked[:, 0] < 0) | (ranked[:, -1] >= tasks)
    if columns.dtype.kind in "iu" and not repeated.any():
        return columns.astype(np.int64)
    order = tuple(orders[int(repeated.argmax())])
    if len(order) == tasks:
        check(order, tasks)
    raise ValueError(f"order {order} does not name {len(order)} different tasks of 0..{tasks - 1}")


def _one(matrix: npt.ArrayLike, order: Order) -> Array:
    """R of one run, [T + 1, T]."""
    accuracy, given = np.asarray(matrix, dtype=np.float64), tuple(order)
    if accuracy.ndim != 2:
        raise ValueError(_misfit((*accuracy.shape, 0, 0)[:2], given))
    return np.asarray(arrived(accuracy[None], (given,))[0])


def _learned(r: Array) -> Array:
    """R[j, j], [..., T]: accuracy on each task just after it was trained."""
    return np.diagonal(r[..., 1:, :], axis1=-2, axis2=-1)


def _mean(values: Array) -> Array:
    """The mean over the last axis; nan over nothing."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], math.nan)
    return np.asarray(np.ascontiguousarray(values).mean(axis=-1))


def _past(r: Array) -> npt.NDArray[np.bool_]:
    """[T, T]: whether R[i, j] is of a task j that was trained by i."""
    tasks = r.shape[-1]
    return np.tri(tasks, dtype=np.bool_)


def running(r: Array) -> Array:
    """The running averages [..., T] of R [..., T + 1, T]."""
    return np.asarray(np.tril(r[..., 1:, :]).sum(axis=-1) / np.arange(1, r.shape[-1] + 1))


def running_averages(matrix: npt.ArrayLike, order: Order) -> Array:
    """A_i = (1/i) sum_{j<=i} R[i, j], [tasks]: average accuracy on the tasks seen, after each of them."""
    return running(_one(matrix, order))


def _average_accuracy(r: Array) -> Array:
    return _mean(r[..., -1, :])


def average_accuracy(matrix: npt.ArrayLike, order: Order) -> float:
    """ACC = (1/T) sum_j R[T, j]: accuracy over all tasks at the end.

    Source: Lopez-Paz and Ranzato 2017, "Gradient episodic memory", section 2.
    """
    return float(_average_accuracy(_one(matrix, order)))


def _average_incremental_accuracy(r: Array) -> Array:
    return _mean(running(r))


def average_incremental_accuracy(matrix: npt.ArrayLike, order: Order) -> float:
    """(1/T) sum_i (1/i) sum_{j<=i} R[i, j]: the running averages, averaged. Source: Rebuffi et al. 2017."""
    return float(_average_incremental_accuracy(_one(matrix, order)))


def _forgetting(r: Array) -> Array:
    before = np.where(_past(r), r[..., 1:, :], -math.inf)[..., :-1, :-1]
    peaks = before.max(axis=-2, initial=-math.inf)
    return _mean(peaks - r[..., -1, :-1])


def forgetting(matrix: npt.ArrayLike, order: Order) -> float:
    """(1/(T-1)) sum_{j<T} (max_{j<=i<T} R[i, j] - R[T, j]): fall from the best accuracy before the end.

    Negative when the last task made earlier ones better. Not first minus last, and the last row is not among
    the best: libraries differ in both. Source: Chaudhry et al. 2018, "Riemannian walk", forgetting measure.
    """
    return float(_forgetting(_one(matrix, order)))


def _backward_transfer(r: Array) -> Array:
    return _mean((r[..., -1, :] - _learned(r))[..., :-1])


def backward_transfer(matrix: npt.ArrayLike, order: Order) -> float:
    """BWT = (1/(T-1)) sum_{j<T} (R[T, j] - R[j, j]). Source: Lopez-Paz and Ranzato 2017, section 2."""
    return float(_backward_transfer(_one(matrix, order)))


def _forward_transfer(r: Array) -> Array:
    ahead = np.diagonal(r, axis1=-2, axis2=-1)
    return _mean((ahead - r[..., 0, :])[..., 1:])


def forward_transfer(matrix: npt.ArrayLike, order: Order) -> float:
    """FWT = (1/(T-1)) sum_{j>=2} (R[j-1, j] - b_j), b_j from row 0.

    Source: Lopez-Paz and Ranzato 2017, section 2.
    """
    return float(_forward_transfer(_one(matrix, order)))


def _learning_accuracy(r: Array) -> Array:
    return _mean(_learned(r))


def learning_accuracy(matrix: npt.ArrayLike, order: Order) -> float:
    """LA = (1/T) sum_j R[j, j]: accuracy on each task just after it was trained.

    Source: Riemer et al. 2019, "Learning to learn without forgetting".
    """
    return float(_learning_accuracy(_one(matrix, order)))


def _min_accuracy(r: Array) -> Array:
    later = np.where(np.tril(_past(r), -1), r[..., 1:, :], math.inf)[..., :-1]
    return _mean(later.min(axis=-2, initial=math.inf))


def min_accuracy(matrix: npt.ArrayLike, order: Order) -> float:
    """(1/(T-1)) sum_{j<T} min_{i>j} R[i, j]: the lowest each task fell to, averaged.

    Source: De Lange et al. 2023, "Continual evaluation for lifelong learning", min-ACC. Theirs looks at every
    iteration, this at the ends of tasks only, so it bounds theirs from above.
    """
    return float(_min_accuracy(_one(matrix, order)))


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
    return float(_mean(_learned(_one(reference, order)) - _learned(_one(matrix, order))))


@dataclass(frozen=True)
class Metric:
    """A number of one run, metric(matrix, order), and which way is better: +1 larger, -1 smaller.

    `stacked` is the same of many runs at once, from R [..., T + 1, T] in order of arrival to [...].
    """

    function: Callable[[npt.ArrayLike, Order], float]
    stacked: Callable[[Array], Array]
    direction: int

    def __call__(self, matrix: npt.ArrayLike, order: Order) -> float:
        return self.function(matrix, order)


METRICS: dict[str, Metric] = {
    "average_accuracy": Metric(average_accuracy, _average_accuracy, +1),
    "average_incremental_accuracy": Metric(average_incremental_accuracy, _average_incremental_accuracy, +1),
    "forgetting": Metric(forgetting, _forgetting, -1),
    "backward_transfer": Metric(backward_transfer, _backward_transfer, +1),
    "forward_transfer": Metric(forward_transfer, _forward_transfer, +1),
    "learning_accuracy": Metric(learning_accuracy, _learning_accuracy, +1),
    "min_accuracy": Metric(min_accuracy, _min_accuracy, +1),
}
