"""Tasks, sample shape and outputs of a benchmark, known without its data."""

import inspect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.space.names import Options, known

if TYPE_CHECKING:
    from nai.sources import Outline

MOST_TASKS = 1000
STAND_IN = 500  # blank training samples a class
DATASETS: dict[str, tuple[int, tuple[int, ...]]] = {
    "digits": (10, (1, 8, 8)),
    "mnist": (10, (1, 28, 28)),
    "fashion_mnist": (10, (1, 28, 28)),
    "cifar10": (10, (3, 32, 32)),
    "cifar100": (100, (3, 32, 32)),
    "cifar10_100": (110, (3, 32, 32)),
    "tiny_imagenet": (200, (3, 64, 64)),
}
"""Classes, and the shape of a sample [channels, height, width]: a space is checked without its data."""


class Shape(NamedTuple):
    """What a benchmark says of itself."""

    tasks: int
    features: tuple[int, ...]  # of one sample
    outputs: int
    scenario: str
    heads: Any = None  # the outputs of each task's classes, a tensor [tasks, outputs] bool


UNSEEN = Shape(5, (3, 32, 32), 10, "")
"""What a model is checked with when the benchmark is wrong."""


def shape(name: str, options: Options) -> Shape:
    """Tasks, sample shape and outputs of a benchmark, its own data set replaced by a small blank one.

    ValueError or TypeError for options that it refuses, FileNotFoundError where a user's own folder or file
    is not there. Whatever `module:attribute` makes is made.
    """
    from nai.datasets import benchmark

    if ":" in name:
        made = benchmark(name, **options)
        return Shape(len(made.tasks), made.features, made.outputs, made.scenario, made.heads)
    own = dict(options)
    outlined = _outlined(own, _asked(name, own))
    if isinstance(own.get("tasks"), int) and not 1 <= own["tasks"] <= MOST_TASKS:
        raise ValueError(f"tasks {own['tasks']} must be from 1 to {MOST_TASKS}")
    if own.get("seed", 0) < 0:
        raise ValueError(f"seed {own['seed']} must be at least 0")
    classes = len(set(outlined.source.labels.tolist()))
    order = own.get("class_order") or ()
    if len(set(order)) < len(order) or not set(order) <= set(range(classes)):
        raise ValueError(
            f"class_order {order} must be different ones of the classes 0..{classes - 1} of "
            f"{outlined.source.name}"
        )
    made = known("benchmark")[name](outlined.source, **own)
    return Shape(len(made.tasks), outlined.features, made.outputs, made.scenario, made.heads)


def _asked(name: str, own: Options) -> int:
    """How many samples of each class a benchmark is made of, where its options say so."""
    takes = inspect.signature(known("benchmark")[name]).parameters
    counts = [own.get(key, takes[key].default) for key in ("samples", "parts") if key in takes]
    return math.prod(counts) if counts else 0


def _outlined(own: Options, least: int) -> "Outline":
    """The outline of the data set that options ask for, which lose what data sets and backbones read."""
    from nai.backbones import width_of
    from nai.datasets import frozen_of

    frozen, found = frozen_of(own), _of_data(own, least)
    return found if frozen is None else found._replace(features=(width_of(frozen, found.features),))


def _of_data(own: Options, least: int) -> "Outline":
    from nai.datasets import OUTLINES, looked_at, options_of

    dataset, root = own.pop("dataset"), own.pop("root", None)
    if dataset not in (*DATASETS, *OUTLINES) and ":" not in dataset:
        raise ValueError(f"dataset {dataset!r} is unknown: known are {', '.join((*DATASETS, *OUTLINES))}")
    mine = options_of(dataset)
    read = {key for one in (*OUTLINES, dataset) for key in options_of(one)}
    given = {key: own.pop(key) for key in read & set(own)}  # others' are told as settings that are not read
    if dataset in DATASETS:
        return _blank(dataset, *DATASETS[dataset], max(STAND_IN, least))
    return looked_at(dataset, root, **{key: value for key, value in given.items() if key in mine})


def _blank(dataset: str, classes: int, features: tuple[int, ...], each: int) -> "Outline":
    import numpy as np

    from nai.sources import outline

    labels = np.repeat(np.arange(classes), 2 * each)
    is_test = np.arange(len(labels)) % (2 * each) >= each
    return outline(dataset, labels, is_test, features)
