"""The records of a sweep: finished rows in Parquet parts named by their content, and nothing else is true.

A part appears whole or not at all and never changes (`sweep.parts`). Equal work done twice therefore
collapses, and a fault costs at most the bundle in flight.
"""

import contextlib
import gc
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sweep import parts
from sweep.record_bytes import CIRCUMSTANCE, SCHEMA, Row, checked, decode, encode

Bundles = Mapping[str, Sequence[Row]]  # part name -> its rows


class Problem(NamedTuple):
    """A file among the records that was not read, and why."""

    path: Path
    reason: str


class Conflict(NamedTuple):
    """Two finished rows of one fingerprint whose results differ; `kept` is the one among the rows."""

    fingerprint: str
    kept: Row
    other: Row


class Records(NamedTuple):
    """What a folder of records holds: a row per fingerprint, files not read, results that disagree."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    conflicts: tuple[Conflict, ...]


def write(folder: Path, rows: Iterable[Row]) -> Path:
    """Record finished rows as one durable part and return its path; equal rows give the same part.

    Errors: ValueError for rows that do not fit the schema, OSError if the disk refuses (nothing is then
    published).
    """
    return parts.add(Path(folder), encoded(rows))


def encoded(rows: Iterable[Row]) -> bytes:
    """The bytes of the part that holds these rows; ValueError for rows that do not fit the schema."""
    return encode(_ordered(checked(rows)))


def to_parquet(rows: Iterable[Row], path: Path) -> None:
    """Write rows to one Parquet file for people and other programs, in place of an older one.

    Errors: as `write`.
    """
    parts.replace(Path(path), encode(checked(rows)))


def read(folder: Path) -> Records:
    """Everything the folder's sound parts hold; a folder that does not exist yet holds nothing.

    Errors: OSError if the folder cannot be listed.
    """
    store = Store(folder)
    store.refresh()
    return store.records


def compact(folder: Path) -> Path | None:
    """Merge all sound parts into one and return it; None where there is nothing to merge.

    Every distinct row is kept, superseded and conflicting ones too: `read` gives the same before and after.
    Old parts go only when the new one is durable and read back; a kill at any point costs nothing. For the
    one process that holds the sweep's lock; others may read and write meanwhile.
    """
    folder = Path(folder)
    found, _ = _scan(folder, {})
    if len(found) <= 1:
        return None
    rows = _ordered(_distinct(found.values()))
    merged = write(folder, rows)
    back = decode(parts.load(merged))
    if len(back) != len(rows) or not all(map(_same, rows, back)):
        raise OSError(
            f"{merged} does not give back the rows of the {len(found)} parts it merges; all are kept"
        )
    parts.remove(folder, found.keys() - {merged.name})
    return merged


class Store:
    """A folder of records kept in memory: parts never change, so each is read and verified once."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.records = Records((), (), ())
        self._parts: Bundles = {}

    def refresh(self) -> tuple[Row, ...]:
        """Read what came since the last call; returns the rows that are new or have another result now.

        Errors: OSError if the folder cannot be listed.
        """
        before = {row["fingerprint"]: row for row in self.records.rows}
        seen = self._parts
        self._parts, problems = _scan(self.folder, seen)
        fresh = [row for name in self._parts.keys() - seen.keys() for row in self._parts[name]]
        if seen.keys() <= self._parts.keys() and _are_distinct(fresh, before):
            news = sorted(fresh, key=_by_fingerprint)
            rows = tuple(sorted((*self.records.rows, *news), key=_by_fingerprint))
            self.records = Records(rows, problems, self.records.conflicts)
            return tuple(news)
        rows, conflicts = _collapse(self._parts.values())
        self.records = Records(rows, problems, conflicts)
        return tuple(row for row in rows if _is_news(row, before.get(row["fingerprint"])))


def _by_fingerprint(row: Row) -> str:
    return str(row["fingerprint"])


def _are_distinct(fresh: Sequence[Row], before: Mapping[str, Row]) -> bool:
    """Whether these rows are of runs that nothing else is on record of."""
    names = {row["fingerprint"] for row in fresh}
    return len(names) == len(fresh) and before.keys().isdisjoint(names)


def _is_news(row: Row, before: Row | None) -> bool:
    return before is None or (row is not before and _result(row) != _result(before))


def _scan(folder: Path, seen: Bundles) -> tuple[Bundles, tuple[Problem, ...]]:
    """Rows of every sound part by its name, and the other files; parts seen before are not read again."""
    for wait in (0.1, 0.5, 2.0):
        try:
            return _scan_once(folder, seen)
        except FileNotFoundError:
            time.sleep(wait)  # Another process merged the parts meanwhile: its part is in the next listing.
    return _scan_once(folder, seen)


def _scan_once(folder: Path, seen: Bundles) -> tuple[Bundles, tuple[Problem, ...]]:
    found: dict[str, Sequence[Row]] = {}
    problems: list[Problem] = []
    with _collector_at_rest():
        for name in parts.listed(folder):
            try:
                found[name] = seen[name] if name in seen else decode(parts.load(folder / name))
            except parts.UnsoundError as reason:
                problems.append(Problem(folder / name, str(reason)))
    return found, tuple(problems)


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Rows hold no cycles, and looking for some among a million new lists takes as long as reading them."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _collapse(bundles: Iterable[Sequence[Row]]) -> tuple[tuple[Row, ...], tuple[Conflict, ...]]:
    """One row per fingerprint in the order of fingerprints, whatever parts the rows lie in."""
    ranked = [sorted(group, key=_rank) if len(group) > 1 else group for group in _groups(bundles)]
    return (
        tuple(group[0] for group in ranked),
        tuple(conflict for group in ranked if len(group) > 1 for conflict in _conflicts(group)),
    )


def _groups(bundles: Iterable[Sequence[Row]]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for rows in bundles:
        for row in rows:
            groups.setdefault(row["fingerprint"], []).append(row)
    return [groups[fingerprint] for fingerprint in sorted(groups)]


def _distinct(bundles: Iterable[Sequence[Row]]) -> list[Row]:
    return [
        row
        for group in _groups(bundles)
        for row in (group if len(group) == 1 else {repr(row): row for row in group}.values())
    ]


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["fingerprint"], row["finished"]))


def _same(one: Row, other: Row) -> bool:
    return one == other or repr(one) == repr(other)  # A NaN equals itself as text only.


def _rank(row: Row) -> tuple[bool, float, str]:
    """Results before errors, the first result, the last error; the text only settles ties."""
    failed = row["error"] is not None
    return failed, -row["finished"] if failed else row["finished"], repr(row)


def _conflicts(ranked: Sequence[Row]) -> list[Conflict]:
    kept = ranked[0]
    distinct: dict[str, Row] = {}
    for row in ranked:
        if row["error"] is None:
            distinct.setdefault(_result(row), row)
    return [Conflict(kept["fingerprint"], kept, other) for other in list(distinct.values())[1:]]


def _result(row: Row) -> str:
    # As text, so that a NaN of one row equals the NaN of the other.
    return repr([row[name] for name in SCHEMA.names if name not in CIRCUMSTANCE])
