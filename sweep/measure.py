"""A moment of training on this machine: what a sweep's estimate of time and memory is worked out from."""

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sweep.agenda import Settings
from sweep.space import Space

if TYPE_CHECKING:
    from nai.learn import Lesson, World
    from nai.methods import Method
    from nai.training import Training

Clock = Callable[[], float]
BATCHES = 3
"""Batches of each task that the measured lessons train on; a whole task is worked out from these."""
SAMPLES = 256
"""Samples of each task that the measured evaluation looks at."""
PATIENCE = 2.0
"""Seconds that a first, cold measurement may take; one that takes longer is not repeated."""


class Times(NamedTuple):
    """Seconds on this machine, each [for one lesson, for every further one in its stack]."""

    epoch: tuple[float, float]
    task: tuple[float, float]
    """What comes once a task, however long it trains, such as importances."""
    evaluation: tuple[float, float]


class Measured(NamedTuple):
    """What a moment of training on this machine tells of one method."""

    times: Times
    lesson: int
    """Bytes of a lesson with its memory and moments."""
    data: int
    """Bytes of the benchmark on the device."""
    width: int
    """Lessons of a full stack."""
    epochs: int
    """Passes over each task."""


def measured(settings: Settings, space: Space, *, clock: Clock = time.perf_counter) -> Measured:
    """Times a few steps of one lesson and of a full stack, and weighs a lesson.

    Errors: OSError or ImportError where the data are missing, RuntimeError where the device is.
    """
    from nai import stack
    from nai.training import Training
    from nai.trial import Named, load, method_of, world_of
    from sweep import bundle

    wanted = space.resources
    bundle.prepare(wanted.cpus)
    world = world_of(load(Named.of(**settings["benchmark"])), Named.of(**settings["model"]), wanted.place)
    method, training = method_of(settings["method"]), Training(**settings["training"])
    width = stack.width(world.net, world.device, None if wanted.stack == "auto" else int(wanted.stack))
    alone, lesson = _timed(world, method, training, lessons=1, clock=clock)
    full = _timed(world, method, training, lessons=width, clock=clock)[0] if width > 1 else alone
    times = Times(*((a, max(0.0, f - a) / max(1, width - 1)) for a, f in zip(alone, full, strict=True)))
    source = [v for v in world.source if v is not None]
    return Measured(times, lesson, sum(v.nbytes for v in source), width, training.epochs)


def _timed(
    world: "World", method: "Method", training: "Training", *, lessons: int, clock: Clock
) -> tuple[tuple[float, float, float], int]:
    """Seconds of an epoch, of what comes once a task and of an evaluation; bytes of a lesson."""
    from nai.evaluate import evaluate
    from nai.learn import begin, learn
    from nai.seeds import Seeds

    seeds = [Seeds(n, n) for n in range(lessons)]
    pupils = [begin(world, method, s) for s in seeds]
    tasks = [n % len(world.train) for n in range(lessons)]
    few = world._replace(train=tuple(t[: BATCHES * training.batch] for t in world.train))
    valid, test = (tuple(t[:SAMPLES] for t in split) for split in (world.valid, world.test))
    some = world._replace(valid=valid, test=test)

    def trained(epochs: int) -> tuple[float, list["Lesson"]]:
        began = clock()
        short = dataclasses.replace(training, epochs=epochs)
        learnt = learn(pupils, tasks, few, method, training=short, seeds=seeds)
        return clock() - began, learnt

    once, learnt = trained(1)
    if once < PATIENCE:  # the first call also warmed up
        once, learnt = trained(1)
        epoch = max(0.0, trained(3)[0] - once) / 2
    else:
        epoch = once
    began = clock()
    evaluate(learnt, some, method)
    looked = clock() - began
    data, pool = (sum(map(len, w.train)) for w in (world, few))
    share = data / pool
    look = sum(map(len, (*world.valid, *world.test))) / sum(map(len, (*some.valid, *some.test)))
    return (epoch * share, max(0.0, once - epoch) * _grown(method, share), looked * look), _bytes(learnt[0])


def _grown(method: "Method", share: float) -> float:
    """How much more a whole task takes than a few batches, after it is trained."""
    from nai.methods.base import overrides

    return share if overrides(method, "after_task") else 1.0


def _bytes(lesson: "Lesson") -> int:
    return sum(v.nbytes for part in (lesson.params, lesson.memory, lesson.optimizer) for v in part.values())
