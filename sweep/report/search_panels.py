"""Panels on the search: what a setting does to the accuracy on validation data, and what was tried."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sweep.analysis.arms import numeric
from sweep.report import figures
from sweep.report.sheet import Figure, Page, Panel, Table, percent


def curve(page: Page) -> Panel | None:
    """What the searched setting does to the mean and to the worst order."""
    points = page.results["curve"]
    if not points:
        return None
    name = points[0]["setting"].rpartition(".")[2]
    varying = [key for key, values in page.results["searched"].items() if numeric(values)]
    whole = [point for point in points if _whole(page, point)]
    chart = figures.curve(_lines(page), name, joined=len(varying) == 1)
    lacking = (
        f", {len(points) - len(whole)} of them without all orders (grey)" if len(points) > len(whole) else ""
    )
    note = f"Validation accuracy of {len(points)} suggestions{lacking}. {_optima(whole, name)}"
    return Panel("curve", f"What does {name} do?", note, (Figure(chart, note),), _search(page))


def search(page: Page) -> Panel | None:
    """All suggestions, where no curve shows them."""
    if page.results["curve"] or not page.results["search"]:
        return None
    return Panel(
        "search", "What was tried?", "Validation accuracy over the search orders.", table=_search(page)
    )


def _whole(page: Page, point: Mapping[str, Any]) -> bool:
    """Whether a suggestion has all search orders and seeds on record."""
    wanted = (len(page.results["orders"]["search"]), len(page.results["seeds"]["search"]))
    return (point["orders"], point["seeds"]) == wanted


def _optima(points: Sequence[Mapping[str, Any]], name: str) -> str:
    """Which suggestion is best in the mean and which in the worst order."""
    if not points:
        return "None can be called best yet."
    mean, worst = (max(points, key=lambda point: point[field]) for field in ("mean", "worst"))
    said = f"Best mean {percent(mean['mean'])} at {name} {mean['at']:.3g}"
    if mean["suggestion"] == worst["suggestion"]:
        return f"{said}, which is best in the worst order too ({percent(worst['worst'])})."
    return f"{said}, but best worst order {percent(worst['worst'])} at {name} {worst['at']:.3g}."


def _lines(page: Page) -> list[figures.Line]:
    """The curve as lines, one for each set of other choices, and one of suggestions without all orders."""
    groups: dict[tuple[bool, str], list[Mapping[str, Any]]] = defaultdict(list)
    for point in page.results["curve"]:
        whole = _whole(page, point)
        groups[(not whole, point["choices"] if whole else "without all orders")].append(point)
    return [
        figures.Line(
            label,
            at=[point["at"] for point in group],
            means=[100 * point["mean"] for point in group],
            worsts=[100 * point["worst"] for point in group],
            texts=[
                f"{point['label']} ({point['orders']} orders × {point['seeds']} seeds)" for point in group
            ],
            whole=not lacking,
        )
        for (lacking, label), group in sorted(groups.items())
    ]


def _search(page: Page) -> Table:
    header = ("suggestion", "goal", "mean", "worst order", "orders ×\u00a0seeds", "failed", "missing")
    lines = [
        [
            one["label"],
            *(percent(one[field]) for field in ("value", "mean", "worst")),
            *(f"{one['orders']} × {one['seeds']}", str(one["failed"]), str(one["missing"])),
        ]
        for one in page.results["search"]
    ]
    return Table(header, lines)
