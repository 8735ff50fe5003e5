"""The stage after the search: the best suggestions and the baselines over the same orders and seeds."""

import math
from collections.abc import Iterator, Sequence

from nai.orders import Order
from sweep.analysis import needed_orders, orders_for_tail
from sweep.book import Book
from sweep.jobs import Arm, Cell, Run, Work, crossed
from sweep.space import Space


def alone(space: Space, tasks: int) -> tuple[Run, ...]:
    """Each task learnt by nets of its own, if the space asks for them: what order cannot move."""
    return crossed([(task,) for task in range(tasks)], space.net_pairs)


class Confirm:
    """A factorial of arms, orders and seeds; the orders grow until the space's `until` is met.

    arms: no two the same.
    """

    def __init__(self, space: Space, arms: Sequence[Arm], book: Book) -> None:
        self.space, self.book = space, book
        self.arms = tuple({one.suggestion: one for one in arms}.values())
        self.tasks = space.tasks()
        self.orders: tuple[Order, ...] = ()  # those that every arm runs, as far as is known
        self.finished = not self.arms
        self.pending: list[Cell] = []

    def work(self) -> Iterator[Work]:
        """What there is to run now; more orders when those so far are too few."""
        while not self.finished and not self._waits():
            orders = self._wanted()
            if len(orders) == len(self.orders):
                self.finished = True
                return
            self.orders = orders
            runs = crossed(orders, self.space.confirm_pairs) + alone(self.space, self.tasks)
            works = [Work(one, runs) for one in self.arms]
            self.pending = [cell for work in works for cell in work.cells]
            yield from works

    def _waits(self) -> bool:
        while self.pending and not self.book.lacks(self.pending[-1]):
            self.pending.pop()
        return bool(self.pending)

    def _wanted(self) -> tuple[Order, ...]:
        """The orders that are enough, as far as the runs so far can tell."""
        if not self.orders:
            return self.space.confirm_orders(self.tasks)
        count = max(len(self.orders), min(self._left(), self._enough()))
        return self.orders if count == len(self.orders) else self.space.confirm_orders(self.tasks, count)

    def _left(self) -> int:
        """Orders that there are beside those of the search."""
        return math.factorial(self.tasks) - len(self.space.search_orders(self.tasks))

    def _enough(self) -> int:
        """How many orders the space's `until` asks for."""
        design = self.space.confirm_design(self.tasks)
        until = design.until if design else None
        if until is None:
            return 0
        if until.tail is not None:
            return orders_for_tail(until.tail, math.factorial(self.tasks))
        assert until.half_width is not None
        return max(self._needed(one, until.half_width) for one in self.arms)

    def _needed(self, one: Arm, half_width: float) -> int:
        """Orders for an interval of this half-width; 0 where more of them are no help."""
        block = self.book.block(one.suggestion, self.orders, self.space.confirm_pairs, split="test")
        if block is None:
            return 0
        averages = block[:, :, -1].mean(-1)
        return needed_orders(averages, math.factorial(self.tasks), half_width=half_width) or 0
