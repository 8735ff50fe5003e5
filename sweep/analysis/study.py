"""All tables of a sweep by name, each made from one of its stages, as plain lines."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sweep.analysis.agreement import agreement
from sweep.analysis.arms import Row
from sweep.analysis.asked import Asked
from sweep.analysis.components import components
from sweep.analysis.costs import costs, failures
from sweep.analysis.distances import distances, order_lines, relations
from sweep.analysis.influence import influences
from sweep.analysis.positions import positions, predecessors
from sweep.analysis.results import plain
from sweep.analysis.seed_lines import seed_lines
from sweep.analysis.stages import Similarity, Stage, stages
from sweep.analysis.tables import ArmSummary, Paired, all_pairs, summarise
from sweep.analysis.task_lines import task_lines
from sweep.analysis.tradeoff import tradeoff

Name = Literal["search", "confirm"]


class Sheet(NamedTuple):
    """A table: its name, the stage that it is of, what it says, and its lines, all with the same columns.

    `shown` are the columns that tell the most.
    """

    name: str
    stage: Name
    says: str
    lines: tuple[dict[str, Any], ...]
    shown: tuple[str, ...]


def summaries(stage: Stage) -> tuple[ArmSummary, ...]:
    """What each arm reaches over orders and seeds: mean with its interval, spread, bad orders, ranges.

    std, quantiles, worst, CVaR (the mean of the worst tenth), AOPD, MOPD and disparity are over these orders,
    seeds averaged; ranges grow with the number of orders.
    """
    return tuple(summarise(arm, stage.asked_of(arm), stage.seeds, stage.split) for arm in stage.arms)


def pairs(stage: Stage) -> tuple[Paired, ...]:
    """Every two confirmed arms on the same orders and seeds: difference, orders won, p, p after Holm.

    Of a confirmation alone: a search has picked its best on the same data that would judge it.
    """
    return all_pairs(stage.arms, stage.orders, stage.seeds) if stage.name == "confirm" else ()


class Kind(NamedTuple):
    """How a table is made, the columns that tell the most, and whether the search alone can show it."""

    make: Callable[[Stage], Sequence[Any]]
    shown: tuple[str, ...]
    of_search: bool = False


TABLES: dict[str, Kind] = {
    "summary": Kind(
        summaries,
        (
            "label",
            "mean",
            "half",
            "std",
            "median",
            "worst",
            "cvar",
            "aopd",
            "mopd",
            "orders",
            "seeds",
            "missing",
            "failed",
        ),
    ),
    "seeds": Kind(
        seed_lines,
        ("label", "seed_init", "seed_data", "mean", "worst", "aopd", "mopd", "orders", "missing", "failed"),
    ),
    "tasks": Kind(
        task_lines,
        (
            "label",
            "task",
            "mean",
            "opd",
            "floor",
            "lowest",
            "highest",
            "orders",
            "seeds",
            "missing",
            "failed",
        ),
    ),
    "components": Kind(
        components,
        ("over", "order", "seed", "settings", "rest", "order_share", "advice", "missing", "failed"),
    ),
    "pairs": Kind(
        pairs, ("label", "against", "mean", "half", "won", "p", "holm", "holds", "missing", "failed")
    ),
    "agreement": Kind(
        agreement, ("over", "items", "w", "best", "first", "winners", "gain", "says", "missing", "failed")
    ),
    "orders": Kind(
        order_lines,
        (
            "label",
            "order",
            "accuracy",
            "forgetting",
            "from_best",
            "from_worst",
            "similarity",
            "missing",
            "failed",
        ),
    ),
    "distances": Kind(
        distances, ("label", "distance", "orders", "accuracy", "pairs", "difference", "missing", "failed")
    ),
    "relations": Kind(
        relations, ("label", "best", "apart", "similarity", "orders", "seeds", "missing", "failed")
    ),
    "positions": Kind(
        positions, ("label", "task", "position", "final", "half", "learnt", "orders", "missing", "failed")
    ),
    "predecessors": Kind(
        predecessors,
        ("label", "task", "predecessor", "ahead", "effect", "half", "orders", "missing", "failed"),
    ),
    "tradeoff": Kind(tradeoff, ("label", "plasticity", "stability", "front", "missing", "failed")),
    "search_components": Kind(
        components, ("over", "order", "seed", "settings", "rest", "advice", "missing", "failed"), True
    ),
    "search_agreement": Kind(
        agreement,
        ("over", "items", "w", "best", "first", "winners", "gain", "says", "missing", "failed"),
        True,
    ),
    "importance": Kind(
        influences,
        ("method", "setting", "mean", "worst", "suggestions", "left_out", "missing", "failed"),
        True,
    ),
    "cost": Kind(costs, ("label", "runs", "seconds", "seconds_a_run", "width", "missing", "failed")),
    "failures": Kind(failures, ("label", "cause", "failed", "asked", "missing", "order", "error")),
}
"""Every table by name; what is made of one `Stage` gives lines (frozen dataclasses)."""
OVERVIEW = ("summary", "components", "pairs", "agreement", "search_agreement", "failures")
"""The tables that a person wants first."""


def sheets(
    rows: Iterable[Row],
    asked: Asked,
    names: Iterable[str] = tuple(TABLES),
    *,
    stage: Name | None = None,
    similarity: Similarity | None = None,
) -> tuple[Sheet, ...]:
    """These tables of a sweep, from its records.

    stage: what they are of, by default the confirmation if it has runs on record, else the search; what the
    search alone can show is of the search. similarity: of the tasks, [tasks, tasks]. ValueError for a name
    that is no table.
    """
    found = stages(rows, asked, similarity)
    main = stage or ("confirm" if found["confirm"].known() else "search")
    return tuple(_sheet(name, found["search" if _kind(name).of_search else main]) for name in names)


def _kind(name: str) -> Kind:
    if name not in TABLES:
        raise ValueError(f"{name!r} is no table: choose from {', '.join(TABLES)}")
    return TABLES[name]


def _sheet(name: str, stage: Stage) -> Sheet:
    kind = _kind(name)
    says = " ".join((inspect.getdoc(kind.make) or "").split())
    return Sheet(name, stage.name, says, tuple(plain(line) for line in kind.make(stage)), kind.shown)
