"""What early stopping saves and what it costs: a full grid of records, replayed under every rule.

    python benchmarks/rungs.py [FOLDER] [--draws 200] [--aggregate mean|worst|mean_minus_std] [--ahead 4]

FOLDER holds a study in which every suggestion has run on every order (docs/studies/digits_grid: 20 settings
of NAI on all 120 orders of the digits, one seed). Each draw takes the suggestions in a random order and plays
a search by each rule; nothing is trained. The orders are taken at random, balanced as
`sweep.stopping.balanced` has them (drawn anew each time), or as listed (0 1 2 3 4 first). The last of the
rungs is all orders. Intervals are 95 % (Wilson for shares): over draws, for this grid. Printed are

* saved: the share of the runs, and of the task trainings of the order tree, that were not made.
* winner lost: how often the suggestion that a search without stopping would have chosen was stopped.
* regret: its value less that of the one chosen instead, in accuracy points: mean and largest
  of all draws.
"""

import argparse
import json
import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nai.orders import Order
from sweep import record
from sweep.search import Judge
from sweep.space import Search
from sweep.stopping import balanced

HOME = Path(__file__).resolve().parent.parent / "docs" / "studies" / "digits_grid"
AGGREGATES: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": lambda v: float(v.mean()),
    "worst": lambda v: float(v.min()),
    "mean_minus_std": lambda v: float(v.mean() - v.std()),
}


class Grid(NamedTuple):
    """Accuracy after the last task on validation data [suggestions, orders], and the orders."""

    accuracy: NDArray[np.float64]
    orders: tuple[Order, ...]


class Arm(NamedTuple):
    """A suggestion by the number of its line in the grid."""

    suggestion: str


@dataclass
class Candidate:
    """A suggestion on its way through the rungs."""

    number: int
    arm: Arm
    values: list[tuple[float, ...]] = field(default_factory=list)
    state: str = "running"


@dataclass(frozen=True)
class Setup:
    """A rule with its numbers, the rungs, the last being all orders, and how the orders are taken."""

    rule: dict[str, Any]
    rungs: tuple[int, ...]
    taken: str = "random"

    def __str__(self) -> str:
        options = ", ".join(f"{k} {v}" for k, v in self.rule.items() if k != "stopping")
        return f"{self.rule['stopping']}" + (f", {options}" if options else "")


class Played(NamedTuple):
    """One replayed search: shares saved of runs and of task trainings, winner lost or not, points lost."""

    runs: float
    trainings: float
    lost: bool
    regret: float


def grid(folder: Path) -> Grid:
    """The study's validation accuracies; ValueError unless every suggestion has run on every order."""
    rows = record.read(folder / "records").rows
    cells = {(row["suggestion"], tuple(row["order"])): np.array(row["valid"])[-1].mean() for row in rows}
    names, orders = (sorted({cell[k] for cell in cells}) for k in (0, 1))
    if len(cells) != len(names) * len(orders):
        raise ValueError(f"{folder} has {len(cells)} of {len(names)} x {len(orders)} runs: take a full grid")
    return Grid(np.array([[cells[name, order] for order in orders] for name in names]), tuple(orders))


def taken(setup: Setup, orders: Sequence[Order], chance: random.Random) -> list[int]:
    """Places of the orders of a search, in the order in which rungs take them."""
    places = {order: i for i, order in enumerate(orders)}
    most = setup.rungs[-1]
    if setup.taken == "listed":
        return list(range(most))
    shuffled = chance.sample(range(len(orders)), most)
    if setup.taken == "balanced":
        return [places[order] for order in balanced(orders, chance.randrange(1000))[:most]]
    return shuffled


def play(setup: Setup, given: Grid, chance: random.Random, *, aggregate: str, ahead: int) -> Played:
    """One search on suggestions and orders in the order that chance gives them."""
    chosen = taken(setup, given.orders, chance)
    lines = chance.sample(range(len(given.accuracy)), len(given.accuracy))
    accuracy = given.accuracy[np.ix_(lines, chosen)]
    summed = AGGREGATES[aggregate]

    def measure(name: str, orders: Sequence[Order]) -> tuple[float, ...]:
        return (summed(accuracy[int(name), [place for (place,) in orders]]),)

    judge = judge_of(setup, len(lines), ahead)
    field_: list[Candidate] = []
    for number in range(len(lines)):
        field_.append(run(Candidate(number, Arm(str(number))), setup.rungs, judge, field_, measure))
    whole = [summed(line) for line in accuracy]
    reached = [setup.rungs[len(one.values) - 1] for one in field_]
    winner = max(range(len(lines)), key=whole.__getitem__)
    kept = max((one.number for one in field_ if one.state == "complete"), key=whole.__getitem__)
    trained = [nodes([given.orders[i] for i in chosen[:count]]) for count in reached]
    return Played(
        1 - sum(reached) / accuracy.size,
        1 - sum(trained) / (len(lines) * nodes([given.orders[i] for i in chosen])),
        field_[winner].state == "stopped",
        100 * (whole[winner] - whole[kept]),
    )


