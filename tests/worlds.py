"""Small benchmarks for tests of the core, their worlds, and lessons compared bit for bit."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from nai.evaluate import Accuracy, evaluate
from nai.learn import Lesson, World, begin, learn
from nai.methods import Method
from nai.methods.base import Context, no_rows
from nai.seeds import Seeds
from nai.tasks import Benchmark, Scenario, Task
from nai.training import Training
from nai.trial import Named, world_of

HELD_OUT = 8  # samples of each task in its validation split, and in its test split


def blobs(
    sizes: Sequence[int] = (60, 33, 90),
    *,
    features: tuple[int, ...] = (12,),
    classes: int = 2,
    scenario: Scenario = "task",
    seed: int = 0,
) -> Benchmark:
    """A benchmark of noisy class centres; sizes: training samples of each task."""
    chance = np.random.default_rng(seed)
    labels, tasks, at = [], [], 0
    for number, size in enumerate(sizes):
        outputs = range(classes) if scenario == "domain" else range(number * classes, (number + 1) * classes)
        count = size + 2 * HELD_OUT
        labels += [outputs[i % classes] for i in range(count)]
        parts = np.split(np.arange(at, at + count), [size, size + HELD_OUT])
        tasks.append(Task(f"task {number}", tuple(outputs), *parts))
        at += count
    centres = chance.normal(size=(max(labels) + 1, *features))
    inputs = (centres[labels] + chance.normal(size=(at, *features))).astype(np.float32)
    return Benchmark.of("blobs", scenario, tasks, inputs=inputs, labels=np.array(labels))


def world(benchmark: Benchmark | None = None, model: str = "mlp", **options: Any) -> World:
    """By default the blobs and an MLP of 12 and 8 units."""
    if model == "mlp" and "widths" not in options:
        options["widths"] = [12, 8]
    return world_of(benchmark or blobs(), Named.of(model, **options))


def taught(
    where: World,
    method: Method,
    order: Iterable[int],
    *,
    training: Training = Training(epochs=2),  # noqa: B008
    seeds: Seeds = Seeds(),  # noqa: B008
) -> Lesson:
    """The lesson after an order, one task at a time and alone."""
    lesson = begin(where, method, seeds)
    for task in order:
        (lesson,) = learn([lesson], [task], where, method, training=training, seeds=[seeds])
    return lesson


def marks(lesson: Lesson, where: World, method: Method) -> Accuracy:
    """Accuracies of one lesson."""
    return evaluate([lesson], where, method)[0]


def numbers(lesson: Lesson) -> dict[str, torch.Tensor]:
    """Every tensor of a lesson by its full name."""
    parts = ("params", "memory", "optimizer")
    return {f"{part}.{k}": v for part in parts for k, v in getattr(lesson, part).items()}


def differing(a: Lesson, b: Lesson) -> list[str]:
    """Names of the tensors that are not bit-equal."""
    mine, other = numbers(a), numbers(b)
    assert mine.keys() == other.keys()
    return [name for name, value in mine.items() if not torch.equal(value, other[name])]


def asked(where: World, depth: int, task: int) -> Context:
    """The context in which a lesson of that depth is asked about a task."""
    return Context(
        task=torch.tensor(task),
        depth=torch.tensor(depth),
        steps=torch.tensor(1),
        heads=where.heads,
        noise={},
        rows=no_rows((), where.device),
        epoch=0,
        epochs=1,
        step=0,
        rate=0.0,
        widest=where.widest,
        source=where.source,
        net=where.net,
    )
