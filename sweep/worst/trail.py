"""What a hunt has trained, paid and seen: all that a strategy may look at."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from nai.orders import Order

Node = Callable[[Order], Hashable]


@dataclass
class Trail:
    """Orders asked for and told, their scores (less is more wanted), and the prefixes that are trained.

    budget: task trainings in all. node: what of a prefix decides the lesson; prefixes of one node are trained
    once. similarity: [earlier task][later task], or None.
    """

    tasks: int
    budget: int
    seed: int
    node: Node
    similarity: tuple[tuple[float, ...], ...] | None
    known: Mapping[Order, float]
    asked: dict[Order, None] = field(default_factory=dict)
    told: dict[Order, float | None] = field(default_factory=dict)
    partial: dict[Order, float] = field(default_factory=dict)
    trained: set[Hashable] = field(default_factory=set)

    @property
    def left(self) -> int:
        """Task trainings that may still be paid."""
        return self.budget - len(self.trained)

    @property
    def scores(self) -> dict[Order, float]:
        """Scores of whole orders: those known before, then those asked for, whenever they were told."""
        seen = dict(self.known)
        for order in self.asked:
            score = self.told.get(order)
            if score is not None and len(order) == self.tasks:
                seen[order] = score
        return seen

    @property
    def pending(self) -> tuple[Order, ...]:
        """Orders asked for whose result is not in."""
        return tuple(order for order in self.asked if order not in self.told)

    def price(self, order: Order) -> int:
        """Task trainings that an order needs beyond those that are done."""
        return sum(node not in self.trained for node in self._path(order))

    def admits(self, order: Order) -> bool:
        """The order is new, shows something that is not trained, and can be paid."""
        return order not in self.asked and order not in self.known and 0 < self.price(order) <= self.left

    def book(self, order: Order) -> None:
        """The order is asked for, and its trainings are paid."""
        self.asked[order] = None
        self.trained.update(self._path(order))

    def _path(self, order: Order) -> list[Hashable]:
        # with its depth, as a node may forget how many tasks led there
        return [(depth, self.node(order[:depth])) for depth in range(1, len(order) + 1)]
