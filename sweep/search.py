"""Suggestions from Optuna, the same in every run of a sweep: the only keeper of optuna.

The n-th suggestion is drawn by a sampler seeded with (sweep seed, n) that has seen the results of the first
n - ahead + 1 suggestions and no others, however many have come in. So neither the speed of workers nor a
restart changes what is suggested, and a study is rebuilt by asking again: nothing needs to be stored.
"""

import contextlib
import hashlib
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState

from sweep.space import Choice, Range, Search

Values = dict[str, Any]


class Suggestion(NamedTuple):
    """A number, counted from 0, and a value for each searched setting, by dotted name."""

    number: int
    values: Values


class Suggester:
    """Asks Optuna for suggestions and tells it results, in an order that circumstances cannot change.

    direction: 1 when a bigger objective is better, -1 when a smaller one is. count: suggestions in all.
    """

    def __init__(
        self, parameters: Mapping[str, Choice | Range], search: Search, *, count: int, direction: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings are about speed, in its own words
        self.parameters, self.search, self.count = parameters, search, count
        self.study = optuna.create_study(direction="maximize" if direction > 0 else "minimize")
        self.asked: list[Trial] = []
        self.results: dict[int, float | None] = {}
        self.told = 0

    @property
    def finished(self) -> bool:
        """All suggestions are made."""
        return len(self.asked) >= self.count

    @property
    def ready(self) -> bool:
        """The next suggestion has all the results that it may know."""
        return not self.finished and len(self.asked) - self.known < self.search.ahead

    @property
    def known(self) -> int:
        """Suggestions whose results are in, counted from the first without a gap."""
        return next(n for n in itertools.count() if n not in self.results)

    def ask(self) -> Suggestion:
        """The next suggestion; only when `ready`."""
        number = len(self.asked)
        self._tell(number - self.search.ahead + 1)
        self.study.sampler = sampler(self.search, number)
        if self.search.sampler == "grid":
            self.study.enqueue_trial(self._grid_point(number))
        with _alone(self.search):
            trial = self.study.ask({name: distribution(p) for name, p in self.parameters.items()})
        self.asked.append(trial)
        return Suggestion(number, {k: plain(self.parameters[k], v) for k, v in trial.params.items()})

    def tell(self, number: int, value: float | None) -> None:
        """The objective of a suggestion; None when it could not be measured."""
        self.results[number] = value

    def _tell(self, until: int) -> None:
        """Let Optuna know the results below a number: by number, not as they came in."""
        while self.told < until:
            value = self.results[self.told]
            state = TrialState.FAIL if value is None else TrialState.COMPLETE
            self.study.tell(self.asked[self.told], value, state=state)
            self.told += 1

    def _grid_point(self, number: int) -> Values:
        values = [coded(p) for p in self.parameters.values()]
        point = next(itertools.islice(itertools.product(*values), number, None))
        return dict(zip(self.parameters, point, strict=True))


def sampler(search: Search, number: int) -> BaseSampler:
    """A fresh sampler for one suggestion: restarting a seeded one would repeat its first draws."""
    digest = hashlib.sha256(f"{search.seed}/{number}".encode()).digest()
    seed = int.from_bytes(digest[:4], "big")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if search.sampler == "tpe":
            return TPESampler(seed=seed)
        if search.sampler == "gp":
            return GPSampler(seed=seed)
    return RandomSampler(seed=seed)


@contextlib.contextmanager
def _alone(search: Search) -> Iterator[None]:
    """One torch thread for the Gaussian process: its sums are small, and their bits the same everywhere."""
    if search.sampler != "gp":
        yield
        return
    import torch  # the Gaussian process does so anyway

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def distribution(parameter: Choice | Range) -> BaseDistribution:
    """What Optuna draws a setting from."""
    if isinstance(parameter, Choice):
        return CategoricalDistribution(coded(parameter))
    if parameter.whole:
        return IntDistribution(
            int(parameter.low), int(parameter.high), log=parameter.log, step=int(parameter.step or 1)
        )
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def coded(parameter: Choice | Range) -> Sequence[Any]:
    """Every value as Optuna sees it: choices by their place, as it knows no lists and takes 1 for true."""
    return range(len(parameter.choices)) if isinstance(parameter, Choice) else parameter.values() or ()


def plain(parameter: Choice | Range, value: Any) -> Any:
    """The setting itself, back from what Optuna saw."""
    return parameter.choices[value] if isinstance(parameter, Choice) else value
