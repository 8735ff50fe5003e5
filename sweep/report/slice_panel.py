"""The panel of slices: what each searched number does, beside that of the curve."""

from collections.abc import Iterator, Mapping
from typing import Any

from sweep.analysis.arms import numeric, setting
from sweep.report import figures
from sweep.report.sheet import Figure, Page, Panel, number

Suggestion = Mapping[str, Any]


def slices(page: Page) -> Panel | None:
    """Accuracy against every further number that was searched, the other settings as they came."""
    charts = tuple(_slices(page))
    if not charts:
        return None
    note = (
        "Validation accuracy of each suggestion over the search orders against one of its settings, whatever "
        "its others: filled marks are means, open ones worst orders, rings the best of each."
    )
    return Panel("slices", "What do the other settings do?", note, charts)


def _slices(page: Page) -> Iterator[Figure]:
    """A chart for each number that a method was searched over and the curve does not show."""
    curved = {(point["method"], point["setting"]) for point in page.results["curve"]}
    for method, searched in page.results["searched"].items():
        complete = whole(page, method)
        for name, values in searched.items():
            if numeric(values) and (method, name) not in curved:
                found = [(setting(page.arms[one["suggestion"]], name), one) for one in complete]
                at = [(value, one) for value, one in found if value is not None]
                if len(at) > 1:
                    yield _slice(method, name.rpartition(".")[2], sorted(at, key=lambda pair: float(pair[0])))


def whole(page: Page, method: str) -> list[Suggestion]:
    """Suggestions of a method that have all search orders and seeds on record."""
    wanted = len(page.results["orders"]["search"]), len(page.results["seeds"]["search"])
    return [
        one
        for one in page.results["search"]
        if one["method"] == method and (one["orders"], one["seeds"]) == wanted
    ]


def _slice(method: str, name: str, at: list[tuple[float, Suggestion]]) -> Figure:
    line = figures.Line(
        "",
        at=[value for value, _ in at],
        means=[round(100 * one["mean"], 3) for _, one in at],
        worsts=[round(100 * one["worst"], 3) for _, one in at],
        texts=[one["label"] for _, one in at],
    )
    best, worst = (max(at, key=lambda pair: float(pair[1][field]))[0] for field in ("mean", "worst"))
    alt = f"Validation accuracy of {len(at)} suggestions of {method} against {name}: the best mean is at "
    alt += f"{number(best)}, the best worst order at {number(worst)}."
    chart = figures.curve([line], name, joined=False, legend=False)
    return Figure(chart, alt, f"{method}: {name}")
