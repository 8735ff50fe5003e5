"""The first panel: how good each method is, how good in bad orders, and what it gains over others."""

from collections.abc import Mapping
from typing import Any

from sweep.report import order_figures
from sweep.report.sheet import Figure, Page, Panel, Table, margin, origin, percent, points

Pairs = Mapping[str, Mapping[str, Any]]
"""Differences to one method, by suggestion."""


def accuracy(page: Page) -> Panel | None:
    """How good, in the mean and in bad orders."""
    if not page.results["table"]:
        return None
    gains = _gains(page)
    header = ["method", "settings", "mean", "worst order", "worst 10 %", "best order", "std"]
    if gains:
        header += [f"gain over {gains[0]}", "orders won"]
    header += ["orders ×\u00a0seeds", "failed", "missing"]
    lines = []
    for line in page.rows:
        suggestion = line["suggestion"]
        shown = [page.names[suggestion], origin(line, page.arms[suggestion].method)]
        shown += [margin(line["mean"], line["half"])]
        shown += [percent(line[name]) for name in ("worst", "cvar", "best", "std")]
        if gains:
            shown += _gain(gains[1].get(suggestion))
        lines.append(
            [*shown, f"{line['orders']} × {line['seeds']}", str(line["failed"]), str(line["missing"])]
        )
    note = (
        "Average test accuracy over all tasks after the last one; all methods on the same orders and seeds."
    )
    charts = _forests(page)
    hollow = "In the charts, hollow: not to be told from no difference." if charts else ""
    notes = (note, _interval(page), _unseen(page), _until(page), hollow)
    return Panel(
        "accuracy",
        "How good, and how good in a bad order?",
        " ".join(text for text in notes if text),
        charts,
        Table(header, lines, words=2),
        unfolded=True,
    )


def _forests(page: Page) -> tuple[Figure, ...]:
    """What all others gain over a method, a chart for each that others are set against."""
    known = [pair for pair in page.results["paired"] if pair["mean"] is not None]
    others = list(dict.fromkeys(pair["baseline"] for pair in known))
    return tuple(
        _forest(page, other, [pair for pair in known if pair["baseline"] == other]) for other in others
    )


def _forest(page: Page, other: str, pairs: list[Mapping[str, Any]]) -> Figure:
    """The gains over one method, the largest first."""
    group = [
        order_figures.Gain(
            page.names[pair["suggestion"]],
            100 * pair["mean"],
            None if pair["half"] is None else 100 * pair["half"],
            f"better in {percent(pair['won'], digits=0)} of {pair['orders']} orders",
        )
        for pair in sorted(pairs, key=lambda pair: -float(pair["mean"]))
    ]
    title = f"Gain over {page.names[other]}"
    said = "; ".join(f"{one.label} {one.mean:+.2f} points, {one.text}" for one in group)
    alt = f"{title} on the same orders and seeds, with 95 % intervals: {said}."
    return Figure(order_figures.gains(group), alt, title)


def _gains(page: Page) -> tuple[str, Pairs] | None:
    """The first baseline's name and the differences to it, by suggestion; None where there is none."""
    first = next((line["suggestion"] for line in page.results["table"] if line["role"] == "baseline"), None)
    pairs = {pair["suggestion"]: pair for pair in page.results["paired"] if pair["baseline"] == first}
    return (page.names[first], pairs) if first and pairs else None


def _gain(pair: Mapping[str, Any] | None) -> list[str]:
    if pair is None or pair["mean"] is None:
        return ["–", "–"]
    spread = "" if pair["half"] is None else f" ± {100 * pair['half']:.2f}"
    return [f"{100 * pair['mean']:+.2f}{spread}".replace("-", "−"), percent(pair["won"], digits=0)]


def _interval(page: Page) -> str:
    """What the plus-minus stands for, or why there is none."""
    kinds = sorted({one.interval for one in page.judged})
    if not kinds:
        return "No run of these is on record yet."
    one = len(kinds) == 1 and kinds[0].startswith("95 %")
    return f"± is {kinds[0]}." if one else f"Intervals: {'; '.join(kinds)}."


def _unseen(page: Page) -> str:
    """What a random sample of orders proves about those not run."""
    shares = [one.line["unseen_worse"] for one in page.judged]
    if not shares or max(shares) == 0:
        return "All orders were run." if shares else ""
    share = percent(max(shares), digits=1)
    proved = f"fewer than {share} of all orders are worse than the worst here"
    return f"If the orders were drawn at random, one can be 95 % sure that {proved}."


def _until(page: Page) -> str:
    """Whether the orders are enough for what was asked, and what would be."""
    until = page.results["until"]
    if not until or not until["arms"]:
        return ""
    if "tail" in until["asked"]:
        tail = percent(until["asked"]["tail"], digits=1)
        asked = f"one order of the worst {tail} with 95 % certainty"
    else:
        asked = f"a mean to ± {points(until['asked']['half_width'])} points"
    if until["met"]:
        return f"Asked was {asked}: these orders are enough."
    said = "; ".join(_still(one) for one in until["arms"])
    return f"Asked was {asked}. Orders run and needed: {said}."


def _still(one: Mapping[str, Any]) -> str:
    """How many orders an arm has and needs, or what no number of orders can mend."""
    if one["needed"] is not None:
        return f"{one['label']} {one['orders']} of {one['needed']}"
    least = "no interval" if one["least"] is None else f"± {points(one['least'])} with all orders"
    return f"{one['label']} {one['orders']}, no number is enough ({least}): more seeds are needed"
