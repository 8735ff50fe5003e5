"""The panel on places in the order: what being early or late does to each task."""

from collections.abc import Sequence

import numpy as np

from sweep.analysis import Crossing
from sweep.analysis.arms import Floats
from sweep.report import figures, order_figures
from sweep.report.sheet import Figure, Judged, Page, Panel, gaps

MOST_LINES = 5
"""Methods whose lines can be told apart."""


def position(page: Page) -> Panel | None:
    """Final accuracy, and accuracy when just learned, of each task in each place of the order."""
    one = page.leader
    if one is None or len(one.runs.orders) < 2:
        return None
    final, learned = placed(one.runs)
    low = float(np.nanmin([np.nanmin(final), np.nanmin(learned)])) * 100
    tasks = [page.task(home) for home in range(len(final))]
    places = [str(place + 1) for place in range(len(final))]
    heats = [
        Figure(
            figures.heat(
                _percents(table), lines=tasks, columns=places, span=(low, 100.0), axis="place in the order"
            ),
            f"{what} of each task (lines) by its place in the order (columns), mean over those orders.",
            what,
        )
        for table, what in ((final, "Accuracy at the end"), (learned, "Accuracy when just learned"))
    ]
    return Panel("position", "Is being early harmful?", _note(one), (*heats, _all(page, places)))


def _note(one: Judged) -> str:
    count, seeds = len(one.runs.orders), len(one.runs.seeds)
    said = f"Test accuracy with {one.name}, over {count} orders × {seeds} seeds.{gaps([one])}"
    return f"{said} White: no order has the task there."


def _all(page: Page, places: Sequence[str]) -> Figure:
    """The mean over tasks by place, with every method: lines for a few, a table in colours for many."""
    groups: list[tuple[str, list[float], list[float | None]]] = [
        (each.name, [round(float(value), 3) for value in 100 * np.nanmean(placed(each.runs)[0], axis=0)], [])
        for each in page.judged
    ]
    said = "; ".join(f"{name} {', '.join(f'{value:.1f}' for value in values)}" for name, values, _ in groups)
    chart = order_figures.by_position(groups)
    if len(groups) > MOST_LINES:
        low = min(min(values) for _, values, _ in groups)
        names = [name for name, _, _ in groups]
        cells = [values for _, values, _ in groups]
        chart = figures.heat(cells, lines=names, columns=places, span=(low, 100.0), axis="place in the order")
    alt = f"Mean over tasks at the end, in per cent, place 1 to {len(places)}: {said}."
    return Figure(chart, alt, "Mean over tasks at the end, every method")


def placed(runs: Crossing) -> tuple[Floats, Floats]:
    """Mean accuracy at the end, and just after learning, of each task in each place [tasks, places].

    nan where no order has the task in that place; seeds are averaged.
    """
    orders = np.array(runs.orders)
    matrices = runs.matrices.mean(1)
    tasks, count = matrices.shape[-1], orders.shape[1]
    final, learned = np.full((2, tasks, count), np.nan)
    for place in range(count):
        for task in range(tasks):
            at = orders[:, place] == task
            if at.any():
                final[task, place] = matrices[at, -1, task].mean()
                learned[task, place] = matrices[at, place + 1, task].mean()
    return final, learned


def first_place(runs: Crossing) -> tuple[int, float, float] | None:
    """The task that loses most by being trained first: its final accuracy then, and in later places.

    None where no task is both first and later in some order.
    """
    orders, final = np.array(runs.orders), runs.matrices[:, :, -1].mean(1)
    found = []
    for task in range(final.shape[1]):
        first = orders[:, 0] == task
        if first.any() and not first.all():
            found.append((task, float(final[first, task].mean()), float(final[~first, task].mean())))
    return max(found, key=lambda one: one[2] - one[1], default=None)


def _percents(table: Floats) -> list[list[float | None]]:
    return [[None if np.isnan(v) else round(100 * float(v), 3) for v in line] for line in table]
