"""The search for one method's best settings: suggestions run on a few orders, then on more, then on all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nai.orders import Order
from sweep import analysis
from sweep.analysis import Goal, aggregate, fronts
from sweep.book import Book
from sweep.jobs import Arm, Cell, Identity, Run, Seed, Work, arm, crossed
from sweep.search import Judge, Suggester
from sweep.space import Objective, Space
from sweep.stopping import balanced

Values = tuple[float, ...]
"""One number for each objective."""
Measure = Callable[[str, Sequence[Order]], Values | None]
"""The objectives of a suggestion over some orders; None unless all its runs on them have results."""


@dataclass(frozen=True)
class Course:
    """What every suggestion runs: rungs are numbers of orders, the last is all of them."""

    orders: tuple[Order, ...]
    rungs: tuple[int, ...]
    seeds: tuple[Seed, ...]

    def reached(self, rung: int) -> tuple[Order, ...]:
        """The orders of a rung and of those before it."""
        return self.orders[: self.rungs[rung]]

    def runs(self, rung: int) -> tuple[Run, ...]:
        """All runs up to a rung."""
        return crossed(self.reached(rung), self.seeds)

    def later(self, rung: int) -> tuple[Run, ...]:
        """The runs of the rungs after this one, and first tasks, which others of a family begin with."""
        first = tuple(dict.fromkeys(order[:1] for order in self.orders))
        return crossed((*self.orders[self.rungs[rung] :], *first), self.seeds)


@dataclass
class Candidate:
    """A suggestion on its way through the rungs."""

    number: int
    arm: Arm
    values: list[Values] = field(default_factory=list)  # its objectives after each rung
    state: str = "running"  # then complete, stopped or failed
    pending: list[Cell] = field(default_factory=list)  # what its rung may still lack

    @property
    def rung(self) -> int:
        """The rung that it is at, or ended at."""
        return len(self.values) - (self.state in ("complete", "stopped"))


class Contest:
    """Suggestions for one method, in the order of their numbers; the same rows lead to the same suggestions.

    settle: settings and their names for the values of a suggestion. noted: hears of each new suggestion.
    """

    def __init__(
        self,
        method: str,
        course: Course,
        suggester: Suggester,
        judge: Judge,
        *,
        book: Book,
        goals: Sequence[Goal],
        ahead: int,
        settle: Callable[[dict[str, Any]], Arm],
        noted: Callable[[str, Any], None],
    ) -> None:
        self.method, self.course, self.suggester, self.judge = method, course, suggester, judge
        self.book, self.goals, self.ahead, self.settle, self.noted = book, goals, ahead, settle, noted
        self.candidates: list[Candidate] = []

    @property
    def finished(self) -> bool:
        """All suggestions are made, and each is judged."""
        return self.suggester.finished and not self.running

    @property
    def running(self) -> list[Candidate]:
        """Candidates that are not judged yet."""
        return [one for one in self.candidates if one.state == "running"]

    def work(self) -> Iterator[Work]:
        """What there is to run now: next rungs of those that passed, and new suggestions."""
        while True:
            passed = [one for one in self.running if self._ready(one) and self._passes(one)]
            yield from map(self._work, passed)
            if not self.suggester.ready:
                if not any(self._ready(one) for one in self.running):
                    return
                continue
            yield self._work(self._new())

    def best(self) -> list[Candidate]:
        """Those that ran on all orders, each once, best first; of two objectives the Pareto front alone."""
        whole = {one.arm.suggestion: one for one in self.candidates if one.state == "complete"}
        return placed(list(whole.values()), self.goals)

    @property
    def to_come(self) -> int:
        """Runs beyond those of the present rungs, if what comes fares as what has been judged."""
        ended = [one for one in self.candidates if one.state != "running"]
        sizes = [len(self.course.runs(rung)) for rung in range(len(self.course.rungs))]
        typical = round(sum(sizes[one.rung] for one in ended) / len(ended)) if ended else sizes[0]
        open_ = sum(max(0, typical - sizes[one.rung]) for one in self.running)
        return open_ + typical * (self.suggester.count - len(self.candidates))

    @property
    def spent(self) -> list[int]:
        """Runs that each suggestion has had, or has now; those that are another one again cost nothing."""
        return [len(self.course.runs(one.rung)) for one in self.furthest.values()]

    @property
    def furthest(self) -> dict[str, Candidate]:
        """Every suggestion once: of candidates that are the same one, that which came furthest."""
        return {c.arm.suggestion: c for c in sorted(self.candidates, key=lambda c: (c.rung, c.number))}

    def asked(self, top: Sequence[str]) -> analysis.Contest:
        """What was searched, for the analysis."""

        def ended(state: str) -> dict[str, int]:
            return {n: self.course.rungs[c.rung] for n, c in self.furthest.items() if c.state == state}

        names = tuple(one.arm.suggestion for one in self.candidates)
        return analysis.Contest(self.method, names, ended("stopped"), tuple(top), failed=ended("failed"))

    def measure(self, suggestion: str, orders: Sequence[Order]) -> Values | None:
        """The objectives of a suggestion over these orders, on validation data."""
        block = self.book.block(suggestion, orders, self.course.seeds, split="valid")
        return None if block is None else tuple(aggregate(goal, block, orders) for goal in self.goals)

    # ---------------------------------------------------------------- one candidate
    def _new(self) -> Candidate:
        suggestion = self.suggester.ask()
        candidate = Candidate(suggestion.number, self.settle(suggestion.values))
        self.noted(self.method, suggestion)
        self.candidates.append(candidate)
        return candidate

    def _work(self, candidate: Candidate) -> Work:
        rung = candidate.rung
        work = Work(candidate.arm, self.course.runs(rung), self.course.later(rung))
        candidate.pending = list(work.cells)
        return work

    def _ready(self, candidate: Candidate) -> bool:
        while candidate.pending and not self.book.lacks(candidate.pending[-1]):
            candidate.pending.pop()
        return not candidate.pending

    def _passes(self, candidate: Candidate) -> bool:
        """Judge a candidate that has run a rung; whether it goes on to the next."""
        orders = self.course.reached(candidate.rung)
        values = self.measure(candidate.arm.suggestion, orders)
        last = candidate.rung + 1 == len(self.course.rungs)
        if values is None:
            return self._ended(candidate, "failed", None)
        known = self.candidates[: max(0, candidate.number - self.ahead + 1)]
        candidate.values.append(values)
        if last:
            return self._ended(candidate, "complete", values)
        if self.judge.drops(candidate, known, orders, self.measure):
            return self._ended(candidate, "stopped", self.judge.told(candidate, known, orders, self.measure))
        return True

    def _ended(self, candidate: Candidate, state: str, values: Values | None) -> bool:
        candidate.state = state
        self.suggester.tell(candidate.number, values)
        return False


def placed(candidates: Sequence[Candidate], goals: Sequence[Goal]) -> list[Candidate]:
    """Complete candidates, best first; with two goals those that no other one beats, by the first goal."""

    ways = [goal.direction for goal in goals]
    numbers = fronts([one.values[-1] for one in candidates], ways)
    kept = [one for one, number in zip(candidates, numbers, strict=True) if len(goals) == 1 or number == 1]

    def place(one: Candidate) -> tuple[list[float], str]:
        return [-way * value for way, value in zip(ways, one.values[-1], strict=True)], one.arm.suggestion

    return sorted(kept, key=place)


def goals(space: Space) -> tuple[Goal, ...]:
    """The objectives as the analysis takes them."""
    return tuple(Goal(one.metric, one.aggregate, _options(one)) for one in space.objectives)


def _options(one: Objective) -> dict[str, float]:
    given = (("share", one.share), ("weight", one.weight))
    return {name: float(value) for name, value in given if value is not None}


def course(space: Space, tasks: int) -> Course:
    """What every suggestion of a space runs: whole orders, or the first tasks of each."""
    orders = space.search_orders(tasks)
    if space.search.rungs and space.orders.design == "all":  # as listed, the first all begin with one task
        orders = balanced(orders)
    first = space.search.tasks or tasks
    reached = [tuple(dict.fromkeys(one[:first] for one in orders[:rung])) for rung in space.rungs(tasks)]
    return Course(reached[-1], tuple(dict.fromkeys(map(len, reached))), space.pairs)


def opened(
    space: Space,
    identity: Identity,
    book: Book,
    *,
    course: Course,
    recorded: Mapping[str, Mapping[int, Any]],
    noted: Callable[[str, Any], None],
) -> list[Contest]:
    """A contest for every method of the space; none where settings are chosen while a net learns."""
    if space.search.protocol == "continual":
        return []
    sought = goals(space)
    directions = [goal.direction for goal in sought]

    def one(method: str) -> Contest:
        return Contest(
            method,
            course,
            suggester(space, method, directions, recorded.get(method, {})),
            Judge(space.search, directions, rungs=len(course.rungs)),
            book=book,
            goals=sought,
            ahead=space.search.ahead,
            settle=lambda values: arm(space.settings(method, values), identity),
            noted=noted,
        )

    return [one(section.name) for section in space.methods]


def suggester(space: Space, method: str, directions: Sequence[int], recorded: Mapping[int, Any]) -> Suggester:
    """What makes the suggestions for a method."""
    return Suggester(
        space.parameters(method),
        space.search,
        count=space.suggestions(method),
        directions=directions,
        priors=space.priors(method),
        recorded=recorded,
        grid=list(space.grid(method)) if space.search.sampler == "grid" else None,
    )
