"""The order tree: orders that start alike are learnt once until they part."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nai import footprint, stack
from nai.evaluate import Accuracy, evaluate
from nai.learn import Lesson, World, begin, learn
from nai.methods.anchored import guarded
from nai.methods.base import Method, described
from nai.nodes import Choice, Learnt, Step, Teach, Todo
from nai.orders import Order
from nai.prefixes import Key, Run, checked, path, plan, trainings
from nai.seeds import Seeds
from nai.states import State, States, Store
from nai.training import Training

__all__ = ["Grown", "Run", "grow", "plan", "trainings"]
SAFE = 60.0
"""Seconds of learning, a task or more, after which states are written down in case the process is killed."""


class Grown(NamedTuple):
    """The result of one run.

    valid and test: [tasks learnt + 1, tasks], row r after r tasks, column = home task; None with an error.
    strengths: strength x mean importance after each task, None for methods without.
    seconds: this run's share of the time of the stacks that it was part of. width: of its widest stack.
    lesson: weights and memory at the end; it is not held here, so keep it only if you need it.
    chosen: what a selection chose for each task, None without one.
    """

    method: Method
    seeds: Seeds
    order: Order
    valid: Tensor | None
    test: Tensor | None
    strengths: tuple[float, ...] | None
    seconds: float
    width: int
    error: str | None
    lesson: Lesson | None
    chosen: tuple[Choice, ...] | None = None


def grow(
    runs: Sequence[Run],
    world: World,
    training: Training,
    *,
    width: int | None = None,
    states: States | None = None,
    later: Sequence[Run] = (),
    teach: Teach | None = None,
) -> Iterator[Grown]:
    """Learn all runs, each shared prefix once, in stacks; yields each run as soon as it is complete.

    Runs of methods that differ in late hyperparameters alone share their first tasks and their stacks.
    Depth first, so that at most one stack a level is held: memory does not grow with the orders.
    width: lessons of a stack; None chooses by network and device. Results do not depend on it (on a CPU
    bit for bit). A run that diverges, or does not fit into memory alone, comes back with an error.
    states: where runs of earlier calls have left nodes to start from, and those that the runs `later` will
    go on from are kept (a node that failed is not). They change no bit.
    teach: how a stack learns, such as with a selection (`nai.selection`). None: by the runs' methods and the
    training.
    ValueError: an order is no permutation of the tasks nor the start of one, width is below 1, or states are
    asked of a world without a digest.
    """
    if width is not None and width < 1:
        raise ValueError(f"width {width} must be at least 1, or None to choose it by network and device")
    for run in (*runs, *later):
        checked(run.order, len(world.train))
    methods = {described(run.method): run.method for run in runs}

    def largest() -> footprint.Held:
        return max((footprint.held(world.net, one, world.heads) for one in methods.values()), key=sum)

    features = world.source.inputs.shape[1:]
    together = footprint.width(
        world.net, world.device, width, features=features, batch=training.batch, own=largest
    )
    store = None if states is None else Store(states, world, training, teach.deciding if teach else ())
    return _Tree(runs, world, training, width=together, store=store, later=later, teach=teach).grown()


class _Tree:
    def __init__(
        self,
        runs: Sequence[Run],
        world: World,
        training: Training,
        *,
        width: int,
        store: Store | None,
        later: Sequence[Run],
        teach: Teach | None = None,
    ) -> None:
        self.world, self.training = world.under(training), training
        self.width, self.teach = width, teach
        self.store, self.later = store, later
        self.runs = list({(described(run.method), *run[1:]): run for run in runs}.values())
        self.paths = [path(run) for run in self.runs]
        starts = [store.start(run) if store else 0 for run in self.runs]
        self.nodes = plan(self.runs, starts)
        self.starts = {  # nodes to start from, with the tasks that led there, and a run that came that way
            (keys[n], run.order[:n]): number
            for number, (keys, n, run) in enumerate(zip(self.paths, starts, self.runs, strict=True))
        }
        self.taken = {key for key, _ in self.starts}  # nodes that have been learnt or are about to be
        self.ahead = {
            key for node in self.nodes.values() for key in node.children
        } - self.taken  # to be learnt
        self.keep = self._kept(later)
        self.steps: dict[Key, Step] = {}
        self.arrived: set[Key] = set()
        self.since: dict[Key, float] = {}  # seconds on the way to a node that no state is kept of
        self.ends: dict[Key, Lesson] = {}  # of nodes where runs end, until these are over
        self.waiting = [len(p) for p in self.paths]

    def grown(self) -> Iterator[Grown]:
        alike = defaultdict(list)  # nodes to start from, by whether their lessons may share a stack
        for key, done in self.starts:
            method = self._method(key)
            alike[described(method, method.late), bool(done)].append((key, done))
        for (_, stored), starts in alike.items():
            for some in stack.chunks(starts, self.width):
                yield from self._resumed(some) if stored else self._below([self._begun(k) for k, _ in some])
        left = [run for run, steps in zip(self.runs, self.waiting, strict=True) if steps]
        if left:  # states that seemed to be there were gone: these runs start from what there is
            again = _Tree(
                left,
                self.world,
                self.training,
                width=self.width,
                store=self.store,
                later=self.later,
                teach=self.teach,
            )
            yield from again.grown()

    def _below(self, todo: Sequence[Todo]) -> Iterator[Grown]:
        """All runs through these nodes: a stack and what is below it, then the next stack."""
        left = list(todo)
        del todo  # what has been learnt makes room
        while left:
            some = next(stack.chunks(left, self.width))
            started = time.perf_counter()
            learnt = self._learn(some)
            if learnt is None and len(some) > 1:
                self.width = len(some) // 2  # as is every stack from here on
                continue
            del left[: len(some)]
            if learnt is None:
                yield from self._fail(some[0].key, "out of memory: alone in its stack")
                continue
            yield from self._record(learnt, time.perf_counter() - started)
            yield from self._below(self._next([x for x in learnt if self.steps[x.key].error is None]))

    def _next(self, parents: Sequence[Learnt]) -> list[Todo]:
        todo = {
            key: Todo(key, parent.lesson, task, parent.settled)
            for parent in parents
            for key, task in self.nodes[parent.key].children.items()
            if key not in self.taken
        }
        self.taken.update(todo)
        return list(todo.values())

    # ---------------------------------------------------------------- learning
    def _begun(self, key: Key) -> Todo:
        return Todo(key, begin(self.world, self._method(key), key.seeds), None)

    def _method(self, key: Key) -> Method:
        """One of those that share the node."""
        return self.runs[self.nodes[key].runs[0]].method

    def _learn(self, some: Sequence[Todo]) -> list[Learnt] | None:
        """One stack's lessons with their evaluation; None where memory has no room for it."""
        try:
            return self._stack(some)
        except RuntimeError as error:
            if not stack.out_of_memory(error):
                raise
        if self.world.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _stack(self, some: Sequence[Todo]) -> list[Learnt]:
        """One stack's lessons, each one task further (as they are where there is none), and their marks."""
        keys, lessons = [one.key for one in some], [one.lesson for one in some]
        tasks = [one.task for one in some if one.task is not None]
        if tasks and self.teach:
            taught = zip(keys, self.teach(some), strict=True)
            return [Learnt(key, x.lesson, x.accuracy, len(some), x.settled) for key, x in taught]
        methods = [self._method(key) for key in keys]
        if tasks:
            seeds = [key.seeds for key in keys]
            lessons = learn(lessons, tasks, self.world, methods, training=self.training, seeds=seeds)
        marks = evaluate(lessons, self.world, methods)
        return [Learnt(*x, len(some)) for x in zip(keys, lessons, marks, strict=True)]

    # ---------------------------------------------------------------- results
    def _record(self, learnt: Sequence[Learnt], seconds: float) -> Iterator[Grown]:
        for key, lesson, accuracy, width, settled in learnt:
            if not lesson.finite:
                yield from self._fail(key, f"diverged: weights are not finite after tasks {lesson.done}")
                continue
            step = Step(accuracy, guarded(lesson.memory), seconds / len(learnt), width, None, settled)
            yield from self._arrived(key, step, lesson)
            self._secure(key, lesson, seconds)

    def _arrived(self, key: Key, step: Step, lesson: Lesson | None) -> Iterator[Grown]:
        """Every run through a node is one step further; without a lesson, no run ends there."""
        self.steps[key] = step
        self.arrived.add(key)
        if lesson is not None:
            self._keep(key, lesson)
            if self._ending(key):
                self.ends[key] = lesson
        for number in [n for n in self.nodes[key].runs if self.waiting[n]]:
            self.waiting[number] -= 1
            if not self.waiting[number]:
                yield self._result(number)

    def _fail(self, key: Key, error: str) -> Iterator[Grown]:
        """Every run through a node that failed, and is not over yet, ends with its error."""
        self.steps[key] = Step(None, None, 0.0, 1, error)
        for number in self.nodes[key].runs:
            if self.waiting[number]:
                self.waiting[number] = 0
                yield Grown(*self.runs[number], None, None, None, 0.0, 1, error, None)

    def _result(self, number: int) -> Grown:
        run, keys = self.runs[number], self.paths[number]
        steps = [self.steps[key] for key in keys]
        shares = [s.seconds / len(self.nodes[key].runs) for s, key in zip(steps, keys, strict=True)]
        found = [s.accuracy for s in steps if s.accuracy is not None]
        strengths = [s.strength(run.method) for s in steps[1:]]
        chosen = tuple(s.settled.choice for s in steps if s.settled)
        return Grown(
            *run,
            torch.stack([a.valid for a in found]),
            torch.stack([a.test for a in found]),
            tuple(s for s in strengths if s is not None) if None not in strengths else None,
            sum(shares),
            max(s.width for s in steps),
            None,
            self.ends[keys[-1]] if self._ending(keys[-1]) else self.ends.pop(keys[-1]),
            chosen or None,
        )

    def _ending(self, key: Key) -> bool:
        """Whether runs that are not over yet end in a node."""
        return any(self.waiting[n] and self.paths[n][-1] == key for n in self.nodes[key].runs)

    # ---------------------------------------------------------------- states
    def _kept(self, later: Sequence[Run]) -> dict[Key, dict[str, list[Key]]]:
        """For each node from which later runs go on: the keys of states they look for, and the way there."""
        keep: dict[Key, dict[str, list[Key]]] = defaultdict(dict)
        for run in later if self.store else ():
            keys = path(run)
            depth = next((n for n in range(len(keys) - 1, 0, -1) if keys[n] in self.ahead | self.taken), 0)
            if self.store and keys[depth] in self.ahead:
                keep[keys[depth]][self.store.key(run, depth)] = keys[: depth + 1]
        return dict(keep)

    def _secure(self, key: Key, lesson: Lesson, seconds: float) -> None:
        """A node that took long, alone or with those before it, is not learnt again after a kill."""
        number = self.nodes[key].runs[0]
        way = self.paths[number]
        depth = way.index(key)
        self.since[key] = seconds + (self.since.get(way[depth - 1], 0.0) if depth else 0.0)
        if self.store and depth and self.nodes[key].children and self.since[key] >= SAFE:
            name = self.store.key(self.runs[number], depth)
            self.keep.setdefault(key, {})[name] = way[: depth + 1]
            self._keep(key, lesson)
            self.store.flush()
            self.since[key] = 0.0

    def _keep(self, key: Key, lesson: Lesson) -> None:
        for name, keys in self.keep.get(key, {}).items():
            steps = [self.steps[k] for k in keys if k in self.steps]
            found = [s.accuracy for s in steps if s.accuracy is not None]
            # a method that shares nodes between orders may have come here another way
            if self.store and len(found) == len(keys):
                valid, test = (torch.stack(list(rows)) for rows in zip(*found, strict=True))
                importances = tuple(s.importance for s in steps[1:] if s.importance is not None)
                settled = tuple(s.settled for s in steps if s.settled is not None)
                self.store.write(name, State(lesson, valid, test, importances, settled))

    def _resumed(self, starts: Sequence[tuple[Key, Order]]) -> Iterator[Grown]:
        """Runs that start from states, as far as these are still there."""
        opened: list[Learnt] = []
        for key, done in starts:
            run = self.runs[self.starts[key, done]]
            state = self.store.read(run, len(done)) if self.store else None
            if state is not None:
                marks = Accuracy(state.valid[-1], state.test[-1])
                opened.append(Learnt(key, state.lesson, marks, 1, next(reversed(state.settled), None)))
                yield from self._read(state, path(run)[: len(done) + 1])
        yield from self._below(self._next(opened))

    def _read(self, state: State, keys: Sequence[Key]) -> Iterator[Grown]:
        """The steps on the way to a state; nodes with a lesson of their own to come wait for that."""
        importances = (None, *(state.importances or [None] * (len(keys) - 1)))
        coming = self.ahead | {key for key, _ in self.starts} - {keys[-1]}
        settled = (None, *(state.settled or [None] * (len(keys) - 1)))
        shown = zip(keys, map(Accuracy, state.valid, state.test), importances, settled, strict=True)
        for key, accuracy, importance, one in shown:
            step = self.steps.setdefault(key, Step(accuracy, importance, 0.0, 1, None, one))
            if key not in coming | self.arrived:
                yield from self._arrived(key, step, state.lesson if key == keys[-1] else None)
