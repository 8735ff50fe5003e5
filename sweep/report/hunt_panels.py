"""The panel on hunts: the worst (or best) order that was searched for, and what random orders would find."""

from collections.abc import Mapping
from typing import Any

from sweep.report import figures
from sweep.report.sheet import Figure, Page, Panel, Table, percent


def hunts(page: Page) -> Panel | None:
    """What was found, at what cost, and against how many random orders."""
    found = [one for one in page.results["hunts"] if one["value"] is not None]
    if not found:
        return None
    ways = {one["worst"] for one in found}
    what = "worst" if ways == {True} else "best" if ways == {False} else "worst and best"
    lines = [_line(page, one) for one in found]
    header = ["method", "order", "seeds", "found", "other seeds", "orders tried", "task trainings"]
    header += ["random orders", "rank"]
    note = f"Orders searched for, one after the other, each the likely {what} after all those before. "
    note += "Random orders: what so many of them found at best, and which share of all orders may still be "
    note += (
        "beyond what the hunt found, at 95 %; where all orders are on record the rank is exact, and so is "
    )
    note += (
        "what so many random ones are expected to find, and how often as much. Other seeds: the mean of the "
    )
    note += "same order over so many, for what is found with one pair of seeds is partly their chance."
    drawn = [one for one in found if one["course"]]
    charts = tuple(Figure(figures.hunt(_steps(one)), _said(page, one), one["label"]) for one in drawn)
    title = f"How bad is the {what} order?" if what == "worst" else f"What are the {what} orders?"
    return Panel("hunts", title, note, charts, Table(header, lines, words=2))


def _line(page: Page, one: Mapping[str, Any]) -> tuple[str, ...]:
    rank = "–" if one["rank"] is None else str(one["rank"])
    return (
        one["label"],
        page.order(one["order"]),
        ", ".join(map(str, one["seeds"])),
        percent(one["value"]),
        "–" if one["elsewhere"] is None else f"{percent(one['elsewhere'])} ({one['others']})",
        str(one["tried"]),
        f"{one['cost']} of {one['budget']}",
        _random(one),
        rank,
    )


def _random(one: Mapping[str, Any]) -> str:
    if one["expected"] is None:
        return "–"
    beyond = f"beyond the find at most {percent(one['share'], digits=1)}" if one["share"] is not None else ""
    luck = f"as much in {percent(one['luck'], digits=1)}" if one["luck"] is not None else ""
    return f"{one['drawn']}: {percent(one['expected'])}, {beyond or luck}"


def _said(page: Page, one: Mapping[str, Any]) -> str:
    which = "worst" if one["worst"] else "best"
    return (
        f"{one['label']}: {which} order found {percent(one['value'])} ({page.order(one['order'])}) after "
        f"{one['tried']} orders; random orders: {_random(one)}."
    )


def _steps(one: Mapping[str, Any]) -> figures.Steps:
    expected = None if one["expected"] is None else 100 * one["expected"]
    return figures.Steps([100 * value for value in one["course"]], expected, one["drawn"])
