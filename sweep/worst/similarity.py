"""How tasks go together: orders with the likest or unlikest tasks side by side, and a measure from rows."""

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nai.orders import Order, check

Table = tuple[tuple[float, ...], ...]


def table(similarity: npt.ArrayLike, tasks: int) -> Table:
    """The similarity as plain numbers; ValueError unless it is a finite [tasks, tasks] off its diagonal."""
    numbers = np.array(similarity, dtype=np.float64)
    if numbers.shape != (tasks, tasks):
        raise ValueError(f"a similarity of shape {numbers.shape} does not fit {tasks} tasks: one row each")
    np.fill_diagonal(numbers, 0)
    if not np.isfinite(numbers).all():
        raise ValueError("a similarity that is not finite ranks no orders: give a number for each pair")
    return tuple(map(tuple, numbers.tolist()))


def extremes(similarity: Table) -> tuple[Order, Order]:
    """The orders that greedily put unlike tasks, and like tasks, side by side.

    The first task is that of the least (largest) sum to all others. Source: after Lai et al. 2026, "The lie
    of the average", hard and easy orders.
    """
    return _greedy(similarity, 1), _greedy(similarity, -1)


def _greedy(similarity: Table, sign: int) -> Order:
    tasks = range(len(similarity))
    order = [min(tasks, key=lambda task: (sign * sum(similarity[task]), task))]
    while left := [task for task in tasks if task not in order]:
        last = order[-1]
        order.append(min(left, key=lambda task: (sign * similarity[last][task], task)))
    return tuple(order)


def survival(matrices: Mapping[Order, npt.ArrayLike]) -> npt.NDArray[np.float64]:
    """Mean change of a learnt task's accuracy while another is trained: [learnt task, trained task].

    A similarity for hunts on the same tasks, read from orders on record (of the search, or of another
    method): tasks go together when learning the one does not hurt the other. matrices: [tasks + 1, tasks]
    each. A pair that no order shows gets the mean of the others. ValueError without any order.
    """
    if not matrices:
        raise ValueError("no orders to read a similarity from: give one row of the record or more")
    tasks = len(next(iter(matrices)))
    total, count = np.zeros((tasks, tasks)), np.zeros((tasks, tasks))
    for order, matrix in matrices.items():
        change = np.diff(np.asarray(matrix, dtype=np.float64), axis=0)
        order = check(order, tasks)
        for earlier, later in itertools.combinations(range(tasks), 2):
            total[order[earlier], order[later]] += change[later, order[earlier]]
            count[order[earlier], order[later]] += 1
    return np.where(count > 0, total / np.maximum(count, 1), total.sum() / count.sum())
