"""The question of a sweep, as the analysis takes it: what was searched, confirmed and hunted for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sweep.analysis.arms import Order, Seed
from sweep.analysis.goals import Goal

Protocol = Literal["given", "whole", "first_tasks", "continual"]
"""How settings were chosen; given: the space fixes them all, nothing was searched."""


@dataclass(frozen=True)
class Contest:
    """The search for one method's best settings.

    `suggestions` by number; `stopped` are those dropped early, with the orders that each had then; `top` are
    those that are confirmed, best first. `failed` are those that ended as one of their runs failed, with the
    orders that each had then.
    """

    method: str
    suggestions: tuple[str, ...]
    stopped: Mapping[str, int] = field(default_factory=dict)
    top: tuple[str, ...] = ()
    failed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hunt:
    """A hunt for the worst order of a suggestion (or the best): what it tried, in turn, and what it cost.

    `budget` and `cost` are task trainings, given and taken. `known` are orders that were on record before it;
    `reference` are random ones, drawn whatever the hunt finds, that it is compared with.
    """

    suggestion: str
    seeds: Seed
    worst: bool
    orders: tuple[Order, ...]
    budget: int
    cost: int
    known: tuple[Order, ...] = ()
    reference: tuple[Order, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a sweep was asked to run: `expected` is the number of runs.

    `goals` are one or two. `rungs` are numbers of search orders after which a suggestion may be dropped, the
    last is all. `tasks`: of the protocol "first_tasks". `saved`: rows of the full grid, and rows that the
    search ran of it. `until`: the half-width of the mean or the tail that the confirmation was asked for.
    `nets`: seeds of the nets that learn each task alone, for what the orders are compared with.
    """

    sweep: str
    search_orders: tuple[Order, ...]
    search_seeds: tuple[Seed, ...]
    confirm_orders: tuple[Order, ...]
    confirm_seeds: tuple[Seed, ...]
    expected: int
    contests: tuple[Contest, ...]
    baselines: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = (Goal(),)
    protocol: Protocol = "whole"
    tasks: int | None = None
    rungs: tuple[int, ...] = ()
    hunts: tuple[Hunt, ...] = ()
    saved: tuple[int, int] | None = None
    until: Mapping[str, float] | None = None
    nets: tuple[Seed, ...] = ()

    @property
    def tuning(self) -> str:
        """What kind of tuning chose the settings, in words.

        Source: De Lange et al. 2021: settings chosen by the final accuracy of the whole sequence have seen
        what a continual learner cannot.
        """
        return {
            "given": "settings as given",
            "whole": "oracle tuning",
            "first_tasks": f"tuned on the first {self.tasks} tasks",
            "continual": "tuned task by task",
        }[self.protocol]

    @property
    def choosing_orders(self) -> tuple[Order, ...]:
        """The orders that settings were chosen by."""
        return () if self.protocol == "given" else self.search_orders

    @property
    def selection(self) -> str:
        """How the best settings are chosen, in words."""
        if self.protocol == "continual":
            return f"validation accuracy on each task as it comes, its data alone: {self.tuning}"
        count = len(self.search_orders)
        orders = f"{count} search order" + "s"[: count != 1]
        part = f"the first {self.tasks} tasks of " if self.protocol == "first_tasks" else ""
        goals = " and ".join(goal.words for goal in self.goals)
        return f"validation {goals} over {part}{orders}: {self.tuning}"
