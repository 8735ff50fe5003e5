"""Data sets as they came, and which of their samples are learnt from, kept for validation, or tested on."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nai.tasks import Array, Indices


class Source(NamedTuple):
    """A data set as it came: `inputs * scale + shift` is what a network reads."""

    name: str
    inputs: Array  # [samples, *features] uint8 or float32, images [samples, channels, height, width]
    labels: Indices  # [samples], class number
    is_test: NDArray[np.bool_]  # [samples]
    scale: NDArray[np.float32] | None = None  # broadcasts over [*features]
    shift: NDArray[np.float32] | None = None
    batches: Indices | None = None  # [samples], in which batch each one comes; -1 for test samples


class Outline(NamedTuple):
    """What a data set says of itself before its samples are read."""

    source: Source  # the right labels and splits, with blank samples in place of its own
    features: tuple[int, ...]  # of one sample


def outline(
    name: str,
    labels: Indices,
    is_test: NDArray[np.bool_],
    features: tuple[int, ...],
    batches: Indices | None = None,
) -> Outline:
    """An outline with blank samples of 1 x 2 x 2."""
    blank = np.zeros((len(labels), 1, 2, 2), np.uint8)
    return Outline(Source(name, blank, labels, is_test, batches=batches), features)


def quarter(labels: Indices) -> NDArray[np.bool_]:
    """A fixed quarter of each class, [samples]: the test set of data that come without one."""
    chance = np.random.Generator(np.random.PCG64(0))
    chosen = np.zeros(len(labels), bool)
    for members in by_class(labels, np.ones(len(labels), bool)):
        chosen[chance.permutation(members)[: len(members) // 4]] = True
    return chosen


def thinned(source: Source, per_class: int | None, seed: int) -> Source:
    """The data set with so many samples of each class to learn from, and all of those to be tested on.

    Validation takes its share of the former. A smaller number's are among a larger one's, drawn by
    (seed, class). None: all there are.
    """
    if per_class is None:
        return source
    if not isinstance(per_class, int) or per_class < 2:
        raise ValueError(f"per_class {per_class} must be a whole number of at least 2; left out, it is all")
    kept = source.is_test.copy()
    for number in np.unique(source.labels).tolist():
        members = np.flatnonzero((source.labels == number) & ~source.is_test)
        kept[generator(seed, "thinned", number).permutation(members)[:per_class]] = True
    return only(source, kept)


def standardised(source: Source, wanted: bool = True) -> Source:
    """The data set read with mean 0 and standard deviation 1 in each channel, in place of its own scale.

    Over all samples to learn from; of vectors, over all features together. A constant channel is read as 0.
    Not wanted: as it came.
    """
    if not wanted:
        return source
    axes = source.inputs.ndim - 1
    parts = np.array_split(np.flatnonzero(~source.is_test), 64)  # doubles of all at once would take 8 times
    sums = sum(_moments(source.inputs[part], channels=axes > 1) for part in parts)
    count, total, squares = np.asarray(sums)
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
    scale = 1 / np.where(spread > 0, spread, 1)
    form = (-1, *[1] * (axes - 1))
    return source._replace(
        scale=scale.astype(np.float32).reshape(form), shift=(-mean * scale).astype(np.float32).reshape(form)
    )


def partition(source: Source, valid: float, seed: int) -> NDArray[np.int8]:
    """Each sample's split, [samples]: 0 training, 1 validation, 2 test.

    Validation takes the share `valid` of each class's training samples, drawn by (seed, class): how classes
    are grouped into tasks does not change it.
    """
    parts = np.where(source.is_test, 2, 0).astype(np.int8)
    for number in np.unique(source.labels).tolist():
        members = np.flatnonzero((source.labels == number) & ~source.is_test)
        shuffled = generator(seed, "validation", number).permutation(members)
        parts[shuffled[: round(share(valid) * len(members))]] = 1
    return parts


def only(source: Source, kept: NDArray[np.bool_]) -> Source:
    """The samples that are kept."""
    if kept.all():
        return source
    return source._replace(
        inputs=source.inputs[kept],
        labels=source.labels[kept],
        is_test=source.is_test[kept],
        batches=None if source.batches is None else source.batches[kept],
    )


def by_class(labels: Indices, chosen: NDArray[np.bool_]) -> Iterator[Indices]:
    """The chosen samples of each class, the smallest class number first."""
    for number in np.unique(labels[chosen]).tolist():
        yield np.flatnonzero(chosen & (labels == number))


def generator(seed: int, purpose: str, number: int) -> np.random.Generator:
    """Chance of its own for each purpose and number."""
    # PCG64 by name: a new default of numpy must not change a benchmark.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number, *purpose.encode()])))


def share(valid: float) -> float:
    """The share for validation; ValueError unless it lies between 0 and 1."""
    if not 0 < valid < 1:
        raise ValueError(
            f"valid is {valid}, but the share for validation must lie between 0 and 1, such as 0.2"
        )
    return valid


def _moments(inputs: Array, *, channels: bool) -> NDArray[np.float64]:
    """Count, sum and sum of squares of each channel's values, [3, channels]; exact for whole numbers."""
    values = inputs.astype(np.float64)
    values = values.swapaxes(0, 1).reshape(inputs.shape[1], -1) if channels else values.reshape(1, -1)
    return np.stack([np.full(len(values), values.shape[1]), values.sum(1), (values**2).sum(1)])
