"""Charts of what the order does: courses of single orders, ranges of tasks, differences between methods."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sweep.report.figures import (
    CHOICE,
    GREY,
    GREY_TEXT,
    GRID,
    INK,
    OKABE_ITO,
    SYMBOLS,
    Chart,
    add_chosen,
    blank,
    layout,
    legended,
    plain,
    style,
    wrapped,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["CHOICE", "Course", "Gain", "Range", "by_position", "courses", "gains", "parts", "ranges"]
EXTREMES = 5
"""Orders drawn singly at each end; the others are grey."""


class Course(NamedTuple):
    """Accuracy in per cent after each task of one order, what to say of it, and the order's key."""

    values: Sequence[float]
    text: str
    key: str


class Range(NamedTuple):
    """One method's range over orders in points, one for each task, with their mean and largest."""

    label: str
    values: Sequence[float]
    mean: float
    largest: float


class Gain(NamedTuple):
    """A mean difference in points with half its interval, None where it has none, and what to say of it."""

    label: str
    mean: float
    half: float | None
    text: str


def courses(group: Sequence[Course]) -> Chart:
    """One line for each order, worst at the end first: the worst bold, the best thin, the rest grey."""
    figure, ends = blank(), min(EXTREMES, len(group) // 2)
    rest = group[ends : len(group) - ends]
    _add_courses(figure, rest, "other orders", GREY, 0.8, "circle")
    _add_courses(figure, group[len(group) - ends :], f"best {ends}", OKABE_ITO[0], 1.2, "diamond")
    _add_courses(figure, group[:ends], f"worst {ends}", OKABE_ITO[1], 2.6, "circle")
    add_chosen(figure, mode="lines+markers")
    style(figure, "tasks trained", "accuracy on tasks so far (%)", lines=3)
    figure.update_xaxes(dtick=1)
    return plain(figure)


def ranges(tasks: Sequence[str], groups: Sequence[Range]) -> Chart:
    """Each task's range over orders as a bar, a bar for each method, with lines at mean and largest."""
    figure = blank()
    for number, group in enumerate(groups):
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        figure.add_bar(
            x=list(group.values),
            y=[wrapped(task) for task in tasks],
            orientation="h",
            name=html.escape(group.label),
            marker={"color": colour},
            hovertemplate="%{y}: %{x:.2f} points<extra></extra>",
        )
        for value, dash in ((group.mean, "dash"), (group.largest, "dot")):
            figure.add_vline(x=value, line={"color": colour, "dash": dash, "width": 1.5})
    plot = (18 * len(groups) + 14) * len(tasks)
    figure.update_layout(legended(plot, len(groups)), showlegend=True, barmode="group")
    figure.update_xaxes(title="best less worst order (points)", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    return plain(figure)


def gains(group: Sequence[Gain]) -> Chart:
    """Mean differences with their intervals, one line each: blue above none, orange below, hollow unsure."""
    figure = blank()
    for one in group:
        symbol, colour = _sign(one)
        bar = {"type": "data", "array": [one.half], "thickness": 2, "width": 6}
        figure.add_scatter(
            x=[one.mean],
            y=[wrapped(one.label, 28)],
            mode="markers",
            name=html.escape(one.label),
            marker={"symbol": symbol, "size": 9, "color": colour},
            error_x=None if one.half is None else bar,
            text=[html.escape(one.text)],
            hovertemplate="%{x:+.2f} points<br>%{text}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    height = 92 + sum(12 + 16 * (1 + wrapped(one.label, 28).count("<br>")) for one in group)
    figure.update_layout(layout(height), showlegend=False)
    figure.update_xaxes(title="points of accuracy", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    return plain(figure)


def _sign(one: Gain) -> tuple[str, str]:
    """Symbol and colour of a difference: by its sign, where it can be told from none."""
    if one.half is None or abs(one.mean) <= one.half:
        return "circle-open", GREY_TEXT
    return ("circle", OKABE_ITO[0]) if one.mean > 0 else ("diamond", OKABE_ITO[1])


def parts(rows: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], axis: str) -> Chart:
    """Bars beside each other, a row for each name and a bar for each of the series; `axis`: their unit."""
    figure = blank()
    for number, (name, values) in enumerate(series):
        figure.add_bar(
            x=list(values),
            y=[wrapped(row, 28) for row in rows],
            orientation="h",
            name=html.escape(name),
            marker={"color": OKABE_ITO[number % len(OKABE_ITO)]},
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    plot = (14 * len(series) + 12) * len(rows)
    figure.update_layout(legended(plot, len(series)), showlegend=True, barmode="group")
    figure.update_xaxes(title=axis, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    return plain(figure)


def marks(rows: Sequence[str], series: Sequence[tuple[str, Sequence[tuple[str, float]]]], axis: str) -> Chart:
    """Marks on rows, a symbol and colour for each of the series; `axis`: what the values are."""
    figure = blank()
    for number, (name, found) in enumerate(series):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        figure.add_scatter(
            x=[value for _, value in found],
            y=[wrapped(row, 28) for row, _ in found],
            mode="markers",
            name=html.escape(name),
            marker={"symbol": symbol, "size": 9, "color": OKABE_ITO[number % len(OKABE_ITO)]},
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    plot = sum(12 + 16 * (1 + wrapped(row, 28).count("<br>")) for row in rows)
    figure.update_layout(legended(plot, len(series)), showlegend=True)
    figure.update_xaxes(title=axis, gridcolor=GRID, zeroline=False)
    order = [wrapped(row, 28) for row in rows]
    figure.update_yaxes(
        autorange="reversed",
        automargin=True,
        type="category",
        categoryorder="array",
        categoryarray=order,
        gridcolor=GRID,
    )
    return plain(figure)


def by_position(groups: Sequence[tuple[str, Sequence[float], Sequence[float | None]]]) -> Chart:
    """Mean final accuracy (per cent) of the tasks trained first, second, ...: labels, means, halves."""
    figure = blank()
    for number, (label, means, halves) in enumerate(groups):
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        known = [half for half in halves if half is not None]
        bar = {"type": "data", "array": list(halves), "thickness": 1.5, "width": 5}
        figure.add_scatter(
            x=list(range(1, len(means) + 1)),
            y=list(means),
            mode="lines+markers",
            name=html.escape(label),
            line={"color": colour, "width": 2},
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8, "color": colour},
            error_y=bar if known else None,
            hovertemplate="position %{x}: %{y:.2f} %<extra></extra>",
        )
    style(figure, "position in the order", "final accuracy of the task there (%)", lines=len(groups))
    figure.update_xaxes(dtick=1)
    return plain(figure)


def _add_courses(
    figure: "go.Figure", group: Sequence[Course], name: str, colour: str, width: float, symbol: str
) -> None:
    """Lines of several orders as one trace with gaps, so that hundreds stay quick to draw."""
    if not group:
        return
    x: list[int | None] = []
    y: list[float | None] = []
    texts, keys = [], []
    for one in group:
        x += [*range(1, len(one.values) + 1), None]
        y += [*one.values, None]
        texts += [html.escape(one.text)] * (len(one.values) + 1)
        keys += [one.key] * (len(one.values) + 1)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": width},
        marker={"symbol": symbol, "size": 4, "color": colour},
        opacity=0.5 if colour == GREY else 1,
        text=texts,
        customdata=keys,
        hovertemplate="%{y:.2f} % after %{x} tasks<br>%{text}<extra></extra>",
    )
