"""Panels on single orders and tasks: where accuracy spreads, when a bad order goes wrong, all orders."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sweep.analysis import Order
from sweep.analysis.arms import Floats
from sweep.analysis.tables import final_averages
from sweep.report import figures, order_figures
from sweep.report.floors import floor_columns, floor_note
from sweep.report.sheet import Figure, Judged, Page, Panel, Table, gaps, key, over, percent

FEW = 3
"""Methods whose bars can be told apart side by side."""
QUARTERS = (0, 0.25, 0.5, 0.75, 1)
DRAWN = 300
"""Orders drawn as lines; of more the extremes and a sample, evenly over the ranks."""
LISTED = 2000
"""Orders in the table; of more the worst and the best."""


def spread(page: Page) -> Panel | None:
    """The accuracy in every order."""
    if not page.judged:
        return None
    groups = [_spread(page, one) for one in page.judged]
    said = [f"{one.label} from {min(one.values):.2f} to {max(one.values):.2f} %" for one in groups]
    lines = [
        (one.label, *(f"{end:.2f} %" for end in np.quantile(one.values, QUARTERS)), each.size)
        for one, each in zip(groups, page.judged, strict=True)
    ]
    note = "One point for each order, seeds averaged; the box holds the middle half of the orders."
    note += gaps(page.judged)
    live = "Hold the pointer over one to see its order, press it to see that order everywhere."
    chart = figures.spread(groups)
    alt = f"Accuracy in each order: {'; '.join(said)}."
    figure = Figure(chart, alt, chosen=_points(groups))
    header = ("method", "worst", "lower quarter", "median", "upper quarter", "best", "orders × seeds")
    table = Table(header, lines)
    return Panel("spread", "How wide is the spread over orders?", note, (figure,), table, live=live)


def courses(page: Page) -> Panel | None:
    """When a bad order goes wrong: accuracy on the tasks seen, after each of them."""
    one = page.leader
    if one is None or len(one.runs.orders) < 2:
        return None
    seen = 100 * _seen(one)
    ranked = np.argsort(seen[:, -1], kind="stable").tolist()
    drawn = _sample(ranked)
    group = [
        order_figures.Course(_rounded(seen[o]), page.order(one.runs.orders[o]), key(one.runs.orders[o]))
        for o in drawn
    ]
    steps = list(range(1, seen.shape[1] + 1))
    chosen = {
        key(order): {"x": [steps], "y": [_rounded(line)]}
        for order, line in zip(one.runs.orders, seen, strict=True)
    }
    less = f" {len(drawn)} of {len(ranked)} orders are drawn." if len(drawn) < len(ranked) else ""
    note = (
        f"Test accuracy of {one.name} on the tasks trained so far, after each of them, seeds averaged.{less}"
    )
    drop = int(np.diff(seen[ranked[0]]).argmin())
    alt = f"{note} The worst order loses most with its task {drop + 2}."
    chart = order_figures.courses(group)
    return Panel("courses", "When does a bad order go wrong?", note, (Figure(chart, alt, chosen=chosen),))


def fragile(page: Page) -> Panel | None:
    """How far the order moves each task: OPD, with its mean and its largest."""
    shown = [one for one in page.judged if one.line["aopd"] is not None]
    if not shown:
        return None
    ranges = [
        order_figures.Range(
            one.name, _rounded(100 * _opd(one)), 100 * one.line["aopd"], 100 * one.line["mopd"]
        )
        for one in shown
    ]
    tasks = [page.task(home) for home in range(len(ranges[0].values))]
    first = next((one for one, each in zip(ranges, shown, strict=True) if each == page.leader), ranges[0])
    most = int(np.argmax(first.values))
    note = (
        "Best less worst final accuracy of each task over orders (OPD), in points, seeds averaged; AOPD is "
        "the mean over tasks, MOPD the largest. "
        f"It grows with the number of orders: {over(shown)}.{gaps(shown)} "
        f"With {first.label} it is largest for {tasks[most]}: {first.values[most]:.2f} points."
    )
    floors = floor_columns(page, shown)
    noise = floor_note(page)
    header = ("task", *(one.label for one in ranges), *(name for name, _ in floors))
    columns = [*([f"{value:.2f}" for value in one.values] for one in ranges), *(texts for _, texts in floors)]
    table = Table(header, list(zip(tasks, *columns, strict=True)))
    said = "; ".join(f"{one.label} {one.mean:.2f} and {one.largest:.2f}" for one in ranges)
    figure = Figure(_ranged(tasks, ranges), f"{note} AOPD and MOPD: {said}.")
    return Panel("fragile", "Which tasks does the order move most?", note + noise, (figure,), table)


def _ranged(tasks: Sequence[str], ranges: Sequence[order_figures.Range]) -> figures.Chart:
    """Bars for a few methods, a table in colours for many."""
    if len(ranges) <= FEW:
        return order_figures.ranges(tasks, ranges)
    cells = [[*one.values, round(one.mean, 3), round(one.largest, 3)] for one in ranges]
    most = max(max(line) for line in cells)
    return figures.heat(
        cells,
        lines=[one.label for one in ranges],
        columns=[*tasks, "AOPD", "MOPD"],
        span=(0.0, max(1.0, most)),
        axis="task, and their mean and largest",
        unit="points",
    )


def matrices(page: Page) -> Panel | None:
    """Accuracy after each task: in the worst and the best order, over all orders, and in a chosen one."""
    one = page.leader
    if one is None:
        return None
    runs = 100 * one.runs.matrices.mean(1)  # [orders, tasks + 1, tasks]
    arrived = {order: runs[o][:, list(order)] for o, order in enumerate(one.runs.orders)}
    span = (min(float(np.nanmin(matrix)) for matrix in arrived.values()), 100.0)
    figures_ = [
        _heat(page, f"{which} order", tuple(one.line[f"{which}_order"]), arrived, span)
        for which in ("worst", "best")
    ]
    if len(arrived) > 1:
        stack = np.stack(list(arrived.values()))
        figures_ += [_over(stack.mean(0), "mean over orders", span)]
        figures_ += [_over(stack.std(0, ddof=1), "standard deviation over orders", None)]
        figures_ += [_waiting(page, arrived, span)]
    note = (
        f"Test accuracy of {one.name}, in per cent, seeds averaged. Along a line: how well each task is "
        "known at that time. Down a column: how a task is learned and forgotten."
    )
    return Panel("matrices", "Where is it forgotten?", note, tuple(figures_))


def orders(page: Page) -> Panel | None:
    """Every order with what each method reaches in it, worst first."""
    one = page.leader
    if one is None:
        return None
    ours, *columns = [
        dict(zip(each.runs.orders, final_averages(each.runs).mean(1), strict=True))
        for each in (one, *page.judged)
    ]
    ranked = sorted(ours, key=lambda order: (ours[order], order))
    shown = ranked if len(ranked) <= LISTED else [*ranked[: LISTED // 2], *ranked[-LISTED // 2 :]]
    rank = {order: place for place, order in enumerate(ranked, start=1)}
    first = [page.task(order[0]) for order in shown]
    lines = [
        (
            page.order(order),
            key(order),
            name,
            str(rank[order]),
            *(percent(column.get(order)) for column in columns),
        )
        for order, name in zip(shown, first, strict=True)
    ]
    header = ("order", "by number", "first", "rank", *(each.name for each in page.judged))
    less = (
        f" The worst and the best {LISTED // 2} of {len(ranked)} are listed."
        if len(shown) < len(ranked)
        else ""
    )
    note = (
        f"Test accuracy at the end, seeds averaged; rank 1 is the worst for {one.name}.{less} "
        f"Press a column's name to sort.{gaps(page.judged)}"
    )
    table = Table(header, lines, words=3, keys=[key(order) for order in shown])
    live = "Choose an order to see it in the other charts."
    return Panel("orders", "Every order", note, table=table, live=live)


# ------------------------------------------------------------------ numbers
def _spread(page: Page, one: Judged) -> figures.Spread:
    values = _rounded(100 * final_averages(one.runs).mean(1))
    texts, keys = zip(*((page.order(order), key(order)) for order in one.runs.orders), strict=True)
    return figures.Spread(one.name, values, texts, keys)


def _points(groups: Sequence[figures.Spread]) -> dict[str, dict[str, Any]]:
    """Where each order stands, by its key, in the rows of all methods."""
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        for name, value in zip(group.keys, group.values, strict=True):
            change = found.setdefault(name, {"x": [[]], "y": [[]]})
            change["x"][0].append(value)
            change["y"][0].append(figures.wrapped(group.label))
    return found


def _seen(one: Judged) -> Floats:
    """Mean accuracy of the tasks trained so far [orders, tasks], after each of them, seeds averaged."""
    found = []
    for order, matrix in zip(one.runs.orders, one.runs.matrices.mean(1), strict=True):
        came = matrix[1:, list(order)]
        found.append([came[step, : step + 1].mean() for step in range(len(came))])
    return np.array(found)


def _opd(one: Judged) -> Floats:
    """Range of each task's final accuracy over orders [tasks], seeds averaged."""
    final = one.runs.matrices[:, :, -1].mean(1)
    return np.asarray(final.max(0) - final.min(0))


