"""Several sweeps on one page: what each says, all their methods in one table, and differences where fair."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from markupsafe import Markup

from sweep.analysis import Paired, Row, paired
from sweep.analysis.arms import Floats
from sweep.analysis.tables import final_averages
from sweep.report import figures, order_figures
from sweep.report.page import PageFacts, digest, environment, own, share
from sweep.report.position_panels import placed
from sweep.report.sheet import Figure, Judged, Page, Panel, Table, margin, origin, percent, points

ALIKE = ("benchmark", "model", "training")
"""Settings that two sweeps must share before their accuracies may be set against each other."""


@dataclass(frozen=True)
class Compared:
    """One of the sweeps: its name on the page, its results, its records, and its facts."""

    name: str
    results: Mapping[str, Any]
    rows: Sequence[Row]
    facts: PageFacts

    @cached_property
    def page(self) -> Page:
        """What its panels would read."""
        return Page.of(self.results, self.rows, self.facts.tasks)

    @property
    def share(self) -> int:
        """How much of it is on record, in per cent."""
        return share(self.results)

    @property
    def digest(self) -> str:
        """A name for its records."""
        return digest(self.rows)


def compare(group: Sequence[Compared]) -> str:
    """The text of one HTML file on all of them; names that are there twice get numbers."""
    group = _told_apart(group)
    panels = [panel for make in (_table, _spread, _differences, _places) if (panel := make(group))]
    return (
        environment()
        .get_template("compare.html.jinja")
        .render(
            group=group,
            cautions=list(_cautions(group)),
            verdict=_verdict(group),
            panels=panels,
            css=own("page.css"),
            scripts={"table": own("table.js"), "charts": own("charts.js")},
            plotly=Markup(figures.library()),
        )
    )


def _told_apart(group: Sequence[Compared]) -> list[Compared]:
    names = [one.name for one in group]
    return [
        one if names.count(one.name) == 1 else Compared(f"{one.name} ({n})", one.results, one.rows, one.facts)
        for n, one in enumerate(group, start=1)
    ]


def _cautions(group: Sequence[Compared]) -> Iterator[str]:
    """In what the sweeps differ, so that their figures cannot be set against each other as they are."""
    for one, other in combinations(group, 2):
        left, right = one.page.leader, other.page.leader
        if left is None or right is None:
            continue
        if unlike := _unlike(left, right):
            said = f"{one.name} and {other.name} differ in {' and '.join(unlike)}"
            yield f"{said}: their figures answer two questions."
        elif set(left.runs.orders) != set(right.runs.orders):
            shared = len(set(left.runs.orders) & set(right.runs.orders))
            yield f"{one.name} and {other.name} were judged on different orders, {shared} of them the same."
        if one.results["tuning"] != other.results["tuning"]:
            tuned = f"{one.results['tuning']} and {other.results['tuning']}"
            yield f"{one.name} and {other.name} chose their settings in different ways: {tuned}."


def _unlike(left: Judged, right: Judged) -> list[str]:
    """Which of the settings that should be the same are not."""
    both = [one.arm.settings for one in (left, right)]
    texts = [{name: json.dumps(each.get(name), sort_keys=True) for name in ALIKE} for each in both]
    return [name for name in ALIKE if texts[0][name] != texts[1][name]]


def _verdict(group: Sequence[Compared]) -> str:
    """How far the best of those that may be set against another is from the nearest of these."""
    judged = [one for one in group if one.page.leader]
    for top in sorted(judged, key=lambda one: -float(_leader(one).line["mean"])):
        pairs = [(other, pair) for other in judged if other is not top and (pair := _pair(top, other))]
        if pairs:
            return _ahead(top, *min(pairs, key=lambda found: found[1][0]), several=len(pairs) > 1)
    return "None of these may be set against another." if len(judged) > 1 else ""


def _ahead(top: Compared, other: Compared, found: tuple[float, Paired], *, several: bool) -> str:
    """The difference of two sweeps in a sentence, and a second one where it may be none."""
    mean, pair = found
    spread = "" if pair.half is None else f" ± {points(pair.half)}"
    said = f"{_named(top)} is {points(abs(mean))}{spread} points {'above' if mean >= 0 else 'below'} "
    said += f"{'the next, ' if several else ''}{_named(other)}, on the same {pair.orders} orders and "
    said += f"{pair.seeds} seeds, and better in {percent(pair.won, 0)} of the orders."
    unsure = pair.half is not None and abs(mean) <= pair.half
    return f"{said} These runs cannot tell that from no difference." if unsure else said


def _named(one: Compared) -> str:
    """A sweep's first, and the sweep."""
    return f"{_leader(one).name} of {one.name}"


