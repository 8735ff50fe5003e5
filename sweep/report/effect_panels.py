"""Panels on causes: what order, seed and settings do, what depends on the order, what comes before what."""

from collections.abc import Mapping, Sequence
from typing import Any

from sweep.report import figures, order_figures
from sweep.report.sheet import Figure, Page, Panel, Table, percent, points

Line = Mapping[str, Any]
PARTS = ("order", "seed", "settings", "rest")
PARTS_JUDGED = ("order", "seed", "rest")
ONE_SEED = "One seed: the chance of the seed is in it."
KENDALL = (
    "Kendall's W says how far the orders rank them alike (1 all the same, 0 not at all). First in: the share "
    "of orders in which the best in the mean is the best. Winners: how many are best in some order. Gain: "
    "points that choosing the best in each order would add, chosen on all seeds but one and judged on that."
)


def variance(page: Page) -> Panel | None:
    """Order, seed, or chance: where the differences between runs come from, and what would help."""
    known = {line["over"]: line for line in page.lines("components") if line["arms"] == 1}
    judged = [(one.name, known[one.label]) for one in page.judged if one.label in known]
    searched = [
        (str(line["over"]).removeprefix("settings of "), line)
        for line in page.lines("search_components")
        if line["arms"] > 1
    ]
    leader = page.leader
    if not (judged or searched) or leader is None:
        return None
    advice = known[leader.label]["advice"] if leader.label in known else searched[0][1]["advice"]
    note = (
        "Standard deviations, in points of accuracy, that order, seed, settings and the rest (their "
        f"interplay and chance) add to single runs. {leader.name}: {advice}"
    )
    groups = (("What was judged", judged, PARTS_JUDGED), ("The settings of the search", searched, PARTS))
    charts = tuple(_parted(title, lines, parts) for title, lines, parts in groups if lines)
    return Panel("variance", "More orders, or more seeds?", note, charts, _parts_table(judged, searched))


def _parted(title: str, lines: Sequence[tuple[str, Line]], parts: Sequence[str]) -> Figure:
    """The parts of each line side by side on one row."""
    series = [
        (part, [(name, 100 * float(line[part])) for name, line in lines if line[part] is not None])
        for part in parts
    ]
    said = "; ".join(
        f"{name} {', '.join(f'{part} {points(line[part])}' for part in parts if line[part] is not None)}"
        for name, line in lines
    )
    rows = [name for name, _ in lines]
    return Figure(order_figures.marks(rows, series, "std (points)"), f"{title}: {said}.", title)


def _parts_table(judged: Sequence[tuple[str, Line]], searched: Sequence[tuple[str, Line]]) -> Table:
    header = ("of", *PARTS, "share of the order", "what would help", "orders × seeds", "failed", "missing")
    lines = [*judged, *((f"settings of {name} (search)", line) for name, line in searched)]
    rows = [
        (
            name,
            *(points(line[part]) for part in PARTS),
            percent(line["order_share"], 0),
            line["advice"],
            f"{line['orders']} × {line['seeds']}",
            str(line["failed"]),
            str(line["missing"]),
        )
        for name, line in lines
    ]
    return Table(header, rows)


def agreement(page: Page) -> Panel | None:
    """Whether the best method, and the best settings, depend on the order."""
    searched = [{**line, "over": f"{line['over']} (search)"} for line in page.lines("search_agreement")]
    judged = page.lines("agreement") if page.judged else ()  # before that they are of the search, too
    lines = [*judged, *searched]
    if not lines:
        return None
    names = {one.label: one.name for one in page.judged}
    header = ("of", "answer", "best in the mean", "ranked", "Kendall's W", "first in", "winners", "gain")
    rows = [
        (
            line["over"],
            line["says"].removesuffix(ONE_SEED).strip(),
            names.get(line["best"], line["best"]) or "–",
            str(line["items"]),
            "–" if line["w"] is None else f"{line['w']:.2f}",
            percent(line["first"], 0),
            str(line["winners"]),
            points(line["gain"]),
            f"{line['orders']} × {line['seeds']}",
            str(line["failed"]),
            str(line["missing"]),
        )
        for line in lines
    ]
    table = Table((*header, "orders × seeds", "failed", "missing"), rows, words=3)
    lone = any(line["says"].endswith(ONE_SEED) for line in lines)
    note = f"{KENDALL} With one seed its chance is in the answer, too." if lone else KENDALL
    return Panel("agreement", "Does the best depend on the order?", note, table=table)