def _sample(ranked: Sequence[int]) -> list[int]:
    """Extremes and, of what is between, evenly spread ones."""
    if len(ranked) <= DRAWN:
        return list(ranked)
    places = np.linspace(0, len(ranked) - 1, DRAWN).round().astype(int).tolist()
    ends = range(order_figures.EXTREMES)
    wanted = sorted({*places, *ends, *(len(ranked) - 1 - end for end in ends)})
    return [ranked[place] for place in wanted]


def _rounded(values: Iterable[float]) -> list[float]:
    """Numbers as the page has them: two places are more than any sweep can tell."""
    return [round(float(value), 3) for value in values]


# ------------------------------------------------------------------ matrices
def _known(line: Floats) -> list[float | None]:
    """A line of a matrix; None for tasks that nobody measured before they were learnt."""
    return [None if np.isnan(value) else value for value in _rounded(line)]


def _names(page: Page, order: Order) -> list[str]:
    return [f"{position + 1}. {page.task(home)}" for position, home in enumerate(order)]


def _after(columns: Sequence[str]) -> list[str]:
    return ["before", *(f"after {name}" for name in columns)]


def _heat(
    page: Page, which: str, order: Order, arrived: dict[Order, Floats], span: tuple[float, float]
) -> Figure:
    """One order's matrix in per cent, lines and columns in the order trained."""
    columns, matrix = _names(page, order), arrived[order]
    chart = figures.heat(
        [_known(line) for line in matrix],
        lines=_after(columns),
        columns=columns,
        span=span,
        axis="task, in the order trained",
    )
    title = f"{which}: {float(matrix[-1].mean()):.2f} %"
    said = ", ".join(f"{name} {value:.1f} %" for name, value in zip(columns, matrix[-1], strict=True))
    return Figure(chart, f"Accuracy matrix of the {title} at the end: {said}.", title.capitalize())


