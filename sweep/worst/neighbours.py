"""Orders to choose from: all of them while they are few, else those that climbing from the best reaches."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

from nai.orders import Order, all_orders, sampled

MOST_LISTED = 7  # tasks whose orders are all guessed at, 5,040 at most
WIDE, FRESH, ROUNDS = 10, 500, 3  # orders climbed from, orders drawn beside them, steps of the climb


@functools.cache
def everything(tasks: int) -> tuple[Order, ...]:
    """Every order, lexicographic; listed once."""
    return all_orders(tasks)


def neighbours(order: Order) -> Iterator[Order]:
    """Orders that moving one task, or exchanging two, makes of this one; some come twice."""
    places = range(len(order))
    for a, b in itertools.permutations(places, 2):
        rest = order[:a] + order[a + 1 :]
        yield (*rest[:b], order[a], *rest[b:])
    for a, b in itertools.combinations(places, 2):
        yield (*order[:a], order[b], *order[a + 1 : b], order[a], *order[b + 1 :])


def climbed(best: Sequence[Order], preferred: Callable[[list[Order]], list[Order]], seed: int) -> list[Order]:
    """The preferred of the orders reached in a few rounds from the best seen and from drawn ones."""
    fresh = sampled(len(best[0]), FRESH, seed)
    pool = preferred(_around(best[:WIDE], fresh))
    for _ in range(ROUNDS - 1):
        pool = preferred(_around(pool, pool)) if pool else []
    return pool


def _around(centres: Sequence[Order], others: Sequence[Order]) -> list[Order]:
    reached = (near for order in centres for near in neighbours(order))
    return list(dict.fromkeys((*others, *reached)))