def _leader(one: Compared) -> Judged:
    """The first of a sweep that has one."""
    if one.page.leader is None:
        raise ValueError(f"{one.name} has no runs that could be judged")
    return one.page.leader


def _pair(one: Compared, other: Compared) -> tuple[float, Paired] | None:
    """The first of one sweep less that of another, on what both ran; None where they may not be compared."""
    left, right = one.page.leader, other.page.leader
    if left is None or right is None or _unlike(left, right):
        return None
    orders = [order for order in left.runs.orders if order in set(right.runs.orders)]
    seeds = [seed for seed in left.runs.seeds if seed in right.runs.seeds]
    pair = paired(left.arm, right.arm, orders, seeds)
    return None if pair.mean is None else (pair.mean, pair)


def _all(group: Sequence[Compared]) -> list[tuple[str, Judged]]:
    """Every judged arm of every sweep, with its name on this page."""
    return [(f"{one.name}: {each.name}", each) for one in group for each in one.page.judged]


def _table(group: Sequence[Compared]) -> Panel | None:
    header = ("sweep", "method", "settings", "mean", "worst order", "std", "AOPD", "MOPD", "forgetting")
    lines = [
        (
            one.name,
            one.page.names[line["suggestion"]],
            origin(line, one.page.arms[line["suggestion"]].method),
            margin(line["mean"], line["half"]),
            percent(line["worst"]),
            percent(line["std"]),
            *(points(line[field]) for field in ("aopd", "mopd", "forgetting")),
            f"{line['orders']} × {line['seeds']}",
            str(line["failed"]),
            str(line["missing"]),
        )
        for one in group
        for line in one.page.rows
    ]
    note = "Test accuracy over all tasks after the last one. Ranges over orders (AOPD, MOPD) grow with their "
    note += "number."
    table = Table((*header, "orders ×\u00a0seeds", "failed", "missing"), lines, words=3)
    return Panel("accuracy", "How good, and how good in a bad order?", note, table=table) if lines else None


def _spread(group: Sequence[Compared]) -> Panel | None:
    found = [
        figures.Spread(
            name,
            [round(100 * float(value), 3) for value in final_averages(each.runs).mean(1)],
            [page.order(order) for order in each.runs.orders],
        )
        for one in group
        for page in [one.page]
        for name, each in _all([one])
    ]
    if not found:
        return None
    said = "; ".join(f"{one.label} from {min(one.values):.2f} to {max(one.values):.2f} %" for one in found)
    figure = Figure(figures.spread(found), f"Accuracy in each order: {said}.")
    return Panel(
        "spread", "How wide is the spread over orders?", "One point an order, seeds averaged.", (figure,)
    )


def _differences(group: Sequence[Compared]) -> Panel | None:
    """The first of each sweep against that of each other, on the orders and seeds that both ran."""
    found, lines = [], []
    for one, other in combinations(group, 2):
        if (known := _pair(one, other)) is None:
            continue
        mean, pair = known
        half = None if pair.half is None else 100 * pair.half
        label = f"{one.name}: {_leader(one).name} over {other.name}: {_leader(other).name}"
        text = f"better in {percent(pair.won, 0)} of {pair.orders} orders"
        found.append(order_figures.Gain(label, 100 * mean, half, text))
        spread = "" if pair.half is None else f" ± {points(pair.half)}"
        lines.append((label, points(mean) + spread, percent(pair.won, 0), f"{pair.orders} × {pair.seeds}"))
    if not found:
        return None
    said = "; ".join(f"{one.label}: {one.mean:+.2f} points, {one.text}" for one in found)
    table = Table(("difference", "points", "orders won", "orders × seeds"), lines)
    figure = Figure(order_figures.gains(found), f"Differences: {said}.")
    note = (
        "The first of each sweep against that of each other on test data, with the orders and seeds of both."
    )
    return Panel("differences", "Which sweep's best is better?", note, (figure,), table)


def _places(group: Sequence[Compared]) -> Panel | None:
    leaders = [(one.name, one.page.leader) for one in group]
    lines: list[tuple[str, list[float], list[float | None]]] = [
        (name, [float(value) for value in 100 * _means(leader)], [])
        for name, leader in leaders
        if leader is not None and len(leader.runs.orders) > 1
    ]
    if not lines:
        return None
    said = "; ".join(f"{name}: " + ", ".join(f"{value:.2f}" for value in means) for name, means, _ in lines)
    figure = Figure(order_figures.by_position(lines), f"Final accuracy in per cent by place: {said}.")
    note = "Final accuracy of whatever task was trained first, second, ..., with the first of each sweep."
    return Panel("position", "Is being early harmful?", note, (figure,))


def _means(leader: Judged) -> Floats:
    """Mean final accuracy by place [places]."""
    return np.asarray(np.nanmean(placed(leader.runs)[0], axis=0))
