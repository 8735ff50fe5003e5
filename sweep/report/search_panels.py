"""Panels on the search: how it went, what the rungs saved, what a setting does on validation data."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sweep.analysis.arms import numeric
from sweep.report import figures
from sweep.report.sheet import Figure, Page, Panel, Table, number, percent

Suggestion = Mapping[str, Any]
MOST_METHODS = 4
"""Methods whose suggestions can be told apart in one chart."""
LEGEND = (
    "Validation accuracy over the search orders: filled marks are means, open ones worst orders, rings the "
    "best of each, grey crosses suggestions without all orders."
)


def course(page: Page) -> Panel | None:
    """What each suggestion reached, in turn, and after how many orders the poor ones were dropped."""
    contests = page.results["contests"]
    dots = [dots for contest in contests for dots in _dots(page, contest)]
    if not dots or max(len(contest["suggestions"]) for contest in contests) < 2:
        return None  # nothing was searched: the table of what was tried says it all
    goal = page.results["goals"][0]
    orders = len(page.results["orders"]["search"])
    whole = sum(contest["ranked"] for contest in contests)
    tried = sum(len(contest["suggestions"]) for contest in contests)
    note = f"Mean validation accuracy of each suggestion, by number. {whole} of {tried} ran on all {orders} "
    note += f"search orders. Chosen by {goal['words']}. {_saved(page)}"
    table = Table(("method", "number", "settings", "orders", "mean"), _tries(page), words=1)
    if len(contests) > MOST_METHODS:
        note += " Colour: points below the best of the method; white: dropped, or not run on all orders."
        return Panel("course", "How did the search go?", note, (_below_best(page),), table)
    counts = [
        f"{contest['method']}: {contest['ranked']} of {len(contest['suggestions'])}" for contest in contests
    ]
    chart = Figure(figures.course(dots), f"{note} On all orders: {'; '.join(counts)}.")
    return Panel("course", "How did the search go?", note, (chart,), table)


def _below_best(page: Page) -> Figure:
    """How far each suggestion is below the best of its method, by number: a line for each method."""
    known = {one["suggestion"]: one for one in page.results["search"]}
    contests = page.results["contests"]
    longest = max(len(contest["suggestions"]) for contest in contests)
    cells, said = [], []
    for contest in contests:
        means = [_whole_mean(page, known.get(name)) for name in contest["suggestions"]]
        best = max((mean for mean in means if mean is not None), default=None)
        below = [None if mean is None or best is None else round(100 * (best - mean), 2) for mean in means]
        cells.append([*below, *[None] * (longest - len(below))])
        found = "none on all orders yet"
        if best is not None:
            found = f"best {percent(best)}, at number {means.index(best)}"
        said.append(f"{contest['method']} {found}")
    deep = sorted(value for line in cells for value in line if value is not None) or [0.0]
    chart = figures.heat(
        cells,
        lines=[contest["method"] for contest in contests],
        columns=[str(number) for number in range(longest)],
        span=(0.0, max(1.0, deep[int(0.9 * (len(deep) - 1))])),
        axis="number of the suggestion",
        unit="points",
    )
    return Figure(chart, f"Points below the best of each method, by suggestion: {'; '.join(said)}.")


def _whole_mean(page: Page, one: Suggestion | None) -> float | None:
    """The mean of a suggestion that has all search orders and seeds on record."""
    return float(one["mean"]) if one is not None and _whole(page, one) else None


def pareto(page: Page) -> Panel | None:
    """Two goals at once: what is to be had of one for what is given of the other."""
    goals = page.results["goals"]
    found = [one for one in page.results["search"] if one["values"]]
    if len(goals) != 2 or not found:
        return None
    names = [goal["words"] for goal in goals]
    best = set(page.results["front"])
    front = sorted((one for one in found if one["suggestion"] in best), key=lambda one: one["values"])
    dots = [figures.Dots(f"{method}", *_pairs(group)) for method, group in _by_method(found)]
    chart = figures.pareto(dots, figures.Dots("Pareto front", *_pairs(front)), names)
    said = "; ".join(f"{one['label']} {_both(one)}" for one in front)
    note = f"On validation data, {names[0]} against {names[1]}: nothing tried beats these in one without "
    note += f"losing in the other: {said}."
    lines = [(one["label"], *(percent(value) for value in one["values"]), str(one["front"])) for one in found]
    table = Table(("suggestion", *names, "front of its method"), lines)
    return Panel("pareto", "What does one goal cost of the other?", note, (Figure(chart, note),), table)


def curve(page: Page) -> Panel | None:
    """What the searched setting of each method does to the mean and to the worst order."""
    groups = _by_method(page.results["curve"])
    if not groups:
        return None
    several = len(groups) > 1
    charts = [_curve(page, method, points, titled=several) for method, points in groups]
    names = list(dict.fromkeys(_setting(points) for _, points in groups))
    asked = (
        f"What does {names[0]} do?"
        if len(names) == 1
        else f"What do {', '.join(names[:-1])} and {names[-1]} do?"
    )
    said = _apart(page, groups) if several else charts[0].alt
    named = any(point["choices"] for _, points in groups for point in points)
    note = f"{said} {LEGEND}" if several or named else said
    return Panel("curve", asked, note, tuple(charts), _search(page))


def _apart(page: Page, groups: Sequence[tuple[str, Sequence[Suggestion]]]) -> str:
    """For which methods the best of the mean is not the best of the worst order."""
    apart = [
        method
        for method, points in groups
        if len({top["suggestion"] for top in _tops([one for one in points if _whole(page, one)])}) > 1
    ]
    said = f"{', '.join(apart)} ({len(apart)} of {len(groups)} methods)" if apart else "no method"
    return f"What is best in the mean is not best in the worst order for {said}."


def search(page: Page) -> Panel | None:
    """The search as a table, where no number was searched that a curve could show."""
    if page.results["curve"] or not page.results["search"]:
        return None
    return Panel(
        "search", "What was tried?", "Validation accuracy over the search orders.", table=_search(page)
    )


# ------------------------------------------------------------------ how it went
def _dots(page: Page, contest: Mapping[str, Any]) -> list[figures.Dots]:
    """One method's suggestions by number: those with all orders, and those that a rule dropped."""
    known = {one["suggestion"]: one for one in page.results["search"]}
    numbered = [
        (number, known[name])
        for number, name in enumerate(contest["suggestions"])
        if name in known and known[name]["mean"] is not None
    ]
    groups = []
    for dropped in (False, True):
        chosen = [(number, one) for number, one in numbered if (one["stopped"] is not None) == dropped]
        if chosen:
            label = f"{contest['method']}: dropped early" if dropped else contest["method"]
            groups.append(
                figures.Dots(
                    label,
                    [float(number) for number, _ in chosen],
                    [100 * one["mean"] for _, one in chosen],
                    [f"{one['label']} ({one['orders']} orders)" for _, one in chosen],
                    open=dropped,
                )
            )
    return groups


