"""The report as one HTML file without any network: panels put into a template that escapes all text."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sweep.analysis import Row
from sweep.report import figures
from sweep.report.panels import PANELS
from sweep.report.sheet import Page


@dataclass(frozen=True)
class PageFacts:
    """What a reader needs to know beside the records: how the sweep was started, and with what.

    `tasks` are task names by home index (empty: numbers), `space` is the search space as text, `cost` and
    `versions` are names with texts, such as {"time on all workers": "3 min 20 s"}.
    """

    command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    tasks: Sequence[str] = ()
    space: str = ""
    cost: Mapping[str, str] = field(default_factory=dict)


def render(results: Mapping[str, Any], rows: Sequence[Row], page_facts: PageFacts) -> str:
    """The report of a sweep, complete or not, as the text of one HTML file; equal input gives equal text."""
    page = Page.of(results, rows, page_facts.tasks)
    found = [panel(page) for panel in PANELS]
    ran = {which: [page.order(order) for order in orders] for which, orders in results["orders"].items()}
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            results=results,
            facts=page_facts,
            panels=[panel for panel in found if panel],
            orders=ran,
            share=_share(results),
            plotly=Markup(figures.library()),  # not escaped: the library's own source, no text of ours
        )
    )


def write(path: Path, results: Mapping[str, Any], rows: Sequence[Row], page_facts: PageFacts) -> Path:
    """Put the report at `path` in one step, so that whoever has it open never sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(render(results, rows, page_facts), encoding="utf-8")
    draft.replace(path)
    return path


def _share(results: Mapping[str, Any]) -> int:
    """How much of the sweep is on record, in whole per cent, rounded down: 100 is the end."""
    return min(100, 100 * int(results["done"] + results["failed"]) // max(1, int(results["expected"])))


def _environment() -> Environment:
    """Templates beside this file; a name without a value is an error, and text is always escaped."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
