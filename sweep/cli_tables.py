"""The tables of the analysis on the command line: on a terminal, as JSON, as CSV files."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from sweep import parts
from sweep.cli_show import table

if TYPE_CHECKING:
    from sweep.analysis import Sheet

MOST = 30
"""Lines of a table that a terminal shows unless the table was asked for by its name."""
TEXT = 18
"""Characters that a column of text gets at least."""
WORDS = frozenset(
    (
        *("label", "against", "best", "over", "method", "setting", "ahead"),
        *("says", "advice", "error", "cause", "order", "holds"),
    )
)
"""Columns of text: they are broken where a line is full."""


def wanted(names: Sequence[str] | None, *, whole: bool) -> tuple[str, ...]:
    """The tables to make; whole: all of them where none is named."""
    from sweep.analysis import OVERVIEW, TABLES

    if names:
        return tuple(TABLES) if "all" in names else tuple(dict.fromkeys(names))
    return tuple(TABLES) if whole else OVERVIEW


def show(to: Console, sheets: Sequence["Sheet"], *, whole: bool) -> None:
    """Tables with the columns that tell the most; whole: every line of them."""
    from sweep.analysis import TABLES

    for sheet in sheets:
        to.print(Text(f"{sheet.name} ({sheet.stage})", "bold").append(f"  {sheet.says}", "not bold dim"))
        _lines(to, sheet, None if whole else MOST)
        to.print()
    others = [name for name in TABLES if name not in {sheet.name for sheet in sheets}]
    if others:
        to.print(Text(f"Further tables (--table NAME, or all): {', '.join(others)}.", "dim"))
    to.print(Text("Accuracies are 0..1; --json and --csv DIR give every column.", "dim"))


def as_json(sheets: Sequence["Sheet"]) -> dict[str, Any]:
    """Tables by name, each with its stage, what it says and its lines."""
    return {one.name: {"stage": one.stage, "says": one.says, "lines": one.lines} for one in sheets}


def write_csv(sheets: Sequence["Sheet"], folder: Path) -> Iterator[Path]:
    """Write each table that has lines as NAME.csv into a folder; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for sheet in sheets:
        if sheet.lines:
            path = folder / f"{sheet.name}.csv"
            parts.replace(path, as_csv(sheet).encode())
            yield path


def as_csv(sheet: "Sheet") -> str:
    """A table as CSV; what does not exist is empty, orders and lists are numbers with spaces between them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(sheet.lines[0])
    writer.writerows([_cell(value) for value in line.values()] for line in sheet.lines)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _lines(to: Console, sheet: "Sheet", most: int | None) -> None:
    if not sheet.lines:
        to.print(Text("  nothing", "dim"))
        return
    columns = [name for name in sheet.shown if any(line[name] is not None for line in sheet.lines)]
    if _width(sheet, columns) > to.width:
        _blocks(to, sheet, columns, most)
    else:
        _grid(to, sheet, columns, most)
    if most is not None and len(sheet.lines) > most:
        to.print(Text(f"  ... {len(sheet.lines) - most} more lines: --table {sheet.name}", "dim"))


def _width(sheet: "Sheet", columns: Sequence[str]) -> int:
    """The least columns of a terminal that a table takes, if texts are broken."""
    longest = {name: max(len(_said(line, name)) for line in sheet.lines) for name in columns}
    return sum(max(len(name), min(longest[name], TEXT if name in WORDS else 99)) + 1 for name in columns)


def _blocks(to: Console, sheet: "Sheet", columns: Sequence[str], most: int | None) -> None:
    """A table line by line, for a narrow terminal."""
    first, *others = columns
    for line in sheet.lines[:most]:
        to.print(Text(f"  {_said(line, first)}", "bold"))
        to.print(Text("    " + ", ".join(f"{name} {_said(line, name)}" for name in others)))


def _grid(to: Console, sheet: "Sheet", columns: Sequence[str], most: int | None) -> None:
    made = table(*columns, right=[i for i, name in enumerate(columns) if name not in WORDS])
    made.padding = (0, 1, 0, 0)
    for line in sheet.lines[:most]:
        made.add_row(*(Text(_said(line, name)) for name in columns))
    to.print(made)


def _said(line: Mapping[str, Any], name: str) -> str:
    value = line[name]
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(_cell(value))
