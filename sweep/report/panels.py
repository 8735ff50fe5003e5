"""Panels of the report, one function each: from the page's data to a title, a note, charts and a table."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from sweep.report import figures
from sweep.report.accuracy_panel import accuracy
from sweep.report.effect_panels import agreement, importance, nearness, precedence, tradeoff, variance
from sweep.report.hunt_panels import hunts
from sweep.report.order_panels import courses, fragile, matrices, orders, spread
from sweep.report.parallel_panel import together
from sweep.report.position_panels import position
from sweep.report.search_panels import course, curve, pareto, search
from sweep.report.seed_panel import seeds
from sweep.report.sheet import Figure, Page, Panel, Table, over, percent, points
from sweep.report.slice_panel import slices

MOST_FAILURES = 50
"""Failures listed one by one; the rest is counted."""


def order_effect(page: Page) -> Panel | None:
    """How much the order moves the tasks, and what is learned and forgotten."""
    if not page.judged:
        return None
    fields = ("aopd", "mopd", "disparity", "forgetting", "backward_transfer", "learning_accuracy")
    header = (
        "method",
        "AOPD",
        "MOPD",
        "disparity",
        "forgetting",
        "backward transfer",
        "learning accuracy",
        "due to order",
        "orders × seeds",
        "failed",
        "missing",
    )
    lines = [
        [
            one.name,
            *(points(one.line[field]) for field in fields),
            percent(one.line["order_share"], digits=0),
            one.size,
            *(str(one.line[field]) for field in ("failed", "missing")),
        ]
        for one in page.judged
    ]
    note = (
        f"In points of accuracy, over {over(page.judged)}. Ranges over orders (AOPD, MOPD, disparity) grow "
        "with the number of orders: compare them at equal numbers alone. “Due to order” is the share of the "
        "variance between runs that the order explains."
    )
    return Panel("order-effect", "How much does the order matter?", note, table=Table(header, lines))


def cost(page: Page) -> Panel | None:
    """What each method's runs took."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for arm in page.arms.values():
        groups[arm.method] += arm.cells.values()
    if not groups:
        return None
    lines = [
        (
            method,
            str(len(rows)),
            str(sum(row["error"] is not None for row in rows)),
            f"{sum(row['seconds'] for row in rows):.1f} s",
            f"{sum(row['seconds'] for row in rows) / len(rows):.3f} s",
            ", ".join(sorted({row["device"] for row in rows})),
        )
        for method, rows in sorted(groups.items())
    ]
    header = ("method", "runs", "failed", "training time", "a run", "device")
    times = sorted(row["finished"] for arm in page.arms.values() for row in arm.cells.values())
    alt = f"Runs on record against time: {len(times)} came in within {times[-1] - times[0]:.0f} seconds."
    figure = Figure(figures.arrivals(times), alt, "Runs on record")
    note = (
        "Training time of workers; runs of a stack share theirs, and shared beginnings of orders count once. "
        "A flat stretch is a break."
    )
    return Panel("cost", "What did it cost?", note, (figure,), Table(header, lines), unfolded=True)


def failures(page: Page) -> Panel | None:
    """Runs that ended in an error."""
    broken = [
        (arm.label, row)
        for arm in page.arms.values()
        for row in arm.cells.values()
        if row["error"] is not None
    ]
    if not broken:
        return None
    causes = Counter(str(row["error"]).partition(":")[0] for _, row in broken).most_common()
    lines = [
        (label, page.order(row["order"]), f"{row['seed_init']}, {row['seed_data']}", str(row["error"]))
        for label, row in broken
    ]
    rest = f" The first {MOST_FAILURES} are listed." if len(lines) > MOST_FAILURES else ""
    counted = ", ".join(f"{number} × {cause}" for cause, number in causes)
    note = f"{len(broken)} runs ended in an error ({counted}). They are counted in every table above.{rest}"
    header = ("method", "order", "seeds (weights, data)", "error")
    return Panel(
        "failures", "What failed?", note, table=Table(header, sorted(lines)[:MOST_FAILURES], words=4)
    )


PANELS: tuple[Callable[[Page], Panel | None], ...] = (
    accuracy,
    curve,
    spread,
    order_effect,
    seeds,
    variance,
    fragile,
    matrices,
    courses,
    position,
    precedence,
    nearness,
    agreement,
    tradeoff,
    hunts,
    course,
    importance,
    slices,
    together,
    pareto,
    search,
    orders,
    cost,
    failures,
)
