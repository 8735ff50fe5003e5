"""The panel of parallel coordinates: which settings go together, and what they come to."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from sweep.analysis.arms import numeric, setting
from sweep.report.parallel_figures import Axis, Band, listed, parallel, scaled
from sweep.report.sheet import Figure, Page, Panel, percent
from sweep.report.slice_panel import whole

Suggestion = Mapping[str, Any]
LEAST, BANDS = 3, 5
"""Suggestions below which a chart says less than the table of them, and colours at most."""
MOST = 4
"""Methods shown; the others' settings stand in the table of the search."""


def together(page: Page) -> Panel | None:
    """Each suggestion of a method with several searched settings as a line, coloured by its worst order."""
    found = sorted(_several(page), key=lambda pair: -max(one["mean"] for one in pair[1]))
    if not found:
        return None
    charts = tuple(_chart(page, method, group) for method, group in found[:MOST])
    note = (
        "A line is a suggestion that ran on all search orders: from its settings to the mean and the worst "
        "order of its validation accuracy. The darker, the better its worst order; dashed, the best mean."
    )
    if len(found) > MOST:
        note += f" Of {len(found)} methods with several searched settings, the {MOST} of the best mean."
    return Panel("together", "Which settings go together?", note, charts)


def _several(page: Page) -> Iterator[tuple[str, list[Suggestion]]]:
    """Methods of which two settings or more were searched, with the suggestions that have values of all."""
    for method, searched in page.results["searched"].items():
        group = [
            one
            for one in whole(page, method)
            if all(setting(page.arms[one["suggestion"]], name) is not None for name in searched)
        ]
        if len(searched) > 1 and len(group) >= LEAST:
            yield method, group


def _chart(page: Page, method: str, group: Sequence[Suggestion]) -> Figure:
    ranked = sorted(range(len(group)), key=lambda number: float(group[number]["worst"]))
    best = max(range(len(group)), key=lambda number: float(group[number]["mean"]))
    top = Band(f"best mean: {percent(group[best]['mean'])}", [best])
    texts = [f"{one['label']}: {percent(one['mean'])}, worst {percent(one['worst'])}" for one in group]
    axes = [*_settings(page, method, group), *(_reached(group, field) for field in ("mean", "worst"))]
    worst = group[ranked[-1]]
    alt = f"Settings and accuracy of {len(group)} suggestions of {method}. Best mean: {texts[best]}. "
    alt += f"Best worst order: {worst['label']}: {percent(worst['mean'])}, worst {percent(worst['worst'])}."
    return Figure(parallel(axes, _bands(group, ranked), top, texts), alt, method)


def _settings(page: Page, method: str, group: Sequence[Suggestion]) -> Iterator[Axis]:
    for name in page.results["searched"][method]:
        values = [setting(page.arms[one["suggestion"]], name) for one in group]
        yield (scaled if numeric(values) else listed)(name.rpartition(".")[2], values)


def _reached(group: Sequence[Suggestion], field: str) -> Axis:
    words = {"mean": "mean (%)", "worst": "worst (%)"}
    return scaled(words[field], [100 * float(one[field]) for one in group], "{:.2f}")


def _bands(group: Sequence[Suggestion], ranked: Sequence[int]) -> list[Band]:
    """The suggestions in equal parts by their worst order, the worst first; parts that read alike are one."""
    count = min(BANDS, len(ranked))
    cuts = [len(ranked) * number // count for number in range(count + 1)]
    bands: dict[str, list[int]] = defaultdict(list)
    for low, high in pairwise(cuts):
        ends = (percent(group[ranked[at]]["worst"], 1) for at in (low, high - 1))
        bands[f"worst order {' to '.join(dict.fromkeys(ends))}"] += ranked[low:high]
    return [Band(label, members) for label, members in bands.items()]
