"""Charts as drawings for paper and for a page without a script: the only keeper of matplotlib.

It reads the few kinds of traces that the charts of this room have, so that a figure is described once.
Plotly's own export needs a browser, which a machine that computes seldom has; matplotlib comes with MLflow.
"""

import hashlib
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweep.report.figures import CHOSEN, Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Trace = Mapping[str, Any]
INCHES = 7.2
PIXELS = 96.0
MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "x": "x"}
DASHES = {"solid": "-", "dash": "--", "dot": ":"}
STYLE = {
    "text.parse_math": False,  # a dollar in the name of a task is a dollar
    "svg.fonttype": "none",
    "font.size": 9,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa5b1",
    "axes.axisbelow": True,
    "path.simplify": True,
    "pdf.fonttype": 42,
}
TAG = re.compile(r"<br\s*/?>")
ELEMENT, BETWEEN = re.compile(r"<[^>]*>"), re.compile(r">\s+<")
GROUP = re.compile(r'<g id="[^"]*"')
"""Names of groups, which nothing refers to and which every drawing has alike."""
STYLED = re.compile(r' style="([^"]*)"')
LONE = re.compile(r"<g>(<(?:use|path)\b[^>]*/>)</g>")
"""A group that holds one mark and says nothing of it."""
UNTURNED = re.compile(r' transform="rotate\(-0 [^"]*"')
MARKS = re.compile(r'(?:<use href="[^"]*" x="[^"]*" y="[^"]*" class="(\w+)"/>)(?:<use [^>]* class="\1"/>)+')
"""Marks of one style, one after the other."""
METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
STEP = re.compile(r"\s*\b([MLCQz])\b\s*")
"""A letter of a path, with the blanks that nothing needs."""
DOTS = {"svg": 110}
"""Dots to the inch of a drawing on a page, if it has any; of files for a paper 200."""
MOST_MARKS = 3000
"""Marks and points of lines of a drawing, above which they are pixels and only axes and words are lines."""
PLACES = re.compile(r"(\d+\.\d)\d{3,5}(?!\d)")
"""A number of the drawing and its first place: a tenth of a point is finer than any screen or paper."""


def svg(chart: Chart, name: str) -> str:
    """The drawing as elements of a page; `name` keeps its identifiers apart from those of others."""
    text = _saved(chart, "svg", salt=name).decode()
    styles: dict[str, str] = {}

    def small(found: re.Match[str]) -> str:
        """An element with short numbers, and with the name of its style, which hundreds share."""
        plainer = found[0].replace(" \n", " ").replace("xlink:href=", "href=")
        short = UNTURNED.sub("", PLACES.sub(r"\1", plainer))
        if short.startswith("<path"):
            short = STEP.sub(r"\1", short)
        return STYLED.sub(lambda style: f' class="{styles.setdefault(style[1], _class(style[1]))}"', short)

    bare = METADATA.sub("", text[text.index("<svg") :])
    drawn = BETWEEN.sub("><", GROUP.sub("<g", ELEMENT.sub(small, bare)))
    while drawn != (bare := LONE.sub(r"\1", drawn)):
        drawn = bare
    drawn = MARKS.sub(lambda marks: _grouped(marks[0], marks[1]), drawn)
    rules = "".join(f".{kind}{{{style}}}" for style, kind in styles.items())
    return f"<style>{rules}</style>{drawn}"


def _class(style: str) -> str:
    """A name for a style, the same in every drawing."""
    return "s" + hashlib.sha256(style.encode()).hexdigest()[:8]


def _grouped(marks: str, style: str) -> str:
    """Marks that name their style once."""
    named = f' class="{style}"'
    return f"<g{named}>{marks.replace(named, '')}</g>"


def png(chart: Chart) -> bytes:
    """The drawing in pixels, 200 to the inch."""
    return _saved(chart, "png")


def pdf(chart: Chart) -> bytes:
    """The drawing as a page of its own size, with fonts."""
    return _saved(chart, "pdf")