def _saved(page: Page) -> str:
    """What the rungs saved, and where suggestions were dropped."""
    saved = page.results["saved"]
    if saved is None:
        return ""
    spared = saved["full"] - saved["ran"]
    ends = Counter(one["stopped"] for one in page.results["search"] if one["stopped"] is not None)
    dropped = ", ".join(f"{number} after {orders} orders" for orders, number in sorted(ends.items()))
    said = f"The rules saved {spared} of {saved['full']} runs of the full grid, {percent(saved['share'], 1)}"
    return f"{said} (dropped: {dropped})." if dropped else f"{said}."


def _tries(page: Page) -> list[tuple[str, ...]]:
    known = {one["suggestion"]: one for one in page.results["search"]}
    return [
        (
            contest["method"],
            str(number),
            known[name]["label"],
            f"{known[name]['orders']}{'' if known[name]['stopped'] is None else ', dropped'}",
            percent(known[name]["mean"]),
        )
        for contest in page.results["contests"]
        for number, name in enumerate(contest["suggestions"])
        if name in known
    ]


def _by_method(found: Sequence[Suggestion]) -> list[tuple[str, list[Suggestion]]]:
    groups: dict[str, list[Suggestion]] = defaultdict(list)
    for one in found:
        groups[one["method"]].append(one)
    return list(groups.items())


def _pairs(found: Sequence[Suggestion]) -> tuple[list[float], list[float], list[str]]:
    """Both goals in per cent, and names."""
    first, second = ([100 * one["values"][goal] for one in found] for goal in (0, 1))
    return first, second, [one["label"] for one in found]


