"""Charts of the report as plain plotly data: the only keeper of plotly."""

import html
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import plotly.graph_objects as go

Chart = dict[str, Any]

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours that people with the common kinds of colour blindness tell apart. Source: Okabe and Ito 2008."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")
DIVERGING = [[0.0, "#b35806"], [0.5, "#f7f7f7"], [1.0, "#2166ac"]]
"""Orange for less, blue for more, white for none. Source: Brewer's PuOr and RdBu, of which these are ends."""
BOX_FROM = 8
"""Fewer points than this show no box: its quartiles would be drawn from next to nothing."""
INK, GRID, GREY, GREY_TEXT, CHOICE = "#1f2933", "#e4e7eb", "#9aa5b1", "#52606d", "#b3005e"
COLUMN, LINE = 16, 22
"""Letters of the names of columns and lines of a table in colours, before they are broken."""
NUMBERS = ((6, ("%{z:.1f}", 12)), (8, ("%{z:.1f}", 10)), (12, ("%{z:.0f}", 10)), (math.inf, ("", 10)))
"""How the numbers of a table in colours are written, by the columns that there are at most; none in many."""
LEAST = 100
"""Pixels of a plot below which its parts stand on each other."""
UNDER_AXIS = 58
"""Pixels that numbers and title of an axis take."""
CHOSEN = "chosen order"
"""Name of the last trace of a chart, to be filled with the order that a reader chooses."""


class Spread(NamedTuple):
    """One method's accuracies in per cent, one for each order, what to say of each, and the orders' keys."""

    label: str
    values: Sequence[float]
    texts: Sequence[str]
    keys: Sequence[str] = ()


class Line(NamedTuple):
    """One line of the curve: suggestions that share their other choices, accuracies in per cent.

    Not `whole` are suggestions that lack orders or seeds: grey crosses, joined to nothing and never the best.
    """

    label: str
    at: Sequence[float]
    means: Sequence[float]
    worsts: Sequence[float]
    texts: Sequence[str]
    whole: bool = True