def _over(matrix: Floats, what: str, span: tuple[float, float] | None) -> Figure:
    """A matrix over all orders, its columns positions in the order."""
    columns = [f"task {position + 1}" for position in range(matrix.shape[1])]
    span = span or (0.0, max(1.0, float(np.nanmax(matrix))))
    unit = "%" if what.startswith("mean") else "points"
    chart = figures.heat(
        [_known(line) for line in matrix],
        lines=_after(columns),
        columns=columns,
        span=span,
        axis="position in the order",
        unit=unit,
    )
    said = ", ".join(f"{name} {value:.1f}" for name, value in zip(columns, matrix[-1], strict=True))
    return Figure(chart, f"Accuracy matrix, {what}, by position; at the end: {said}.", what.capitalize())


def _waiting(page: Page, arrived: dict[Order, Floats], span: tuple[float, float]) -> Figure:
    """A matrix that shows whatever order a reader chooses."""
    first = next(iter(arrived))
    shown = _heat(page, "chosen order", first, arrived, span)
    chosen = {}
    for order, matrix in arrived.items():
        columns = _names(page, order)
        x, y = figures.names(columns, figures.COLUMN), figures.names(_after(columns), figures.LINE)
        chosen[key(order)] = {"z": [[_known(line) for line in matrix]], "x": [x], "y": [y]}
    alt = "Accuracy matrix of the order that is chosen in the table of orders or in a chart."
    return Figure(shown.chart, alt, "Chosen order", chosen=chosen, waits=True)
