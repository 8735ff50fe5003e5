"""What a sweep found, as plain data for results.json: equal records give equal bytes."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.analysis.arms import Arm, Row, arms, crossing, failed, varied
from sweep.analysis.asked import Asked, Contest
from sweep.analysis.goals import fronts
from sweep.analysis.hunts import hunted
from sweep.analysis.intervals import least_half_width, needed_orders, orders_for_tail
from sweep.analysis.ranking import Ranked, ranking, strength_curve
from sweep.analysis.tables import ArmSummary, Paired, corrected, final_averages, paired, summarise
from sweep.analysis.verdict import unsure, verdict
from sweep.causes import failures

SCHEMA = 2
Arms = Mapping[str, Arm]


@dataclass(frozen=True)
class Judged:
    """A contest with its ranking."""

    contest: Contest
    ranked: tuple[Ranked, ...]

    @property
    def best(self) -> Ranked | None:
        """The best suggestion with all its search orders on record."""
        return next((one for one in self.ranked if one.values is not None), None)


def results(rows: Iterable[Row], asked: Asked) -> dict[str, Any]:
    """Best suggestions, tables and verdict as plain JSON values: equal records give equal results.

    So there are no times in it; a number that does not exist is null.
    """
    known = sorted(rows, key=lambda row: str(row["fingerprint"]))
    group = {arm.suggestion: arm for arm in arms(known)}
    judged = [_judged(contest, group, asked) for contest in asked.contests]
    best = _best(judged, asked)
    table = _table(judged, best, group, asked)
    first = table[0]["suggestion"] if table and table[0]["role"] == "best" else None
    pairs = _pairs([line["suggestion"] for line in table if line["role"] == "best"], group, asked)
    until = _until(asked, table, group)
    broken = sum(failed(row, "test") for row in known)
    found: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "sweep": asked.sweep,
            "complete": len(known) >= asked.expected,
            "done": len(known) - broken,
            "failed": broken,
            "failures": failures(known),
            "expected": asked.expected,
            "selection": asked.selection,
            "tuning": asked.tuning,
            "goals": [{"words": goal.words, "direction": goal.direction} for goal in asked.goals],
            "best": None if best is None else {**vars(best), "value": best.value},
            **(_unjudged(best, first, asked) or _verdict(first, table, pairs, asked, until=until)),
            "table": table,
            "paired": pairs,
            "contests": [_counted(one) for one in judged],
            "search": [{**vars(one), "value": one.value} for each in judged for one in each.ranked],
            "front": _front(judged, asked),
            "searched": {one.contest.method: varied(_members(one.contest, group)) for one in judged},
            "curve": [
                point for one in judged for point in strength_curve(one.ranked, _members(one.contest, group))
            ],
            "rungs": asked.rungs,
            "saved": _saved(asked),
            "until": until,
            "hunts": [
                hunted(hunt, group[hunt.suggestion]) for hunt in asked.hunts if hunt.suggestion in group
            ],
            "orders": {"search": asked.search_orders, "confirm": asked.confirm_orders},
            "seeds": {"search": asked.search_seeds, "confirm": asked.confirm_seeds},
        }
    )
    return found


def write_json(found: Mapping[str, Any]) -> str:
    """The text of results.json: one canonical spelling, so that equal results are equal bytes."""
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Dataclasses, tuples and numbers as JSON values; a float that is no number as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(vars(value))
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ------------------------------------------------------------------ the search
def _judged(contest: Contest, group: Arms, asked: Asked) -> Judged:
    orders, seeds = asked.search_orders, asked.search_seeds
    members = _members(contest, group)
    return Judged(contest, ranking(members, orders, seeds, goals=asked.goals, stopped=contest.stopped))


def _members(contest: Contest, group: Arms) -> list[Arm]:
    """Arms of a contest that have a run on record, each once, by number."""
    return [group[name] for name in dict.fromkeys(contest.suggestions) if name in group]


def _best(judged: Sequence[Judged], asked: Asked) -> Ranked | None:
    """The best of all contests by the first goal; the earlier contest on a tie."""
    leaders = [one.best for one in judged if one.best is not None]
    way = asked.goals[0].direction
    return max(leaders, key=lambda one: way * (one.value or 0.0), default=None)


def _front(judged: Sequence[Judged], asked: Asked) -> list[str]:
    """Suggestions of all methods that nothing beats in both goals; none where there is one goal."""
    found = [one for each in judged for one in each.ranked if one.front == 1 and one.values is not None]
    numbers = fronts([one.values or () for one in found], [goal.direction for goal in asked.goals])
    return [one.suggestion for one, number in zip(found, numbers, strict=True) if number == 1]


def _counted(one: Judged) -> dict[str, Any]:
    """A contest in numbers."""
    return {
        "method": one.contest.method,
        "suggestions": one.contest.suggestions,
        "ranked": sum(each.values is not None for each in one.ranked),
        "stopped": one.contest.stopped,
        "best": one.best.suggestion if one.best else None,
        "top": one.contest.top,
    }


def _saved(asked: Asked) -> dict[str, Any] | None:
    """What the rungs saved of the full grid of the search."""
    if asked.saved is None:
        return None
    full, ran = asked.saved
    return {"full": full, "ran": ran, "share": 1 - ran / full if full else 0.0}


# ------------------------------------------------------------------ what is confirmed
def _table(judged: Sequence[Judged], best: Ranked | None, group: Arms, asked: Asked) -> list[dict[str, Any]]:
    """Confirmed arms on test data: the best contest's first, then the others', then the baselines."""
    ahead = sorted(judged, key=lambda one: best is None or best.suggestion not in one.contest.suggestions)
    roles: dict[str, dict[str, Any]] = {}
    for one in ahead:
        for place, name in enumerate(one.contest.top, start=1):
            tuned = {
                "role": "best",
                "place": place,
                "of": len(one.contest.suggestions),
                "tuning": asked.tuning,
            }
            roles.setdefault(name, {**tuned, "contest": one.contest.method})
    for name in asked.baselines:
        roles.setdefault(name, {"role": "baseline", "place": 1, "of": None, "tuning": None, "contest": None})
    return [
        {**vars(summarise(group[name], asked.confirm_orders, asked.confirm_seeds)), **role}
        for name, role in roles.items()
        if name in group
    ]


def _pairs(leaders: Sequence[str], group: Arms, asked: Asked) -> list[Paired]:
    """Confirmed arms against every baseline, against the first of all, and baselines against their first."""
    wanted = [(leader, other) for leader in leaders for other in asked.baselines]
    wanted += [(leader, leaders[0]) for leader in leaders[1:]]
    wanted += [(other, asked.baselines[0]) for other in asked.baselines[1:] if other not in leaders]
    found = [
        paired(group[arm], group[other], asked.confirm_orders, asked.confirm_seeds)
        if arm in group and other in group
        else Paired(arm, other, 0, 0)
        for arm, other in dict.fromkeys(wanted)
        if arm != other
    ]
    return list(corrected(found))


def _until(asked: Asked, table: Sequence[Mapping[str, Any]], group: Arms) -> dict[str, Any] | None:
    """Whether the confirmation is as sure as it was asked to be, and how many orders each arm needs."""
    if asked.until is None:
        return None
    needs = [_needs(asked, asked.until, group[line["suggestion"]]) for line in table if line["orders"]]
    met = bool(needs) and all(one["needed"] is not None and one["needed"] <= one["orders"] for one in needs)
    return {"asked": dict(asked.until), "met": met, "arms": needs}


def _needs(asked: Asked, until: Mapping[str, float], arm: Arm) -> dict[str, Any]:
    runs = crossing(arm, asked.confirm_orders, asked.confirm_seeds)
    population = math.factorial(runs.matrices.shape[-1])
    line = {"suggestion": arm.suggestion, "label": arm.label, "orders": len(runs.orders)}
    if "tail" in until:
        return {**line, "needed": orders_for_tail(until["tail"], population), "least": None}
    values = final_averages(runs)
    needed = needed_orders(values, population, half_width=until["half_width"])
    return {**line, "needed": needed, "least": least_half_width(values, population)}


def _unjudged(best: Ranked | None, first: str | None, asked: Asked) -> dict[str, Any]:
    """What there is to say of a search without confirmation; nothing when there is more to say, or less."""
    if best is None or first is not None:
        return {}
    rest = "is confirmed on test data yet" if asked.confirm_orders else "is confirmed on test data"
    said = f"{best.label} leads the search by {asked.selection}; nothing {rest}."
    return {"verdict": said, "cautions": ()}


def _verdict(
    first: str | None,
    table: Sequence[Mapping[str, Any]],
    pairs: Sequence[Paired],
    asked: Asked,
    *,
    until: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Sentence and cautions on the first of all, against the baselines and the best of other methods."""
    lines = {line["suggestion"]: _summary(line) for line in table}
    rivals = [line["suggestion"] for line in table if line["place"] == 1 and line["suggestion"] != first]
    rivals.sort(key=lambda name: name not in asked.baselines)  # the space's own baselines are compared first
    by_names = {(pair.suggestion, pair.baseline): pair for pair in pairs}
    by_names |= {(pair.baseline, pair.suggestion): pair.turned() for pair in pairs}
    ours = [by_names[first, rival] for rival in rivals if first is not None and (first, rival) in by_names]
    found = verdict(
        lines[first] if first is not None else None,
        [lines[pair.baseline] for pair in ours],
        ours,
        search_orders=asked.choosing_orders,
        confirm_orders=asked.confirm_orders,
        tuning=asked.tuning,
    )
    return {"verdict": found.sentence, "cautions": (*found.cautions, *unsure(until))}


def _summary(line: Mapping[str, Any]) -> ArmSummary:
    return ArmSummary(**{field.name: line[field.name] for field in dataclasses.fields(ArmSummary)})