class Dots(NamedTuple):
    """Points of one kind, one for each suggestion; `open` ones are drawn hollow."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    texts: Sequence[str]
    open: bool = False


class Steps(NamedTuple):
    """The best found after each order of a hunt, in per cent, and what `drawn` random orders would find."""

    values: Sequence[float]
    expected: float | None
    drawn: int


def library() -> str:
    """The source of plotly.js, to be put in the page once."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def spread(groups: Sequence[Spread]) -> Chart:
    """Boxes with all their points, one row for each method, first on top."""
    figure = blank()
    for number, group in enumerate(groups):
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        boxed = len(group.values) >= BOX_FROM
        figure.add_box(
            x=list(group.values),
            name=wrapped(group.label),
            text=[html.escape(text) for text in group.texts],
            customdata=list(group.keys),
            hovertemplate="%{x:.2f} %<br>%{text}<extra></extra>",
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            orientation="h",
            marker={"color": colour, "size": 6, "opacity": 0.65},
            line={"color": colour if boxed else "rgba(0,0,0,0)", "width": 1.5},
            fillcolor="rgba(0,0,0,0)",
        )
    add_chosen(figure, mode="markers")
    figure.update_layout(layout(90 + (84 if len(groups) < 7 else 54) * len(groups)), showlegend=False)
    figure.update_xaxes(title="accuracy at the end (%)", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return plain(figure)


def curve(lines: Sequence[Line], name: str, *, joined: bool, legend: bool = True) -> Chart:
    """Mean (filled, solid) and worst order (open, dashed) against a searched setting; both optima ringed.

    Without `legend` only names of lines are told, not what filled, open and grey stand for.
    """
    figure = blank()
    for number, line in enumerate(lines):
        _add_line(figure, line, number, joined=joined)
    _add_optima(figure, lines)
    if not legend:
        _quiet(figure)
    told = sum(trace.showlegend is not False for trace in figure.data)
    figure.update_layout(legended(250, told), showlegend=told > 0)
    log = is_log([at for line in lines for at in line.at])
    scale: dict[str, Any] = (
        {"type": "log", "dtick": 1, "minor": {"ticks": "outside"}} if log else {"type": "linear"}
    )
    figure.update_xaxes(
        title=html.escape(name), gridcolor=GRID, zeroline=False, exponentformat="power", **scale
    )
    figure.update_yaxes(title="validation accuracy (%)", gridcolor=GRID, zeroline=False, automargin=True)
    return plain(figure)


def course(groups: Sequence[Dots]) -> Chart:
    """Accuracy of suggestions against their number; those that were dropped early are hollow."""
    figure = blank()
    colours = list(dict.fromkeys(group.label.partition(":")[0] for group in groups))
    for group in groups:
        number = colours.index(group.label.partition(":")[0])
        _add_dots(figure, group, OKABE_ITO[number % len(OKABE_ITO)], SYMBOLS[number % len(SYMBOLS)])
    style(figure, "number of the suggestion", "mean validation accuracy (%)", lines=len(groups))
    return plain(figure)


def pareto(groups: Sequence[Dots], front: Dots, names: Sequence[str]) -> Chart:
    """Two goals against each other, with a line through those that nothing beats."""
    figure = blank()
    for number, group in enumerate(groups):
        _add_dots(figure, group, OKABE_ITO[number % len(OKABE_ITO)], SYMBOLS[number % len(SYMBOLS)])
    figure.add_scatter(
        x=list(front.x),
        y=list(front.y),
        mode="lines+markers",
        name=front.label,
        line={"color": INK, "width": 1.5},
        marker={"symbol": "circle-open", "size": 15, "color": INK},
        hoverinfo="skip",
    )
    style(figure, f"{names[0]} (%)", f"{names[1]} (%)", lines=len(groups) + 1)
    return plain(figure)


def scatter(groups: Sequence[Dots], names: Sequence[str]) -> Chart:
    """Points of one or several kinds; `names` are those of the axes."""
    figure = blank()
    for number, group in enumerate(groups):
        _add_dots(figure, group, OKABE_ITO[number % len(OKABE_ITO)], SYMBOLS[number % len(SYMBOLS)])
    style(figure, *names, lines=len(groups))
    return plain(figure)


def hunt(steps: Steps) -> Chart:
    """The best found after each order tried, and a line at what random orders would find."""
    figure = blank()
    tries = list(range(1, len(steps.values) + 1))
    figure.add_scatter(
        x=tries,
        y=list(steps.values),
        mode="lines+markers",
        name="hunted",
        line={"color": OKABE_ITO[0], "width": 2, "shape": "hv"},
        hovertemplate="%{y:.2f} % after %{x} orders<extra></extra>",
    )
    if steps.expected is not None:
        figure.add_scatter(
            x=[tries[0], tries[-1]],
            y=[steps.expected] * 2,
            mode="lines",
            name=f"{steps.drawn} random orders",
            line={"color": OKABE_ITO[1], "dash": "dot", "width": 2},
            hovertemplate="%{y:.2f} %<extra></extra>",
        )
    style(figure, "orders tried", "accuracy at the end (%)", lines=2)
    return plain(figure)


def arrivals(times: Sequence[float]) -> Chart:
    """Runs on record against the minutes since the first of them; `times` are seconds, sorted."""
    most = 400
    counts = range(1, len(times) + 1)
    places = counts if len(times) <= most else [1 + (len(times) - 1) * i // (most - 1) for i in range(most)]
    figure = blank()
    figure.add_scatter(
        x=[round((times[place - 1] - times[0]) / 60, 3) for place in places],
        y=list(places),
        mode="lines",
        name="runs",
        line={"color": OKABE_ITO[0], "width": 2, "shape": "hv"},
        hovertemplate="%{y} runs after %{x} min<extra></extra>",
    )
    figure.update_layout(layout(300), showlegend=False)
    figure.update_xaxes(title="minutes since the first run", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(
        title="runs on record", gridcolor=GRID, zeroline=False, rangemode="tozero", automargin=True
    )
    return plain(figure)


def blank() -> "go.Figure":
    """An empty chart; plotly comes with the first one, for its import takes longer than a command may."""
    import plotly.graph_objects as go

    return go.Figure()


def add_chosen(figure: "go.Figure", *, mode: str) -> None:
    """An empty last trace, to be filled with the order that a reader chooses."""
    figure.add_scatter(
        x=[],
        y=[],
        mode=mode,
        name=CHOSEN,
        marker={
            "symbol": "star-diamond",
            "size": 13,
            "color": CHOICE,
            "line": {"color": "white", "width": 1},
        },
        line={"color": CHOICE, "width": 4},
        hovertemplate="%{x}, %{y:.2f}<extra>chosen order</extra>",
        showlegend=False,
    )


def _add_dots(figure: "go.Figure", group: Dots, colour: str, symbol: str) -> None:
    figure.add_scatter(
        x=list(group.x),
        y=list(group.y),
        mode="markers",
        name=html.escape(group.label),
        marker={"symbol": f"{symbol}-open" if group.open else symbol, "size": 8, "color": colour},
        text=[html.escape(text) for text in group.texts],
        hovertemplate="%{y:.2f} %<br>%{text}<extra></extra>",
    )


def style(figure: "go.Figure", x: str, y: str, *, lines: int) -> None:
    """Axes and legend of a plain chart."""
    figure.update_layout(legended(300, lines))
    figure.update_xaxes(title=html.escape(x), gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title=html.escape(y), gridcolor=GRID, zeroline=False, automargin=True)


def heat(
    numbers: Sequence[Sequence[float | None]],
    *,
    lines: Sequence[str],
    columns: Sequence[str],
    span: tuple[float, float],
    axis: str,
    unit: str = "%",
    diverging: bool = False,
) -> Chart:
    """A table of numbers in colours over `span`, first line on top; `axis` says what the columns are.

    None is left white. `diverging`: colours that part at the middle of `span`.
    """
    places, size = next(style for most, style in NUMBERS if len(columns) <= most)
    high = 38 if len(lines) < 9 else 28
    figure = blank()
    figure.add_heatmap(
        z=[list(line) for line in numbers],
        x=names(columns, COLUMN),
        y=names(lines, LINE),
        colorscale=DIVERGING if diverging else "Cividis",
        zmin=span[0],
        zmax=span[1],
        texttemplate=places,
        textfont={"size": size},
        hovertemplate=f"%{{y}}, %{{x}}: %{{z:.2f}} {unit}<extra></extra>",
        hoverongaps=False,
        colorbar={"title": {"text": unit}, "thickness": 10, "outlinewidth": 0},
        xgap=1,
        ygap=1,
    )
    figure.update_layout(layout(150 + high * len(lines)))
    figure.update_xaxes(title=axis, side="bottom", automargin=True, type="category", showgrid=False)
    figure.update_yaxes(autorange="reversed", automargin=True, type="category", showgrid=False)
    return plain(figure)


def names(texts: Sequence[str], width: int) -> list[str]:
    """Names of lines or columns as plotly has them."""
    return [wrapped(text, width) for text in texts]


def _add_line(figure: "go.Figure", line: Line, number: int, *, joined: bool) -> None:
    colour, symbol = OKABE_ITO[number % len(OKABE_ITO)], SYMBOLS[number // len(OKABE_ITO) % len(SYMBOLS)]
    if not line.whole:
        colour, symbol = GREY, "x"
    texts = [html.escape(text) for text in line.texts]
    for what, values, dash, shape in (
        ("mean", line.means, "solid", symbol),
        ("worst order", line.worsts, "dot", f"{symbol}-open"),
    ):
        figure.add_scatter(
            x=list(line.at),
            y=list(values),
            mode="lines+markers" if joined and line.whole else "markers",
            name=html.escape(f"{line.label}: {what}" if line.label else what),
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": shape, "size": 8, "color": colour},
            text=texts,
            hovertemplate="%{y:.2f} %<br>%{text}<extra></extra>",
        )


def _add_optima(figure: "go.Figure", lines: Sequence[Line]) -> None:
    """Rings round the suggestion with the best mean and round the one with the best worst order."""
    whole = [line for line in lines if line.whole]
    means = [(mean, at) for line in whole for mean, at in zip(line.means, line.at, strict=True)]
    worsts = [(worst, at) for line in whole for worst, at in zip(line.worsts, line.at, strict=True)]
    tops = [max(means), max(worsts)] if whole else []
    figure.add_scatter(
        x=[at for _, at in tops],
        y=[value for value, _ in tops],
        mode="markers",
        name="best of each",
        marker={"symbol": "circle-open", "size": 17, "color": INK, "line": {"width": 1.5}},
        hoverinfo="skip",
    )


def _quiet(figure: "go.Figure") -> None:
    """No word in the legend but the names of lines, once each."""
    for trace in figure.data:
        name, _, what = str(trace.name).rpartition(": ")
        if what == "mean" and name and trace.line.color != GREY:
            trace.name = name
        else:
            trace.showlegend = False


def layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 36, "b": 48},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "template": None,
    }


def legended(plot: int, words: int) -> dict[str, Any]:
    """Layout of a chart whose plot is so many pixels high, with a legend of so many words below its axis."""
    plot, below = max(plot, LEAST), UNDER_AXIS + 22 * ((words + 1) // 2)
    legend = {
        "orientation": "h",
        "yref": "container",  # at the foot of the chart, whatever its width and its number of columns
        "y": 0,
        "yanchor": "bottom",
        "maxheight": 1,  # all of it is seen
        "traceorder": "normal",
    }
    margin = {"l": 8, "r": 8, "t": 36, "b": below}
    return {**layout(36 + plot + below), "margin": margin, "legend": legend}


def is_log(values: Sequence[float]) -> bool:
    """Whether a setting was searched over magnitudes, as far as its values tell."""
    return min(values) > 0 and max(values) / min(values) >= 20


def wrapped(text: str, width: int = 20) -> str:
    """Text for plotly, which reads a kind of HTML: escaped, broken into short lines."""
    return "<br>".join(html.escape(line) for line in textwrap.wrap(text, width)) or " "


def plain(figure: "go.Figure") -> Chart:
    """The chart as plain data, the title of its axis close to the numbers."""
    figure.update_xaxes(title_standoff=8)
    chart: Chart = figure.to_plotly_json()
    return chart
