"""The hunt for the worst order of a suggestion: asks for orders to train, is told what they reached.

It knows neither torch nor ray, holds no clock and draws by address: the same answers give the same
questions, so a hunt that was stopped is rebuilt by asking again and telling what is on record.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nai.metrics import METRICS
from nai.orders import Order, check, identity
from sweep.worst.similarity import table
from sweep.worst.strategies import by_keys, by_lehmer, by_prefix, by_surrogate, random_orders
from sweep.worst.trail import Node, Trail

Strategy = Callable[[Trail], Iterable[Order]]
DIRECTIONS = {"worst": 1, "best": -1}
STRATEGIES: dict[str, Strategy] = {
    "surrogate": by_surrogate,
    "tree": by_prefix,
    "keys": by_keys,
    "lehmer": by_lehmer,
    "random": random_orders,
}
SHARE = 0.4  # of the enumeration that a hunt over five tasks or fewer may cost
FEW = 5  # tasks whose orders can be enumerated


class Found(NamedTuple):
    """A whole order and the metric that it reached."""

    order: Order
    value: float


def enumeration(tasks: int) -> int:
    """Task trainings of the tree of all orders: tasks!/0! + tasks!/1! + ... + tasks!/(tasks - 1)!."""
    return sum(math.perm(tasks, depth) for depth in range(1, tasks + 1))


def usual_budget(tasks: int) -> int:
    """Task trainings of a hunt by default.

    Up to five tasks two fifths of the enumeration (130 for five), beyond 5 tasks^2: five Latin squares if
    nothing were shared, more orders than there are pairs of tasks whose succession may matter. Never less
    than one Latin square, never more than the enumeration.
    """
    usual = int(SHARE * enumeration(tasks)) if tasks <= FEW else 5 * tasks**2
    return min(enumeration(tasks), max(tasks**2, usual))


class Hunt:
    """Asks for orders, batch by batch, until the budget is spent; then `found` ranks what was seen.

    tasks: 2 or more. budget: task trainings, shared prefixes counted once; None takes `usual_budget`.
    direction: worst or best. strategy: a name of STRATEGIES. metric: a name of nai.metrics.METRICS.
    similarity: [tasks, tasks], how well an earlier task (row) goes with a later one (column), see `survival`.
    batch: orders asked at once; more keep more workers busy and know less. Where nothing is known at all, as
    many as tasks or more. known: matrices of whole orders on record; they cost nothing, inform the hunt and
    are never asked, but their prefixes count as untrained. node: what of a prefix decides the lesson (a
    method's `node`). Errors: ValueError for a value outside its rule.
    """

    def __init__(
        self,
        tasks: int,
        *,
        budget: int | None = None,
        seed: int = 0,
        direction: str = "worst",
        strategy: str = "surrogate",
        metric: str = "average_accuracy",
        similarity: npt.ArrayLike | None = None,
        batch: int = 3,
        known: Mapping[Order, npt.ArrayLike] | None = None,
        node: Node = tuple,
    ) -> None:
        self.tasks = _at_least(tasks, 2, "tasks", "a single task has one order")
        self.batch = _at_least(batch, 1, "batch", "ask for 1 order at a time or more")
        paid = usual_budget(tasks) if budget is None else budget
        _at_least(paid, tasks, "budget", f"one order of {tasks} tasks takes {tasks} task trainings")
        self._strategy = STRATEGIES[_one_of(STRATEGIES, "strategy", strategy)]
        self._metric = METRICS[_one_of(METRICS, "metric", metric)]
        self._sign = self._metric.direction * DIRECTIONS[_one_of(DIRECTIONS, "direction", direction)]
        likeness = None if similarity is None else table(similarity, tasks)
        whole = {check(order, tasks): self._score(order, matrix) for order, matrix in (known or {}).items()}
        self._trail = Trail(tasks, paid, seed, node, likeness, whole)
        self.finished = False

    @property
    def budget(self) -> int:
        """Task trainings in all."""
        return self._trail.budget

    @property
    def cost(self) -> int:
        """Task trainings so far, those of orders asked but not told included; shared prefixes count once."""
        return len(self._trail.trained)

    @property
    def found(self) -> tuple[Found, ...]:
        """Whole orders with a value, the worst first (in a hunt for the best, the best first)."""
        ranked = sorted(self._trail.scores.items(), key=lambda item: item[1])
        return tuple(Found(order, self._sign * score) for order, score in ranked)

    @property
    def failed(self) -> tuple[Order, ...]:
        """Orders told without a matrix: paid, never ranked, never asked again."""
        return tuple(order for order, score in self._trail.told.items() if score is None)

    def ask(self) -> tuple[Order, ...]:
        """Orders to train next, some of them perhaps of the first tasks alone; empty when the hunt is over.

        As long as one of them is not told, those that are not told are asked for again.
        """
        if not self._trail.pending and not self.finished:
            self._book()
        return self._trail.pending

    def _book(self) -> None:
        blind = not self._trail.asked and not self._trail.known
        room = max(self.batch, self.tasks) if blind else self.batch
        admitted = (order for order in self._strategy(self._trail) if self._trail.admits(order))
        for order in itertools.islice(admitted, room):  # a strategy sees what of its batch is booked
            self._trail.book(order)
        self.finished = not self._trail.pending

    def tell(self, order: Iterable[int], matrix: npt.ArrayLike | None) -> None:
        """What an order reached: accuracy [its tasks + 1, tasks], 0..1, of its seeds' mean; None: it failed.

        Errors: ValueError for an order that was not asked or is told already, or a matrix that does not fit.
        """
        order = tuple(order)
        if order not in self._trail.pending:
            raise ValueError(f"order {order} is not asked for: tell each order of the last batch once")
        scores = None if matrix is None else self._scores(order, matrix)
        if scores is not None:
            for done, score in enumerate(scores, 1):
                self._trail.partial[order[:done]] = score
        self._trail.told[order] = None if scores is None else scores[-1]

    def _scores(self, order: Order, matrix: npt.ArrayLike) -> list[float]:
        """Scores of the order's first tasks alone: 1, 2, ... of them, as if there were no others."""
        rows = np.asarray(matrix, dtype=np.float64)
        if rows.shape != (len(order) + 1, self.tasks):
            raise ValueError(
                f"a matrix of shape {rows.shape} does not fit order {order}: "
                f"expected {(len(order) + 1, self.tasks)}, row 0 the untrained network"
            )
        steps = range(1, len(order) + 1)
        return [
            self._sign * self._metric(rows[: done + 1, list(order[:done])], identity(done)) for done in steps
        ]

    def _score(self, order: Order, matrix: npt.ArrayLike) -> float:
        return self._scores(order, matrix)[-1]


def _at_least(value: int, least: int, name: str, why: str) -> int:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} {value} is not a whole number of at least {least}: {why}")
    return value


def _one_of(names: Mapping[str, object], kind: str, name: str) -> str:
    if name not in names:
        raise ValueError(f"{kind} {name!r} is unknown: choose from {', '.join(names)}")
    return name
