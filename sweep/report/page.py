"""The report as one HTML file without any network: panels put into a template that escapes all text."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sweep.analysis import Row
from sweep.parts import replace
from sweep.report import drawing, figures, small
from sweep.report.answers import answers
from sweep.report.panels import PANELS
from sweep.report.sheet import Figure, Page, Panel, Tables

HERE = Path(__file__).parent


@dataclass(frozen=True)
class PageFacts:
    """What a reader needs to know beside the records: how the sweep was started, and with what.

    `command` is empty for records that nothing here can run. `tasks` are task names by home index (empty:
    numbers), `space` is the search space as text, `cost` and `versions` are names with texts, such as
    {"time on all workers": "3 min 20 s"}. `tables` are those of `sweep.analysis.study`, and
    "search_tradeoff"; panels of those that are not there are left out.
    """

    command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    tasks: Sequence[str] = ()
    space: str = ""
    cost: Mapping[str, str] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)


def render(
    results: Mapping[str, Any], rows: Sequence[Row], page_facts: PageFacts, *, static: bool = False
) -> str:
    """The report of a sweep, complete or not, as the text of one HTML file; equal input gives equal text.

    `static`: charts are drawings, so that the page is small, and a click in the table changes no chart; what
    would make it larger than `small.LIMIT` is left out, and said to be.
    """
    page = Page.of(results, rows, page_facts.tasks, page_facts.tables)
    panels = shown(page)
    ran = {which: [page.order(order) for order in orders] for which, orders in results["orders"].items()}
    charts = dict(named(panels))
    told = {
        "results": results,
        "facts": page_facts,
        "answers": answers(page),
        "share": share(results),
        "digest": digest(rows),
        "css": own("page.css"),
        "scripts": {"table": own("table.js"), "charts": own("charts.js")},
        "choices": _choices(charts),
        "plotly": "" if static else Markup(figures.library()),  # not escaped: the library's own source
    }
    template = environment().get_template("page.html.jinja")

    def text(parts: small.Parts) -> str:
        drawn = parts.drawn if static else None
        return template.render(
            told, panels=parts.panels, orders=parts.orders, drawn=drawn, left_out=parts.said
        )

    parts = small.Parts(panels, ran, _drawn(charts) if static else {})
    return small.fitted(parts, text) if static else text(parts)


def write(
    path: Path,
    results: Mapping[str, Any],
    rows: Sequence[Row],
    page_facts: PageFacts,
    *,
    static: bool = False,
) -> Path:
    """Put the report at `path` in one step, so that whoever has it open never sees half of it."""
    replace(path, render(results, rows, page_facts, static=static).encode())
    return path


def shown(page: Page) -> list[Panel]:
    """The panels that have something to show."""
    return [panel for make in PANELS if (panel := make(page))]


def share(results: Mapping[str, Any]) -> int:
    """How much of the sweep is on record, in whole per cent, rounded down: 100 is the end."""
    return min(100, 100 * int(results["done"] + results["failed"]) // max(1, int(results["expected"])))


def named(panels: Sequence[Panel]) -> Iterator[tuple[str, Figure]]:
    """Figures by their names on the page."""
    for panel in panels:
        for number, figure in enumerate(panel.figures, start=1):
            yield f"{panel.key}-{number}", figure


def _choices(charts: Mapping[str, Figure]) -> dict[str, Any]:
    """What becomes of each chart when an order is chosen."""
    return {name: figure.chosen for name, figure in charts.items() if figure.chosen}


def _drawn(charts: Mapping[str, Figure]) -> dict[str, Markup]:
    """Charts as drawings, which escape their text."""
    return {
        name: Markup(drawing.svg(figure.chart, name)) for name, figure in charts.items() if not figure.waits
    }


def digest(rows: Sequence[Row]) -> str:
    """A name for exactly these records."""
    names = "\n".join(sorted(str(row["fingerprint"]) for row in rows))
    return hashlib.sha256(names.encode()).hexdigest()[:12]


def own(name: str) -> Markup:
    """A file of this page's own, put in as it is."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def environment() -> Environment:
    """Templates beside this file; a name without a value is an error, and text is always escaped."""
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
