"""Samples, tasks and benchmarks: what is learnt, in values that never change.

A benchmark holds every sample once; tasks are index arrays into it. Which samples and classes make up a task
is the benchmark's composition; in which order the tasks are learnt is the task order of `nai.orders`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Scenario = Literal["task", "class", "domain"]
Indices = NDArray[np.int64]
Array = NDArray[Any]
SPLITS = ("training", "validation", "test")
FLOAT_BYTES = 2**30  # inputs stay uint8 on the device when their float form is larger than this


class Samples(NamedTuple):
    """Every sample of a benchmark once, on the device, shared by all lessons.

    uint8 inputs stand for `inputs * scale + shift`; float32 inputs are what the network reads, with neither.
    """

    inputs: Tensor  # [samples, *features] uint8 or float32
    labels: Tensor  # [samples] int64, output index
    tasks: Tensor  # [samples] int64, home task
    scale: Tensor | None  # broadcasts over [*features]
    shift: Tensor | None
    black: Tensor | None = None  # what the byte 0 is read as, broadcasts over [*features]; None: 0
    white: Tensor | None = None  # what the byte 255 is read as; None: black + 1


class Batch(NamedTuple):
    """Samples ready for the network."""

    inputs: Tensor  # [batch, *features] float32
    labels: Tensor  # [batch] int64
    weights: Tensor  # [batch] 1 / live samples, 0 for padding
    tasks: Tensor  # [batch] int64, whose head each sample has


class Rows(NamedTuple):
    """Samples named by index, with a weight each; padding has weight 0."""

    indices: Tensor  # [rows] or [replicas, rows] int64
    weights: Tensor  # of the same shape, float32


class Task(NamedTuple):
    """One task: the output indices of its classes, and index arrays into the benchmark's samples."""

    name: str
    classes: tuple[int, ...]
    train: Indices
    valid: Indices
    test: Indices

    @property
    def splits(self) -> tuple[Indices, Indices, Indices]:
        """Training, validation and test, as in `SPLITS`."""
        return self.train, self.valid, self.test


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A list of tasks over one set of samples; make it with `Benchmark.of`, which checks it.

    `digest` is the SHA-256 of all that can change a result: arrays, scenario and tasks, but no names.
    """

    name: str
    scenario: Scenario
    inputs: Array  # [samples, *features] uint8 or float32, read-only
    labels: Indices  # [samples] output index
    owners: Indices  # [samples] home task
    scale: NDArray[np.float32] | None
    shift: NDArray[np.float32] | None
    tasks: tuple[Task, ...]
    outputs: int
    digest: str

    @classmethod
    def of(
        cls,
        name: str,
        scenario: Scenario,
        tasks: Iterable[Task],
        *,
        inputs: Array,
        labels: Array,
        scale: Array | None = None,
        shift: Array | None = None,
    ) -> Self:
        """Check samples and tasks, and seal them under their digest.

        ValueError: an empty split, a sample in no split or in two, a label outside its task's classes, ...
        """
        check_scenario(scenario)
        tasks = tuple(_sealed_task(task) for task in tasks)
        labels = np.asarray(labels, np.int64)
        scale, shift = (None if a is None else _sealed(np.asarray(a, np.float32)) for a in (scale, shift))
        _check_inputs(name, inputs, labels)
        _check_scale(name, inputs, (scale, shift))
        owners = _owners(name, len(inputs), tasks)
        _check_labels(name, labels, tasks)
        arrays = {"inputs": inputs, "labels": labels, "scale": scale, "shift": shift}
        return cls(
            name=name,
            scenario=scenario,
            inputs=_sealed(inputs),
            labels=_sealed(labels),
            owners=_sealed(owners),
            scale=scale,
            shift=shift,
            tasks=tasks,
            outputs=1 + max(c for task in tasks for c in task.classes),
            digest=_digest(scenario, tasks, arrays),
        )

    @property
    def features(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.inputs.shape[1:]

    @property
    def heads(self) -> Tensor:
        """The outputs of each task's classes, [tasks, outputs] bool."""
        heads = torch.zeros(len(self.tasks), self.outputs, dtype=torch.bool)
        for row, task in zip(heads, self.tasks, strict=True):
            row[list(task.classes)] = True
        return heads

    def samples(self, device: torch.device | str = "cpu", *, float_bytes: int = FLOAT_BYTES) -> Samples:
        """Copy the samples to a device, as float32 if that takes at most `float_bytes`, else as they are."""
        inputs, labels, owners = (_tensor(array, device) for array in (self.inputs, self.labels, self.owners))
        scale = None if self.scale is None else _tensor(self.scale, device)
        shift = None if self.shift is None else _tensor(self.shift, device)
        black, white = shift, _white(inputs, scale, shift)
        if inputs.dtype == torch.uint8 and 4 * inputs.numel() <= float_bytes:
            inputs, scale, shift = _scaled(inputs, scale, shift), None, None
        return Samples(inputs, labels, owners, scale, shift, black, white)


def gather(samples: Samples, rows: Rows) -> Batch:
    """The samples that rows name, ready for the network; also for a stack, and under `torch.func.vmap`."""
    # An embedding is the look-up that is fast under vmap too: 3 to 15 times faster than indexing, same bits.
    flat = F.embedding(rows.indices, samples.inputs.flatten(1))
    inputs = flat.unflatten(-1, samples.inputs.shape[1:])
    if not inputs.is_floating_point():
        inputs = _scaled(inputs, samples.scale, samples.shift)
    return Batch(inputs, samples.labels[rows.indices], rows.weights, samples.tasks[rows.indices])


