"""What the experiment's page says on top, in Markdown: the verdict, the report, the best settings."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from sweep.tracking.findings import Findings
from sweep.tracking.store import Run

LISTED = 10
"""Suggestions that are listed."""
TRAINING = "?workflowType=machine_learning"
"""The part of MLflow's pages that has runs; the other is about language models."""
SORTED = TRAINING + "&searchFilter={filter}&orderByKey={key}&orderByAsc={smallest}"


def so_far(trials: Sequence[Run]) -> str:
    """How far the sweep is: the suggestions by their validation accuracy over the orders so far."""
    values: dict[str, list[float]] = {}
    longest = max((run.tags["order"].count("-") for run in trials), default=0)
    for run in trials:  # but for tasks that are learnt alone
        if (
            run.tags["order"].count("-") == longest
            and (value := run.metrics.get("valid/average_accuracy")) is not None
            and run.status == "FINISHED"
        ):
            values.setdefault(run.tags["nai.suggestion"], []).append(value)
    means = {name: sum(some) / len(some) for name, some in values.items()}
    methods = {run.tags["nai.suggestion"]: run.tags.get("method", "") for run in trials}
    best = sorted(means, key=lambda name: (-means[name], name))[:LISTED]
    lines = [
        (f"{plain(methods[name])} {name}", f"{100 * means[name]:.2f} %", str(len(values[name])))
        for name in best
    ]
    header = ("suggestion", "validation accuracy", "runs")
    return "\n".join([f"**{len(trials)} runs so far.**", "", *table(header, lines)])


def verdict(found: Findings, experiment: str, sweep: str, ids: Mapping[str, str]) -> str:
    """The verdict, links to the report and the sorted suggestions, and the best of these."""
    runs = f"#/experiments/{experiment}/runs"
    report = next((path.name for path in found.files if path.suffix == ".html"), None)
    links = [f"[Report]({runs}/{sweep}/artifacts/{quote(report)}{TRAINING})"] if report else []
    links += [
        f"[Suggestions, best first]({runs}{best_first(found)})",
        f"[All files]({runs}/{sweep}/artifacts{TRAINING})",
    ]
    lines = [
        (
            f"[{label(found, name)}]({runs}/{ids[name]}{TRAINING})",
            number(found, name, found.order_by),
            number(found, name, "search/worst"),
            interval(found, name),
        )
        for name in found.ranked[:LISTED]
        if name in ids
    ]
    header = ("suggestion", found.order_by, "worst search order", "confirmed on test data")
    return "\n".join([plain(found.verdict), "", " · ".join(links), "", *table(header, lines)])


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; none where it would be empty."""
    rows = [header, ["---"] * len(header), *lines]
    return [f"| {' | '.join(cells)} |" for cells in rows] if lines else []


def best_first(found: Findings) -> str:
    """The query with which the list of runs has the suggestions alone, best first."""
    kind = quote("tags.`nai.kind` = 'suggestion'")
    key = quote(f"metrics.`{found.order_by}`")
    return SORTED.format(filter=kind, key=key, smallest=str(not found.largest).lower())


def label(found: Findings, name: str) -> str:
    """A suggestion as people call it."""
    return plain(found.labels.get(name, name))


def number(found: Findings, name: str, key: str) -> str:
    """A figure with four digits, or a dash."""
    value = found.suggestions[name].get(key)
    return "–" if value is None else f"{value:.4f}"


def interval(found: Findings, name: str) -> str:
    """The mean on test data with its 95 % interval."""
    figures = found.suggestions[name]
    mean, low = figures.get("confirm/mean"), figures.get("confirm/mean_low")
    if mean is None:
        return "–"
    return f"{100 * mean:.2f} %" + ("" if low is None else f" ± {100 * (mean - low):.2f}")


def plain(text: str) -> str:
    """A text that Markdown and HTML leave as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", text).replace("\\<", "&lt;").replace("\\>", "&gt;")
