"""The four things that a reader wants to know first, each in a sentence made of the results."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sweep.analysis.arms import numeric, setting
from sweep.report.position_panels import first_place
from sweep.report.sheet import Judged, Page, margin, percent, points


class Answer(NamedTuple):
    """A question, the answer in few words, and what stands behind it."""

    question: str
    answer: str
    behind: str


def answers(page: Page) -> list[Answer]:
    """Which settings, how sure, which order is worst, which task suffers when it comes first."""
    one = page.leader
    if one is None:
        return []
    found = [_settings(page, one), _sure(page, one), _worst(page, one), _first(page, one)]
    return [answer for answer in found if answer]


def _settings(page: Page, one: Judged) -> Answer | None:
    """Which strength, and whatever else was searched."""
    if one.line["role"] != "best":
        return None
    searched = page.results["searched"].get(one.line["contest"], {})
    numbers_first = sorted(searched, key=lambda name: not numeric(searched[name]))
    values = {name.rpartition(".")[2]: setting(one.arm, name) for name in numbers_first}
    said = ", ".join(f"{name} {_value(value)}" for name, value in values.items() if value is not None)
    place = (
        f"the best of {one.line['of']} suggestions" if one.line["place"] == 1 else "a confirmed suggestion"
    )
    behind = f"{place}, by {page.results['selection']}. {_other(page, one)}".strip()
    return Answer(_question(values), f"{one.arm.method}: {said or 'settings as given'}", behind)


def _question(values: Mapping[str, Any]) -> str:
    return "Which strength?" if "strength" in values else "Which settings?"


def _other(page: Page, one: Judged) -> str:
    """Whether another suggestion is best in the worst order."""
    whole = [each for each in page.results["search"] if each["values"] is not None]
    if not whole:
        return ""
    worst = max(whole, key=lambda each: each["worst"])
    if worst["suggestion"] == one.line["suggestion"]:
        return "It is the best in its worst search order, too."
    return (
        f"In the worst search order {worst['label']} is best ({percent(worst['worst'])} validation accuracy)."
    )


def _sure(page: Page, one: Judged) -> Answer:
    """The interval, the distance to the baseline, and what either stands on."""
    line = one.line
    over = f"{line['orders']} orders × {line['seeds']} seeds"
    behind = f"± is {one.interval}" if line["half"] is not None else f"no interval: {one.interval}"
    behind += "; all orders were run" if line["holds"] == "seeds" else ""
    pairs = [pair for pair in page.results["paired"] if pair["suggestion"] == line["suggestion"]]
    gain = next((pair for pair in pairs if pair["mean"] is not None), None)
    if gain is not None:
        name = next(each["label"] for each in page.results["table"] if each["suggestion"] == gain["baseline"])
        behind += f"; over {name}: {_signed(gain)} points, better in {percent(gain['won'], 0)} of the orders"
        if gain["half"] is not None and abs(gain["mean"]) <= gain["half"]:
            behind += ", which these runs cannot tell from none"
    return Answer("How sure?", f"{margin(line['mean'], line['half'])} over {over}", f"{behind}.")


def _signed(gain: Mapping[str, Any]) -> str:
    spread = "" if gain["half"] is None else f" ± {points(gain['half'])}"
    return f"{100 * gain['mean']:+.2f}".replace("-", "−") + spread


def _worst(page: Page, one: Judged) -> Answer:
    line = one.line
    behind = (
        f"{percent(line['worst'])} at the end, {points(line['mean'] - line['worst'])} points below the mean; "
    )
    behind += f"the best order reaches {percent(line['best'])}: {page.order(line['best_order'])}."
    return Answer("Which order is worst?", page.order(line["worst_order"]), behind)


def _first(page: Page, one: Judged) -> Answer | None:
    """Which task loses most by being trained first."""
    found = first_place(one.runs)
    if found is None:
        return None
    task, first, later = found
    name = page.task(task)
    behind = f"{percent(first)} at the end when it comes first, {percent(later)} when it comes later"
    if first >= later:
        return Answer(
            "Which task suffers most when it comes first?",
            "none",
            f"every task ends at least as well from the first place as from later ones; closest is {name}: "
            f"{behind}.",
        )
    lost = f"{points(later - first)} points less"
    return Answer(
        "Which task suffers most when it comes first?", name, f"{behind}: {lost}, averaged over those orders."
    )


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
