"""Parallel coordinates: a line for each suggestion through its settings and what they came to."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.report.figures import GRID, INK, OKABE_ITO, Chart, blank, is_log, legended, plain, wrapped

if TYPE_CHECKING:
    import plotly.graph_objects as go

BLUES = ("#b5c6d8", "#8db3d3", "#5f9bc9", "#2a74b3", "#08306b")
"""From the worst fifth to the best. Source: Brewer's Blues, the light end darker."""
HEIGHT = 300


class Axis(NamedTuple):
    """One coordinate: its name, where each suggestion's value stands on it, 0 to 1, and texts at places."""

    name: str
    places: Sequence[float]
    marks: Mapping[float, str]


class Band(NamedTuple):
    """Suggestions that share a colour, by their numbers: the word for them."""

    label: str
    members: Sequence[int]


def scaled(name: str, values: Sequence[float], form: str = "{:.3g}") -> Axis:
    """An axis of numbers from their least, below, to their largest; of magnitudes where they span such."""
    read = math.log if is_log(values) else float
    low, high = min(values), max(values)
    width = read(high) - read(low)
    places = [(read(value) - read(low)) / width if width else 0.5 for value in values]
    return Axis(
        name, places, {0.0: form.format(low), 1.0: form.format(high)} if width else {0.5: form.format(low)}
    )


def listed(name: str, values: Sequence[Any]) -> Axis:
    """An axis of choices, each at a place of its own."""
    texts = sorted({str(value) for value in values})
    place = {text: number / max(1, len(texts) - 1) for number, text in enumerate(texts)}
    return Axis(name, [place[str(value)] for value in values], {at: text for text, at in place.items()})


def parallel(axes: Sequence[Axis], bands: Sequence[Band], best: Band, texts: Sequence[str]) -> Chart:
    """A line for each suggestion over all axes, by band from light to dark, and the best one in orange."""
    figure = blank()
    tones = BLUES[len(BLUES) - len(bands) :]
    for band, colour in zip(bands, tones, strict=True):
        _add(figure, axes, band, texts, line={"color": colour, "width": 1.5})
    _add(figure, axes, best, texts, line={"color": OKABE_ITO[1], "width": 3, "dash": "dash"})
    for number, axis in enumerate(axes):
        figure.add_vline(x=number, line={"color": INK, "width": 1})
        for at, text in axis.marks.items():
            _mark(figure, number, at, text)
    figure.update_layout(legended(HEIGHT, len(bands) + 1), showlegend=True)
    span = [-0.45, len(axes) - 0.5]  # room for the names at both ends
    names = {"tickvals": list(range(len(axes))), "ticktext": [wrapped(axis.name, 14) for axis in axes]}
    figure.update_xaxes(title="", range=span, showgrid=False, zeroline=False, **names)
    figure.update_yaxes(visible=False, range=[-0.08, 1.08], gridcolor=GRID)
    return plain(figure)


def _add(figure: "go.Figure", axes: Sequence[Axis], band: Band, texts: Sequence[str], line: Any) -> None:
    """One trace for all lines of a band, with a gap after each."""
    figure.add_scatter(
        x=[at for _ in band.members for at in (*range(len(axes)), None)],
        y=[place for one in band.members for place in (*(round(axis.places[one], 4) for axis in axes), None)],
        mode="lines",
        name=html.escape(band.label),
        line=line,
        text=[html.escape(texts[one]) for one in band.members for _ in range(len(axes) + 1)],
        hovertemplate="%{text}<extra></extra>",
    )


def _mark(figure: "go.Figure", axis: int, at: float, text: str) -> None:
    """A value beside its axis."""
    figure.add_annotation(
        x=axis,
        y=at,
        text=html.escape(text),
        showarrow=False,
        bgcolor="rgba(255,255,255,0.8)",
        font={"size": 11},
        xanchor="left",
        xshift=4,
    )
