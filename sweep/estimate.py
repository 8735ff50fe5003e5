"""What a sweep would do and roughly cost, without running it: counts are exact, time and memory measured."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.counts import Arm, Phase, confirmed, held, phase, searched, stacks
from sweep.jobs import Run, Settings
from sweep.ledger import shelf_bytes
from sweep.measure import Measured, measured
from sweep.space import Choice, Range, Space, read

Stage = Callable[[str], None]
DOUBT = (0.7, 2.0)
"""What a measurement of moments is worth: the other work of a machine comes and goes."""
START = (5.0, 15.0)
"""Seconds to load data, start Ray and write the report, from least to most."""


@dataclass(frozen=True)
class Cost:
    """Seconds of the whole sweep on so many workers, from least to most, and one worker's peak of memory.

    memory: bytes of the whole process, interpreter and PyTorch included, on the host.
    """

    workers: int
    low: float
    high: float
    memory: int
    assumes: str


@dataclass(frozen=True)
class Plan:
    """What a space asks for: `cost` is None, with the reason in `unknown`, where it could not be measured."""

    name: str
    tasks: int
    factors: tuple[tuple[str, str], ...]
    search: Phase
    confirm: Phase | None
    cost: Cost | None
    unknown: str

    @property
    def runs(self) -> int:
        """Runs of the search and of the confirmation, at most."""
        return self.search.runs + (self.confirm.runs if self.confirm else 0)

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        phases = {
            k: p._asdict() if p else None for k, p in (("search", self.search), ("confirm", self.confirm))
        }
        return dataclasses.asdict(self) | phases | {"factors": dict(self.factors), "runs": self.runs}


Measure = Callable[[Settings, Space], Measured]


def plan(
    space: Space | str | Path,
    *,
    workers: int | None = None,
    measure: Measure | None = None,
    stage: Stage = lambda text: None,
) -> Plan:
    """What a space asks for, and what it would cost on so many workers, else those of the space or machine.

    Nothing is run or written, but data sets are fetched as a sweep would. Errors: `sweep.space.Mistakes`.
    """
    space = space if isinstance(space, Space) else read(space)
    stage("counting")
    search, confirm = searched(space), confirmed(space)
    phases = phase(search), phase(confirm) if space.confirm else None
    stage("loading data and timing a few steps")
    workers = workers or space.resources.workers or local_workers(space.resources.cpus)
    cost, unknown = _cost(space, (search, confirm), workers, measure or measured)
    return Plan(space.name, space.tasks(), factors(space), *phases, cost, unknown)


def factors(space: Space) -> tuple[tuple[str, str], ...]:
    """What is searched, in words: setting and values, of each method if there are several."""
    names = [one.name for one in space.methods]
    found = [(name, *one) for name in names for one in space.parameters(name).items()]
    return tuple((f"{name}: {key}" if len(names) > 1 else key, _values(p)) for name, key, p in found)


def local_workers(cpus: float) -> int:
    """Workers of so many CPUs that this machine has room for."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(here / cpus)) if cpus else here


def _values(setting: Choice | Range) -> str:
    if isinstance(setting, Choice):
        return ", ".join(_value(v) for v in setting.choices)
    kind = " (log)" if setting.log else f" in steps of {setting.step:g}" if setting.step else ""
    return f"{setting.low:g} to {setting.high:g}{kind}"


def _value(value: Any) -> str:
    return "[" + ", ".join(map(_value, value)) + "]" if isinstance(value, tuple) else str(value)


