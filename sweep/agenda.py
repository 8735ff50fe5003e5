"""What is still to run: search, confirmation, hunts, minus all on record. Knows neither Ray nor torch."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nai.orders import Order
from sweep import analysis
from sweep.analysis import Asked, Goal, by_order, labels
from sweep.book import Book, Row, among, cell_of
from sweep.confirm import Confirm, alone
from sweep.contest import course, goals, opened, placed
from sweep.hunting import Hunting, Request
from sweep.jobs import Arm, Cell, Identity, Job, Pool, Work, arm
from sweep.search import Suggestion
from sweep.space import Space
from sweep.standing import Leader, Snapshot, Standing

Noted = Callable[[str, Suggestion], None]
"""Hears of each new suggestion of a method, before anything of it runs."""


@dataclass(frozen=True)
class Past:
    """What a sweep starts from: rows, suggestions by method and number, and hunts that were asked for."""

    rows: Sequence[Row] = ()
    suggestions: Mapping[str, Mapping[int, Any]] = field(default_factory=dict)
    hunts: Sequence[Request] = ()


class Agenda:
    """Hands out jobs and takes rows; the same rows lead to the same jobs, whenever and wherever they ran.

    slots: workers to keep busy. grain: runs that are not worth cutting, see `sweep.jobs.Pool`.
    """

    def __init__(
        self,
        space: Space,
        identity: Identity,
        past: Past,
        *,
        slots: int = 1,
        grain: int = 1,
        noted: Noted = lambda method, suggestion: None,
    ) -> None:
        self.space, self.identity, self.slots = space, identity, slots
        self.tasks = space.tasks()
        self.book, self.pool = Book(), Pool(grain)
        self.course = course(space, self.tasks)
        self.contests = opened(
            space, identity, self.book, course=self.course, recorded=past.suggestions, noted=noted
        )
        self.confirm: Confirm | None = None  # once it is known what is confirmed
        self.top: dict[str, tuple[str, ...]] = {}  # method to the suggestions that are confirmed
        self.baselines: tuple[Arm, ...] = ()
        self.hunts = [Hunting(request, self.tasks, self.book) for request in past.hunts]
        self.wanted: set[Cell] = set()  # what all runs are about that the sweep is known to consist of
        self.leader: tuple[int, Leader | None] = 0, None  # of so many complete suggestions
        self.put(past.rows)

    # ---------------------------------------------------------------- work out, rows in
    def next(self) -> Job | None:
        """The next job; None when there is none before running jobs have come back, or at all."""
        return self.pool.take(self.slots) if self.waiting else None

    @property
    def waiting(self) -> bool:
        """There is work that could start now."""
        for work in self._work():
            self.wanted.update(work.cells)
            self.pool.add(work.only(filter(self.book.lacks, work.cells)))
        return bool(self.pool)

    @property
    def finished(self) -> bool:
        """Everything is on record, or given up."""
        return not self.waiting and not self.pool.away

    def put(self, rows: Iterable[Row]) -> None:
        """Rows that are on record now, those of failed runs too: they would fail again."""
        rows = list(rows)
        self.book.put(rows)
        self.pool.settle(map(cell_of, rows))

    def left(self, job: Job) -> Job:
        """What of a job is not on record."""
        works = (work.only(filter(self.book.lacks, work.cells)) for work in job.works)
        return job._replace(works=tuple(work for work in works if work.runs))

    def retry(self, job: Job) -> None:
        """Have a job done again whose worker died."""
        self.pool.retry(job)

    def give_up(self, job: Job) -> None:
        """Leave a job's missing runs for another time: nothing waits for them any longer."""
        lost = self.left(job).cells
        self.book.lost.update(lost)
        self.pool.settle(job.cells)

    def _work(self) -> Iterator[Work]:
        """Work that can be said now, stage after stage."""
        for contest in self.contests:
            yield from contest.work()
        if self.confirm is None and all(contest.finished for contest in self.contests):
            self.confirm = self._confirmation()
        if self.confirm:
            yield from self.confirm.work()
        if self.confirm and self.confirm.finished:
            for hunt in self.hunts:
                if one := self.arm_of(hunt.request.suggestion):
                    yield from hunt.work(one)

    # ---------------------------------------------------------------- from the search to its confirmation
    def _confirmation(self) -> Confirm:
        """The best suggestions of every method, and baselines with all else as the very best has it."""
        arms = self._best_arms() if self.space.confirm else {}
        found = [one for some in arms.values() for one in some]
        if not found:
            return Confirm(self.space, (), self.book)
        self.top = {method: tuple(one.suggestion for one in some) for method, some in arms.items()}
        best = self._very_best(arms).settings
        plain = {k: v for k, v in best.items() if k != "selection"}  # baselines have nothing to choose
        others = [plain | {"method": dict(b)} for b in self.space.baselines()]
        self.baselines = tuple(arm(settings, self.identity) for settings in others)
        return Confirm(self.space, [*found, *self.baselines], self.book)

    def _best_arms(self) -> dict[str, list[Arm]]:
        """What is confirmed of each method."""
        assert self.space.confirm
        wanted = self.space.confirm.methods or tuple(one.name for one in self.space.methods)
        if self.space.search.protocol == "continual":
            return {name: [arm(self.space.settings(name, {}), self.identity)] for name in wanted}
        top = self.space.confirm.top
        best = {one.method: one.best() for one in self.contests if one.method in wanted}
        return {method: [one.arm for one in some[:top]] for method, some in best.items() if some}

    def _very_best(self, arms: Mapping[str, Sequence[Arm]]) -> Arm:
        leaders = [some[0] for one in self.contests if one.method in arms and (some := one.best())]
        return placed(leaders, goals(self.space))[0].arm if leaders else next(iter(arms.values()))[0]

    @property
    def strays(self) -> list[str]:
        """Suggestions that were hunted for and are none of the sweep's any more."""
        return [one.request.suggestion for one in self.hunts if not self.arm_of(one.request.suggestion)]

    def arm_of(self, suggestion: str) -> Arm | None:
        """The settings of a suggestion; None when it is none of the sweep's."""
        candidates = [one.arm for contest in self.contests for one in contest.candidates]
        for one in (*candidates, *(self.confirm.arms if self.confirm else ())):
            if one.suggestion == suggestion:
                return one
        return None

    # ---------------------------------------------------------------- how far it is
    def _protocol(self) -> analysis.Protocol:
        """How settings are chosen, if any are."""
        chosen = self.space.search.protocol
        return chosen if chosen == "continual" or self.space.spent(self.tasks) else "given"

    def asked(self) -> Asked:
        """The sweep's question, for the analysis."""
        whole = self.course
        confirmed = self.confirm.orders if self.confirm else ()
        design = self.space.confirm_design(self.tasks)
        until = design.until if design else None
        return Asked(
            sweep=self.space.name,
            protocol=self._protocol(),
            tasks=self.space.search.tasks,
            goals=goals(self.space),
            search_orders=whole.orders if self.contests else (),
            search_seeds=whole.seeds if self.contests else (),
            rungs=whole.rungs,
            confirm_orders=confirmed or self._first_orders,
            confirm_seeds=self.space.confirm_pairs,
            expected=self.expected,
            contests=self._contests(),
            baselines=tuple(one.suggestion for one in self.baselines),
            hunts=tuple(one.asked() for one in self.hunts if self.arm_of(one.request.suggestion)),
            saved=self._saved() if len(whole.rungs) > 1 else None,
            until=until.model_dump(exclude_none=True) if until else None,
            nets=self.space.net_pairs,
        )

    def _contests(self) -> tuple[analysis.Contest, ...]:
        if not self.contests:
            return tuple(analysis.Contest(method, (), top=top) for method, top in self.top.items())
        return tuple(one.asked(self.top.get(one.method, ())) for one in self.contests)

    @cached_property
    def _first_orders(self) -> tuple[Order, ...]:
        """The orders that the confirmation will begin with."""
        return self.space.confirm_orders(self.tasks) if self.space.confirm else ()

    def _saved(self) -> tuple[int, int]:
        """Runs of the full grid of suggestions and search orders, and those that the search wanted of it."""
        each = len(self.course.runs(-1))
        made = [contest.spent for contest in self.contests]
        return sum(len(one) for one in made) * each, sum(map(sum, made))

    @property
    def expected(self) -> int:
        """Runs of the whole sweep: those known, and as many more as there will probably be."""
        left = sum(contest.to_come for contest in self.contests)
        if self.confirm is None and self.space.confirm:
            methods = len(self.space.confirm.methods or self.space.methods)
            arms = self.space.confirm.top * methods + len(self.space.baselines())
            runs = len(self._first_orders) * len(self.space.confirm_pairs) + len(
                alone(self.space, self.tasks)
            )
            left += arms * runs
        return len(self.wanted) + left

    def relevant(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of the runs that this sweep consists of; records may hold more, of a stage since changed."""
        return among(rows, self.wanted)

    def snapshot(self) -> Snapshot:
        """What the sweep consists of as far as is known now."""
        return Snapshot(self.asked(), self.phase, self._leader(0))

    @property
    def phase(self) -> str:
        """What the sweep is at."""
        if self.confirm is None:
            return "search"
        return "hunt" if self.hunts and self.confirm.finished else "confirm"

    def standing(self) -> Standing:
        """Progress as of now."""
        known = set(self.book.rows)
        if self.confirm is not None:  # before, rows may be on record of suggestions that are still to be made
            known &= self.wanted
        failed = len(self.book.failed.intersection(known))
        expected = self.expected
        return Standing(min(len(known), expected), failed, expected, self.phase, self._leader())

    def _leader(self, late: float = 0.02) -> Leader | None:
        """The best suggestion so far; it can change only when another one is complete.

        late: share of new ones before it is sought again, or a long search would seek it all the time.
        """
        complete = sum(one.state == "complete" for contest in self.contests for one in contest.candidates)
        known = self.leader[0]
        if complete > known * (1 + late):
            self.leader = complete, self._led()
        return self.leader[1]

    def _led(self) -> Leader:
        best = placed([one for contest in self.contests for one in contest.best()], goals(self.space))[0]
        name, whole = best.arm.suggestion, self.course
        block = self.book.block(name, whole.orders, whole.seeds, split="valid")
        assert block is not None  # it is complete
        tried = {one.arm.suggestion: one.arm.settings for c in self.contests for one in c.candidates}
        averages = by_order(Goal(), block, whole.orders)
        return Leader(name, labels(tried)[name], float(averages.mean()), float(averages.min()))
