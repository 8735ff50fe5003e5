"""The surrogate: a ridge from what an order is made of to its score, with the doubt that it leaves.

An order is made of which task stands where, which comes before which, its prefixes and its suffixes: one
feature for each place, pair, prefix and suffix, those of a kind weighing as much as each other kind. With a
similarity of tasks its sum over neighbours is a feature more. There are more features than orders, so it is
solved in its dual form.
Source: Rasmussen and Williams 2006, "Gaussian processes for machine learning", sections 2.1 and 2.2.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nai.orders import Order

Array = npt.NDArray[np.float64]
Model = Callable[[Sequence[Order], float], list[float]]

NOISE = 0.03  # of the variance between orders: seeds' noise that no order explains


def kinship(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> Array:
    """How much two orders are made of the same, 0..1: [m, tasks] and [k, tasks] give [m, k]."""
    prefixes, suffixes = _begun_alike(a, b), _begun_alike(a[:, ::-1], b[:, ::-1])
    places = (a[:, None] == b[None]).mean(axis=2)
    return np.asarray((places + _same_pairs(a, b) + prefixes + suffixes) / 4)


def _same_pairs(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> Array:
    """Share of pairs of tasks in the same succession: 1 less Kendall's distance, as a share."""
    one, other = _before(a), _before(b)
    return np.asarray((1 + one @ other.T / one.shape[1]) / 2)


def _before(orders: npt.NDArray[np.int64]) -> Array:
    """+1 where the first task of a pair is trained before the second, -1 where after: [orders, pairs]."""
    when = np.argsort(orders, axis=1)
    first, second = np.triu_indices(orders.shape[1], 1)
    return np.where(when[:, first] < when[:, second], 1.0, -1.0)


def _begun_alike(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> Array:
    """Share of proper prefixes that two orders have in common, [m, k]."""
    alike = a[:, None, :-1] == b[None, :, :-1]
    return np.asarray(np.logical_and.accumulate(alike, axis=2).mean(axis=2))


def neighbourly(orders: npt.NDArray[np.int64], similarity: npt.ArrayLike) -> Array:
    """Sum of similarity over neighbours, in deviations from what a random order has, [orders]."""
    table = np.asarray(similarity, dtype=np.float64)
    pairs = table[~np.eye(len(table), dtype=bool)]
    scale = pairs.std() * (len(table) - 1) ** 0.5
    sums = table[orders[:, :-1], orders[:, 1:]].sum(1) - pairs.mean() * (len(table) - 1)
    return np.asarray(sums / scale if scale > 0 else np.zeros(len(orders)))


def fit(
    scores: Mapping[Order, float], pending: Sequence[Order], similarity: npt.ArrayLike | None = None
) -> Model:
    """The ridge of the scores; pending orders lessen the doubt as if they were seen where it guesses them.

    Gives a function of orders and a number of deviations: guess less that many doubts, in deviations of the
    scores, rounded so that the last bits of a sum decide nothing.
    """
    seen = np.array([*scores, *pending])
    values = np.array([*scores.values()])
    scale = values.std() or 1.0
    within = _kin(seen, seen, similarity) + NOISE * np.eye(len(seen))
    count = len(values)
    weights = np.linalg.solve(within[:count, :count], (values - values.mean()) / scale)

    def promise(orders: Sequence[Order], doubts: float) -> list[float]:
        new = np.array(orders)
        to_seen = _kin(new, seen, similarity)
        explained = (to_seen * np.linalg.solve(within, to_seen.T).T).sum(1)
        doubt = np.sqrt(np.maximum(0, _own(new, similarity) - explained))
        return list(np.round(to_seen[:, :count] @ weights - doubts * doubt, 9).tolist())

    return promise


def _kin(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], similarity: npt.ArrayLike | None) -> Array:
    if similarity is None:
        return kinship(a, b)
    return np.asarray(kinship(a, b) + np.outer(neighbourly(a, similarity), neighbourly(b, similarity)) / 4)


def _own(orders: npt.NDArray[np.int64], similarity: npt.ArrayLike | None) -> Array:
    """Kinship of each order with itself, [orders]."""
    return np.ones(len(orders)) if similarity is None else 1 + neighbourly(orders, similarity) ** 2 / 4
