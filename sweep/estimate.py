"""What a sweep would do and roughly cost, without running it: counts are exact, time and memory measured."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nai.orders import Order
from sweep.agenda import Run, Settings, bundles
from sweep.measure import Measured, measured
from sweep.space import Choice, Range, Space, read

Stage = Callable[[str], None]
DOUBT = (0.7, 2.0)
"""What a measurement of moments is worth: the other work of a machine comes and goes."""
START = (5.0, 15.0)
"""Seconds to load data, start Ray and write the report, from least to most."""


class Phase(NamedTuple):
    """The search or the report: settings, orders and seeds each, runs and task trainings in all."""

    settings: int
    orders: int
    seeds: int
    runs: int
    trainings: int
    separate: int
    """Task trainings that the same runs would take one by one, without the order tree."""


@dataclass(frozen=True)
class Cost:
    """Seconds of the whole sweep on so many workers, from least to most, and bytes that one worker holds."""

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
    report: Phase | None
    cost: Cost | None
    unknown: str

    @property
    def runs(self) -> int:
        """Runs of the search and of the report."""
        return self.search.runs + (self.report.runs if self.report else 0)

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        phases = {
            k: p._asdict() if p else None for k, p in (("search", self.search), ("report", self.report))
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
    """What a space asks for, and what it would cost on so many workers, by default those of this machine.

    Nothing is run or written, but data sets are fetched as a sweep would. Errors: `sweep.space.Mistakes`.
    """
    space = space if isinstance(space, Space) else read(space)
    stage("counting")
    tasks, arms = space.tasks(), _arms(space)
    phases = [_phase(some, runs) for some, runs in arms]
    stage("loading data and timing a few steps")
    workers = workers or local_workers(space.resources.cpus)
    cost, unknown = _cost(space, arms, workers, measure or measured)
    return Plan(
        space.name, tasks, factors(space), phases[0], phases[1] if space.report else None, cost, unknown
    )


def factors(space: Space) -> tuple[tuple[str, str], ...]:
    """What is searched, in words: setting and values."""
    return tuple((name, _values(p)) for name, p in space.parameters().items())


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


# ------------------------------------------------------------------ counts
Arm = tuple[list[Settings], list[Run]]


def _arms(space: Space) -> list[Arm]:
    """Settings and runs of the search, then of the report; the best suggestions stand as the first of all."""
    tasks = space.tasks()
    first = space.first()
    best = [first] * (min(space.report.top, space.suggestions) if space.report else 0)
    baselines = [first | {"method": dict(b)} for b in space.baselines()]
    search = _crossed(space.search_orders(tasks), space.pairs)
    report = _crossed(space.report_orders(tasks), space.report_pairs)
    return [([first] * space.suggestions, search), (best + baselines, report)]


def _crossed(orders: Sequence[Order], pairs: Sequence[tuple[int, int]]) -> list[Run]:
    return [Run(order, pair) for pair in pairs for order in orders]


def _phase(some: Sequence[Settings], runs: Sequence[Run]) -> Phase:
    return Phase(
        len(some),
        len({run.order for run in runs}),
        len({run.seeds for run in runs}),
        len(some) * len(runs),
        sum(trainings(settings, runs) for settings in some),
        len(some) * sum(len(run.order) for run in runs),
    )


def trainings(settings: Settings, runs: Sequence[Run]) -> int:
    """Task trainings of these runs with their shared beginnings trained once."""
    from nai import tree
    from nai.trial import method_of

    method = method_of(settings["method"])
    return tree.trainings([_seeded(run, method) for run in runs])


def stacks(settings: Settings, runs: Sequence[Run], width: int) -> Iterator[int]:
    """Lessons of each stack that one worker trains for these runs, in the order of `nai.tree.grow`."""
    from nai import tree
    from nai.trial import method_of

    method = method_of(settings["method"])
    nodes = tree.plan([_seeded(run, method) for run in runs])
    seen: set[Any] = set()
    open_ = [_cut([key for key in nodes if not key.done], width)]
    while open_:
        if not open_[-1]:
            open_.pop()
            continue
        some = open_[-1].pop(0)
        todo = list(dict.fromkeys(c for key in some for c in nodes[key].children if c not in seen))
        seen.update(todo)
        chunks = _cut(todo, width)
        yield from map(len, chunks)
        open_.append(chunks)


def _cut(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def _seeded(run: Run, method: Any) -> Any:
    from nai import tree
    from nai.seeds import Seeds

    return tree.Run(method, Seeds(*run.seeds), run.order)


# ------------------------------------------------------------------ cost
def _cost(space: Space, arms: Sequence[Arm], workers: int, measure: Measure) -> tuple[Cost | None, str]:
    """Time and memory, or why they are not known."""
    try:
        known = {_name(s): measure(s, space) for some, _ in arms for s in some}
    except (OSError, ImportError, RuntimeError, ValueError) as error:
        return None, " ".join(str(error).split())
    ahead = space.search.ahead
    parts = (max(1, workers // ahead), workers)  # as the agenda cuts jobs
    at_once = (min(workers, ahead * parts[0]), workers)
    seconds = sum(
        sum(_seconds(s, runs, part, known[_name(s)]) for s in some)
        / min(limit, max(1, len(some) * min(part, len(runs))))
        for (some, runs), part, limit in zip(arms, parts, at_once, strict=True)
    )
    memory = max(_memory(m, space.tasks()) for m in known.values())
    low, high = (doubt * seconds + start for doubt, start in zip(DOUBT, START, strict=True))
    return Cost(workers, low, high, memory, _assumes(known.values())), ""


def _name(settings: Mapping[str, Any]) -> str:
    return repr(settings["method"])


def _seconds(settings: Settings, runs: Sequence[Run], parts: int, known: Measured) -> float:
    """Seconds of one setting's runs, all workers together."""
    times, epochs = known.times, known.epochs
    total = 0.0
    for part in bundles(runs, parts):
        for lessons in stacks(settings, part, known.width):
            alone, more = (epochs * times.epoch[i] + times.task[i] + times.evaluation[i] for i in (0, 1))
            total += alone + (lessons - 1) * more
    return total


def _memory(known: Measured, tasks: int) -> int:
    """Bytes: data as read and on the device, a stack for each level of the tree, and the one at work."""
    return 2 * known.data + known.lesson * known.width * (tasks + 3)


def _assumes(known: Sequence[Measured] | Any) -> str:
    widths = sorted({m.width for m in known})
    return (
        f"stacks of {' and '.join(map(str, widths))}, timed on this machine as it is now; "
        "the first value of what is searched stands for all"
    )
