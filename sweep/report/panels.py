"""Panels of the report, one function each: from the page's data to a title, a note, charts and a table."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from sweep.report import figures, order_figures
from sweep.report.effect_panels import agreement, importance, nearness, precedence, tradeoff, variance
from sweep.report.hunt_panels import hunts
from sweep.report.order_panels import courses, fragile, matrices, orders, spread
from sweep.report.position_panels import position
from sweep.report.search_panels import course, curve, pareto, search
from sweep.report.sheet import Figure, Page, Panel, Table, margin, origin, percent, points

MOST_FAILURES = 50
"""Failures listed one by one; the rest is counted."""


def accuracy(page: Page) -> Panel | None:
    """How good, in the mean and in bad orders."""
    if not page.results["table"]:
        return None
    gains = _gains(page)
    header = ["method", "settings", "mean", "worst order", "worst 10 %", "best order", "std"]
    for name, _ in gains:
        header += [f"gain over {name}", "orders won"]
    header += ["orders ×\u00a0seeds", "failed", "missing"]
    lines = []
    for line in page.results["table"]:
        shown = [line["label"], origin(line), margin(line["mean"], line["half"])]
        shown += [percent(line[name]) for name in ("worst", "cvar", "best", "std")]
        for _, pairs in gains:
            shown += _gain(pairs.get(line["suggestion"]))
        lines.append(
            [*shown, f"{line['orders']} × {line['seeds']}", str(line["failed"]), str(line["missing"])]
        )
    note = (
        "Average test accuracy over all tasks after the last one; all methods on the same orders and seeds."
    )
    notes = (note, _interval(page), _unseen(page), _until(page))
    return Panel(
        "accuracy",
        "How good, and how good in a bad order?",
        " ".join(text for text in notes if text),
        _forest(page),
        Table(header, lines, words=2),
        unfolded=True,
    )


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
    )
    lines = [
        [
            one.label,
            *(points(one.line[field]) for field in fields),
            percent(one.line["order_share"], digits=0),
        ]
        for one in page.judged
    ]
    counts = sorted({(one.line["orders"], one.line["seeds"]) for one in page.judged})
    over = " and ".join(f"{orders} orders × {seeds} seeds" for orders, seeds in counts)
    note = (
        f"In points of accuracy, over {over}. Ranges over orders (AOPD, MOPD, disparity) grow with the "
        "number of orders: compare them at equal numbers alone. “Due to order” is the share of the variance "
        "between runs that the order explains."
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
    pareto,
    search,
    orders,
    cost,
    failures,
)


def _forest(page: Page) -> tuple[Figure, ...]:
    """Differences between methods with their intervals."""
    labels = {line["suggestion"]: line["label"] for line in page.results["table"]}
    group = [
        order_figures.Gain(
            f"{labels[pair['suggestion']]} over {labels[pair['baseline']]}",
            100 * pair["mean"],
            None if pair["half"] is None else 100 * pair["half"],
            f"better in {percent(pair['won'], digits=0)} of {pair['orders']} orders",
        )
        for pair in page.results["paired"]
        if pair["mean"] is not None
    ]
    if not group:
        return ()
    said = "; ".join(f"{one.label} {one.mean:+.2f} points, {one.text}" for one in group)
    alt = f"Differences on the same orders and seeds with 95 % intervals: {said}."
    return (Figure(order_figures.gains(group), alt, "Difference to other methods"),)


def _gains(page: Page) -> list[tuple[str, Mapping[str, Mapping[str, Any]]]]:
    """The first baseline and the first of all methods, each with the differences to it, by suggestion."""
    lines = page.results["table"]
    roles = ("baseline", "best") if len(page.results["contests"]) > 1 else ("baseline",)
    firsts = [next((line for line in lines if line["role"] == role), None) for role in roles]
    found: list[tuple[str, Mapping[str, Mapping[str, Any]]]] = []
    for first in firsts:
        pairs = {
            pair["suggestion"]: pair
            for pair in page.results["paired"]
            if first and pair["baseline"] == first["suggestion"]
        }
        if first and pairs:
            found.append((first["label"], pairs))
    return found


def _gain(pair: Mapping[str, Any] | None) -> list[str]:
    if pair is None or pair["mean"] is None:
        return ["–", "–"]
    spread = "" if pair["half"] is None else f" ± {100 * pair['half']:.2f}"
    return [f"{100 * pair['mean']:+.2f}{spread}".replace("-", "−"), percent(pair["won"], digits=0)]


def _interval(page: Page) -> str:
    """What the plus-minus stands for, or why there is none."""
    kinds = sorted({one.line["interval"] for one in page.judged})
    if not kinds:
        return "No run of these is on record yet."
    return (
        f"± is {kinds[0]}." if kinds == ["95 % over orders and seeds"] else f"Intervals: {'; '.join(kinds)}."
    )


def _unseen(page: Page) -> str:
    """What a random sample of orders proves about those not run."""
    shares = [one.line["unseen_worse"] for one in page.judged]
    if not shares or max(shares) == 0:
        return "All orders were run." if shares else ""
    share = percent(max(shares), digits=1)
    proved = f"fewer than {share} of all orders are worse than the worst here"
    return f"If the orders were drawn at random, one can be 95 % sure that {proved}."


def _until(page: Page) -> str:
    """Whether the orders are enough for what was asked, and what would be."""
    until = page.results["until"]
    if not until or not until["arms"]:
        return ""
    if "tail" in until["asked"]:
        tail = percent(until["asked"]["tail"], digits=1)
        asked = f"one order of the worst {tail} with 95 % certainty"
    else:
        asked = f"a mean to ± {points(until['asked']['half_width'])} points"
    if until["met"]:
        return f"Asked was {asked}: these orders are enough."
    said = "; ".join(_still(one) for one in until["arms"])
    return f"Asked was {asked}. Orders run and needed: {said}."


def _still(one: Mapping[str, Any]) -> str:
    """How many orders an arm has and needs, or what no number of orders can mend."""
    if one["needed"] is not None:
        return f"{one['label']} {one['orders']} of {one['needed']}"
    least = "no interval" if one["least"] is None else f"± {points(one['least'])} with all orders"
    return f"{one['label']} {one['orders']}, no number is enough ({least}): more seeds are needed"