def check_scenario(scenario: str) -> None:
    """ValueError unless it is one of the three scenarios."""
    if scenario not in get_args(Scenario):
        raise ValueError(f"scenario {scenario!r} is not known: choose one of {', '.join(get_args(Scenario))}")


def similarity(benchmark: Benchmark, most: int = 1000) -> NDArray[np.float64]:
    """How alike tasks look, [tasks, tasks], -1..1: cosine of their mean training inputs, the common mean off.

    most: training samples of a task that are looked at, evenly spread. A task that looks like the mean of all
    is like none: 0.
    """
    some = (task.train[:: -(-len(task.train) // most)] for task in benchmark.tasks)
    means = np.stack([benchmark.inputs[rows].mean(0, dtype=np.float64).ravel() for rows in some])
    means -= means.mean(0)
    sizes = np.linalg.norm(means, axis=1)
    return np.asarray(means @ means.T / np.maximum(np.outer(sizes, sizes), 1e-12))


def _scaled(inputs: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    # Element by element, so a sample has the same bits whether it is converted once or with every batch.
    values = inputs.float()
    values = values if scale is None else values * scale
    return values if shift is None else values + shift


def _white(inputs: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor | None:
    if inputs.is_floating_point():
        return None
    return _scaled(inputs.new_full((1,), 255), scale, shift)


def _tensor(array: Array, device: torch.device | str) -> Tensor:
    # A copy: memory maps and Ray's object store hand out read-only arrays, which a tensor must not alias.
    return torch.from_numpy(np.array(array)).to(device)


def _sealed(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _sealed_task(task: Task) -> Task:
    splits = (_sealed(np.asarray(part, np.int64)) for part in task.splits)
    return Task(task.name, tuple(int(c) for c in task.classes), *splits)


def _check_inputs(name: str, inputs: Array, labels: Indices) -> None:
    if inputs.dtype not in (np.uint8, np.float32) or inputs.ndim < 2:
        form = f"{inputs.dtype} of shape {list(inputs.shape)}"
        raise ValueError(f"inputs of {name} are {form}, but must be uint8 or float32 [samples, *features]")
    if labels.shape != inputs.shape[:1]:
        form = f"shape {list(labels.shape)}"
        raise ValueError(
            f"labels of {name} have {form}, but there must be one for each of {len(inputs)} samples"
        )
    if inputs.dtype == np.float32 and not np.isfinite(inputs).all():
        raise ValueError(f"inputs of {name} hold numbers that are not finite: clean or drop those samples")


def _check_scale(name: str, inputs: Array, constants: Iterable[Array | None]) -> None:
    for constant in constants:
        if constant is None:
            continue
        if inputs.dtype != np.uint8:
            raise ValueError(
                f"{name} has a scale or shift for float inputs, but only uint8 ones are scaled later"
            )
        if not np.isfinite(constant).all():
            raise ValueError(f"{name} has a scale or shift that is not finite: {constant.ravel().tolist()}")
        try:
            np.broadcast_to(constant, inputs.shape[1:])
        except ValueError:
            form = f"{list(constant.shape)} does not broadcast over features {list(inputs.shape[1:])}"
            raise ValueError(
                f"a scale or shift of {name} of shape {form}: use [channels, 1, 1] or [1]"
            ) from None


def _owners(name: str, samples: int, tasks: Sequence[Task]) -> Indices:
    """Each sample's home task, [samples]; every sample must be in exactly one split of one task."""
    if not tasks:
        raise ValueError(f"{name} has no tasks, but a benchmark needs at least one")
    owners = np.full(samples, -1, np.int64)
    for number, task in enumerate(tasks):
        for part, indices in zip(SPLITS, task.splits, strict=True):
            which = f"task {number} of {name} has"
            if not len(indices):
                raise ValueError(
                    f"{which} no {part} samples: give it some, make tasks larger or change `valid`"
                )
            if indices.min() < 0 or indices.max() >= samples:
                raise ValueError(f"{which} {part} indices outside the {samples} samples: count from 0")
            if len(np.unique(indices)) < len(indices) or (owners[indices] >= 0).any():
                raise ValueError(f"{which} {part} samples named twice: each belongs in one split of one task")
            owners[indices] = number
    if (owners < 0).any():
        raise ValueError(f"sample {owners.argmin()} of {name} is in no task: leave it out of the inputs")
    return owners


def _check_labels(name: str, labels: Indices, tasks: Sequence[Task]) -> None:
    for number, task in enumerate(tasks):
        which = f"task {number} of {name}"
        if not task.classes or min(task.classes) < 0 or len(set(task.classes)) < len(task.classes):
            raise ValueError(
                f"{which} has classes {task.classes}, but they must be different outputs from 0 on"
            )
        found = np.unique(np.concatenate([labels[part] for part in task.splits])).tolist()
        if strangers := sorted(set(found) - set(task.classes)):
            raise ValueError(
                f"{which} has samples of label {strangers[0]}, but its classes are {task.classes}"
            )


def _digest(scenario: str, tasks: Sequence[Task], arrays: Mapping[str, Array | None]) -> str:
    total = hashlib.sha256(f"nai benchmark 1 {scenario} {len(tasks)}".encode())
    splits = {
        f"{number} {task.classes} {part}": array
        for number, task in enumerate(tasks)
        for part, array in zip(SPLITS, task.splits, strict=True)
    }
    for key, array in {**arrays, **splits}.items():
        total.update(f"|{key} {None if array is None else (array.dtype.str, array.shape)}|".encode())
        if array is not None:
            total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()
