"""Which order to train next: functions from what a hunt has seen to orders in succession of interest.

Each yields orders; the hunt takes those that are new and can be paid, books them, and goes on until the batch
is full. A strategy draws by address and keeps nothing, so that a hunt can be rebuilt from its answers.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from nai.orders import Order, latin, sampled
from sweep.worst import ridge
from sweep.worst.neighbours import MOST_LISTED, WIDE, climbed, everything
from sweep.worst.similarity import extremes
from sweep.worst.trail import Trail

DOUBT = 1.0  # deviations of the guess that an unseen order is given credit for
STRIDE = 1_000_003  # so that the draws of one seed are not those of the next
DRAWS = 200  # suggestions of Optuna that may be known orders before a random one is taken


def random_orders(trail: Trail) -> Iterator[Order]:
    """Orders drawn at random, the control: no hunt is worth its name that does not beat it."""
    most = min(math.factorial(trail.tasks), trail.budget + len(trail.known))
    yield from sampled(trail.tasks, most, trail.seed)


def by_surrogate(trail: Trail) -> Iterator[Order]:
    """Opening orders first; then, one by one, that with the least guessed score less its doubt.

    The guess is a ridge over the orders seen so far (`sweep.worst.ridge`). What is asked in the same batch
    counts as seen for the doubt, so that a batch spreads. Ties go to the cheaper order.
    """
    if opening := [order for order in openings(trail) if trail.admits(order)]:
        yield from opening
        return
    if not trail.scores:
        yield from random_orders(trail)
        return
    while (order := _least(trail)) is not None:
        yield order


def openings(trail: Trail) -> list[Order]:
    """As many orders as tasks, less those seen: extremes of similarity where known, then a Latin square."""
    first = extremes(trail.similarity) if trail.similarity else ()
    orders = dict.fromkeys((*first, *latin(trail.tasks, trail.tasks, trail.seed)))
    return list(itertools.islice(orders, max(0, trail.tasks - len(trail.known))))


def _least(trail: Trail) -> Order | None:
    scores = trail.scores
    model = ridge.fit(scores, [o for o in trail.pending if len(o) == trail.tasks], trail.similarity)

    def preferred(orders: Sequence[Order]) -> list[Order]:
        ranked = sorted(zip(model(orders, DOUBT), orders, strict=True))
        admitted = itertools.islice((pair for pair in ranked if trail.admits(pair[1])), WIDE)
        return [order for *_, order in sorted((promise, trail.price(o), o) for promise, o in admitted)]

    if trail.tasks <= MOST_LISTED:
        found = preferred(everything(trail.tasks))
    else:
        best = sorted(scores, key=scores.__getitem__)
        found = climbed(best, preferred, trail.seed * STRIDE + len(trail.asked))
    return found[0] if found else None


def by_prefix(trail: Trail) -> Iterator[Order]:
    """Best first over prefixes: every next task of the prefix whose accuracies so far promise most.

    A prefix promises its score less the mean of those of its length, in deviations of their own, times the
    root of its share of the tasks: the longer a prefix, the more of the end it has seen. Asks for partial
    orders.
    """
    level = {depth: _level(trail, depth) for depth in range(1, trail.tasks)}
    promise = {
        prefix: (score - level[len(prefix)][0]) / level[len(prefix)][1] * (len(prefix) / trail.tasks) ** 0.5
        for prefix, score in trail.partial.items()
        if len(prefix) < trail.tasks
    }
    for prefix in ((), *sorted(promise, key=lambda prefix: (round(promise[prefix], 9), prefix))):
        yield from ((*prefix, task) for task in range(trail.tasks) if task not in prefix)


def _level(trail: Trail, depth: int) -> tuple[float, float]:
    scores = np.array([score for prefix, score in trail.partial.items() if len(prefix) == depth])
    return (float(scores.mean()), float(scores.std()) or 1.0) if scores.size else (0.0, 1.0)


def by_keys(trail: Trail) -> Iterator[Order]:
    """Optuna's TPE over random keys: a number for each task, trained in rising succession."""
    return _by_optuna(trail, "keys")


def by_lehmer(trail: Trail) -> Iterator[Order]:
    """Optuna's TPE over Lehmer digits: which of the tasks that are left comes next."""
    return _by_optuna(trail, "lehmer")


def _by_optuna(trail: Trail, code: str) -> Iterator[Order]:
    from sweep.search_orders import suggested  # Optuna takes a second to load

    draws = suggested(trail.scores, code=code, tasks=trail.tasks, address=f"{trail.seed}/{len(trail.asked)}")
    yield from itertools.islice(draws, DRAWS)
    yield from random_orders(trail)
