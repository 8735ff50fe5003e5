"""From a data set to a benchmark: split by class, pixels permuted, images rotated, or in its own batches."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nai.sources import Source, by_class, generator, only, partition, share, standardised, thinned
from nai.tasks import Array, Benchmark, Indices, Scenario, Task, check_scenario


def split(
    source: Source,
    classes: int | Sequence[Sequence[int]] = 2,
    scenario: Scenario = "task",
    *,
    class_order: Sequence[int] | None = None,
    per_class: int | None = None,
    standardise: bool = False,
    valid: float = 0.2,
    seed: int = 0,
) -> Benchmark:
    """Groups of classes as tasks: `classes` each in class order, the last maybe smaller; or the groups given.

    `class_order` lists class numbers and changes the composition of the tasks; it is not the task order, in
    which they are learnt. Classes that it lacks are left out of the benchmark. A label is the class number
    (its rank where some are left out), but the place within its task in the domain scenario. `per_class`:
    samples of each class to learn from, see `thinned`. `standardise`: see `standardised`.
    """
    check_scenario(scenario)
    source = standardised(source, standardise)
    groups = _groups(source, classes, class_order)
    chosen = np.isin(source.labels, [c for group in groups for c in group])
    source = thinned(only(source, chosen), per_class, seed)
    owners, outputs = _class_tables(groups, scenario)
    return _benchmark(
        f"split_{source.name}",
        scenario,
        source._replace(labels=outputs[source.labels]),
        owners=owners[source.labels],
        parts=partition(source, valid, seed),
        names=[f"classes {_spans(group)}" for group in groups],
    )


def _spans(numbers: Sequence[int]) -> str:
    """Numbers in words, three or more in a row as a span: 0 1 5-9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(map(str, run)) for run in runs)


def permuted(
    source: Source,
    tasks: int = 10,
    scenario: Scenario = "domain",
    *,
    per_class: int | None = None,
    standardise: bool = False,
    valid: float = 0.2,
    seed: int = 0,
) -> Benchmark:
    """The same images, a fixed shuffling of pixels for each task, all channels alike; task 0 is not shuffled.

    `per_class`: see `thinned`. `standardise`: see `standardised`.
    Source: Goodfellow et al. 2013 (permuted MNIST).
    """
    source = thinned(standardised(source, standardise), per_class, seed)
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
    per_class: int | None = None,
    standardise: bool = False,
    valid: float = 0.2,
    seed: int = 0,
) -> Benchmark:
    """The same images, turned by a fixed angle for each task: `tasks` even steps over [0, 180), or `angles`.

    Degrees, anticlockwise. `per_class`: see `thinned`. `standardise`: see `standardised`.
    Source: Lopez-Paz and Ranzato 2017 (rotated MNIST; theirs are drawn at random).
    """
    source = thinned(standardised(source, standardise), per_class, seed)
    turns = [180 * task / tasks for task in range(tasks)] if angles is None else [float(a) for a in angles]
    names = [f"rotation {angle:g}" for angle in turns]
    images = (rotate(source.inputs, angle) for angle in turns)
    parts = partition(source, valid, seed)
    return _variants(f"rotated_{source.name}", scenario, source, names=names, images=images, parts=parts)


def stream(
    source: Source,
    scenario: Scenario = "class",
    *,
    standardise: bool = False,
    valid: float = 0.2,
    seed: int = 0,
) -> Benchmark:
    """The batches that a data set comes in as tasks, with the classes that each one holds.

    The test samples of a class are dealt out to its batches in turn, so all tasks together are tested on
    every test sample once. Validation is the share `valid` of each class in each batch, drawn by (seed,
    batch). A label is the rank of the class number in every scenario. `standardise`: see `standardised`.
    """
    check_scenario(scenario)
    source = standardised(source, standardise)
    if source.batches is None:
        raise ValueError(f"{source.name} comes in no batches of its own: take the benchmark split")
    if scenario == "task":
        raise ValueError(
            'scenario "task" would tell a batch of one class its class: take "class" or "domain"'
        )
    owners = _dealt(source, source.batches)
    parts = np.where(source.is_test, 2, 0).astype(np.int8)
    for batch in np.unique(source.batches[~source.is_test]).tolist():
        chance = generator(seed, "validation", batch)
        for members in by_class(source.labels, source.batches == batch):
            parts[chance.permutation(members)[: round(share(valid) * len(members))]] = 1
    labels = np.unique(source.labels, return_inverse=True)[1]
    names = [f"batch {batch}" for batch in range(1 + owners.max())]
    source = source._replace(labels=labels)
    return _benchmark(f"stream_{source.name}", scenario, source, owners=owners, parts=parts, names=names)


