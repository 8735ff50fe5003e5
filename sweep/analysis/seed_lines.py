"""What each seed shows by itself: extremes have no interval, but every seed's value can be seen."""

from collections.abc import Iterator
from dataclasses import dataclass

from sweep.analysis.arms import Arm, Order
from sweep.analysis.holds import Holds
from sweep.analysis.stages import Stage
from sweep.analysis.tables import summarise


@dataclass(frozen=True)
class SeedLine:
    """One pair of seeds of an arm over orders: accuracies 0..1, None where it has no run on record."""

    suggestion: str
    label: str
    seed_init: int
    seed_data: int
    orders: int
    missing: int
    failed: int
    mean: float | None
    worst: float | None
    worst_order: Order | None
    cvar: float | None
    std: float | None
    aopd: float | None
    mopd: float | None
    disparity: float | None
    mean_holds: Holds
    holds: Holds = "neither"


def seed_lines(stage: Stage) -> tuple[SeedLine, ...]:
    """The figures of every single pair of seeds: how far extremes differ by seed.

    Ranges of single runs hold the chance of the seed, too, and are larger than those of seed averages.
    """
    return tuple(line for arm in stage.arms for line in _of_arm(arm, stage))


def _of_arm(arm: Arm, stage: Stage) -> Iterator[SeedLine]:
    for seed in stage.seeds:
        one = summarise(arm, stage.asked_of(arm), (seed,), stage.split)
        yield SeedLine(
            arm.suggestion,
            arm.label,
            *seed,
            one.orders,
            one.missing,
            one.failed,
            one.mean,
            one.worst,
            one.worst_order,
            one.cvar,
            one.std,
            one.aopd,
            one.mopd,
            one.disparity,
            one.holds,
        )
