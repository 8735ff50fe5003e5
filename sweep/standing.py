"""How far a sweep is: as its driver sees it, and as anyone may read it from its folder in a moment."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sweep import parts
from sweep.analysis import Asked
from sweep.book import Row, among, cell_of
from sweep.jobs import Cell


@dataclass(frozen=True)
class Leader:
    """The best suggestion so far, with its accuracy on validation data: mean and worst order."""

    suggestion: str
    label: str
    mean: float
    worst: float


@dataclass(frozen=True)
class Standing:
    """How far the sweep is: runs on record, failed, and expected in all; the best suggestion so far."""

    done: int
    failed: int
    expected: int
    phase: str
    best: Leader | None

    def _repr_html_(self) -> str:
        """Progress and the best so far, for a notebook."""
        failed = f", {self.failed} failed" if self.failed else ""
        bar = f'<progress max="{self.expected}" value="{self.done}"></progress>'
        said = f"{self.phase}: {self.done} of {self.expected} runs on record{failed}"
        if self.best:
            said += f"; best so far {self.best.label}, {100 * self.best.mean:.2f} % on validation data"
        return f"<p>{bar} {html.escape(said)}</p>"


@dataclass(frozen=True)
class Snapshot:
    """What a sweep consisted of when its driver last looked; rows that came since count all the same."""

    asked: Asked
    phase: str
    best: Leader | None

    def standing(self, rows: Iterable[Row]) -> Standing:
        """Progress with these rows on record."""
        known = relevant(rows, self.asked)
        failed = sum(row["error"] is not None for row in known)
        return Standing(len(known), failed, self.asked.expected, self.phase, self.best)


_SNAPSHOT = TypeAdapter(Snapshot)


def keep(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot in place of an older one."""
    parts.replace(path, _SNAPSHOT.dump_json(snapshot, indent=1))


def kept(path: Path) -> Snapshot | None:
    """The snapshot of a file; None where there is none, or one of another release."""
    try:
        return _SNAPSHOT.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def relevant(rows: Iterable[Row], asked: Asked) -> list[Row]:
    """Rows of the runs that the sweep consists of; records may hold more, of a stage since changed."""
    return among(rows, set(_wanted(asked)))


def stages(rows: Iterable[Row], asked: Asked) -> dict[str, str]:
    """The stage that asked for each of these runs first, by fingerprint; of those that the sweep consists of.

    A hunt's are those that neither search nor confirmation wanted.
    """
    first = dict.fromkeys(_hunted(asked), "worst")
    first |= dict.fromkeys(_confirmed(asked), "confirm")
    first |= dict.fromkeys(_searched(asked), "search")
    found = ((row["fingerprint"], first.get(cell_of(row))) for row in rows)
    return {name: stage for name, stage in found if stage}


def _wanted(asked: Asked) -> Iterable[Cell]:
    yield from _searched(asked)
    yield from _confirmed(asked)
    yield from _hunted(asked)


def _searched(asked: Asked) -> Iterable[Cell]:
    for contest in asked.contests:
        reached = {**contest.stopped, **contest.failed}
        for name in contest.suggestions:
            orders = asked.search_orders[: reached.get(name)]
            yield from _cells([name], orders, asked.search_seeds)


def _confirmed(asked: Asked) -> Iterable[Cell]:
    confirmed = [*(name for contest in asked.contests for name in contest.top), *asked.baselines]
    yield from _cells(confirmed, asked.confirm_orders, asked.confirm_seeds)
    alone = [(task,) for task in sorted(asked.confirm_orders[0])] if asked.confirm_orders else []
    yield from _cells(confirmed, alone, asked.nets)


def _hunted(asked: Asked) -> Iterable[Cell]:
    for hunt in asked.hunts:
        yield from _cells([hunt.suggestion], (*hunt.orders, *hunt.reference, *hunt.known), (hunt.seeds,))


def _cells(
    names: Sequence[str], orders: Sequence[tuple[int, ...]], seeds: Sequence[tuple[int, int]]
) -> Iterable[Cell]:
    return (Cell(*one) for one in product(names, orders, seeds))


def named(beginning: str, asked: Asked) -> str:
    """The suggestion whose name begins so; ValueError when there is none of the sweep, or several."""
    known = dict.fromkeys(cell.suggestion for cell in _wanted(asked))
    found = [name for name in known if name.startswith(beginning)]
    if len(found) != 1:
        fits = "fits several suggestions" if found else "is no suggestion"
        raise ValueError(f"{beginning!r} {fits} of this sweep: {', '.join(found or known)}")
    return found[0]
