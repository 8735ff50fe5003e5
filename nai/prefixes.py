"""Which tasks must be learnt for a set of orders: what starts alike is one node until it parts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nai.methods.base import Method, described
from nai.orders import Order, check
from nai.seeds import Seeds


class Run(NamedTuple):
    """What is asked for: an order of all tasks, or the first tasks of one, learnt by a method."""

    method: Method
    seeds: Seeds
    order: Order


class Key(NamedTuple):
    """A node: all that decides its lesson."""

    method: str  # as text; up to the end of the first task without late hyperparameters
    seeds: Seeds
    done: tuple[int, ...]  # what the method makes of the tasks learnt


@dataclass
class Node:
    """A prefix of orders (or what a method makes of it): what follows it, and which runs pass."""

    children: dict[Key, int] = field(default_factory=dict)  # key to home index of the task that leads there
    runs: list[int] = field(default_factory=list)  # places among the runs of the tree


def path(run: Run) -> list[Key]:
    """The nodes of a run, from the untrained network to its last task."""
    texts = [described(run.method, run.method.late), described(run.method)]
    return [
        Key(texts[depth > 1], run.seeds, run.method.node(run.order[:depth]))
        for depth in range(len(run.order) + 1)
    ]


def plan(runs: Sequence[Run], starts: Sequence[int] | None = None) -> dict[Key, Node]:
    """The tree of all runs: every node that they pass; children are those that must be learnt.

    starts: tasks of each run that need not be learnt any more, by default none.
    """
    nodes: dict[Key, Node] = defaultdict(Node)
    for number, (run, start) in enumerate(zip(runs, starts or [0] * len(runs), strict=True)):
        keys = path(run)
        for parent, key, task in zip(keys[start:], keys[start + 1 :], run.order[start:], strict=False):
            nodes[parent].children[key] = task
        for key in keys:
            nodes[key].runs.append(number)
    return dict(nodes)


def trainings(runs: Sequence[Run]) -> int:
    """Task trainings that the tree needs (without it: the sum of the orders' lengths)."""
    return sum(bool(key.done) for key in plan(runs))


def checked(order: Order, tasks: int) -> Order:
    """The order; ValueError unless it is a permutation of the tasks, or the first tasks of one."""
    try:
        check((*order, *(t for t in range(tasks) if t not in order)), tasks)
    except ValueError as error:
        raise ValueError(
            f"order {order} is not a permutation of the {tasks} tasks 0..{tasks - 1}, nor the start of one"
        ) from error
    if not order:
        raise ValueError(f"order () has no task: name at least one of the {tasks} tasks 0..{tasks - 1}")
    return order
