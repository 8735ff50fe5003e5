"""The records of a sweep: finished rows in Parquet parts named by their content, and nothing else is true.

A part appears whole or not at all and never changes (`sweep.parts`). Equal work done twice therefore
collapses, and a fault costs at most the bundle in flight.
"""

import contextlib
import gc
import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweep import parts

Row = dict[str, Any]
Bundles = Mapping[str, Sequence[Row]]  # part name -> its rows

VERSION = "1"
CIRCUMSTANCE = frozenset({"seconds", "device", "width", "versions", "finished"})
"""Fields that tell how a row came about; rows that differ in these alone are one result."""


def _series(of: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", of, nullable=False))


_NAMES = ("fingerprint", "suggestion", "settings", "benchmark", "scenario", "model", "method")
_REQUIRED = {
    **dict.fromkeys(_NAMES, pa.string()),
    "order": _series(pa.int16()),
    **dict.fromkeys(("seed_init", "seed_data"), pa.int64()),
    "seconds": pa.float64(),
    "device": pa.string(),
    "width": pa.int32(),
    "versions": pa.string(),
    "finished": pa.float64(),
}
_OPTIONAL = {
    **dict.fromkeys(("valid", "test"), _series(_series(pa.float32()))),
    "effective_strength": _series(pa.float32()),
    "error": pa.string(),
}
SCHEMA = pa.schema(
    [pa.field(name, kind, nullable=False) for name, kind in _REQUIRED.items()]
    + [pa.field(name, kind) for name, kind in _OPTIONAL.items()],
    metadata={"nai.schema": VERSION},
)
"""One row per suggestion, order and seeds; matrices are [tasks + 1, tasks], accuracy 0..1."""


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
    return _encode(_ordered(_checked(rows)))


def to_parquet(rows: Iterable[Row], path: Path) -> None:
    """Write rows to one Parquet file for people and other programs, in place of an older one.

    Errors: as `write`.
    """
    parts.replace(Path(path), _encode(_checked(rows)))


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
    back = _decode(parts.load(merged))
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
        self._parts, problems = _scan(self.folder, self._parts)
        rows, conflicts = _collapse(self._parts.values())
        self.records = Records(rows, problems, conflicts)
        return tuple(row for row in rows if _is_news(row, before.get(row["fingerprint"])))


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
                found[name] = seen[name] if name in seen else _decode(parts.load(folder / name))
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


def _checked(rows: Iterable[Row]) -> list[Row]:
    rows = list(rows)
    if not rows:
        raise ValueError("no rows to record: a part holds one row or more")
    for row in rows:
        if odd := sorted(row.keys() ^ set(SCHEMA.names)):
            raise ValueError(
                f"row {row.get('fingerprint')} lacks or adds {odd}; its fields are {SCHEMA.names}"
            )
        if empty := [name for name in _REQUIRED if row[name] is None]:
            raise ValueError(f"row {row['fingerprint']} has no {empty}; only {list(_OPTIONAL)} may be empty")
        whole = (row["seed_init"], row["seed_data"], row["width"], *row["order"])
        if odd := [number for number in whole if not isinstance(number, Integral)]:  # Arrow would cut them.
            raise ValueError(
                f"row {row['fingerprint']} has {odd}; its order, seeds and width are whole numbers"
            )
    return rows


def _encode(rows: Sequence[Row]) -> bytes:
    table = pa.Table.from_arrays([_column(field, rows) for field in SCHEMA], schema=SCHEMA)
    buffer = io.BytesIO()
    # Plain Parquet: an Arrow schema inside would have the reader build types that a stranger may have named,
    # and statistics would put text of the rows into the footer, where `_decode` looks for such a schema.
    form: dict[str, Any] = {"compression": "zstd", "store_schema": False, "write_statistics": False}
    with pq.ParquetWriter(buffer, SCHEMA, write_page_checksum=True, **form) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"nai.schema": VERSION})
    return buffer.getvalue()


def _column(field: pa.Field, rows: Sequence[Row]) -> pa.Array:
    try:
        return pa.array([row[field.name] for row in rows], field.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{field.name} of the rows does not fit {field.type}: {error}") from error


def _decode(data: bytes) -> Sequence[Row]:
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") :]
    if b"ARROW:schema" in footer:
        raise parts.UnsoundError("not a record of a sweep: it brings an Arrow schema, which is never trusted")
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        _check_schema(file)
        return _rows(file.read(use_threads=False))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise parts.UnsoundError(f"not a record of a sweep: {error}") from error


def _check_schema(file: pq.ParquetFile) -> None:
    version = (file.metadata.metadata or {}).get(b"nai.schema", b"none").decode(errors="replace")
    if version != VERSION:
        raise parts.UnsoundError(
            f"its schema is version {version}, not {VERSION}; use the release that wrote it"
        )
    if not file.schema_arrow.equals(SCHEMA):
        raise parts.UnsoundError(f"its columns are not those of schema version {VERSION}; move it away")


def _rows(table: pa.Table) -> list[Row]:
    columns = [_values(column.combine_chunks()) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(array: pa.Array) -> list[Any]:
    """Arrow values as Python ones; Arrow's own way takes many times longer."""
    if pa.types.is_string(array.type):
        return list(array.to_pylist())
    if not pa.types.is_list(array.type):
        return list(array.to_numpy().tolist())
    if (block := _block(array)) is not None:
        return list(block.tolist())
    inner, ends = _values(array.values), array.offsets.to_numpy().tolist()
    there = array.is_valid().to_numpy(zero_copy_only=False).tolist()
    return [
        inner[a:b] if is_there else None for a, b, is_there in zip(ends[:-1], ends[1:], there, strict=True)
    ]


def _block(array: pa.Array) -> Any:
    """Lists of one shape as one numpy array, which makes Python lists much faster; None for others."""
    if not pa.types.is_list(array.type):
        return array.to_numpy()
    lengths, inner = np.diff(array.offsets.to_numpy()), array.values
    if array.null_count or not lengths.size or (lengths != lengths[0]).any() or lengths.sum() != len(inner):
        return None
    block = _block(inner)
    return None if block is None else block.reshape(len(array), int(lengths[0]), *block.shape[1:])
