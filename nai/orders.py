"""Task orders: checked, numbered, compared, drawn and designed.

``order[k]`` is the home index of the task trained k-th, both from 0; ``positions`` is the inverse.

Chance: every draw is ``getrandbits`` of a ``random.Random`` seeded with text such as ``"orders/0"``, so that
any whole number is a seed of its own; ``shuffle`` and ``sample`` may change with the Python version, these
two have not. A test pins the draws.
"""

import itertools
import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral

Order = tuple[int, ...]
Orders = tuple[Order, ...]
ClassOrder = tuple[int, ...]

MOST_TASKS_LISTED = 9  # 9! = 362,880 orders still fit in memory at ease, 10! do not

# Sets of orders that papers used, to be repeated exactly.
# apd5: orders A to E of the ten tasks of Split CIFAR-100 in Yoon et al. 2020, "Scalable and order-robust
# continual learning with additive parameter decomposition".
NAMED: dict[str, Orders] = {
    "apd5": (
        (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
        (1, 7, 4, 5, 2, 0, 8, 6, 9, 3),
        (7, 0, 5, 1, 8, 4, 3, 6, 2, 9),
        (5, 8, 2, 9, 0, 4, 3, 7, 6, 1),
        (2, 9, 5, 4, 8, 0, 6, 1, 3, 7),
    ),
}


def check(order: Iterable[int], tasks: int) -> Order:
    """The order as a tuple of plain ints; ValueError unless it names each of the tasks 0..tasks - 1 once."""
    given = tuple(order)
    whole = tuple(int(task) for task in given if isinstance(task, Integral) and not isinstance(task, bool))
    if tasks < 1:
        raise ValueError(f"{tasks} tasks have no order: at least 1 task is needed")
    if len(whole) != len(given) or sorted(whole) != list(range(tasks)):
        raise ValueError(f"order {given} is not a permutation of the {tasks} tasks 0..{tasks - 1}")
    return whole


def identity(tasks: int) -> Order:
    """The home order 0, 1, ..., tasks - 1."""
    return check(range(tasks), tasks)


def positions(order: Order) -> Order:
    """When each task is trained: positions(order)[task] is the k with order[k] == task."""
    inverse = [0] * len(order)
    for position, task in enumerate(check(order, len(order))):
        inverse[task] = position
    return tuple(inverse)


def kendall_distance(a: Order, b: Order) -> int:
    """How many pairs of tasks the two orders train the other way round, 0..tasks * (tasks - 1) / 2.

    Source: Kendall 1938.
    """
    when = positions(check(b, len(a)))
    return sum(when[first] > when[later] for first, later in itertools.combinations(check(a, len(a)), 2))


def rank(order: Order) -> int:
    """How many orders come before this one lexicographically, 0..tasks! - 1, exact. Source: Lehmer 1960."""
    left, number = sorted(check(order, len(order))), 0
    for task in order:
        digit = left.index(task)
        number = number * len(left) + digit
        left.pop(digit)
    return number


def unrank(rank: int, tasks: int) -> Order:
    """The order with this rank: the inverse of `rank`; ValueError unless 0 <= rank < tasks!."""
    left, order, below = list(identity(tasks)), [], math.factorial(tasks)
    if not 0 <= rank < below:
        raise ValueError(
            f"rank {rank} is not one of the {tasks}! ranks of {tasks} tasks: take 0..{below - 1}"
        )
    while left:
        below //= len(left)
        digit, rank = divmod(rank, below)
        order.append(left.pop(digit))
    return tuple(order)


def all_orders(tasks: int) -> Orders:
    """Every order, lexicographic (so order n has rank n); ValueError above `MOST_TASKS_LISTED` tasks."""
    if tasks > MOST_TASKS_LISTED:
        raise ValueError(
            f"{tasks} tasks have {tasks}! orders, too many to list: sample some, "
            f"or take {MOST_TASKS_LISTED} tasks or fewer"
        )
    return tuple(itertools.permutations(identity(tasks)))


def sampled(tasks: int, count: int, seed: int, exclude: Iterable[Order] = ()) -> Orders:
    """Orders drawn uniformly without replacement, by rank, so that 20! orders are no burden.

    The first k of a longer draw are the draw of k: ask for more, and what has run stays in use. Excluded
    orders are passed over; the others keep their succession. ValueError when fewer than `count` are left.
    """
    excluded = {rank(check(order, tasks)) for order in exclude}
    _check_enough(tasks, count, len(excluded), "excluded")
    draws = _distinct(math.factorial(tasks), f"orders/{seed}")
    kept = (number for number in draws if number not in excluded)
    return tuple(unrank(number, tasks) for number in itertools.islice(kept, count))


def latin(tasks: int, count: int, seed: int, exclude: Iterable[Order] = ()) -> Orders:
    """Orders in which each task stands in each position equally often, as whole cyclic Latin squares.

    A square is the `tasks` rotations of one drawn order, in a drawn succession; rotation splits the tasks!
    orders into (tasks - 1)! squares, and squares are drawn without replacement, so no order comes twice. The
    balance is exact when `count` is a multiple of `tasks`; otherwise the last square is cut short. As in
    `sampled`, a shorter draw begins a longer one. A square with an excluded order is passed over whole. Who
    follows whom is not balanced: see `williams`. Source: Fisher 1935.
    """
    excluded = {_square(check(order, tasks)) for order in exclude}
    _check_enough(tasks, count, tasks * len(excluded), "in squares with excluded orders")
    draws = _distinct(math.factorial(tasks - 1), f"latin/{seed}")
    squares = (square for square in draws if square not in excluded)
    rows = (row for square in squares for row in _rows(square, tasks, seed))
    return tuple(itertools.islice(rows, count))


def _square(order: Order) -> int:
    """Number of the Latin square an order belongs to: the rank of what follows task 0, going round."""
    start = order.index(0)
    after = order[start + 1 :] + order[:start]
    return rank(tuple(task - 1 for task in after)) if after else 0


def _rows(square: int, tasks: int, seed: int) -> Iterator[Order]:
    """The rotations that make up a Latin square, in a succession of its own."""
    first = (0, *(task + 1 for task in unrank(square, tasks - 1))) if tasks > 1 else (0,)
    for turn in _distinct(tasks, f"latin/{seed}/{square}"):
        yield first[turn:] + first[:turn]


def williams(tasks: int) -> Orders:
    """Orders in which each task directly follows each other one, and stands in each position, equally often.

    An even number of tasks needs `tasks` orders, each ordered pair adjacent once; an odd one twice as many,
    each pair twice. Source: Williams 1949.
    """
    zigzag = tuple((step + 1) // 2 if step % 2 else -(step // 2) for step in identity(tasks))
    square = tuple(tuple((task + shift) % tasks for task in zigzag) for shift in range(tasks))
    return square if tasks % 2 == 0 else reversed_orders(square)


def reversed_orders(orders: Iterable[Order]) -> Orders:
    """The given orders, then their reversals, each order once."""
    given = tuple(orders)
    return tuple(dict.fromkeys((*given, *(order[::-1] for order in given))))


def listed(orders: Iterable[Iterable[int]], tasks: int) -> Orders:
    """The given orders, checked; ValueError names the first that is no order of the tasks, or comes twice."""
    seen: dict[Order, int] = {}
    for number, given in enumerate(orders):
        try:
            order = check(given, tasks)
        except ValueError as error:
            raise ValueError(f"orders[{number}]: {error}") from None
        if order in seen:
            raise ValueError(
                f"orders[{number}] and orders[{seen[order]}] are both {order}: list each order once"
            )
        seen[order] = number
    return tuple(seen)


def named_orders(name: str, tasks: int) -> Orders:
    """A set of orders from the literature: apd5, and in a space core50, the ten official runs of its files.

    ValueError when unknown or made for another number of tasks.
    """
    if name not in NAMED:
        raise ValueError(f"no orders are named {name!r}: choose from {', '.join(NAMED)}")
    expected = len(NAMED[name][0])
    if tasks != expected:
        fitting = ", ".join(name for name, orders in NAMED.items() if len(orders[0]) == tasks) or "none"
        raise ValueError(
            f"orders {name!r} are for {expected} tasks, not {tasks}: named for {tasks} tasks: {fitting}"
        )
    return NAMED[name]


def class_orders(classes: int, count: int, seed: int) -> tuple[ClassOrder, ...]:
    """Class orders, drawn like `sampled`: class_order[k] is the class that comes k-th.

    Not a task order. Cutting a class order into tasks decides *which classes share a task*, so another class
    order is another set of tasks; a task order keeps the tasks and changes only when each is trained.
    Statistics per task over orders (OPD) are defined for task orders alone.
    """
    _check_enough(classes, count, 0, "excluded", noun="classes")
    draws = _distinct(math.factorial(classes), f"classes/{seed}")
    return tuple(unrank(number, classes) for number in itertools.islice(draws, count))


@dataclass(frozen=True)
class Ask:
    """What a search space says about its orders."""

    tasks: int
    count: int | None
    seed: int
    orders: Orders
    named: str
    exclude: Orders


DESIGNS: dict[str, Callable[[Ask], Orders]] = {
    "all": lambda ask: all_orders(ask.tasks),
    "random": lambda ask: sampled(ask.tasks, ask.count or 0, ask.seed, ask.exclude),
    "latin": lambda ask: latin(
        ask.tasks, ask.tasks if ask.count is None else ask.count, ask.seed, ask.exclude
    ),
    "williams": lambda ask: williams(ask.tasks),
    "reversed": lambda ask: reversed_orders(ask.orders or (identity(ask.tasks),)),
    "identity": lambda ask: (identity(ask.tasks),),
    "list": lambda ask: ask.orders,
    "named": lambda ask: named_orders(ask.named, ask.tasks),
}


def design(
    name: str,
    tasks: int,
    count: int | None = None,
    seed: int = 0,
    *,
    orders: Iterable[Iterable[int]] | None = None,
    named: str | None = None,
    exclude: Iterable[Iterable[int]] = (),
) -> Orders:
    """The orders of a design, by its name in `DESIGNS`.

    count: needed by random; latin takes one square without it; the other designs fix it. seed: 0 but for
    these two. orders: all of list, or what reversed begins with (else the identity). named: a key of `NAMED`.
    exclude: orders that must not come out: random and latin draw round them, a fixed design that holds one is
    an error, "all" is still all.
    ValueError for an unknown name, an option the design does not read, or a count that it cannot have.
    """
    if name not in DESIGNS:
        raise ValueError(f"order design {name!r} is unknown: choose from {', '.join(DESIGNS)}")
    _check_option(name, "orders", orders is not None, needed=("list",), read=("list", "reversed"))
    _check_option(name, "named", named is not None, needed=("named",), read=("named",))
    _check_option(name, "seed", seed != 0, needed=(), read=("random", "latin"))
    _check_option(name, "count", count is not None, needed=("random",), read=tuple(DESIGNS))
    excluded = tuple(check(order, tasks) for order in exclude)
    chosen = DESIGNS[name](Ask(tasks, count, seed, listed(orders or (), tasks), named or "", excluded))
    _check_chosen(name, chosen, count, () if name == "all" else excluded)
    return chosen


def _check_option(
    design: str, option: str, given: bool, *, needed: Collection[str], read: Collection[str]
) -> None:
    if design in needed and not given:
        raise ValueError(f'design "{design}" needs {option}: add it')
    if given and design not in read:
        raise ValueError(
            f'design "{design}" does not read {option}: leave it out, or choose from {", ".join(read)}'
        )


def _check_chosen(name: str, chosen: Orders, count: int | None, excluded: Orders) -> None:
    if count is not None and count != len(chosen):
        raise ValueError(f'design "{name}" has {len(chosen)} orders here, {count} asked: leave count out')
    if not chosen:
        raise ValueError(
            f'design "{name}" is left with no orders, so there is nothing to run: give at least 1'
        )
    for order in sorted(set(chosen) & set(excluded)):
        raise ValueError(
            f'design "{name}" holds the excluded order {order}: choose another design, random draws round'
        )


def _check_enough(items: int, count: int, lost: int, why: str, *, noun: str = "tasks") -> None:
    if items < 1 or count < 0:
        raise ValueError(f"{count} orders of {items} {noun} asked: ask for 0 or more orders of at least 1")
    total = math.factorial(items)
    if count > total - lost:
        less = f" ({lost} of them {why})" if lost else ""
        raise ValueError(
            f"{items} {noun} have {total} orders{less}, {count} asked: ask for at most {total - lost}"
        )


def _distinct(size: int, address: str) -> Iterator[int]:
    """The numbers 0..size - 1 in uniformly random succession: Fisher-Yates, storing only what it moved."""
    chance, moved = random.Random(address), dict[int, int]()
    for start in range(size):
        pick = start + _below(size - start, chance)
        yield moved.get(pick, pick)
        moved[pick] = moved.pop(start, start)


def _below(size: int, chance: random.Random) -> int:
    """A uniform whole number in 0..size - 1: draws of just enough bits until one fits."""
    bits = (size - 1).bit_length()
    while (number := chance.getrandbits(bits)) >= size:
        pass
    return number