def judge_of(setup: Setup, suggestions: int, ahead: int) -> Judge:
    """The judge that the rule names."""
    search = Search(suggestions=suggestions, ahead=ahead, rungs=setup.rungs[:-1] or None, **setup.rule)
    return Judge(search, (1,), rungs=len(setup.rungs))


def run(
    one: Candidate, rungs: Sequence[int], judge: Judge, others: Sequence[Candidate], measure: Any
) -> Candidate:
    """A candidate after the rung at which it is stopped, or the last."""
    for rung in rungs:
        orders: list[Order] = [(place,) for place in range(rung)]
        one.values.append(measure(one.arm.suggestion, orders))
        if rung < rungs[-1] and judge.drops(one, others, orders, measure):
            one.state = "stopped"
            return one
    one.state = "complete"
    return one


def nodes(orders: Sequence[Order]) -> int:
    """Task trainings of the order tree; an order's last task is trained for it alone."""
    return len({order[:depth] for order in orders for depth in range(1, len(order) + 1)})


def wilson(count: int, draws: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z, share = 1.96, count / draws
    middle, room = (
        share + z * z / (2 * draws),
        z * math.sqrt(share * (1 - share) / draws + (z / (2 * draws)) ** 2),
    )
    return (middle - room) / (1 + z * z / draws), (middle + room) / (1 + z * z / draws)


def around(values: Sequence[float]) -> str:
    """Mean and the half-width of its 95 % interval."""
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.fmean(values):.1f} ± {half:.1f}"


def setups(orders: int) -> Iterator[Setup]:
    """Rules and their numbers over several rungs, on all orders and on few."""
    races = [{"stopping": "race", "level": level} for level in (0.01, 0.05, 0.1, 0.2)]
    others: list[dict[str, Any]] = [
        {"stopping": "median"},
        {"stopping": "percentile", "keep": 0.25},
        {"stopping": "asha", "eta": 3},
        {"stopping": "hyperband", "eta": 3},
        {"stopping": "wilcoxon", "level": 0.05},
    ]
    yield from (Setup(rule, (5, 10, 20, 40, orders), "balanced") for rule in races)
    for how in ("random", "listed"):
        yield Setup(races[1], (5, 10, 20, 40, orders), how)
    for rungs in ((5, orders), (10, orders), (20, orders), (5, 15, orders), (5, 10), (5, 10, 20)):
        yield Setup(races[1], rungs, "balanced")
    yield from (Setup(rule, (5, 10, 20, 40, orders), "balanced") for rule in others)


def main() -> None:
    """Print the table, a line a setup, and one line of JSON."""
    parser = argparse.ArgumentParser(description="What early stopping saves, and what it costs")
    parser.add_argument("folder", nargs="?", type=Path, default=HOME)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--aggregate", choices=AGGREGATES, default="mean")
    parser.add_argument("--ahead", type=int, default=4)
    asked = parser.parse_args()
    given, table = grid(asked.folder), []
    print("| rule | rungs, orders | orders taken | saved: runs, % | trainings, % | winner lost, % | regret |")
    print("|---|---|---|---|---|---|---|")
    for setup in setups(len(given.orders)):
        played = [
            play(setup, given, random.Random(seed), aggregate=asked.aggregate, ahead=asked.ahead)
            for seed in range(asked.draws)
        ]
        lost = sum(one.lost for one in played)
        low, high = wilson(lost, asked.draws)
        saved = [around([100 * getattr(one, k) for one in played]) for k in ("runs", "trainings")]
        regrets = [one.regret for one in played]
        regret = f"{statistics.fmean(regrets):.3f}, at most {max(regrets):.2f}"
        rungs = ", ".join(map(str, setup.rungs))
        share = f"{100 * lost / asked.draws:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        print(f"| {setup} | {rungs} | {setup.taken} | {' | '.join(saved)} | {share} | {regret} |", flush=True)
        table.append(
            {"setup": str(setup), "rungs": setup.rungs, "taken": setup.taken, "lost": lost / asked.draws}
        )
    print(json.dumps({"draws": asked.draws, "aggregate": asked.aggregate, "table": table}))


if __name__ == "__main__":
    main()
