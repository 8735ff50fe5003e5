"""What replay in the head is worth on a device: one stream with it and without, in bytes and accuracy."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from nai.edge import Head, LatentBuffer, Rates, Stream, Trainee

UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "KIB": 1024, "MIB": 1024**2}


@dataclass(frozen=True)
class Wanted:
    """A device: its stream, its head, and the bytes of its buffer.

    stream: options of the benchmark, `run` excepted. export: a folder for programs; None: none are made.
    """

    stream: dict[str, Any]
    budget: int
    store: str = "float32"
    rule: str = "share"
    hidden: int = 0
    epochs: int = 4
    batch: int = 32
    rate: float = 0.003
    momentum: float = 0.9
    runs: int = 3
    export: Path | None = None
    backend: str = "xnnpack"


class Line(NamedTuple):
    """One pass through one stream."""

    run: int
    trained_by: str  # torch, or the exported program
    buffer_bytes: int
    slots: int
    experiences: int
    steps: int
    steps_per_second: float
    accuracy: float  # of all test samples after the last experience
    losses: tuple[float, ...]


class Found(NamedTuple):
    """All passes, and what was exported."""

    lines: tuple[Line, ...]
    head_bytes: int  # of its weights
    programs: dict[str, int]  # file to bytes
    loss_gap: float | None  # the largest difference of a step's loss between the program and torch


def measured(wanted: Wanted) -> Iterator[Line | Found]:
    """Every pass as it ends, then all together; the exported head learns the first run with replay.

    ValueError for settings that cannot be, FileNotFoundError for data or weights that are not there,
    ImportError, before anything is trained, where programs are wanted and ExecuTorch is missing.
    """
    from nai.datasets import benchmark
    from nai.edge import Head, Rates, Stream, TorchHead, check_executorch

    if wanted.export:
        check_executorch()
    rates, lines = Rates(wanted.rate, wanted.momentum), []
    for run in range(wanted.runs):
        stream = Stream.of(benchmark(**wanted.stream, run=run))
        for budget in dict.fromkeys((0, wanted.budget)):
            head = Head(stream.inputs.shape[1], stream.outputs, wanted.hidden, seed=run)
            trainee = TorchHead(head, wanted.batch, rates)
            lines.append(_passed(wanted, run, stream, trainee, budget=budget))
            yield lines[-1]
        if not run and wanted.export:
            lines.append(_by_program(wanted, stream, rates))
            yield lines[-1]
    programs = {path.name: path.stat().st_size for path in sorted((wanted.export or Path()).glob("*.pte"))}
    yield Found(tuple(lines), _bytes(head), programs if wanted.export else {}, _gap(lines))


def gains(lines: tuple[Line, ...]) -> list[float]:
    """Accuracy with replay less that without, of each run."""
    plain = [line for line in lines if line.trained_by == "torch"]
    without = {line.run: line.accuracy for line in plain if not line.slots}
    return [line.accuracy - without[line.run] for line in plain if line.slots]


def interval(values: list[float]) -> tuple[float, float | None]:
    """Mean, and the half-width of its 95 % interval over runs; None with fewer than two."""
    import numpy as np

    from sweep.analysis.intervals import seeds_half_width

    return statistics.fmean(values), seeds_half_width(np.asarray(values))


def size(text: str) -> int:
    """Bytes of a text such as 600KB, 64KiB or 4000."""
    number = text.strip().rstrip("BKMIbkmi")
    unit = text.strip()[len(number) :].upper() or "B"
    if not number.isdigit() or unit not in UNITS:
        raise ValueError(f"{text!r} is no number of bytes: write 64KiB, 600KB or 2MB")
    return int(number) * UNITS[unit]


def _by_program(wanted: Wanted, stream: "Stream", rates: "Rates") -> Line:
    """Export backbone and head, and let the head's program learn the first run."""
    from nai.datasets import frozen_of, load, options_of, through
    from nai.edge import ExportedHead, Head, export_backbone, export_head

    assert wanted.export is not None
    options = {**wanted.stream}
    frozen, dataset, root = frozen_of(options), options["dataset"], options.get("root")
    source = load(dataset, root, **{k: v for k, v in options.items() if k in options_of(dataset)})
    if frozen is not None:
        seen = through(source, frozen, root).module
        export_backbone(seen, source.inputs.shape[1:], wanted.export / "backbone.pte", wanted.backend)
    head = Head(stream.inputs.shape[1], stream.outputs, wanted.hidden, seed=0)
    program = export_head(head, wanted.batch, wanted.export / "head.pte")
    return _passed(wanted, 0, stream, ExportedHead(program, rates), budget=wanted.budget)


def _passed(wanted: Wanted, run: int, stream: "Stream", trainee: "Trainee", *, budget: int) -> Line:
    from nai.edge import Course, TorchHead, accuracy, learn

    buffer = _buffer(wanted, stream, budget)
    begun = time.perf_counter()
    losses = [
        loss
        for experience in learn(stream, trainee, buffer, Course(wanted.epochs, run))
        for loss in experience.losses
    ]
    seconds = time.perf_counter() - begun
    return Line(
        run,
        "torch" if isinstance(trainee, TorchHead) else "program",
        buffer.nbytes,
        buffer.capacity,
        len(stream.experiences),
        len(losses),
        len(losses) / seconds,
        accuracy(trainee, stream),
        tuple(losses),
    )


def _buffer(wanted: Wanted, stream: "Stream", budget: int) -> "LatentBuffer":
    from nai.edge import LatentBuffer

    return LatentBuffer(budget, stream.inputs.shape[1], stream.outputs, wanted.store, wanted.rule)


def _bytes(head: "Head") -> int:
    return sum(value.nbytes for value in head.parameters())


def _gap(lines: list[Line]) -> float | None:
    """The largest difference between the losses of the program and of torch, on the same run."""
    pairs = {line.trained_by: line.losses for line in lines if not line.run and line.slots}
    if "program" not in pairs:
        return None
    return max(abs(a - b) for a, b in zip(pairs["torch"], pairs["program"], strict=True))
