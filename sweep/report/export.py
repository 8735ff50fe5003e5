"""Figures for a paper: each as PNG and PDF with its data as CSV beside it, and the summary as LaTeX."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.analysis import Row
from sweep.report import drawing
from sweep.report.figures import CHOSEN, Chart
from sweep.report.page import PageFacts, named, shown
from sweep.report.sheet import Page

COLUMNS = ("series", "x", "y", "value", "half_width", "text", "order")
SUMMARY = (
    ("mean", "mean"),
    ("worst", "worst"),
    ("std", "std"),
    ("aopd", "AOPD"),
    ("mopd", "MOPD"),
    ("forgetting", "forgetting"),
)
SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
}
Cells = tuple[Any, ...]


def export(
    folder: Path, results: Mapping[str, Any], rows: Sequence[Row], page_facts: PageFacts
) -> list[Path]:
    """Write every figure, every table and the summary of a report into a folder; gives the files.

    Figures are <panel>-<number>.png, .pdf and .csv; tables are <panel>.csv; the summary is summary.tex.
    """
    panels = shown(Page.of(results, rows, page_facts.tasks, page_facts.tables))
    files: dict[str, bytes] = {"summary.tex": latex(results).encode()}
    for name, figure in named(panels):
        if not figure.waits:
            files[f"{name}.png"] = drawing.png(figure.chart)
            files[f"{name}.pdf"] = drawing.pdf(figure.chart)
            files[f"{name}.csv"] = _csv([COLUMNS, *points(figure.chart)])
    for panel in panels:
        if panel.table:
            files[f"{panel.key}.csv"] = _csv([panel.table.header, *panel.table.lines])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def points(chart: Chart) -> Iterator[Cells]:
    """What a chart shows, a line for every point, bar or cell, in the columns of `COLUMNS`."""
    for trace in chart["data"]:
        if trace.get("name") == CHOSEN:
            continue
        name = _plain(trace.get("name") or "")
        if trace["type"] == "heatmap":
            for line, numbers in zip(trace["y"], trace["z"], strict=True):
                for column, number in zip(trace["x"], numbers, strict=True):
                    yield name, _plain(column), _plain(line), number, "", "", ""
        else:
            yield from _marks(name, trace)


def latex(results: Mapping[str, Any]) -> str:
    """The summary as a LaTeX table: the best of each method and the baselines, in per cent."""
    lines = [line for line in results["table"] if line["place"] == 1]
    rows = [
        " & ".join([escaped(line["label"]), *(_figure(line, field) for field, _ in SUMMARY), _size(line)])
        for line in lines
    ]
    heads = " & ".join(["method", *(head for _, head in SUMMARY), r"orders $\times$ seeds"])
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            f"% {escaped(results['sweep'])}: final test accuracy in per cent, {escaped(results['tuning'])}",
            r"\begin{tabular}{l" + "r" * (len(SUMMARY) + 1) + "}",
            r"\toprule",
            heads + r" \\",
            r"\midrule",
            *(row + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(SPECIAL.get(sign, sign) for sign in " ".join(text.split()))


def _figure(line: Mapping[str, Any], field: str) -> str:
    if line[field] is None:
        return "--"
    number = f"{100 * line[field]:.2f}".replace("-", r"\ensuremath{-}")
    half = line["half"] if field == "mean" else None
    return number if half is None else f"{number} $\\pm$ {100 * half:.2f}"


def _size(line: Mapping[str, Any]) -> str:
    return rf"{line['orders']} $\times$ {line['seeds']}"


def _marks(name: str, trace: Mapping[str, Any]) -> Iterator[Cells]:
    """Points of a line, of a box, or bars; gaps between lines are left out."""
    x = list(trace["x"])
    y = list(trace.get("y", [""] * len(x)))
    bars = trace.get("error_x") or trace.get("error_y") or {}
    halves = list(bars.get("array", [""] * len(x)))
    texts, keys = (list(trace.get(field) or [""] * len(x)) for field in ("text", "customdata"))
    for at, height, half, text, key in zip(x, y, halves, texts, keys, strict=True):
        if at is not None and height is not None:
            yield name, _plain(at), _plain(height), "", half, _plain(text), key


def _plain(value: Any) -> Any:
    return " ".join(drawing.plain(value).split()) if isinstance(value, str) else value


def _csv(lines: Sequence[Sequence[Any]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue().encode()
