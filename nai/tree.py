"""The order tree: orders that start alike are learnt once until they part."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from nai import stack
from nai.evaluate import Accuracy, evaluate
from nai.learn import Lesson, World, begin, learn
from nai.methods.anchored import effective_strength
from nai.methods.base import Method
from nai.orders import Order, check
from nai.seeds import Seeds
from nai.training import Training

T = TypeVar("T")
Run = tuple[Seeds, Order]
Key = tuple[Seeds, tuple[int, ...]]
Todo = tuple[Key, Lesson, int | None]  # a node, the lesson before it, and the task that leads to it


class Grown(NamedTuple):
    """The result of one order with one pair of seeds.

    valid and test: [tasks learnt + 1, tasks], row r after r tasks, column = home task; None with an error.
    strengths: strength x mean importance after each task, None for methods without.
    seconds: this order's share of the time of the stacks that it was part of. width: of its widest stack.
    lesson: weights and memory at the end; it is not held here, so keep it only if you need it.
    """

    seeds: Seeds
    order: Order
    valid: Tensor | None
    test: Tensor | None
    strengths: tuple[float, ...] | None
    seconds: float
    width: int
    error: str | None
    lesson: Lesson | None


class Step(NamedTuple):
    """What is kept of a node once its lesson is gone."""

    accuracy: Accuracy | None
    strength: float | None
    seconds: float
    width: int
    error: str | None


class Learnt(NamedTuple):
    """A node's lesson while its children are learnt."""

    key: Key
    lesson: Lesson
    accuracy: Accuracy
    width: int


@dataclass
class Node:
    """A prefix of orders (or what a method makes of it): what follows it, and how many orders pass."""

    children: dict[Key, int] = field(default_factory=dict)  # key to home index of the task that leads there
    runs: list[Run] = field(default_factory=list)


def plan(runs: Sequence[Run], method: Method) -> dict[Key, Node]:
    """The tree of all runs: every node that must be learnt, roots included."""
    nodes: dict[Key, Node] = defaultdict(Node)
    for seeds, order in runs:
        path = _path(seeds, order, method)
        for parent, key, task in zip(path, path[1:], order, strict=False):
            nodes[parent].children[key] = task
        for key in path:
            nodes[key].runs.append((seeds, order))
    return dict(nodes)


def trainings(runs: Sequence[Run], method: Method) -> int:
    """Task trainings that the tree needs (without it: the sum of the orders' lengths)."""
    return sum(bool(done) for _, done in plan(runs, method))


def grow(
    runs: Sequence[Run], world: World, method: Method, training: Training, *, width: int | None = None
) -> Iterator[Grown]:
    """Learn all runs, each shared prefix once, in stacks; yields each run as soon as it is complete.

    Depth first, so that at most one stack a level is held: memory does not grow with the orders.
    width: lessons of a stack; None chooses by network and device. Results do not depend on it (on a CPU
    bit for bit). A run that diverges, or does not fit into memory alone, comes back with an error.
    ValueError: an order is not a permutation of the tasks, or width is below 1.
    """
    if width is not None and width < 1:
        raise ValueError(f"width {width} must be at least 1, or None to choose it by network and device")
    for _, order in runs:
        check(order, len(world.train))
    return _Tree(runs, world, method, training, stack.width(world.net, world.device, width)).grown()


