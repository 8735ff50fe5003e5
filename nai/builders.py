"""From a data set to a benchmark: its classes split into tasks, its pixels permuted, its images rotated."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nai.tasks import Array, Benchmark, Indices, Scenario, Task, check_scenario

Images = NDArray[np.uint8]


class Source(NamedTuple):
    """A data set as it came: `inputs * scale + shift` is what a network reads."""

    name: str
    inputs: Images  # [samples, *features], images [samples, channels, height, width]
    labels: Indices  # [samples], class number
    is_test: NDArray[np.bool_]  # [samples]
    scale: NDArray[np.float32] | None = None  # broadcasts over [*features]
    shift: NDArray[np.float32] | None = None


def split(
    source: Source,
    classes: int | Sequence[Sequence[int]] = 2,
    scenario: Scenario = "task",
    *,
    class_order: Sequence[int] | None = None,
    valid: float = 0.2,
    seed: int = 0,
) -> Benchmark:
    """Groups of classes as tasks: `classes` each in class order, the last maybe smaller; or the groups given.

    `class_order` lists class numbers and changes the composition of the tasks; it is not the task order, in
    which they are learnt. Classes that it lacks are left out of the benchmark. A label is the class number
    (its rank where some are left out), but the place within its task in the domain scenario.
    """
    check_scenario(scenario)
    groups = _groups(source, classes, class_order)
    source = _only(source, [c for group in groups for c in group])
    owners, outputs = _class_tables(groups, scenario)
    return _benchmark(
        f"split_{source.name}",
        scenario,
        source._replace(labels=outputs[source.labels]),
        owners=owners[source.labels],
        parts=partition(source, valid, seed),
        names=["classes " + " ".join(map(str, group)) for group in groups],
    )


def permuted(
    source: Source, tasks: int = 10, scenario: Scenario = "domain", *, valid: float = 0.2, seed: int = 0
) -> Benchmark:
    """The same images, a fixed shuffling of pixels for each task, all channels alike; task 0 is not shuffled.

    Source: Goodfellow et al. 2013 (permuted MNIST).
    """
    names = ["unpermuted", *(f"permutation {task}" for task in range(1, tasks))][:tasks]
    sources = (permutation(source.inputs.shape[1:], seed, task) for task in range(tasks))
    images = (permute(source.inputs, pixels) for pixels in sources)
    parts = partition(source, valid, seed)
    return _variants(f"permuted_{source.name}", scenario, source, names=names, images=images, parts=parts)


def rotated(
    source: Source,
    tasks: int = 10,
    scenario: Scenario = "domain",
    *,
    angles: Sequence[float] | None = None,
    valid: float = 0.2,
    seed: int = 0,
) -> Benchmark:
    """The same images, turned by a fixed angle for each task: `tasks` even steps over [0, 180), or `angles`.

    Degrees, anticlockwise. Source: Lopez-Paz and Ranzato 2017 (rotated MNIST; theirs are drawn at random).
    """
    turns = [180 * task / tasks for task in range(tasks)] if angles is None else [float(a) for a in angles]
    names = [f"rotation {angle:g}" for angle in turns]
    images = (rotate(source.inputs, angle) for angle in turns)
    parts = partition(source, valid, seed)
    return _variants(f"rotated_{source.name}", scenario, source, names=names, images=images, parts=parts)


def permutation(features: tuple[int, ...], seed: int, task: int) -> Indices:
    """Where each pixel of a task comes from, [pixels]: the identity for task 0, else by (seed, task)."""
    pixels = math.prod(features[1:] if len(features) > 1 else features)
    return _chance(seed, "permutation", task).permutation(pixels) if task else np.arange(pixels)


def permute(inputs: Images, pixels: Indices) -> Images:
    """Images [samples, channels, *space] or vectors [samples, pixels] with pixel i taken from `pixels[i]`."""
    channels = inputs.shape[1] if inputs.ndim > 2 else 1
    return inputs.reshape(len(inputs), channels, len(pixels))[:, :, pixels].reshape(inputs.shape)


def rotate(inputs: Images, degrees: float) -> Images:
    """Images [samples, channels, height, width] turned anticlockwise round the centre, 0 outside."""
    if inputs.ndim != 4:
        form = f"samples of shape {list(inputs.shape[1:])}"
        raise ValueError(f"{form} cannot be rotated: a rotation needs [channels, height, width]")
    if degrees % 360 == 0:
        return inputs
    parts = np.array_split(inputs, math.ceil(len(inputs) / 2048))
    return np.concatenate([_rotated(torch.from_numpy(part.copy()), degrees).numpy() for part in parts])


def partition(source: Source, valid: float, seed: int) -> NDArray[np.int8]:
    """Each sample's split, [samples]: 0 training, 1 validation, 2 test.

    Validation takes the share `valid` of each class's training samples, drawn by (seed, class): how classes
    are grouped into tasks does not change it.
    """
    if not 0 < valid < 1:
        raise ValueError(
            f"valid is {valid}, but the share for validation must lie between 0 and 1, such as 0.2"
        )
    parts = np.where(source.is_test, 2, 0).astype(np.int8)
    for number in np.unique(source.labels).tolist():
        members = np.flatnonzero((source.labels == number) & ~source.is_test)
        shuffled = _chance(seed, "validation", number).permutation(members)
        parts[shuffled[: round(valid * len(members))]] = 1
    return parts


def _chance(seed: int, purpose: str, number: int) -> np.random.Generator:
    # PCG64 by name: a new default of numpy must not change a benchmark.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number, *purpose.encode()])))


def _groups(
    source: Source, classes: int | Sequence[Sequence[int]], class_order: Sequence[int] | None
) -> list[list[int]]:
    """The class numbers of each task."""
    known = np.unique(source.labels).tolist()
    if not isinstance(classes, int):
        if class_order is not None:
            raise ValueError(
                "classes lists the groups already, which leaves class_order no say: drop one of them"
            )
        groups = [[int(c) for c in group] for group in classes]
    elif classes < 1:
        raise ValueError(f"classes is {classes}, but a task needs at least one class")
    else:
        order = known if class_order is None else [int(c) for c in class_order]
        groups = [order[start : start + classes] for start in range(0, len(order), classes)]
    chosen = [c for group in groups for c in group]
    if not all(groups) or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise ValueError(f"classes {groups} must be different ones of those in {source.name}: {known}")
    return groups


def _only(source: Source, classes: Sequence[int]) -> Source:
    kept = np.isin(source.labels, classes)
    if kept.all():
        return source
    return source._replace(
        inputs=source.inputs[kept], labels=source.labels[kept], is_test=source.is_test[kept]
    )


def _class_tables(groups: Sequence[Sequence[int]], scenario: Scenario) -> tuple[Indices, Indices]:
    """For each class number its task and its output, two arrays [classes]; -1 for classes of no task."""
    owners = np.full(1 + max(c for group in groups for c in group), -1, np.int64)
    outputs = owners.copy()
    for number, group in enumerate(groups):
        owners[group] = number
        outputs[group] = np.arange(len(group))
    if scenario != "domain":
        used = np.flatnonzero(owners >= 0)
        outputs[used] = np.arange(len(used))
    return owners, outputs


def _variants(
    name: str,
    scenario: Scenario,
    source: Source,
    *,
    names: Sequence[str],
    images: Iterable[Images],
    parts: NDArray[np.int8],
) -> Benchmark:
    """One task for each version of the same images; a sample is in the same split in every task."""
    check_scenario(scenario)
    tasks, samples = len(names), len(source.inputs)
    inputs = np.empty((tasks, *source.inputs.shape), np.uint8)
    for number, version in enumerate(images):
        inputs[number] = version
    owners = np.repeat(np.arange(tasks), samples)
    labels = np.tile(source.labels, tasks)
    if scenario != "domain":
        labels += owners * (1 + source.labels.max())
    source = source._replace(inputs=inputs.reshape(-1, *source.inputs.shape[1:]), labels=labels)
    return _benchmark(name, scenario, source, owners=owners, parts=np.tile(parts, tasks), names=names)


def _benchmark(
    name: str, scenario: Scenario, source: Source, *, owners: Indices, parts: Array, names: Sequence[str]
) -> Benchmark:
    """A benchmark of samples whose labels are outputs already, from each sample's task and split."""
    tasks = []
    for number, title in enumerate(names):
        classes = tuple(np.unique(source.labels[owners == number]).tolist())
        splits = (np.flatnonzero((owners == number) & (parts == part)) for part in range(3))
        tasks.append(Task(title, classes, *splits))
    return Benchmark.of(
        name,
        scenario,
        tasks,
        inputs=source.inputs,
        labels=source.labels,
        scale=source.scale,
        shift=source.shift,
    )


def _rotated(images: Tensor, degrees: float) -> Tensor:
    height, width = images.shape[2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # Output to input, in units of half the image (x, y); y points down.
    matrix = torch.tensor(
        [[cos, -sin * height / width, 0], [sin * width / height, cos, 0]], dtype=torch.float64
    )
    grid = F.affine_grid(matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    values = F.grid_sample(images.double(), grid, align_corners=False)
    # Doubles, and ties pushed upwards, so that every processor rounds to the same digest.
    return (values + 0.5 + 1e-6).floor().clamp(0, 255).byte()
