"""How often the hunt for the worst (and best) order finds it, on enumerated studies and beyond five tasks.

    python benchmarks/worst_order.py [--hunts 10] [--batch 3] [--strategies surrogate tree random]

Nothing is trained: the studies under docs/studies hold all 120 orders of five tasks for five methods and
three seeds, so that a hunt is answered from the records and pays for each prefix once. A case is a method, a
seed, a direction and a split (validation or test); each is hunted with several seeds of the hunt. finetune
and ewc are the methods that the strategy was chosen on, the others it had not seen. Ends with six to ten
made-up tasks whose orders no one would enumerate.
"""

import argparse
import functools
import json
import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nai.orders import Order, sampled
from sweep import record
from sweep.worst import Hunt, usual_budget

STUDIES = Path(__file__).resolve().parent.parent / "docs" / "studies"
CHOSEN_ON = ("finetune", "ewc")
HELD_OUT = ("nai", "si", "mas")
Matrix = npt.NDArray[np.float64]
Answer = Callable[[Order], Matrix]


class Case(NamedTuple):
    """All orders of one method and seed on one split: matrices [tasks + 1, tasks]."""

    method: str
    split: str
    matrices: Mapping[Order, Matrix]


class Rate(NamedTuple):
    """Shares of hunts that ended within the three most extreme orders, and at the very end of the ranking."""

    three: float
    one: float
    orders: float
    cost: float


def cases() -> list[Case]:
    """Every fully enumerated, sequential method, seed and split; NAI at strength 0 is finetune once more."""
    found: dict[tuple[str, str, int, str], dict[Order, Matrix]] = {}
    for method in ("nai", "ewc", "si", "mas"):
        for row in record.read(STUDIES / f"digits_{method}" / "records").rows:
            name = row["method"]
            if name == "joint" or json.loads(row["settings"])["method"].get("strength") == 0:
                continue
            for split in ("valid", "test"):
                key = (name, row["suggestion"], row["seed_init"], split)
                found.setdefault(key, {})[tuple(row["order"])] = np.array(row[split])
    return [Case(name, split, by) for (name, _, _, split), by in found.items() if len(by) == 120]


def from_record(matrices: Mapping[Order, Matrix], order: Order) -> Matrix:
    """What the record knows of the order, or of any that begins with it."""
    full = next(known for known in matrices if known[: len(order)] == order)
    return matrices[full][: len(order) + 1]


def hunted(hunt: Hunt, answer: Answer) -> Hunt:
    """The hunt once it is over."""
    while orders := hunt.ask():
        for order in orders:
            hunt.tell(order, answer(order))
    return hunt


def outcome(case: Case, direction: str, strategy: str, seed: int, batch: int) -> Rate:
    """One hunt of a case: 1 or 0 for its two hits."""
    sign = 1 if direction == "worst" else -1
    ranked = sorted(sign * float(matrix[-1].mean()) for matrix in case.matrices.values())
    hunt = Hunt(5, seed=seed, direction=direction, strategy=strategy, batch=batch)
    hunted(hunt, functools.partial(from_record, case.matrices))
    reached = sign * hunt.found[0].value - 1e-9
    return Rate(float(reached <= ranked[2]), float(reached <= ranked[0]), len(hunt.found), hunt.cost)


def rate(outcomes: Iterable[Rate]) -> Rate:
    """The mean of many hunts."""
    return Rate(*(statistics.fmean(column) for column in zip(*outcomes, strict=True)))


def made_up(tasks: int, seed: int, noise: float) -> Answer:
    """Tasks whose accuracy depends on position and predecessor, and on chance drawn for each prefix."""
    chance = np.random.default_rng([tasks, seed])
    position = chance.normal(0, 0.03, (tasks, tasks))
    predecessor = chance.normal(0, 0.03, (tasks + 1, tasks))

    def answer(order: Order) -> Matrix:
        rows = np.full((len(order) + 1, tasks), 0.5)
        for done in range(1, len(order) + 1):
            luck = random.Random(f"{seed}/{order[:done]}")
            for place, task in enumerate(order[:done]):
                before = order[place - 1] if place else tasks
                effect = position[task, place] + predecessor[before, task]
                rows[done, task] = np.clip(0.75 + effect + luck.gauss(0, noise), 0, 1)
        return rows

    return answer


def beyond_five(tasks: int, seed: int, strategy: str) -> float:
    """How far the worst found at the usual cost lies below the mean order, in deviations between orders."""
    answer = made_up(tasks, seed, noise=0.02)
    found = hunted(Hunt(tasks, seed=seed, strategy=strategy), answer).found[0].value
    drawn = sampled(tasks, min(1000, math.factorial(tasks)), seed + 1000)
    values = [float(answer(order)[-1].mean()) for order in drawn]
    return (statistics.fmean(values) - found) / statistics.stdev(values)


def line(name: str, cells: Iterable[str]) -> str:
    """A row of a table."""
    return f"| {name} | {' | '.join(cells)} |"


def percent(found: Rate) -> str:
    """Both shares of hits, in per cent."""
    return f"{100 * found.three:.0f} / {100 * found.one:.0f}"


def main() -> None:
    """Print the tables."""
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    reader.add_argument("--hunts", type=int, default=10, help="seeds of the hunt for each case")
    reader.add_argument("--batch", type=int, default=3, help="orders asked at once")
    reader.add_argument("--strategies", nargs="+", default=["surrogate", "tree", "random"])
    asked = reader.parse_args()
    found = cases()
    print(f"within three / the very one, per cent; {usual_budget(5)} of 325 task trainings")
    print(line("methods", asked.strategies))
    for methods in (*((m,) for m in CHOSEN_ON + HELD_OUT), CHOSEN_ON, HELD_OUT):
        for direction in ("worst", "best"):
            mine = [case for case in found if case.method in methods]
            rates = [
                rate(outcome(c, direction, s, n, asked.batch) for c in mine for n in range(asked.hunts))
                for s in asked.strategies
            ]
            print(line(f"{', '.join(methods)}, {direction}", map(percent, rates)), flush=True)
    print(line("deviations below the mean order", asked.strategies))
    for tasks in (6, 8, 10):
        depths = [
            statistics.fmean(beyond_five(tasks, seed, s) for seed in range(4)) for s in asked.strategies
        ]
        print(line(f"{tasks} made-up tasks", [f"{depth:.1f}" for depth in depths]), flush=True)


if __name__ == "__main__":
    main()
