"""Which searched setting mattered, for the mean and for the worst order side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweep.analysis.arms import Arm, setting, varied
from sweep.analysis.holds import Holds
from sweep.analysis.stages import Stage
from sweep.analysis.tables import final_averages

FEWEST = 4
"""Suggestions below which nothing is said: a forest of fewer points is chance."""


@dataclass(frozen=True)
class Influence:
    """Share 0..1 of the variance between suggestions that a setting explains: of their mean, of their worst.

    None where it cannot be told. `left_out`: suggestions that lack runs of the stage.
    """

    method: str
    setting: str
    suggestions: int
    left_out: int
    orders: int
    seeds: int
    missing: int
    failed: int
    mean: float | None
    worst: float | None
    holds: Holds = "neither"


def influences(stage: Stage) -> tuple[Influence, ...]:
    """What each setting explains of the mean over orders, and of the worst order: does the same matter?

    Of suggestions with all orders and seeds on record. Source: Hutter et al. 2014, fANOVA.
    """
    return tuple(line for name, group in stage.groups.items() for line in _of_method(name, group, stage))


def _of_method(name: str, group: Sequence[Arm], stage: Stage) -> Iterator[Influence]:
    searched = list(varied(group))
    ran = [arm for arm in group if stage.complete(arm)]
    points = [{key: value for key in searched if (value := setting(arm, key)) is not None} for arm in ran]
    by_order = [final_averages(stage.crossings[arm.suggestion]).mean(1) for arm in ran]
    mean = _shares(points, [float(values.mean()) for values in by_order])
    worst = _shares(points, [float(values.min()) for values in by_order])
    lacking = [stage.crossings[arm.suggestion] for arm in group]
    for key in sorted(searched, key=lambda key: (-mean.get(key, 0.0), key)):
        yield Influence(
            name,
            key,
            len(ran),
            len(group) - len(ran),
            len(stage.orders),
            len(stage.seeds),
            sum(runs.missing for runs in lacking),
            sum(runs.failed for runs in lacking),
            mean.get(key),
            worst.get(key),
        )


def _shares(points: Sequence[dict[str, object]], values: Sequence[float]) -> dict[str, float]:
    if len(points) < FEWEST:
        return {}
    from sweep.search.importance import importances  # Optuna, which takes its time to import

    return importances(points, values) or {}
