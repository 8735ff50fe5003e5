"""Suggestions in the order of their numbers, the same in every run of a sweep.

The n-th suggestion is drawn by a sampler seeded with (seed of the search, n) that has seen the results of the
first n - ahead + 1 suggestions and no others, however many have come in. So neither the speed of workers nor
a restart changes what is suggested. Suggestions on record are brought in as they stand:

* random, grid, qmc, tpe, gp: no model is fitted again, and the next suggestion is what it would have been.
* cmaes, nsga2: they are asked and told again, as their state lies in the course of generations. A state on
  disk is never read. Should they come out otherwise than recorded, the record stands and `notes` says so.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

from sweep.asked import Suggestion, Values
from sweep.search.points import Parameters, spread
from sweep.search.study import Study, seeded
from sweep.space import Search
from sweep.space.conditions import points


class Suggester:
    """Asks for suggestions and tells results, in an order that circumstances cannot change.

    parameters: what is searched, parents first. count: suggestions in all. directions: for each objective
    1 where bigger is better, -1 where smaller is. priors: values to try first; what they leave open is drawn.
    recorded: suggestions made before, by number. grid: its points, if not all combinations of the parameters.
    """

    def __init__(
        self,
        parameters: Parameters,
        search: Search,
        *,
        count: int,
        directions: Sequence[int],
        priors: Sequence[Values] = (),
        recorded: Mapping[int, Suggestion] | None = None,
        grid: Sequence[Values] | None = None,
    ) -> None:
        if search.sampler == "cmaes" and len(directions) > 1:
            raise ValueError(
                f"cmaes takes one objective, not {len(directions)}: search with nsga2, tpe, gp or random"
            )
        self.parameters, self.search, self.priors = parameters, search, list(priors)
        self.recorded = dict(recorded or {})
        self.count, self.points = count, []
        if search.sampler == "grid":
            every = points(dict(parameters)) if grid is None else grid
            self.points = list(itertools.islice(every, max(0, count - len(self.priors))))
            self.count = min(count, len(self.priors) + len(self.points))
        self.study = Study(parameters, search, directions, tried=len(self.priors))
        self.asked: list[Suggestion] = []
        self.results: dict[int, Sequence[float] | None] = {}
        self.known = 0  # suggestions whose results are in, counted from the first without a gap
        self.told = 0
        self.notes: list[str] = []

    @property
    def finished(self) -> bool:
        """All suggestions are made."""
        return len(self.asked) >= self.count

    @property
    def ready(self) -> bool:
        """The next suggestion has all the results that it may know."""
        return not self.finished and len(self.asked) - self.known < self.search.ahead

    def ask(self) -> Suggestion:
        """The next suggestion; only when `ready`."""
        number = len(self.asked)
        self._tell(number - self.search.ahead + 1)
        self.asked.append(self._recalled(number) or self.study.ask(number, self._fixed(number)))
        return self.asked[-1]

    def tell(self, number: int, values: Sequence[float] | None) -> None:
        """The objectives of a suggestion; None when they could not be measured."""
        sound = values is not None and all(map(math.isfinite, values))
        self.results[number] = values if sound else None
        while self.known in self.results:
            self.known += 1

    def _recalled(self, number: int) -> Suggestion | None:
        """A suggestion on record, its values in the order of the parameters as when it was made."""
        if number not in self.recorded:
            return None
        found = self.recorded[number]
        values = {name: found.values[name] for name in self.parameters if name in found.values}
        if not self.study.again(found._replace(values=values)):
            self._note(number)
        return found._replace(values=values)

    def _tell(self, until: int) -> None:
        """Let the study know the results below a number: by number, not as they came in."""
        while self.told < until:
            self.study.tell(self.told, self.results[self.told])
            self.told += 1

    def _fixed(self, number: int) -> Values | None:
        place = number - len(self.priors)
        if place < 0:
            return self.priors[number]
        if self.search.sampler == "grid":
            return self.points[place]
        if self.search.sampler == "qmc":
            return spread(self.parameters, seeded(self.search, "all"), place)
        return None

    def _note(self, number: int) -> None:
        if not self.notes:
            self.notes.append(
                f"suggestion {number} on record is not what {self.search.sampler} would suggest now (other "
                "results, or another release of Optuna): those on record stay"
            )