class _Tree:
    def __init__(
        self, runs: Sequence[Run], world: World, method: Method, training: Training, width: int
    ) -> None:
        self.world, self.method, self.training, self.width = world, method, training, width
        self.runs = list(dict.fromkeys(runs))
        self.nodes = plan(self.runs, method)
        self.steps: dict[Key, Step] = {}
        self.ends: dict[Key, Lesson] = {}  # of nodes where runs end, until these are over
        self.waiting = {run: len(run[1]) + 1 for run in self.runs}

    def grown(self) -> Iterator[Grown]:
        seeds = dict.fromkeys(s for s, _ in self.runs)
        for some in _chunks([(s, self.method.node(())) for s in seeds], self.width):
            yield from self._below([(key, begin(self.world, self.method, key[0]), None) for key in some])

    def _below(self, todo: Sequence[Todo]) -> Iterator[Grown]:
        for some in _chunks(todo, self.width):
            started = time.perf_counter()
            learnt = self._learn(some)
            yield from self._record(learnt, time.perf_counter() - started)
            failed = [key for key, *_ in some if key not in self.steps]
            yield from (run for key in failed for run in self._fail(key, "out of memory: alone in its stack"))
            yield from self._below(self._next([x for x in learnt if self.steps[x.key].error is None]))

    def _next(self, parents: Sequence[Learnt]) -> list[Todo]:
        todo = {
            key: (parent.lesson, task)
            for parent in parents
            for key, task in self.nodes[parent.key].children.items()
            if key not in self.steps
        }
        return [(key, *what) for key, what in todo.items()]

    def _learn(self, some: Sequence[Todo]) -> list[Learnt]:
        """The lessons that fit into memory with their evaluation, in as many stacks as that takes."""
        try:
            return self._stack(some)
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
        if self.world.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(some) == 1:
            return []
        half = len(some) // 2
        return self._learn(some[:half]) + self._learn(some[half:])

    def _stack(self, some: Sequence[Todo]) -> list[Learnt]:
        """One stack's lessons, each one task further (as they are where there is none), and their marks."""
        keys = [key for key, *_ in some]
        lessons = [lesson for _, lesson, _ in some]
        tasks = [task for *_, task in some if task is not None]
        if tasks:
            seeds = [s for s, _ in keys]
            lessons = learn(lessons, tasks, self.world, self.method, training=self.training, seeds=seeds)
        marks = evaluate(lessons, self.world, self.method)
        return [Learnt(*x, len(some)) for x in zip(keys, lessons, marks, strict=True)]

    def _record(self, learnt: Sequence[Learnt], seconds: float) -> Iterator[Grown]:
        for key, lesson, accuracy, width in learnt:
            if not lesson.finite:
                yield from self._fail(key, f"diverged: weights are not finite after tasks {lesson.done}")
                continue
            strength = effective_strength(self.method, lesson.memory)
            self.steps[key] = Step(accuracy, strength, seconds / len(learnt), width, None)
            if not self.nodes[key].children:
                self.ends[key] = lesson
            for run in [r for r in self.nodes[key].runs if self.waiting[r]]:
                self.waiting[run] -= 1
                if not self.waiting[run]:
                    yield self._result(run)

    def _fail(self, key: Key, error: str) -> Iterator[Grown]:
        """Every run through a node that failed, and is not over yet, ends with its error."""
        self.steps[key] = Step(None, None, 0.0, 1, error)
        for run in self.nodes[key].runs:
            if self.waiting[run]:
                self.waiting[run] = 0
                yield Grown(*run, None, None, None, 0.0, 1, error, None)

    def _result(self, run: Run) -> Grown:
        seeds, order = run
        path = _path(seeds, order, self.method)
        steps = [self.steps[key] for key in path]
        shares = [s.seconds / len(self.nodes[key].runs) for s, key in zip(steps, path, strict=True)]
        found = [s.accuracy for s in steps if s.accuracy is not None]
        strengths = [s.strength for s in steps[1:] if s.strength is not None]
        return Grown(
            seeds,
            order,
            torch.stack([a.valid for a in found]),
            torch.stack([a.test for a in found]),
            tuple(strengths) if len(strengths) == len(order) else None,
            sum(shares),
            max(s.width for s in steps),
            None,
            self._end(path[-1]),
        )

    def _end(self, key: Key) -> Lesson | None:
        """The lesson of a node where runs end, given up with the last of them."""
        over = not any(self.waiting[run] for run in self.nodes[key].runs)
        return self.ends.pop(key, None) if over else self.ends.get(key)


def _path(seeds: Seeds, order: Order, method: Method) -> list[Key]:
    return [(seeds, method.node(order[:depth])) for depth in range(len(order) + 1)]


def _chunks(items: Sequence[T], width: int) -> Iterator[Sequence[T]]:
    """As few parts of at most `width` as will do, of even size."""
    parts = math.ceil(len(items) / width)
    for i in range(parts):
        yield items[i * len(items) // parts : (i + 1) * len(items) // parts]


def _out_of_memory(error: RuntimeError) -> bool:
    # on a CPU torch raises a plain RuntimeError, worded by the operating system
    words = ("can't allocate memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error) for w in words)