# ------------------------------------------------------------------ cost
def _cost(
    space: Space, stages: Sequence[Sequence[Arm]], workers: int, measure: Measure
) -> tuple[Cost | None, str]:
    """Time and memory, or why they are not known."""
    arms = [one for some in stages for one in some]
    try:
        known = {_name(one.settings): measure(one.settings, space) for one in arms}
    except (OSError, ImportError, RuntimeError, ValueError) as error:
        return None, " ".join(str(error).split())
    if not arms:
        return None, "there is nothing to run"
    spans = [_span(space, some, workers, known) for some in stages if some]
    least, most = (sum(ends) for ends in zip(*spans, strict=True))
    memory = max(_memory(one, known[_name(one.settings)], space) for one in arms)
    low, high = DOUBT[0] * least + START[0], DOUBT[1] * most + START[1]
    return Cost(workers, low, high, memory, _assumes(space, list(known.values()))), ""


def _name(settings: Mapping[str, Any]) -> str:
    return repr(settings["method"])


def _span(
    space: Space, arms: Sequence[Arm], workers: int, known: Mapping[str, Measured]
) -> tuple[float, float]:
    """Seconds of a stage: if all but the best settings end at their first rung, and if none does."""
    together = sum(min(one.alike, space.search.ahead) for one in arms)
    parts = max(1, workers // together)  # a cut through several settings leaves their stacks as wide
    busy = min(workers, sum(one.alike * min(parts, len(one.rungs[-1])) for one in arms))
    tries = _attempts(space)

    def seconds(one: Arm, rung: int) -> float:
        mine = known[_name(one.settings)]
        return sum(_seconds(one.settings, part, mine) for part in _parted(one.rungs[rung], parts))

    def shared(one: Arm) -> float:
        """What the first tasks take that settings after the first one need not train."""
        first = tuple({Run(run.order[:1], run.seeds) for run in one.rungs[0]})
        return _seconds(one.settings, first, known[_name(one.settings)]) if one.kin else 0.0

    ends = []
    for rung in (0, -1):
        total = sum(
            seconds(one, -1) + (one.alike - 1) * max(0.0, seconds(one, rung) - shared(one)) for one in arms
        )
        ends.append(tries * total / busy)
    return ends[0], ends[1]


def _parted(runs: Sequence[Run], parts: int) -> list[list[Run]]:
    """Runs in at most so many parts of even size, neighbours in the order tree together."""
    ordered = sorted(runs, key=lambda run: (run.seeds, run.order))
    size = -(-len(ordered) // parts)
    return [ordered[at : at + size] for at in range(0, len(ordered), size or 1)]


def _attempts(space: Space) -> float:
    """How often each task is trained, about: more than once where settings are chosen on the way."""
    search = space.search
    if search.protocol != "continual":
        return 1.0
    return len(search.rates or ()) + (1 + (search.attempts or 1)) / 2


def _seconds(settings: Settings, runs: Sequence[Run], known: Measured) -> float:
    """Seconds of one setting's runs on one worker."""
    times, epochs = known.times, known.epochs
    alone, more = (epochs * times.epoch[i] + times.task[i] + times.evaluation[i] for i in (0, 1))
    return sum(alone + (lessons - 1) * more for _, lessons in stacks(settings, runs, known.width))


def _memory(arm: Arm, known: Measured, space: Space) -> int:
    """Bytes at the peak of a worker: while it converts the data, or while a stack is at work.

    Held are a stack's lessons for each level of the tree, and once more as the stack that trains them.
    """
    size = known.sizes
    lessons, widest = held(arm.settings, arm.rungs[-1], known.width)
    later = space.tasks() + (len(arm.rungs) > 1) * len(arm.rungs[0]) * space.search.ahead
    kept = min(shelf_bytes(space.resources), later * size.lesson)
    work = size.data + (lessons + widest) * size.lesson + kept + widest * size.work
    return size.process + size.arrays + max(size.loading, work)


def _assumes(space: Space, known: Sequence[Measured]) -> str:
    widths = sorted({m.width for m in known})
    notes = [
        f"stacks of {' and '.join(map(str, widths))}, timed on this machine as it is now",
        "the first value of what is searched stands for all",
    ]
    if space.confirm and space.confirm.until:
        notes.append("no more orders are drawn to confirm")
    return "; ".join(notes)
