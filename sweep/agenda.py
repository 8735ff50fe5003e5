"""What is still to run: suggestions, then the report, minus all on record. Knows neither Ray nor torch."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nai.metrics import METRICS
from nai.orders import Order
from sweep.analysis import Asked, Goal, Ranked, ranking
from sweep.search import Suggester
from sweep.space import Space

Seed = tuple[int, int]
Settings = dict[str, Any]
Row = dict[str, Any]


class Run(NamedTuple):
    """One order with one pair of seeds (init, data)."""

    order: Order
    seeds: Seed


class Job(NamedTuple):
    """A bundle for one worker: runs of one setting that share their prefixes; workers that died on it."""

    settings: Settings
    runs: tuple[Run, ...]
    deaths: int = 0


class Identity(NamedTuple):
    """What names settings and runs: given by `nai.trial`, so that this room needs no torch."""

    suggestion: Callable[[Settings], str]
    fingerprint: Callable[[Settings, Run], str]


@dataclass(frozen=True)
class Standing:
    """How far the sweep is: runs on record, failed, and expected in all; the best suggestion so far."""

    done: int
    failed: int
    expected: int
    phase: str
    best: Ranked | None


class Agenda:
    """Hands out jobs and takes rows; the same rows lead to the same jobs, whenever and wherever they ran.

    slots: workers to keep busy. rows: those on record.
    """

    def __init__(self, space: Space, identity: Identity, rows: Iterable[Row], *, slots: int = 1) -> None:
        self.space, self.identity, self.slots = space, identity, slots
        tasks = space.tasks()
        self.search_runs = _crossed(space.search_orders(tasks), space.pairs)
        self.report_runs = _crossed(space.report_orders(tasks), space.report_pairs)
        self.goal = goal(space)
        self.rows: dict[str, Row] = {}
        self.wanted: set[str] = set()  # fingerprints of all runs that the sweep is known to consist of
        self.suggester = Suggester(
            space.parameters(),
            space.search,
            count=space.suggestions,
            direction=METRICS[space.objective.metric].direction,
        )
        self.open: dict[int, tuple[Settings, set[str]]] = {}  # suggestion to the fingerprints it waits for
        self.reported: set[str] | None = None  # fingerprints that the report waits for, once it is known
        self.whole: deque[Job] = deque()  # not yet cut into bundles: workers may join until then
        self.queue: deque[Job] = deque()
        self.baselines: list[str] = []
        self.searched: dict[str, Settings] = {}
        self.best: tuple[int, Ranked | None] = 0, None  # of so many complete suggestions
        self.put(rows)

    # ---------------------------------------------------------------- work out, rows in
    def next(self) -> Job | None:
        """The next job; None when there is none before running jobs have come back, or at all."""
        if not self.queue and self.waiting:
            whole = self.whole.popleft()
            parts = self.slots if self.reported is not None else self.slots // self.space.search.ahead
            self.queue.extend(Job(whole.settings, part) for part in bundles(whole.runs, max(1, parts)))
        return self.queue.popleft() if self.queue else None

    @property
    def waiting(self) -> bool:
        """There is work that could start now."""
        while not self.whole and not self.queue and self._prepare():
            pass
        return bool(self.whole or self.queue)

    @property
    def finished(self) -> bool:
        """Everything is on record."""
        return not self.waiting and self.reported is not None and not self.reported

    def put(self, rows: Iterable[Row]) -> None:
        """Rows that are on record now, those of failed runs too: they would fail again."""
        self.rows |= {row["fingerprint"]: row for row in rows}
        for number, (settings, waiting) in list(self.open.items()):
            if waiting <= self.rows.keys():
                del self.open[number]
                self.suggester.tell(number, self._value(settings))
        if self.reported:
            self.reported -= self.rows.keys()

    def left(self, job: Job) -> Job:
        """What of a job is not on record."""
        names = self._named(job.settings, job.runs)
        return job._replace(runs=tuple(run for name, run in names.items() if name not in self.rows))

    def give_up(self, job: Job) -> None:
        """Leave a job's missing runs for another time: nothing waits for them any longer."""
        lost = self._named(job.settings, job.runs).keys() - self.rows.keys()
        for number, (_, waiting) in list(self.open.items()):
            if waiting & lost:
                del self.open[number]
                self.suggester.tell(number, None)
        if self.reported:
            self.reported -= lost

    def standing(self) -> Standing:
        """Progress as of now."""
        # before the report, rows may be on record of suggestions that are still to be made
        known = list(self.rows.values()) if self.reported is None else self.relevant(self.rows.values())
        failed = sum(bool(row["error"]) for row in known)
        best = self._best()
        phase = "search" if self.reported is None else "report"
        return Standing(min(len(known), self.expected), failed, self.expected, phase, best)

    @property
    def expected(self) -> int:
        """Runs of the whole sweep: those known, and as many more as there will be if no two coincide."""
        left = (self.space.suggestions - len(self.suggester.asked)) * len(self.search_runs)
        if self.space.report and self.reported is None:
            arms = min(self.space.report.top, self.space.suggestions) + len(self.space.baselines())
            left += arms * len(self.report_runs)
        return len(self.wanted) + left

    def relevant(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of the runs that this sweep consists of; records may hold more, of a report since changed."""
        return [row for row in rows if row["fingerprint"] in self.wanted]

    def asked(self) -> Asked:
        """The sweep's question, for the analysis."""
        return Asked(
            sweep=self.space.name,
            search_orders=_orders(self.search_runs),
            search_seeds=self.space.pairs,
            report_orders=_orders(self.report_runs),
            report_seeds=self.space.report_pairs,
            expected=self.expected,
            suggestions=tuple(self.searched),
            baselines=self.baselines,
            top=self.space.report.top if self.space.report else 0,
            goal=self.goal,
        )

    # ---------------------------------------------------------------- the two phases
    def _prepare(self) -> bool:
        """Fill the queue from the next suggestion or from the report; False when there is nothing to add."""
        if self.suggester.ready:
            suggestion = self.suggester.ask()
            settings = self.space.settings(suggestion.values)
            self.searched[self.identity.suggestion(settings)] = settings
            self.open[suggestion.number] = (settings, self._start(settings, self.search_runs))
            self.put(())
            return True
        if self.suggester.finished and not self.open and self.reported is None:
            self._report()
            return True
        return False

    def _report(self) -> None:
        self.reported = set()
        for settings in self._reporting():
            self.reported |= self._start(settings, self.report_runs)

    def _reporting(self) -> list[Settings]:
        """The best suggestions, and the baselines with all else as the very best has it."""
        leaders = [r for r in self._ranking() if r.value is not None]
        if not leaders or not self.space.report:
            return []
        best = [self.searched[r.suggestion] for r in leaders[: self.space.report.top]]
        others = [best[0] | {"method": dict(b)} for b in self.space.baselines()]
        self.baselines = [self.identity.suggestion(s) for s in others]
        return best + others

    def _ranking(self) -> Sequence[Ranked]:
        rows = [row for row in self.rows.values() if row["suggestion"] in self.searched]
        return ranking(rows, _orders(self.search_runs), self.space.pairs, self.goal)

    def _best(self) -> Ranked | None:
        """The best suggestion so far; it can change only when another one is complete."""
        told = len(self.suggester.results)
        if self.best[0] != told:
            self.best = told, next((r for r in self._ranking() if r.value is not None), None)
        return self.best[1]

    def _value(self, settings: Settings) -> float | None:
        name = self.identity.suggestion(settings)
        rows = [row for row in self.rows.values() if row["suggestion"] == name]
        ranked = ranking(rows, _orders(self.search_runs), self.space.pairs, self.goal)
        return ranked[0].value if ranked else None

    def _named(self, settings: Settings, runs: Iterable[Run]) -> dict[str, Run]:
        return {self.identity.fingerprint(settings, run): run for run in runs}

    def _start(self, settings: Settings, runs: Sequence[Run]) -> set[str]:
        """Make a job of what is neither on record nor under way; gives the fingerprints to wait for."""
        named = self._named(settings, runs)
        self.wanted |= named.keys()
        missing = named.keys() - self.rows.keys()
        under_way = set(self.reported or ()).union(*(waiting for _, waiting in self.open.values()))
        todo = tuple(run for name, run in named.items() if name in missing - under_way)
        if todo:
            self.whole.append(Job(settings, todo))
        return missing


def bundles(runs: Sequence[Run], parts: int) -> list[tuple[Run, ...]]:
    """Runs in at most so many parts of even size, neighbours in the order tree together."""
    ordered = sorted(runs, key=lambda run: (run.seeds, run.order))
    parts = min(parts, len(ordered))
    cuts = [len(ordered) * i // parts for i in range(parts + 1)] if parts else []
    return [tuple(ordered[a:b]) for a, b in itertools.pairwise(cuts)]


def goal(space: Space) -> Goal:
    """The objective as the analysis takes it."""
    one = space.objective
    options = {k: float(v) for k, v in (("share", one.share), ("weight", one.weight)) if v is not None}
    return Goal(one.metric, one.aggregate, options)


def _crossed(orders: Sequence[Order], pairs: Sequence[Seed]) -> tuple[Run, ...]:
    return tuple(Run(order, pair) for pair in pairs for order in orders)


def _orders(runs: Sequence[Run]) -> tuple[Order, ...]:
    return tuple(dict.fromkeys(run.order for run in runs))
