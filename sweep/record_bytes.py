"""Rows as the bytes of a Parquet file and back: their schema, what is refused, and how they are read fast."""

import io
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweep import parts

Row = dict[str, Any]
VERSION = "2"
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
    "chosen": _series(_series(pa.float64())),
}
SCHEMA = pa.schema(
    [pa.field(name, kind, nullable=False) for name, kind in _REQUIRED.items()]
    + [pa.field(name, kind) for name, kind in _OPTIONAL.items()],
    metadata={"nai.schema": VERSION},
)
"""One row per suggestion, order and seeds; matrices are [tasks + 1, tasks], accuracy 0..1.

chosen: where settings are chosen task by task, [tasks, 4]: rate, strength, trainings tried, plain accuracy.
"""
EARLIER = {"1": ("chosen",)}
"""Versions that are read as well, with the columns that they did not have: empty in their rows."""


def checked(rows: Iterable[Row]) -> list[Row]:
    """The rows, if there are any and each has the fields of the schema; ValueError otherwise."""
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


def encode(rows: Sequence[Row]) -> bytes:
    """The bytes of rows that were checked; equal rows give equal bytes. ValueError for odd values."""
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


def decode(data: bytes) -> Sequence[Row]:
    """The rows that these bytes hold; UnsoundError for any bytes but those of `encode`."""
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") :]
    if b"ARROW:schema" in footer:
        raise parts.UnsoundError("not a record of a sweep: it brings an Arrow schema, which is never trusted")
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        lacking = dict.fromkeys(_lacking(file))
        rows = _rows(file.read(use_threads=False))
        return [row | lacking for row in rows] if lacking else rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise parts.UnsoundError(f"not a record of a sweep: {error}") from error


def _lacking(file: pq.ParquetFile) -> Sequence[str]:
    """The columns that the file's version did not have yet; UnsoundError if it has others than it should."""
    version = (file.metadata.metadata or {}).get(b"nai.schema", b"none").decode(errors="replace")
    if version != VERSION and version not in EARLIER:
        raise parts.UnsoundError(
            f"its schema is version {version}, not {VERSION}; use the release that wrote it"
        )
    lacking = EARLIER.get(version, ())
    if not file.schema_arrow.equals(pa.schema([field for field in SCHEMA if field.name not in lacking])):
        raise parts.UnsoundError(f"its columns are not those of schema version {version}; move it away")
    return lacking


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