def nicv2(
    source: Source,
    scenario: Scenario = "class",
    *,
    first: int = 2,
    samples: int = 50,
    parts: int = 10,
    run: int = 0,
    standardise: bool = False,
    valid: float = 0.2,
    seed: int = 0,
) -> Benchmark:
    """Many small batches as tasks, as NICv2 of CORe50 has them: classes come one by one, and come back.

    Of each class `parts` batches of so many `samples` are drawn by `seed`. The first task has one of each of
    `first` classes, every later one is a batch of one class; which, and in which order, is drawn by `run`.
    Labels, test samples and validation as in `stream`.
    Source: Lomonaco, Maltoni, Pellegrini 2020 (NICv2); there a batch is one object in one session.
    """
    drawn = _drawn(source, samples, parts, seed)
    batches = _arrivals(drawn, first, generator(run, "nicv2", seed), len(source.labels))
    arrived = only(source._replace(batches=batches), source.is_test | (batches >= 0))
    return stream(arrived, scenario, standardise=standardise, valid=valid, seed=seed)


def permutation(features: tuple[int, ...], seed: int, task: int) -> Indices:
    """Where each pixel of a task comes from, [pixels]: the identity for task 0, else by (seed, task)."""
    pixels = math.prod(features[1:] if len(features) > 1 else features)
    return generator(seed, "permutation", task).permutation(pixels) if task else np.arange(pixels)


def permute(inputs: Array, pixels: Indices) -> Array:
    """Images [samples, channels, *space] or vectors [samples, pixels] with pixel i taken from `pixels[i]`."""
    channels = inputs.shape[1] if inputs.ndim > 2 else 1
    return inputs.reshape(len(inputs), channels, len(pixels))[:, :, pixels].reshape(inputs.shape)


def rotate(inputs: Array, degrees: float) -> Array:
    """Images [samples, channels, height, width] turned anticlockwise round the centre, 0 outside."""
    if inputs.ndim != 4 or inputs.dtype != np.uint8:
        form = f"{inputs.dtype} samples of shape {list(inputs.shape[1:])}"
        raise ValueError(f"{form} cannot be rotated: a rotation needs uint8 [channels, height, width]")
    if degrees % 360 == 0:
        return inputs
    parts = np.array_split(inputs, math.ceil(len(inputs) / 2048))
    return np.concatenate([_rotated(torch.from_numpy(part.copy()), degrees).numpy() for part in parts])


def _drawn(source: Source, samples: int, parts: int, seed: int) -> Indices:
    """The samples of every batch, [classes, parts, samples]."""
    if samples < 1 or parts < 1:
        raise ValueError(f"samples {samples} and parts {parts} must be at least 1")
    found = []
    for members in by_class(source.labels, ~source.is_test):
        if len(members) < samples * parts:
            number, many = source.labels[members[0]], f"{parts} parts of {samples} samples"
            raise ValueError(f"{many} are more than the {len(members)} that class {number} has to learn from")
        chance = generator(seed, "nicv2", int(source.labels[members[0]]))
        found.append(chance.permutation(members)[: samples * parts].reshape(parts, samples))
    return np.stack(found)


def _arrivals(drawn: Indices, first: int, chance: np.random.Generator, total: int) -> Indices:
    """In which batch each of all samples comes, [total]; -1 for those of none."""
    classes, parts, _ = drawn.shape
    if not 1 <= first <= classes:
        raise ValueError(f"first {first}, the classes of the first batch, must be from 1 to {classes}")
    begun = chance.permutation(classes)[:first]
    later = np.ones((classes, parts), bool)
    later[begun, 0] = False
    batches = np.full(total, -1, np.int64)
    batches[drawn[begun, 0]] = 0
    for batch, members in enumerate(chance.permutation(drawn[later]), 1):
        batches[members] = batch
    return batches


def _dealt(source: Source, batches: Indices) -> Indices:
    """Each sample's batch, [samples]; test samples go to the batches of their class in turn."""
    owners = batches.copy()
    for number in np.unique(source.labels[source.is_test]).tolist():
        tested = np.flatnonzero(source.is_test & (source.labels == number))
        homes = np.unique(batches[~source.is_test & (source.labels == number)])
        if not len(homes):
            raise ValueError(f"class {number} of {source.name} has test samples but is in no batch")
        owners[tested] = np.resize(homes, len(tested))
    return owners


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
    images: Iterable[Array],
    parts: NDArray[np.int8],
) -> Benchmark:
    """One task for each version of the same images; a sample is in the same split in every task."""
    check_scenario(scenario)
    tasks, samples = len(names), len(source.inputs)
    inputs = np.empty((tasks, *source.inputs.shape), source.inputs.dtype)
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
    # The channels of one large picture turn alike, which takes a quarter of the time of many pictures.
    planes = images.double().reshape(1, -1, height, width)
    grid = F.affine_grid(matrix[None], list(planes.shape), align_corners=False)
    values = F.grid_sample(planes, grid, align_corners=False).view(images.shape)
    # Doubles, and ties pushed upwards, so that every processor rounds to the same digest.
    return (values + 0.5 + 1e-6).floor().clamp(0, 255).byte()
