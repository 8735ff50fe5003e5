"""What is kept against what is learned, and which arms give neither up for nothing."""

from dataclasses import dataclass

from sweep.analysis.goals import fronts
from sweep.analysis.holds import Holds, counts, mean_holds
from sweep.analysis.stages import Stage
from sweep.analysis.tables import measured


@dataclass(frozen=True)
class Tradeoff:
    """An arm between plasticity and stability, both up to 1; front 1 is the Pareto front.

    `plasticity` is the accuracy on each task just after it was learnt, `stability` 1 less what is forgotten.
    """

    suggestion: str
    label: str
    method: str
    orders: int
    seeds: int
    missing: int
    failed: int
    plasticity: float
    stability: float
    front: int
    holds: Holds


def tradeoff(stage: Stage) -> tuple[Tradeoff, ...]:
    """Stability against plasticity: on front 1 no other arm is better in one and no worse in the other.

    Arms that lack runs are in, on what they have. Source: Chaudhry et al. 2018 (forgetting), Riemer et al.
    2019 (learning accuracy).
    """
    known = [(arm, runs) for arm, runs in stage.known() if len(runs.orders[0]) > 1]
    points = [
        (float(measured(runs, "learning_accuracy").mean()), 1 - float(measured(runs, "forgetting").mean()))
        for _, runs in known
    ]
    numbers = fronts(points, (+1, +1))
    return tuple(
        Tradeoff(
            arm.suggestion,
            arm.label,
            arm.method,
            **counts(runs),
            plasticity=x,
            stability=y,
            front=front,
            holds=mean_holds(runs),
        )
        for (arm, runs), (x, y), front in zip(known, points, numbers, strict=True)
    )
