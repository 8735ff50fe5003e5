"""The rule that stops suggestions between rungs, by the name that the space gives it."""

from collections.abc import Sequence
from typing import Protocol

from nai.orders import Order
from sweep.search.study import prunes
from sweep.space import Search
from sweep.stopping import HALVING, Course, Measure, Values, estimate, front, race


class Named(Protocol):
    """Settings under their name."""

    @property
    def suggestion(self) -> str:
        """The name under which they are on record."""


class Candidate(Protocol):
    """A suggestion on its way through the rungs."""

    @property
    def number(self) -> int:
        """Counted from 0."""

    @property
    def arm(self) -> Named:
        """What it runs."""

    @property
    def values(self) -> Sequence[Values]:
        """Its objectives after each rung so far, over the orders of that rung and those before it."""

    @property
    def state(self) -> str:
        """running, complete, stopped or failed."""


class Judge:
    """Decides from a candidate's own values and those of the suggestions known when it was made, no others.

    rungs: how many there are, the last being all orders.
    """

    def __init__(self, search: Search, directions: Sequence[int], *, rungs: int) -> None:
        if len(directions) > 1 and search.stopping not in ("none", "race"):
            raise ValueError(
                f"{search.stopping} compares one objective, not {len(directions)}: stop by race, or by none"
            )
        self.search, self.directions, self.rungs = search, tuple(directions), rungs

    def drops(
        self, candidate: Candidate, others: Sequence[Candidate], orders: Sequence[Order], measure: Measure
    ) -> bool:
        """Whether the candidate is worth no more orders than these, the ones that it has run."""
        known = self._known(candidate, others)
        if self.search.stopping == "none" or not known:
            return False
        if self.search.stopping == "race" and self.search.level:
            rivals = [one.arm.suggestion for one in self._leading(known)]
            return race(
                measure,
                candidate.arm.suggestion,
                rivals,
                orders,
                directions=self.directions,
                level=self.search.level,
            )
        field = {one.number: self._course(one, candidate, orders, measure) for one in [*known, candidate]}
        courses = [field.get(number) for number in range(candidate.number + 1)]
        return prunes(self.search, self.directions[0], courses, rungs=self.rungs)

    def told(
        self, candidate: Candidate, others: Sequence[Candidate], orders: Sequence[Order], measure: Measure
    ) -> Values:
        """What the sampler is told of a candidate that is stopped after these orders."""
        complete = [one for one in self._known(candidate, others) if one.state == "complete"]
        best = [
            max(complete, key=lambda one: one.values[-1][k] * way)
            for k, way in enumerate(self.directions)
            if complete
        ]
        ahead = [(one.arm.suggestion, one.values[-1]) for one in best]
        return estimate(measure, candidate.arm.suggestion, ahead, orders)

    def _known(self, candidate: Candidate, others: Sequence[Candidate]) -> list[Candidate]:
        return [one for one in others if one.number <= candidate.number - self.search.ahead]

    def _course(
        self, one: Candidate, candidate: Candidate, orders: Sequence[Order], measure: Measure
    ) -> Course:
        """What a pruner sees of a suggestion: successive halving its rungs, Wilcoxon its orders one by one,
        the others its value at the candidate's rung."""
        rung, last = len(candidate.values) - 1, one.values[-1][0] if one.values else 0.0
        rungs = range(len(one.values)) if self.search.stopping in HALVING else [rung]
        # successive halving judges when its resource has grown eta times: here once a rung
        reports = [((self.search.eta or 1) ** i, one.values[i][0]) for i in rungs if i < len(one.values)]
        if self.search.stopping == "wilcoxon":
            alone = [measure(one.arm.suggestion, (order,)) for order in orders]
            reports = [(i, value[0]) for i, value in enumerate(alone) if value is not None]
        return Course(reports, one.state, last)

    def _leading(self, known: Sequence[Candidate]) -> list[Candidate]:
        """The best complete suggestion, or with several objectives those of the Pareto front."""
        complete = [one for one in known if one.state == "complete"]
        return [complete[i] for i in front([one.values[-1] for one in complete], self.directions)]
