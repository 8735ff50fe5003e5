"""Images in five tasks of two classes, for our side and for a side that knows no nai."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nai import datasets
from nai.tasks import Benchmark, Task
from nai.trial import Named, world_of

Arrays = dict[str, np.ndarray[Any, Any]]
TASKS = 5


def mnist(folder: str, thin: int) -> Arrays:
    """Every `thin`-th sample of MNIST, training and test."""
    source = datasets.load("mnist", folder)
    inputs, out = source.inputs.reshape(len(source.inputs), -1), Arrays()
    for half, chosen in (("train", ~source.is_test), ("test", source.is_test)):
        rows = np.flatnonzero(chosen)[::thin]
        out[f"{half}_inputs"] = inputs[rows].astype(np.float32) / 255
        out[f"{half}_labels"] = source.labels[rows]
    return out


def made_up(thin: int) -> Arrays:
    """As many made-up ones: 16 blobs a class, centres in one plane of 6 dimensions, so tasks interfere."""
    chance, out = np.random.default_rng(0), Arrays()
    centres = (chance.standard_normal((10, 16, 6)) @ chance.standard_normal((6, 784))).astype(np.float32)
    for half, count in (("train", 60_000 // thin), ("test", 10_000 // thin)):
        labels = np.arange(count) % 10
        noise = chance.standard_normal((count, 784), dtype=np.float32)
        out[f"{half}_inputs"] = (centres[labels, chance.integers(0, 16, count)] + noise) / 4
        out[f"{half}_labels"] = labels
    return out


def benchmark_of(data: Arrays) -> Benchmark:
    """The data for us. A task must have validation data: two training samples, which others train on too."""
    inputs, labels = (np.concatenate([data[f"train_{k}"], data[f"test_{k}"]]) for k in ("inputs", "labels"))
    is_test, tasks = np.arange(len(labels)) >= len(data["train_labels"]), []
    for task in range(TASKS):
        train, test = (np.flatnonzero((labels // 2 == task) & half) for half in (~is_test, is_test))
        tasks.append(Task(f"task {task}", (2 * task, 2 * task + 1), train[:-2], train[-2:], test))
    return Benchmark.of("images", "task", tasks, inputs=inputs, labels=labels)


def arrays_of(benchmark: Benchmark) -> Arrays:
    """A benchmark's training and test data, as the network reads them."""
    world, out = world_of(benchmark, Named.of("mlp")), Arrays()
    for half, parts in (("train", world.train), ("test", world.test)):
        rows = torch.cat(parts)
        out[f"{half}_inputs"] = world.source.inputs[rows].flatten(1).numpy()
        out[f"{half}_labels"] = world.source.labels[rows].numpy()
    return out


def saved(file: Path, data: Arrays) -> Path:
    """A file that another process reads."""
    np.savez(file, **data)
    return file
