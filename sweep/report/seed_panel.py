"""The panel on single seeds: extremes have no interval, but what each seed shows can be seen."""

from collections.abc import Mapping
from typing import Any

from sweep.report import order_figures
from sweep.report.sheet import Figure, Page, Panel, Table, percent, points

Line = Mapping[str, Any]
SHOWN = (("mean over orders", "mean"), ("worst order", "worst"))


def seeds(page: Page) -> Panel | None:
    """Mean and worst order with each seed alone."""
    there = [line for line in page.lines("seeds") if line["mean"] is not None]
    having = {line["suggestion"] for line in there}
    names = {one.arm.suggestion: one.name for one in page.judged if one.arm.suggestion in having}
    place = {name: number for number, name in enumerate(names)}
    known = [line for line in there if line["suggestion"] in names]
    if len({(line["seed_init"], line["seed_data"]) for line in known}) < 2:
        return None
    known.sort(key=lambda line: place[line["suggestion"]])
    series = [
        (word, [(names[line["suggestion"]], round(100 * line[field], 3)) for line in known])
        for word, field in SHOWN
    ]
    chart = order_figures.marks(list(names.values()), series, "accuracy at the end (%)")
    note = (
        "A mark for each seed: its mean over the orders, and its worst order. The worst order and the ranges "
        "of a single seed hold its chance, too, and are further out than those of seed averages."
    )
    said = "; ".join(
        _said(name, [line for line in known if line["suggestion"] == one]) for one, name in names.items()
    )
    figure = Figure(chart, f"{note} {said}.")
    return Panel("seeds", "What does each seed show by itself?", note, (figure,), _table(page, known, names))


def _said(name: str, lines: list[Line]) -> str:
    """From where to where a method's seeds go."""
    ends = [(min(line[field] for line in lines), max(line[field] for line in lines)) for _, field in SHOWN]
    (low, high), (bad, good) = ends
    return f"{name} mean {percent(low)} to {percent(high)}, worst order {percent(bad)} to {percent(good)}"


def _table(page: Page, known: list[Line], names: Mapping[str, str]) -> Table:
    header = ("method", "worst order", "seeds (weights, data)", "mean", "in the worst order", "AOPD", "MOPD")
    lines = [
        (
            names[line["suggestion"]],
            page.order(line["worst_order"]),
            f"{line['seed_init']}, {line['seed_data']}",
            percent(line["mean"]),
            percent(line["worst"]),
            points(line["aopd"]),
            points(line["mopd"]),
            *(str(line[field]) for field in ("orders", "failed", "missing")),
        )
        for line in known
    ]
    return Table((*header, "orders", "failed", "missing"), lines, words=2)
