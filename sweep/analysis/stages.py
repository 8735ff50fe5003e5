"""What a table is made from: arms that were asked to run the same orders with the same seeds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from sweep.analysis.arms import Arm, Crossing, Order, Row, Seed, arms, crossing
from sweep.analysis.asked import Asked

Similarity = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Stage:
    """The search or the confirmation of a sweep.

    `reached`: of arms that were dropped
    early the number of orders asked of them. `nets`: seeds of the nets that learnt each task alone.
    `similarity`: of tasks, [tasks, tasks], None where it is not on record.
    """

    name: Literal["search", "confirm"]
    split: Literal["valid", "test"]
    arms: tuple[Arm, ...]
    orders: tuple[Order, ...]
    seeds: tuple[Seed, ...]
    reached: Mapping[str, int] = field(default_factory=dict)
    nets: tuple[Seed, ...] = ()
    similarity: Similarity | None = None

    @cached_property
    def crossings(self) -> dict[str, Crossing]:
        """By suggestion the largest full crossing on record of what was asked of it."""
        return {
            arm.suggestion: crossing(arm, self.asked_of(arm), self.seeds, self.split) for arm in self.arms
        }

    @cached_property
    def groups(self) -> dict[str, tuple[Arm, ...]]:
        """Arms by method, in the order of the stage."""
        names = dict.fromkeys(arm.method for arm in self.arms)
        return {name: tuple(arm for arm in self.arms if arm.method == name) for name in names}

    def asked_of(self, arm: Arm) -> tuple[Order, ...]:
        """The orders that an arm was asked to run."""
        return self.orders[: self.reached.get(arm.suggestion)]

    def complete(self, arm: Arm) -> bool:
        """Whether an arm has run all orders and seeds of the stage."""
        return len(self.crossings[arm.suggestion].orders) == len(self.orders) and not any(
            self.crossings[arm.suggestion][3:]
        )

    def known(self) -> list[tuple[Arm, Crossing]]:
        """The arms that have a run on record, with their crossings."""
        return [(arm, runs) for arm in self.arms if (runs := self.crossings[arm.suggestion]).orders]


def stages(
    rows: Iterable[Row], asked: Asked, similarity: Similarity | None = None
) -> dict[Literal["search", "confirm"], Stage]:
    """The stages of a sweep: the search on validation data, and what was confirmed on test data."""
    group = {arm.suggestion: arm for arm in arms(rows)}
    searched = [name for contest in asked.contests for name in contest.suggestions]
    confirmed = [name for contest in asked.contests for name in contest.top] + list(asked.baselines)
    reached: dict[str, int] = {}
    for contest in asked.contests:
        reached |= {**contest.stopped, **contest.failed}

    def known(names: Iterable[str]) -> tuple[Arm, ...]:
        return tuple(group[name] for name in dict.fromkeys(names) if name in group)

    return {
        "search": Stage(
            "search",
            "valid",
            known(searched),
            asked.search_orders,
            asked.search_seeds,
            reached=reached,
            similarity=similarity,
        ),
        "confirm": Stage(
            "confirm",
            "test",
            known(confirmed),
            asked.confirm_orders,
            asked.confirm_seeds,
            nets=asked.nets,
            similarity=similarity,
        ),
    }
