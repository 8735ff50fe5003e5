"""Work for workers: runs of settings, gathered into jobs or cut into bundles. Knows neither Ray nor torch."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nai.orders import Order

Seed = tuple[int, int]
"""Seeds of the initial weights and of the data order."""
Settings = dict[str, Any]


class Run(NamedTuple):
    """One order, of all tasks or of the first few, with one pair of seeds."""

    order: Order
    seeds: Seed


class Cell(NamedTuple):
    """What one row is about: a run of a suggestion."""

    suggestion: str
    order: Order
    seeds: Seed


class Identity(NamedTuple):
    """What names settings: given by `sweep.bundle`, so that this room needs no torch.

    Settings of one family may be trained as one stack, and share what they have in common.
    """

    suggestion: Callable[[Settings], str]
    family: Callable[[Settings], str]


class Arm(NamedTuple):
    """Settings and their names."""

    suggestion: str
    family: str
    settings: Settings


class Work(NamedTuple):
    """Runs of an arm that are wanted now; `later`: those that may go on from them."""

    arm: Arm
    runs: tuple[Run, ...]
    later: tuple[Run, ...] = ()

    @property
    def cells(self) -> dict[Cell, Run]:
        """Its runs by what their rows are about."""
        return {Cell(self.arm.suggestion, *run): run for run in self.runs}

    def only(self, cells: Iterable[Cell]) -> "Work":
        """The work with these of its cells alone."""
        wanted = set(cells)
        return self._replace(runs=tuple(run for cell, run in self.cells.items() if cell in wanted))


class Job(NamedTuple):
    """Works of one family for one worker; workers that died on it, if it is a single run."""

    works: tuple[Work, ...]
    deaths: int = 0

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What its rows will be about."""
        return tuple(cell for work in self.works for cell in work.cells)


class Means(NamedTuple):
    """What a worker may take, as plain values: it needs no space to read them."""

    cpus: float
    gpus: float
    device: str
    stack: int | None
    """Lessons of a stack, None for as many as pay."""
    shelf: int
    """Bytes of memory for lessons that others may go on from."""
    patience: float | None = None
    """Seconds in which it must bring a run, or it hangs and ends; None for ever."""
    releases: Mapping[str, str] = {}
    """What its machine must have installed, by package; nothing where that is this machine."""


def as_plain(work: Work) -> list[Any]:
    """A work as lists and dicts, to travel in a trial's configuration."""
    return [list(work.arm), *([[list(order), list(seeds)] for order, seeds in some] for some in work[1:])]


def from_plain(plain: Sequence[Any]) -> Work:
    """The work that was made plain."""
    one, *runs = plain
    return Work(
        Arm(*one),
        *(tuple(Run(tuple(order), (seeds[0], seeds[1])) for order, seeds in some) for some in runs),
    )


def arm(settings: Settings, identity: Identity) -> Arm:
    """Settings with their names."""
    return Arm(identity.suggestion(settings), identity.family(settings), settings)


def crossed(orders: Sequence[Order], seeds: Sequence[Seed]) -> tuple[Run, ...]:
    """Every order with every pair of seeds."""
    return tuple(Run(order, pair) for pair in seeds for order in orders)


class Piece(NamedTuple):
    """One run of a work; sorted, they are in the succession of the order tree: what begins alike together."""

    seeds: Seed
    order: Order
    number: int  # of the work, by arrival
    work: Work


def pieces(works: Sequence[Work], first: int = 0) -> list[Piece]:
    """All runs of works, which are numbered from `first` on."""
    whole = enumerate(works, first)
    return sorted(Piece(run.seeds, run.order, number, work) for number, work in whole for run in work.runs)


def joined(some: Iterable[Piece]) -> tuple[Work, ...]:
    """The works that the pieces are of, each with the runs that are among them."""
    works: dict[int, Work] = {}
    runs: dict[int, list[Run]] = {}
    for piece in some:
        works[piece.number] = piece.work
        runs.setdefault(piece.number, []).append(Run(piece.order, piece.seeds))
    return tuple(works[number]._replace(runs=tuple(runs[number])) for number in sorted(works))


def reach(size: int) -> int:
    """How far from a size a cut may be."""
    return size // 3


def cut(some: Sequence[Piece], size: int) -> int:
    """Where to part pieces, not far from a size: where the neighbours share the fewest tasks.

    A first task is thus trained by one worker alone, for all strengths that share it.
    """
    places = range(max(1, size - reach(size)), min(len(some) - 1, size + reach(size)) + 1)
    return min(places, key=lambda at: (_shared(some[at - 1], some[at]), abs(at - size)), default=size)


def _shared(one: Piece, other: Piece) -> int:
    """What two pieces have in common: nothing, else their seeds and so many first tasks."""
    if one.seeds != other.seeds:
        return 0
    alike = zip(one.order, other.order, strict=False)
    return 1 + sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], alike))


def halves(job: Job) -> list[Job]:
    """A job in two parts of the order tree of about as many runs; a single run is not cut."""
    some = pieces(job.works)
    at = cut(some, len(some) // 2)
    return [Job(joined(part)) for part in (some[:at], some[at:]) if part]


class Pool:
    """Work that waits, and the cells that workers are busy with.

    grain: runs that one worker does about as fast as one alone, such as a stack; less is not cut.
    """

    def __init__(self, grain: int = 1) -> None:
        self.grain = grain
        self.waiting: dict[str, list[Piece]] = {}  # by family, the next one last
        self.arrived = 0  # works
        self.again: list[Job] = []  # jobs whose worker died
        self.claimed: set[Cell] = set()  # of work that waits or is under way
        self.away: list[set[Cell]] = []  # what jobs under way have still to bring

    def __bool__(self) -> bool:
        return bool(self.waiting or self.again)

    def add(self, work: Work) -> None:
        """Take in work; what waits or is under way already is not done twice."""
        fresh = work.only(cell for cell in work.cells if cell not in self.claimed)
        if fresh.runs:
            self.claimed.update(fresh.cells)
            queue = self.waiting.setdefault(work.arm.family, [])
            queue += pieces([fresh], self.arrived)
            queue.sort(reverse=True)
            self.arrived += 1

    def take(self, slots: int) -> Job | None:
        """A fair share of what waits for one of so many workers; None when nothing waits."""
        if not self:
            return None
        job = self.again.pop() if self.again else Job(self._gathered(self._share(slots)))
        self.away.append(set(job.cells))
        return job

    def settle(self, cells: Iterable[Cell]) -> None:
        """These cells are on record, or given up."""
        gone = set(cells)
        self.claimed -= gone
        for job in self.away:
            job -= gone
        self.away = [job for job in self.away if job]

    def retry(self, job: Job) -> None:
        """Have a job done again, or what is left of it."""
        self.settle(job.cells)
        self.claimed.update(job.cells)
        self.again.append(job)

    def _share(self, slots: int) -> int:
        waiting = sum(map(len, self.waiting.values()))
        idle = max(1, slots - len(self.away))
        return max(-(-waiting // slots), min(-(-waiting // idle), self.grain))

    def _gathered(self, share: int) -> tuple[Work, ...]:
        """What waits of the first family, as far as the share goes: a part of its order tree."""
        family, queue = next(iter(self.waiting.items()))
        parts = -(-len(queue) // share)
        size = -(-len(queue) // parts)
        at = cut(queue[: -size - reach(size) - 2 : -1], size) if parts > 1 else len(queue)
        taken = queue[: -at - 1 : -1]
        del queue[-at:]
        if not queue:
            del self.waiting[family]
        return joined(taken)
