"""What a sweep found, as plain data for results.json: equal records give equal bytes."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep.analysis.arms import Arm, Order, Row, Seed, arms, failed, varied
from sweep.analysis.ranking import Goal, Ranked, ranking, strength_curve
from sweep.analysis.tables import TAIL, ArmSummary, Paired, paired, summarise
from sweep.analysis.verdict import counted, verdict

SCHEMA = 1


@dataclass(frozen=True)
class Asked:
    """What a sweep was asked to run: `expected` is the number of runs.

    `suggestions` are those of the search, by default all but the `baselines` (a baseline may be one too).
    """

    sweep: str
    search_orders: Sequence[Order]
    search_seeds: Sequence[Seed]
    report_orders: Sequence[Order]
    report_seeds: Sequence[Seed]
    expected: int
    suggestions: Sequence[str] | None = None
    baselines: Sequence[str] = ()
    top: int = 1
    goal: Goal = field(default_factory=Goal)


def results(rows: Iterable[Row], asked: Asked) -> dict[str, Any]:
    """Best suggestion, tables and verdict as plain JSON values: equal records give equal results.

    So there are no times in it; a number that does not exist is null.
    """
    known = sorted(rows, key=lambda row: str(row["fingerprint"]))
    group = arms(known)
    tried = _search_rows(known, asked)
    searched = ranking(tried, asked.search_orders, asked.search_seeds, asked.goal)
    leaders = [one.suggestion for one in searched if one.value is not None][: asked.top]
    table = _table(group, dict.fromkeys((*leaders, *asked.baselines)), asked)
    pairs = _pairs(known, leaders, asked)
    broken = sum(failed(row, "test") for row in known)
    found: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "sweep": asked.sweep,
            "complete": len(known) >= asked.expected,
            "done": len(known) - broken,
            "failed": broken,
            "expected": asked.expected,
            "selection": selection(asked),
            "best": _best(searched),
            **(_unreported(searched, asked) or _verdict(leaders, table, pairs, asked)),
            "table": [
                {**vars(one), "role": "best" if one.suggestion in leaders else "baseline"} for one in table
            ],
            "paired": pairs,
            "search": searched,
            "searched": varied(arms(tried)),
            "curve": strength_curve(tried, asked.search_orders, asked.search_seeds),
            "orders": {"search": asked.search_orders, "report": asked.report_orders},
            "seeds": {"search": asked.search_seeds, "report": asked.report_seeds},
        }
    )
    return found


def selection(asked: Asked) -> str:
    """How the best suggestion is chosen, in words."""
    goal = asked.goal
    how = {
        "mean": "mean",
        "worst": "worst order",
        "cvar": f"mean of the worst {100 * goal.options.get('share', TAIL):g} %",
        "mean_minus_std": f"mean less {goal.options.get('weight', 1.0):g} standard deviations",
    }[goal.aggregate]
    metric = "accuracy" if goal.metric == "average_accuracy" else goal.metric.replace("_", " ")
    return f"validation {metric} over {counted(len(asked.search_orders), 'search order')} ({how})"


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


def _search_rows(rows: Iterable[Row], asked: Asked) -> list[Row]:
    """Rows of suggestions that the search made: by default those with a run on a search order."""
    if asked.suggestions is not None:
        return [row for row in rows if row["suggestion"] in asked.suggestions]
    wanted = set(asked.search_orders)
    ours = [row for row in rows if row["suggestion"] not in asked.baselines]
    made = {row["suggestion"] for row in ours if tuple(row["order"]) in wanted}
    return [row for row in ours if row["suggestion"] in made]


def _table(group: Sequence[Arm], wanted: Iterable[str], asked: Asked) -> list[ArmSummary]:
    by_name = {arm.suggestion: arm for arm in group}
    found = [by_name[name] for name in wanted if name in by_name]
    return [summarise(arm, asked.report_orders, asked.report_seeds) for arm in found]


def _pairs(rows: Sequence[Row], leaders: Sequence[str], asked: Asked) -> list[Paired]:
    """The leaders against every baseline, and the other baselines against the first."""
    wanted = [(leader, other) for leader in leaders for other in asked.baselines]
    wanted += [(other, asked.baselines[0]) for other in asked.baselines[1:] if other not in leaders]
    cells: dict[str, Any] = {"orders": asked.report_orders, "seeds": asked.report_seeds}
    return [paired(rows, arm, other, **cells) for arm, other in wanted if arm != other]


def _best(searched: Sequence[Ranked]) -> Ranked | None:
    return next((one for one in searched if one.value is not None), None)


def _unreported(searched: Sequence[Ranked], asked: Asked) -> dict[str, Any]:
    """What there is to say of a search that no report follows; nothing while there is no best suggestion."""
    best = _best(searched)
    if asked.report_orders or best is None:
        return {}
    said = f"{best.label} leads the search by {selection(asked)}; the space asks for no report on test data."
    return {"verdict": said, "cautions": ()}


def _verdict(
    leaders: Sequence[str], table: Sequence[ArmSummary], pairs: Sequence[Paired], asked: Asked
) -> dict[str, Any]:
    """Sentence and cautions on the leader of the search."""
    by_name = {one.suggestion: one for one in table}
    best = by_name.get(leaders[0]) if leaders else None
    ours = [
        pair for pair in pairs if best and pair.suggestion == best.suggestion and pair.baseline in by_name
    ]
    baselines = [by_name[pair.baseline] for pair in ours]
    found = verdict(
        best, baselines, ours, search_orders=asked.search_orders, report_orders=asked.report_orders
    )
    return {"verdict": found.sentence, "cautions": found.cautions}
