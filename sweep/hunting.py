"""The hunt for the order that is worst, or best, for one suggestion, as a stage of a sweep."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nai.orders import Order, sampled
from sweep import analysis
from sweep.book import Book
from sweep.jobs import Arm, Cell, Seed, Work, crossed
from sweep.worst import Hunt, usual_budget

Matrix = NDArray[np.float64]
REFERENCE_SEED = 7
"""Seed of the random orders that a hunt is compared with: the same for every hunt of a sweep."""


@dataclass(frozen=True)
class Request:
    """A hunt that was asked for.

    suggestion: its name. worst: else the best is hunted. budget: task trainings. strategy: of `sweep.worst`.
    random: orders that the find is compared with; None for as many as the budget pays for one by one. known:
    orders that were on record when it was asked for, or what was found would lead it elsewhere next time.
    """

    suggestion: str
    seeds: Seed = (0, 0)
    worst: bool = True
    budget: int | None = None
    strategy: str = "surrogate"
    seed: int = 0
    random: int | None = None
    known: tuple[Order, ...] = ()

    def reference(self, tasks: int) -> tuple[Order, ...]:
        """Random orders, whatever the hunt finds."""
        budget = usual_budget(tasks) if self.budget is None else self.budget
        count = budget // tasks if self.random is None else self.random
        return sampled(tasks, min(count, math.factorial(tasks)), REFERENCE_SEED)

    def hunt(self, tasks: int, known: Mapping[Order, Matrix]) -> Hunt:
        """The hunt itself, over so many tasks; ValueError for a request that cannot be carried out."""
        if min(*self.seeds, self.random or 0) < 0:
            raise ValueError(f"seeds {self.seeds} and random {self.random} must be at least 0")
        return Hunt(
            tasks,
            budget=self.budget,
            seed=self.seed,
            direction="worst" if self.worst else "best",
            strategy=self.strategy,
            known=known,
        )


class Hunting:
    """A hunt under way: its next orders are run when those before are on record."""

    def __init__(self, request: Request, tasks: int, book: Book) -> None:
        self.request, self.tasks, self.book = request, tasks, book
        self.hunt: Hunt | None = None  # once it has begun
        self.tried: list[Order] = []  # in this order
        self.open: tuple[Order, ...] = ()

    @property
    def finished(self) -> bool:
        """The hunt is over."""
        return self.hunt is not None and not self.open

    def asked(self) -> analysis.Hunt:
        """What was hunted, for the analysis."""
        one, hunt = self.request, self.hunt
        budget, cost = (hunt.budget, hunt.cost) if hunt else (one.budget or usual_budget(self.tasks), 0)
        tried, drawn = tuple(self.tried), one.reference(self.tasks)
        return analysis.Hunt(
            one.suggestion, one.seeds, one.worst, tried, budget, cost, known=one.known, reference=drawn
        )

    def work(self, arm: Arm) -> Iterator[Work]:
        """What there is to run now; what was on record from the start is known to the hunt."""
        if self.hunt is None:
            if self.request.known:  # on record, unless it was lost since
                yield Work(arm, crossed(self.request.known, self.seeds))
            if any(self._lacks(arm, order) for order in self.request.known):
                return
            self.hunt = self._hunt(arm)
            yield Work(arm, crossed(self.request.reference(self.tasks), self.seeds))
            yield from self._next(arm, self.hunt)
        while self.open and not any(self._lacks(arm, order) for order in self.open):
            for order in self.open:
                self.hunt.tell(order, self._matrix(arm, order))
            yield from self._next(arm, self.hunt)

    def _hunt(self, arm: Arm) -> Hunt:
        found = {order: self._matrix(arm, order) for order in self.request.known}
        known = {order: matrix for order, matrix in found.items() if matrix is not None}
        return self.request.hunt(self.tasks, known)

    def _next(self, arm: Arm, hunt: Hunt) -> Iterator[Work]:
        self.open = hunt.ask()
        self.tried += self.open
        if self.open:
            beginnings = dict.fromkeys(order[:k] for order in self.open for k in range(1, len(order)))
            yield Work(arm, crossed(self.open, self.seeds), crossed(tuple(beginnings), self.seeds))

    @property
    def seeds(self) -> tuple[Seed]:
        """The one pair of seeds."""
        return (self.request.seeds,)

    def _lacks(self, arm: Arm, order: Order) -> bool:
        return self.book.lacks(Cell(arm.suggestion, order, self.request.seeds))

    def _matrix(self, arm: Arm, order: Order) -> Matrix | None:
        """Test accuracy; None when the run failed."""
        block = self.book.block(arm.suggestion, (order,), self.seeds, split="test")
        return None if block is None else block[0, 0]