def precedence(page: Page) -> Panel | None:
    """Which task ahead of it helps or harms each task."""
    leader = page.leader
    if leader is None:
        return None
    found = [line for line in page.lines("predecessors") if line["suggestion"] == leader.arm.suggestion]
    if not found:
        return None
    tasks = sorted({line["task"] for line in found})
    names = [page.task(task) for task in tasks]
    shown = []
    for ahead in ("before", "just before"):
        effects = {(line["task"], line["predecessor"]): line for line in found if line["ahead"] == ahead}
        clear = {pair: line for pair, line in effects.items() if not _within_noise(line)}
        cells = [[_points(clear.get((task, other))) for other in tasks] for task in tasks]
        most = max((abs(value) for line in cells for value in line if value is not None), default=1.0)
        chart = figures.heat(
            cells,
            lines=names,
            columns=names,
            span=(-most, most),
            axis=f"task that comes {ahead}",
            unit="points",
            diverging=True,
        )
        title = f"Any time {ahead}" if ahead == "before" else ahead.capitalize()
        shown.append(Figure(chart, _harm(page, clear, ahead), title))
    note = (
        f"Final accuracy of each task (lines) with {leader.name} in orders with another task (columns) "
        "ahead of it, less that in all other orders, in points. White: within the noise of the seeds, or not "
        "to be told. " + " ".join(figure.alt for figure in shown)
    )
    return Panel("precedence", "Which task before it harms which?", note, tuple(shown))


def tradeoff(page: Page) -> Panel | None:
    """What is kept against what is learned, over all settings tried."""
    lines = page.lines("search_tradeoff") or page.lines("tradeoff")
    if len(lines) < 2:
        return None
    methods = list(dict.fromkeys(line["method"] for line in lines))
    groups = [_dots(method, [line for line in lines if line["method"] == method]) for method in methods]
    best = sorted((line for line in lines if line["front"] == 1), key=lambda line: float(line["plasticity"]))
    chart = figures.pareto(
        groups, _dots("nothing beats these", best), ("learning accuracy", "1 − forgetting")
    )
    note = (
        "Accuracy when just learned (plasticity) against 1 less what is forgotten (stability), validation "
        f"data of the search where there is one. Ringed: the {len(best)} of {len(lines)} settings than which "
        f"no other is better in one and no worse in the other, of {' and '.join(_methods(best))}."
    )
    said = "; ".join(line["label"] for line in best)
    rows = [
        (
            line["label"],
            percent(line["plasticity"]),
            percent(line["stability"]),
            str(line["front"]),
            f"{line['orders']} × {line['seeds']}",
            str(line["failed"]),
            str(line["missing"]),
        )
        for line in lines
    ]
    header = ("settings", "plasticity", "stability", "front", "orders × seeds", "failed", "missing")
    return Panel(
        "tradeoff",
        "What is kept for what is learned?",
        note,
        (Figure(chart, f"{note} These are: {said}."),),
        Table(header, rows),
    )


def _methods(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(str(line["method"]) for line in lines))


