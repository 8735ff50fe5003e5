"""Tables over arms: what each reaches over orders and seeds, paired differences, the search and its curve."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nai import metrics
from sweep.analysis.arms import (
    Arm,
    Crossing,
    Floats,
    Order,
    Row,
    Seed,
    arms,
    crossing,
    shared_crossing,
)
from sweep.analysis.holds import Holds, mean_holds
from sweep.analysis.intervals import crossed_half_width, order_share, unseen_worse
from sweep.analysis.significance import crossed_p, holm, sign_flip_p

TAIL = 0.1
"""Share of the orders over which CVaR averages."""
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
"""Of the orders, seeds averaged; between two orders on a line."""


@dataclass(frozen=True)
class ArmSummary:
    """What one arm reaches over `orders` x `seeds` runs; accuracies 0..1, None where nothing is on record.

    `half` is the 95 % half-width of `mean` over both, or None with the reason in `interval`. Order statistics
    are of seed averages: a range over single runs would measure the seeds. `holds` is for what the mean, its
    half-width and what is forgotten, learned and transferred hold beyond these runs, `ends_hold` for what
    std, quantiles, worst, CVaR and ranges do; `unseen_worse` is what the worst proves of orders not run.
    """

    suggestion: str
    label: str
    method: str
    orders: int
    seeds: int
    missing: int
    failed: int
    mean: float | None = None
    half: float | None = None
    interval: str = "nothing on record"
    std: float | None = None
    worst: float | None = None
    worst_order: Order | None = None
    best: float | None = None
    best_order: Order | None = None
    cvar: float | None = None
    q05: float | None = None
    q25: float | None = None
    median: float | None = None
    q75: float | None = None
    q95: float | None = None
    aopd: float | None = None
    mopd: float | None = None
    disparity: float | None = None
    forgetting: float | None = None
    learning_accuracy: float | None = None
    backward_transfer: float | None = None
    order_share: float | None = None
    unseen_worse: float | None = None
    holds: Holds = "neither"
    ends_hold: Holds = "neither"


@dataclass(frozen=True)
class Paired:
    """Mean difference of an arm to a baseline on the same orders and seeds, above 0 if the arm is better.

    `p` is the chance of a difference this large if there is none, `holm` the same raised for the number of
    comparisons; both, like `half`, are for what `holds` says. Missing and failed runs are those of both arms.
    """

    suggestion: str
    baseline: str
    orders: int
    seeds: int
    mean: float | None = None
    half: float | None = None
    interval: str = "nothing on record"
    won: float | None = None
    """Share 0..1 of the orders in which the arm is better, seeds averaged first; a tie counts as half."""
    missing: int = 0
    failed: int = 0
    p: float | None = None
    holm: float | None = None
    holds: Holds = "neither"
    label: str = ""
    against: str = ""
    """The labels of both."""

    def turned(self) -> "Paired":
        """The same difference, as the baseline would have it."""
        return replace(
            self,
            suggestion=self.baseline,
            baseline=self.suggestion,
            label=self.against,
            against=self.label,
            mean=None if self.mean is None else -self.mean,
            won=None if self.won is None else 1 - self.won,
        )


def summary(
    rows: Iterable[Row], orders: Sequence[Order], seeds: Sequence[Seed], split: str = "test"
) -> tuple[ArmSummary, ...]:
    """One summary for each arm of `rows`, over exactly these orders and seeds."""
    return tuple(summarise(arm, orders, seeds, split) for arm in arms(rows))


def summarise(arm: Arm, orders: Sequence[Order], seeds: Sequence[Seed], split: str = "test") -> ArmSummary:
    """What one arm reaches over the largest full crossing of these orders and seeds, and what lacks."""
    runs = crossing(arm, orders, seeds, split)
    counts = (len(runs.orders), len(runs.seeds), runs.missing, runs.failed)
    return ArmSummary(
        arm.suggestion, arm.label, arm.method, *counts, **(_known(_figures(runs)) if runs.orders else {})
    )


def paired(ours: Arm, theirs: Arm, orders: Sequence[Order], seeds: Sequence[Seed]) -> Paired:
    """Difference of one arm to another on the orders and seeds that both have on record, on test data."""
    names = ours.suggestion, theirs.suggestion
    left, right = shared_crossing((ours, theirs), orders, seeds)
    plain: dict[str, Any] = {"missing": left.missing + right.missing, "failed": left.failed + right.failed}
    plain |= {"label": ours.label, "against": theirs.label}
    if not left.orders:
        return Paired(*names, 0, 0, **plain)
    gain = final_averages(left) - final_averages(right)
    by_order = gain.mean(1)
    half, interval = _interval(gain, left)
    return Paired(
        *names,
        len(left.orders),
        len(left.seeds),
        float(gain.mean()),
        half,
        interval,
        won=float(((by_order > 0) + 0.5 * (by_order == 0)).mean()),
        p=_chance(gain, left),
        holds=mean_holds(left),
        **plain,
    )


def all_pairs(group: Sequence[Arm], orders: Sequence[Order], seeds: Sequence[Seed]) -> tuple[Paired, ...]:
    """Every two arms compared on the runs that both have, test data, with p raised for their number."""
    return corrected([paired(one, other, orders, seeds) for one, other in itertools.combinations(group, 2)])


def corrected(pairs: Sequence[Paired]) -> tuple[Paired, ...]:
    """The same comparisons with p raised for their number."""
    raised = holm([pair.p for pair in pairs])
    return tuple(replace(pair, holm=p) for pair, p in zip(pairs, raised, strict=True))


def final_averages(runs: Crossing) -> Floats:
    """Average final accuracy [orders, seeds] of every run."""
    return measured(runs, "average_accuracy")


def measured(runs: Crossing, name: str) -> Floats:
    """A metric of nai.metrics, by name, [orders, seeds] for every run."""
    return _measure(metrics.arrived(runs.matrices, runs.orders), name)


def _figures(runs: Crossing) -> dict[str, Any]:
    """The figures of a summary, by field name."""
    tasks, arrived = runs.matrices.shape[-1], metrics.arrived(runs.matrices, runs.orders)
    averages = _measure(arrived, "average_accuracy")
    half, interval = _interval(averages, runs)
    by_order = averages.mean(1)
    spread = metrics.order_spread(runs.matrices[:, :, -1])
    lowest, highest = int(by_order.argmin()), int(by_order.argmax())
    return {
        "mean": float(averages.mean()),
        "half": half,
        "interval": interval,
        "std": metrics.std(by_order),
        "worst": float(by_order[lowest]),
        "worst_order": runs.orders[lowest],
        "best": float(by_order[highest]),
        "best_order": runs.orders[highest],
        "cvar": metrics.cvar(by_order, +1, share=TAIL),
        **{name: float(np.quantile(by_order, at)) for name, at in QUANTILES.items()},
        "aopd": spread.aopd,
        "mopd": spread.mopd,
        "disparity": metrics.disparity_of_average(runs.matrices, runs.orders).mean,
        **{
            name: float(_measure(arrived, name).mean())
            for name in ("forgetting", "learning_accuracy", "backward_transfer")
        },
        "order_share": order_share(averages),
        "unseen_worse": unseen_worse(len(runs.orders), math.factorial(tasks)),
        "holds": mean_holds(runs),
    }


def _known(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures with None for what does not exist, such as a range over one order or forgetting of one task."""
    odd = {name for name, value in figures.items() if isinstance(value, float) and not math.isfinite(value)}
    return {name: None if name in odd else value for name, value in figures.items()}


def _measure(arrived: Floats, name: str) -> Floats:
    """A metric of nai.metrics, by name, for every run, from matrices in order of arrival."""
    return metrics.METRICS[name].stacked(arrived)


def _chance(gain: Floats, runs: Crossing) -> float | None:
    """p of a difference [orders, seeds]: over both, or with one seed over orders for that seed alone."""
    population = math.factorial(runs.matrices.shape[-1])
    return sign_flip_p(gain[:, 0], population) if gain.shape[1] == 1 else crossed_p(gain, population)


def _interval(values: Floats, runs: Crossing) -> tuple[float | None, str]:
    """Half-width of the mean of `values` [orders, seeds] and what it stands for."""
    half = crossed_half_width(values, math.factorial(runs.matrices.shape[-1]))
    if half is not None:
        return half, "95 % over orders and seeds"
    return None, "one order, no interval" if len(values) < 2 else "orders only, this seed"