def _both(one: Suggestion) -> str:
    return f"({' and '.join(percent(value) for value in one['values'])})"


# ------------------------------------------------------------------ what a setting does
def _curve(page: Page, method: str, points: Sequence[Suggestion], *, titled: bool) -> Figure:
    name = _setting(points)
    varying = [key for key, values in page.results["searched"][method].items() if numeric(values)]
    whole = [point for point in points if _whole(page, point)]
    lines = _lines(page, points)
    bare = not titled and not any(point["choices"] for point in points)
    chart = figures.curve(lines, name, joined=len(varying) == 1, legend=bare)
    lacking = (
        f", {len(points) - len(whole)} of them without all orders (grey)" if len(points) > len(whole) else ""
    )
    of = f" of {method}" if titled else ""
    said = f"Validation accuracy of {len(points)} suggestions{of}{lacking}. {_optima(whole, name)}"
    return Figure(chart, said, _title(method, whole, name) if titled else "")


def _title(method: str, points: Sequence[Suggestion], name: str) -> str:
    """A method, and where it is best."""
    mean, worst = ([number(top["at"]) for top in _tops(points)] or ["", ""])[:2]
    if not mean:
        return method
    return f"{method}: best {name} {mean}" + ("" if mean == worst else f", for the worst order {worst}")


def _tops(points: Sequence[Suggestion]) -> list[Suggestion]:
    """The suggestion with the best mean and that with the best worst order; none of none."""
    if not points:
        return []
    return [
        max(points, key=lambda point: (point["mean"], point["worst"])),
        max(points, key=lambda point: (point["worst"], point["mean"])),
    ]


def _setting(points: Sequence[Suggestion]) -> str:
    return str(points[0]["setting"].rpartition(".")[2])


def _whole(page: Page, point: Suggestion) -> bool:
    """Whether a suggestion has all search orders and seeds on record."""
    wanted = (len(page.results["orders"]["search"]), len(page.results["seeds"]["search"]))
    return (point["orders"], point["seeds"]) == wanted


def _optima(points: Sequence[Suggestion], name: str) -> str:
    """Which suggestion is best in the mean and which in the worst order."""
    if not points:
        return "None can be called best yet."
    mean, worst = _tops(points)
    said = f"Best mean {percent(mean['mean'])} at {name} {number(mean['at'])}"
    if mean["suggestion"] == worst["suggestion"]:
        return f"{said}, which is best in the worst order too ({percent(worst['worst'])})."
    return f"{said}, but best worst order {percent(worst['worst'])} at {name} {number(worst['at'])}."


def _lines(page: Page, points: Sequence[Suggestion]) -> list[figures.Line]:
    """The curve as lines, one for each set of other choices, and one of suggestions without all orders."""
    groups: dict[tuple[bool, str], list[Suggestion]] = defaultdict(list)
    for point in points:
        whole = _whole(page, point)
        choices = point["choices"] if "," in point["choices"] else point["choices"].partition(" ")[2]
        groups[(not whole, choices if whole else "without all orders")].append(point)
    return [
        figures.Line(
            label,
            at=[point["at"] for point in group],
            means=[100 * point["mean"] for point in group],
            worsts=[100 * point["worst"] for point in group],
            texts=[
                f"{point['label']} ({point['orders']} orders × {point['seeds']} seeds)" for point in group
            ],
            whole=not lacking,
        )
        for (lacking, label), group in sorted(groups.items())
    ]


def _search(page: Page) -> Table:
    goals = [goal["words"] for goal in page.results["goals"]]
    header = (
        "suggestion",
        *goals,
        "mean",
        "worst order",
        "orders ×\u00a0seeds",
        "dropped",
        "failed",
        "missing",
    )
    lines = [
        [
            one["label"],
            *(percent(value) for value in one["values"] or [None] * len(goals)),
            *(percent(one[field]) for field in ("mean", "worst")),
            f"{one['orders']} × {one['seeds']}",
            "–" if one["stopped"] is None else f"after {one['stopped']}",
            *(str(one[field]) for field in ("failed", "missing")),
        ]
        for one in page.results["search"]
    ]
    return Table(header, lines)
