"""A moment of training on this machine: what a sweep's estimate of time and memory is worked out from."""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sweep.environment import importable
from sweep.jobs import Settings
from sweep.space import Space

if TYPE_CHECKING:
    from nai.learn import Lesson, World
    from nai.methods import Method
    from nai.tasks import Benchmark
    from nai.training import Training

Clock = Callable[[], float]
BATCHES = 3
"""Batches of each task that the measured lessons train on; a whole task is worked out from these."""
SAMPLES = 256
"""Samples of each task that the measured evaluation looks at."""
WORKER = "import sweep.worker, sweep.bundle{more}; from sweep.measure import peak; print(peak())"
"""What a worker imports; the first gradient under `torch.func` brings in PyTorch's compiler as well."""
COMPILER = "torch._dynamo"
PATIENCE = 2.0
"""Seconds that a first, cold measurement may take; one that takes longer is not repeated."""


class Times(NamedTuple):
    """Seconds on this machine, each [for one lesson, for every further one in its stack]."""

    epoch: tuple[float, float]
    task: tuple[float, float]
    """What comes once a task, however long it trains, such as importances."""
    evaluation: tuple[float, float]


class Sizes(NamedTuple):
    """Bytes that a worker holds on the host."""

    process: int
    """Interpreter, PyTorch and Ray."""
    arrays: int
    """The benchmark as it came, which workers share but each counts."""
    data: int
    """The benchmark as a network reads it."""
    loading: int
    """What making that takes for a moment, itself included."""
    lesson: int
    """A lesson with its memory and moments."""
    work: int
    """Beside it, for one lesson of a stack: a step, its importances or its evaluation, whatever is most."""


class Measured(NamedTuple):
    """What a moment of training on this machine tells of one method."""

    times: Times
    sizes: Sizes
    width: int
    """Lessons of a full stack."""
    epochs: float
    """Passes over each task, on average."""


def measured(settings: Settings, space: Space, *, clock: Clock = time.perf_counter) -> Measured:
    """Times a few steps of one lesson and of a full stack, and weighs a lesson.

    Errors: OSError or ImportError where the data are missing, RuntimeError where the device is.
    """
    from nai import footprint
    from nai.training import Training
    from nai.trial import Named, load, method_of, world_of
    from sweep import bundle

    wanted = space.resources
    bundle.prepare(wanted.cpus)
    benchmark = load(Named.of(**settings["benchmark"]))
    world = world_of(benchmark, Named.of(**settings["model"]), wanted.place)
    method, training = method_of(settings["method"]), Training(**settings["training"])
    width = footprint.width(
        world.net,
        world.device,
        None if wanted.stack == "auto" else int(wanted.stack),
        features=benchmark.features,
        batch=training.batch,
        own=lambda: footprint.held(world.net, method, world.heads),
    )
    alone, lesson = _timed(world, method, training, lessons=1, clock=clock)
    full = _timed(world, method, training, lessons=width, clock=clock)[0] if width > 1 else alone
    times = Times(*((a, max(0.0, f - a) / max(1, width - 1)) for a, f in zip(alone, full, strict=True)))
    process = process_bytes(COMPILER in sys.modules)
    work = work_bytes(world, method, training.batch)
    card = world.device.type != "cpu"
    sizes = sizes_of(world, benchmark, process=process, lesson=lesson, work=work, card=card)
    tasks = len(world.train)
    passes = sum(training.after(depth).epochs for depth in range(tasks)) / tasks
    return Measured(times, sizes, width, passes)


def sizes_of(
    world: "World", benchmark: "Benchmark", *, process: int, lesson: int, work: int, card: bool
) -> Sizes:
    """What a worker holds of these; with a card the lessons and the data are there."""
    arrays = benchmark.inputs.nbytes
    data = sum(v.nbytes for v in world.source if v is not None)
    if card:  # lessons and data are on the card, but come from here
        return Sizes(process, arrays, 0, arrays, 0, 0)
    # a copy of the arrays, and one of their float form before and after each step of scaling them
    steps = sum(v is not None for v in (benchmark.scale, benchmark.shift))
    loading = arrays + (1 + steps) * data if world.source.inputs.is_floating_point() else data
    return Sizes(process, arrays, data, loading, lesson, work)


def work_bytes(world: "World", method: "Method", batch: int) -> int:
    """Bytes that one lesson of a stack takes at most, beside itself."""
    from nai import footprint
    from nai.evaluate import CHUNK
    from nai.methods.base import overrides

    net, features = world.net, world.source.inputs.shape[1:]
    rows = min(CHUNK, max(len(v) + len(t) for v, t in zip(world.valid, world.test, strict=True)))
    importances = footprint.importances(net, features) if overrides(method, "after_task") else 0
    own = footprint.held(net, method, world.heads)
    step, look = footprint.step(net, features, batch, own), footprint.evaluation(net, features, rows)
    return max(step, importances, look)


@lru_cache(maxsize=2)
def process_bytes(compiler: bool) -> int:
    """Memory of a worker that has not begun: interpreter, Ray, PyTorch, perhaps with its compiler."""
    code = WORKER.format(more=f", {COMPILER}" if compiler else "")
    with importable():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"a worker does not start: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout)


def peak() -> int:
    """The most memory in bytes that this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # what the other way gives may be of the process that started this one
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


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
        same = dataclasses.replace(training, warm_epochs=0, first_epochs=None)
        short = dataclasses.replace(same, epochs=epochs, steps=training.steps and BATCHES)
        learnt = learn(pupils, tasks, few, method, training=short, seeds=seeds)
        return clock() - began, learnt

    least = method.least_epochs
    once, learnt = trained(least)
    if once < PATIENCE:  # the first call also warmed up
        once, learnt = trained(least)
        epoch = max(0.0, trained(least + 2)[0] - once) / 2
    else:
        epoch = once / least
    began = clock()
    evaluate(learnt, some, method)
    looked = clock() - began
    data, pool = (sum(map(len, w.train)) for w in (world, few))
    share = data / pool
    longer = training.steps / BATCHES if training.steps else share
    look = sum(map(len, (*world.valid, *world.test))) / sum(map(len, (*some.valid, *some.test)))
    times = epoch * longer, max(0.0, once - least * epoch) * _grown(method, share), looked * look
    return times, lesson_bytes(learnt[0])


def _grown(method: "Method", share: float) -> float:
    """How much more a whole task takes than a few batches, after it is trained."""
    from nai.methods.base import overrides

    return share if overrides(method, "after_task") else 1.0


def lesson_bytes(lesson: "Lesson") -> int:
    """Bytes of a lesson with its memory and moments."""
    return sum(v.nbytes for part in (lesson.params, lesson.memory, lesson.optimizer) for v in part.values())