def _saved(chart: Chart, form: str, salt: str = "nai") -> bytes:
    """The file of a drawing, without a date, so that equal charts are equal files."""
    import matplotlib as mpl

    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        file = io.BytesIO()
        _figure(chart).savefig(file, format=form, dpi=DOTS.get(form, 200), bbox_inches="tight", metadata=date)
    return file.getvalue()


def _figure(chart: Chart) -> "Figure":
    """A figure with all traces of a chart."""
    from matplotlib.figure import Figure

    layout = chart["layout"]
    figure = Figure(figsize=(INCHES, max(2.0, layout["height"] / PIXELS * 0.8)), layout="constrained")
    axes = figure.add_subplot()
    rows = _rows(chart["data"])
    bars = [trace for trace in chart["data"] if trace["type"] == "bar"]
    for trace in chart["data"]:
        if trace.get("name") != CHOSEN:
            DRAW[trace["type"]](axes, trace, rows, bars)
    if sum(len(trace["x"]) for trace in chart["data"]) > MOST_MARKS:
        for line in axes.lines:
            line.set_rasterized(True)
    _dress(axes, layout, rows)
    if layout.get("showlegend", True) and len(axes.get_legend_handles_labels()[0]) > 1:
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8)
    return figure


def plain(text: str) -> str:
    """Text as it was before plotly's tags and escapes."""
    return html.unescape(TAG.sub("\n", text))


def _rows(data: Sequence[Trace]) -> list[str]:
    """Names on the vertical axis, first on top, where it has names."""
    found: list[str] = []
    for trace in data:
        given = [trace["name"]] if trace["type"] == "box" else trace.get("y", ())
        found += [name for name in given if isinstance(name, str)]
    return list(dict.fromkeys(found))


