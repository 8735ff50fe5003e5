"""Tables of other tools, CSV or Parquet, as lines of plain values; what they mean is `sweep.imported`'s."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

PARQUET = b"PAR1"


class Line(NamedTuple):
    """A line of a table: where it stands, in words, and its values by column; what is empty is None."""

    where: str
    values: Mapping[str, Any]


def columns_and_lines(path: Path) -> tuple[list[str], list[Line]]:
    """The columns of a CSV or Parquet file, told apart by its first bytes, and its lines.

    ValueError for a file that is neither, or whose lines have more or fewer values than columns; OSError.
    """
    with path.open("rb") as file:
        begins = file.read(4)
    return _parquet(path) if begins == PARQUET else _csv(path)


def _csv(path: Path) -> tuple[list[str], list[Line]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error.reason}): save it as CSV or Parquet") from None
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        lines = []
        for values in reader:
            where = f"{path}:{reader.line_num}"
            if values and len(values) != len(columns):
                raise ValueError(f"{where}: {len(values)} values for {len(columns)} columns: give one each")
            if values:
                full = {name: value.strip() or None for name, value in zip(columns, values, strict=True)}
                lines.append(Line(where, full))
    except csv.Error as error:
        raise ValueError(f"{path}:{reader.line_num}: {error}: save it as plain CSV with commas") from None
    return columns, lines


def _parquet(path: Path) -> tuple[list[str], list[Line]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: not readable as Parquet ({reason}): write it again") from None
    rows = table.to_pylist()
    return table.column_names, [Line(f"{path}, row {i}", row) for i, row in enumerate(rows, start=1)]
