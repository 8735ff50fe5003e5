"""What a table of another tool says: lines of single accuracies, gathered into runs and checked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.analysis.arms import Order, Seed
from sweep.foreign_values import fault, number, order, plain, seeds, text, whole
from sweep.record_foreign import Line, columns_and_lines

NEEDED = ("method", "order", "step", "task", "accuracy")
KNOWN = (
    *NEEDED,
    "seed",
    "seed_init",
    "seed_data",
    "split",
    "error",
    "seconds",
    "benchmark",
    "scenario",
    "model",
    "device",
)
SETTING = "setting."
UNSAID = {"benchmark": "imported", "scenario": "unknown", "model": "unknown", "device": "unknown"}
"""What a run is said to be of where its file does not say."""
Key = tuple[Any, ...]


@dataclass
class Told:
    """A run of another tool: where it begins in its file, what it is, and its matrices [tasks + 1, tasks]."""

    where: str
    method: str
    settings: Mapping[str, Any]
    order: Order
    seeds: Seed
    benchmark: str
    scenario: str
    model: str
    device: str
    seconds: float = 0.0
    error: str | None = None
    valid: list[list[float]] | None = None
    test: list[list[float]] | None = None
    cells: dict[tuple[str, int, int], float] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The run as people name it."""
        order = " ".join(map(str, self.order))
        return f"the run of {self.method} in order {order} with seeds {self.seeds[0]} {self.seeds[1]}"


def runs(path: Path) -> list[Told]:
    """The runs of a file laid out as docs/import.md says; ValueError names file, line and column."""
    columns, lines = columns_and_lines(path)
    _check_columns(path, columns)
    if not lines:
        raise ValueError(f"{path}: no lines below the columns: there is nothing to import")
    found: dict[Key, Told] = {}
    for line in lines:
        told = _run(line)
        key = (
            told.method,
            tuple(sorted(told.settings.items(), key=str)),
            told.order,
            told.seeds,
            told.benchmark,
            told.model,
        )
        _take(line, found.setdefault(key, told))
    tasks = 1 + max(task for told in found.values() for task in told.order)
    for told in found.values():
        _check_tasks(told, tasks)
    for told in found.values():
        _finish(told, tasks)
    return list(found.values())


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if lacking := [name for name in NEEDED if name not in columns]:
        raise ValueError(
            f"{path}: column {lacking[0]} is missing: the columns needed are {', '.join(NEEDED)}, and seed"
        )
    if "seed" not in columns and not {"seed_init", "seed_data"} <= set(columns):
        raise ValueError(f"{path}: column seed is missing: give it, or seed_init and seed_data")
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise ValueError(f"{path}: column {twice[0]} is there twice: rename or drop one")
    for name in columns:
        if name not in KNOWN and not name.startswith(SETTING):
            raise ValueError(
                f"{path}: column {name} is unknown: drop it, or name it {SETTING}{name} if it is a setting"
            )


# ------------------------------------------------------------------ a line
def _run(line: Line) -> Told:
    """The run that a line is of, without its accuracies."""
    settings = {
        name.removeprefix(SETTING): plain(value)
        for name, value in line.values.items()
        if name.startswith(SETTING) and value is not None
    }
    names: dict[str, Any] = {name: text(line, name) or unsaid for name, unsaid in UNSAID.items()}
    method = text(line, "method")
    if not method:
        raise fault(line, "method", "empty: name the method")
    return Told(line.where, method, settings, order(line), seeds(line), **names)


def _take(line: Line, told: Told) -> None:
    """Take an accuracy, an error or the seconds of a line into its run."""
    if (error := text(line, "error")) is not None:
        told.error = error
    if line.values.get("seconds") is not None:
        told.seconds = max(told.seconds, number(line, "seconds", high=math.inf))
    if line.values.get("accuracy") is None:
        if told.error is None:
            raise fault(line, "accuracy", "empty: give it, or say what failed in column error")
        return
    split = text(line, "split") or "test"
    if split not in ("valid", "test"):
        raise fault(line, "split", f"{split!r} is neither test nor valid")
    step, task = whole(line, "step"), whole(line, "task")
    if step > len(told.order):
        raise fault(line, "step", f"{step} is more than the {len(told.order)} tasks of the order")
    if (split, step, task) in told.cells:
        rule = f"{task} after step {step} is there twice for this run: drop one, or tell runs apart by seed"
        raise fault(line, "task", f"{rule} or {SETTING}NAME")
    told.cells[split, step, task] = number(line, "accuracy", high=1.0)


def _check_tasks(told: Told, tasks: int) -> None:
    """ValueError unless a run is of all tasks of the file, or of one alone."""
    if len(told.order) not in (1, tasks):
        named = f"{told.order} names {len(told.order)} of the {tasks} tasks of the file"
        raise ValueError(f"{told.where}, column order: {named}: name all, or one for a task learnt alone")
    if odd := [task for _, _, task in told.cells if task >= tasks]:
        raise ValueError(
            f"{told.where}, column task: {odd[0]} is in no order of the file: tasks are numbered from 0"
        )


def _finish(told: Told, tasks: int) -> None:
    """Put the accuracies of a run into matrices; every task learnt must be there from then on."""
    for split in () if told.error else ("valid", "test"):
        if any(cell[0] == split for cell in told.cells):
            setattr(told, split, _matrix(told, split, tasks))
    if told.error is None and told.test is None and told.valid is None:
        raise ValueError(
            f"{told.where}: the run has no accuracy: give them, or say what failed in column error"
        )


def _matrix(told: Told, split: str, tasks: int) -> list[list[float]]:
    """Accuracies [steps + 1, tasks]; nan for tasks that were not measured before they were learnt."""
    for position, task in enumerate(told.order):
        for step in range(position + 1, len(told.order) + 1):
            if (split, step, task) not in told.cells:
                lacks = f"{told.words} lacks the {split} accuracy of task {task} after step {step}"
                raise ValueError(f"{told.where}: {lacks}: give it, or say what failed in column error")
    return [
        [told.cells.get((split, step, task), math.nan) for task in range(tasks)]
        for step in range(len(told.order) + 1)
    ]