def _dress(axes: "Axes", layout: Mapping[str, Any], rows: Sequence[str]) -> None:
    """Titles, scales, names and the lines that belong to no trace."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    for axis, given in ((axes.xaxis, layout["xaxis"]), (axes.yaxis, layout.get("yaxis", {}))):
        axis.set_label_text(plain(_title(given)))
    if layout["xaxis"].get("type") == "log":
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        if high < 30 * low:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())  # names of the ticks between run into one another
    if layout["xaxis"].get("dtick") == 1 and layout["xaxis"].get("type") != "log":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not axes.images:
        axes.grid(color="#e4e7eb", linewidth=0.8)
    if rows:
        axes.set_yticks(range(len(rows)), [plain(name) for name in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
    for shape in layout.get("shapes", ()):  # vertical lines
        line = shape["line"]
        dash = DASHES[line.get("dash", "solid")]
        axes.axvline(shape["x0"], color=line["color"], linestyle=dash, linewidth=line["width"])
    if "ticktext" in layout["xaxis"]:
        _name(axes, layout)


def _name(axes: "Axes", layout: Mapping[str, Any]) -> None:
    """Names in place of numbers below, and words in the plot, where the vertical axis says nothing."""
    names = layout["xaxis"]
    axes.set_xticks(names["tickvals"], [plain(name) for name in names["ticktext"]])
    axes.set_xlim(*names["range"])
    axes.set_ylim(*layout["yaxis"]["range"])
    axes.yaxis.set_visible(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5}
    for word in layout["annotations"]:
        side, at = word["xanchor"], (word["x"], word["y"])
        shift = (word["xshift"] * 72 / PIXELS, 0)
        axes.annotate(
            plain(word["text"]),
            at,
            xytext=shift,
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=7,
            bbox=box,
        )


def _title(axis: Mapping[str, Any]) -> str:
    title = axis.get("title", "")
    return str(title.get("text", "")) if isinstance(title, Mapping) else str(title)


def _place(values: Sequence[Any], rows: Sequence[str]) -> list[Any]:
    """Names as places on the axis, gaps as nan, numbers as they are."""
    return [rows.index(v) if isinstance(v, str) else float("nan") if v is None else v for v in values]


def _scatter(axes: "Axes", trace: Trace, rows: Sequence[str], bars: Sequence[Trace]) -> None:
    marker, line = trace.get("marker") or {}, trace.get("line") or {}
    colour = marker.get("color") or line.get("color")
    kind, _, _ = str(marker.get("symbol", "circle")).partition("-open")
    pen: dict[str, Any] = {"linestyle": "none", "marker": ""}
    if "lines" in trace["mode"]:
        pen |= {"linestyle": DASHES[line.get("dash", "solid")], "linewidth": 0.7 * line.get("width", 2)}
    if "markers" in trace["mode"]:
        pen |= {"marker": MARKERS[kind], "markersize": 0.6 * marker.get("size", 6)}
    if line.get("shape") == "hv":
        pen["drawstyle"] = "steps-post"
    x, y = _place(trace["x"], rows), _place(trace["y"], rows)
    face = "none" if str(marker.get("symbol", "")).endswith("-open") else colour
    name = plain(trace["name"]) if trace.get("showlegend", True) else None
    axes.plot(
        x,
        y,
        color=line.get("color", colour),
        markeredgecolor=colour,
        markerfacecolor=face,
        label=name,
        alpha=trace.get("opacity"),
        **pen,
    )
    for axis in ("x", "y"):
        bar = trace.get(f"error_{axis}")
        if bar:
            halves = [float("nan") if half is None else half for half in bar["array"]]
            along: dict[str, Any] = {f"{axis}err": halves}
            axes.errorbar(x, y, fmt="none", ecolor=colour, capsize=3, **along)


def _box(axes: "Axes", trace: Trace, rows: Sequence[str], bars: Sequence[Trace]) -> None:
    """All points, spread out a little by their rank, and the box where there are enough."""
    place, colour = rows.index(trace["name"]), trace["marker"]["color"]
    values = list(trace["x"])
    shift = [place + 0.3 * ((0.618 * number) % 1 - 0.5) for number in range(len(values))]
    axes.plot(values, shift, ".", color=colour, alpha=0.65, markersize=5, markeredgewidth=0)
    if not trace["line"]["color"].startswith("rgba"):
        pen = {"color": colour}
        axes.boxplot(
            values,
            orientation="horizontal",
            positions=[place],
            widths=0.5,
            showfliers=False,
            medianprops=pen,
            boxprops=pen,
            whiskerprops=pen,
            capprops=pen,
        )


def _bar(axes: "Axes", trace: Trace, rows: Sequence[str], bars: Sequence[Trace]) -> None:
    number = next(place for place, bar in enumerate(bars) if bar is trace)
    height = 0.8 / len(bars)
    places = [place - 0.4 + height * (number + 0.5) for place in _place(trace["y"], rows)]
    axes.barh(places, trace["x"], height, color=trace["marker"]["color"], label=plain(trace["name"]))


def _heatmap(axes: "Axes", trace: Trace, rows: Sequence[str], bars: Sequence[Trace]) -> None:
    """Colours with their numbers, dark on light and light on dark."""
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    table = np.array([[np.nan if v is None else v for v in line] for line in trace["z"]], dtype=float)
    scale = trace["colorscale"]
    tones = (
        "cividis"
        if isinstance(scale, str)
        else LinearSegmentedColormap.from_list("tones", [c for _, c in scale])
    )
    norm = Normalize(trace["zmin"], trace["zmax"])
    image = axes.imshow(table, cmap=tones, norm=norm, aspect="auto", interpolation="nearest")
    places = 0 if ".0f" in trace["texttemplate"] else 1
    for (line, column), number in np.ndenumerate(table):
        if trace["texttemplate"] and np.isfinite(number):
            red, green, blue, _ = image.to_rgba(number)
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
            axes.text(column, line, f"{number:z.{places}f}", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(trace["x"])), [plain(name) for name in trace["x"]], fontsize=7)
    axes.tick_params(length=0)
    axes.figure.colorbar(image, ax=axes, label=trace["colorbar"]["title"]["text"], shrink=0.8)


DRAW: dict[str, Callable[["Axes", Trace, Sequence[str], Sequence[Trace]], None]] = {
    "scatter": _scatter,
    "box": _box,
    "bar": _bar,
    "heatmap": _heatmap,
}