def importance(page: Page) -> Panel | None:
    """Which setting mattered, for the mean and for the worst order."""
    lines = [line for line in page.lines("importance") if line["mean"] is not None]
    if not lines:
        return None
    names = [f"{line['method']}: {line['setting'].rpartition('.')[2]}" for line in lines]
    series = [(name, [100 * (line[name] or 0.0) for line in lines]) for name in ("mean", "worst")]
    said = "; ".join(
        f"{name} {percent(line['mean'], 0)} and {percent(line['worst'], 0)}"
        for name, line in zip(names, lines, strict=True)
    )
    note = (
        "Share of the differences between suggestions that each setting explains, in their mean over orders "
        f"and in their worst order (fANOVA, Hutter et al. 2014). {_weights(lines)}"
    )
    table = Table(
        ("setting", "of the mean", "of the worst order", "suggestions", "left out"),
        [
            (
                name,
                percent(line["mean"], 0),
                percent(line["worst"], 0),
                str(line["suggestions"]),
                str(line["left_out"]),
            )
            for name, line in zip(names, lines, strict=True)
        ],
    )
    chart = order_figures.parts(names, series, "share of the variance (%)")
    figure = Figure(chart, f"{note} Mean and worst: {said}.")
    return Panel("importance", "Which setting mattered?", note, (figure,), table)


def _weights(lines: Sequence[Line]) -> str:
    """Which setting matters most, of each method that has several: for the mean, and for the worst order."""
    said = []
    for method in _methods(lines):
        mine = [line for line in lines if line["method"] == method]
        if len(mine) > 1:
            tops = [
                max(mine, key=lambda line: line[goal] or 0.0)["setting"].rpartition(".")[2]
                for goal in ("mean", "worst")
            ]
            worst = "for both" if tops[0] == tops[1] else f"for the mean, {tops[1]} for the worst order"
            said.append(f"{method} {tops[0]} {worst}")
    return f"What matters most: {'; '.join(said)}." if said else ""


def nearness(page: Page) -> Panel | None:
    """Whether orders that differ little reach alike, and whether alike neighbours help."""
    leader = page.leader
    if leader is None:
        return None
    name = leader.arm.suggestion
    found = [line for line in page.lines("distances") if line["suggestion"] == name]
    known = [line for line in found if line["accuracy"] is not None]
    related = next((line for line in page.lines("relations") if line["suggestion"] == name), None)
    if len(known) < 3 or related is None:
        return None
    texts = [f"{line['orders']} orders" for line in known]
    dots = figures.Dots(
        leader.name, [line["distance"] for line in known], [100 * line["accuracy"] for line in known], texts
    )
    axes = ("task pairs turned round", "mean accuracy (%)")
    said = {
        "accuracy with the distance from the best order": related["best"],
        "the difference between two orders with their distance": related["apart"],
        "accuracy with the similarity of neighbouring tasks": related["similarity"],
    }
    ranks = "; ".join(
        f"{what} {value:+.2f}".replace("-", "−") for what, value in said.items() if value is not None
    )
    note = (
        f"Mean final accuracy with {leader.name} by Kendall distance from the best order. Rank correlations "
        f"over {related['orders']} orders: {ranks}."
    )
    return Panel(
        "nearness", "Do like orders end alike?", note, (Figure(figures.scatter([dots], axes), note),)
    )


def _harm(page: Page, clear: Mapping[tuple[int, int], Line], ahead: str) -> str:
    """Which task is harmed most by which, in words."""
    worst = min(clear.values(), key=lambda line: float(line["effect"]), default=None)
    if worst is None or worst["effect"] >= 0:
        return f"No task that comes {ahead} is seen to harm another beyond the noise of the seeds."
    pair = f"{page.task(worst['task'])} is harmed most by {page.task(worst['predecessor'])} {ahead} it"
    return f"{pair}: {points(worst['effect'])} points of final accuracy."


def _within_noise(line: Line) -> bool:
    return line["half"] is not None and abs(line["effect"]) <= line["half"]


def _points(line: Line | None) -> float | None:
    return None if line is None else round(100 * float(line["effect"]), 3)


def _dots(label: str, lines: Sequence[Line]) -> figures.Dots:
    x, y = ([100 * line[field] for line in lines] for field in ("plasticity", "stability"))
    return figures.Dots(label, x, y, [line["label"] for line in lines])
