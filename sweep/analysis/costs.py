"""What the runs cost, and what of them failed, by cause."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sweep.analysis.arms import Arm, Order, Row, failed
from sweep.analysis.stages import Stage

NO_NUMBER = "accuracy is no number"


@dataclass(frozen=True)
class Cost:
    """What the runs of an arm took: seconds of training, shared prefixes and stacks shared out to their runs.

    `devices` and `width` (lessons of the widest stack) say where.
    """

    suggestion: str
    label: str
    method: str
    runs: int
    missing: int
    failed: int
    seconds: float
    seconds_a_run: float | None
    width: int
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """Failed runs of an arm with one cause, and the first of them by order and seeds."""

    suggestion: str
    label: str
    cause: str
    failed: int
    asked: int
    missing: int
    order: Order
    seed_init: int
    seed_data: int
    error: str


def costs(stage: Stage) -> tuple[Cost, ...]:
    """Time and place of the runs of each arm, failed ones included."""
    return tuple(_cost(arm, stage) for arm in stage.arms)


def failures(stage: Stage) -> tuple[Failure, ...]:
    """Failed runs by arm and cause: too many of one kind make every other figure of the arm doubtful."""
    return tuple(line for arm in stage.arms for line in _failures(arm, stage))


def cause(row: Row) -> str:
    """The kind of a failure, without what differs from run to run."""
    return NO_NUMBER if row["error"] is None else str(row["error"]).partition(":")[0].strip()


def _asked(arm: Arm, stage: Stage) -> list[Row | None]:
    return [arm.cells.get((order, seed)) for order in stage.asked_of(arm) for seed in stage.seeds]


def _cost(arm: Arm, stage: Stage) -> Cost:
    asked = _asked(arm, stage)
    rows = [row for row in asked if row is not None]
    seconds = float(sum(row["seconds"] for row in rows))
    return Cost(
        arm.suggestion,
        arm.label,
        arm.method,
        len(rows),
        len(asked) - len(rows),
        sum(failed(row, stage.split) for row in rows),
        seconds,
        seconds / len(rows) if rows else None,
        max((row["width"] for row in rows), default=0),
        tuple(sorted({row["device"] for row in rows})),
    )


def _failures(arm: Arm, stage: Stage) -> Iterator[Failure]:
    asked = _asked(arm, stage)
    broken: dict[str, list[Row]] = defaultdict(list)
    for row in asked:
        if row is not None and failed(row, stage.split):
            broken[cause(row)].append(row)
    for kind, rows in sorted(broken.items(), key=lambda item: (-len(item[1]), item[0])):
        first = min(rows, key=lambda row: (tuple(row["order"]), row["seed_init"], row["seed_data"]))
        yield Failure(
            arm.suggestion,
            arm.label,
            kind,
            len(rows),
            len(asked),
            sum(row is None for row in asked),
            tuple(first["order"]),
            first["seed_init"],
            first["seed_data"],
            str(first["error"] or NO_NUMBER),
        )
