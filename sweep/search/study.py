"""Optuna, and its only keeper: its samplers and its pruners by name, on studies that live in memory.

Every suggestion has a sampler of its own, seeded with (seed of the search, number): restarting a seeded
sampler would repeat its first draws. What a sampler must remember it finds in the trials of the study.
"""

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from sweep.asked import Suggestion, Values
from sweep.search.points import Parameters
from sweep.space import Choice, Range, Search
from sweep.space.conditions import acts
from sweep.space.settings import among
from sweep.stopping import HALVING, Course

EVOLVING = ("cmaes", "nsga2")
"""Samplers whose state is a course of generations; it is rebuilt by asking and telling again."""
POPULATION = 10
"""Suggestions of a generation of NSGA-II: fixed, or a larger budget would change the first suggestions."""


class Study:
    """What Optuna knows: suggestions in the order of their numbers, and the results told so far.

    tried: how many of the first suggestions are given, whatever the sampler.
    """

    def __init__(
        self, parameters: Parameters, search: Search, directions: Sequence[int], *, tried: int
    ) -> None:
        self.parameters, self.search, self.tried = parameters, search, tried
        self.conditional = any(p.when for p in parameters.values())
        self.study = created(directions)

    def ask(self, number: int, fixed: Values | None) -> Suggestion:
        """The suggestion of this number; fixed settings have these values, the sampler draws the rest."""
        return self._suggestion(self._asked(number, fixed))

    def again(self, recorded: Suggestion) -> bool:
        """Bring in a suggestion on record; False if an evolving sampler would suggest something else now.

        A record holds what any other sampler needs, so nothing is fitted for it.
        """
        if self.search.sampler not in EVOLVING:
            self.study.add_trial(self._frozen(recorded))
            return True
        trial = self._asked(recorded.number, recorded.values)
        return recorded.number < self.tried or all(
            trial.params.get(name, value) == value for name, value in trial.relative_params.items()
        )

    def tell(self, number: int, values: Sequence[float] | None) -> None:
        """The result of a suggestion; None for one that failed."""
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        self.study.tell(number, values, state=state)

    def _asked(self, number: int, fixed: Values | None) -> Trial:
        self.study.sampler = self._sampler(number)
        if fixed is not None:
            self.study.enqueue_trial({k: coded(k, self.parameters[k], v) for k, v in fixed.items()})
        with _alone(self.search):
            trial = self.study.ask()
            values: Values = {}
            for name, parameter in self.parameters.items():
                if acts(parameter, values):
                    values[name] = plain(parameter, drawn(trial, name, distribution(parameter)))
            if self.search.sampler in EVOLVING:
                _ = trial.relative_params  # a fixed trial too belongs to a generation
        return trial

    def _suggestion(self, trial: Trial) -> Suggestion:
        frozen = self.study.get_trials(deepcopy=False)[trial.number]
        values = {name: plain(self.parameters[name], value) for name, value in trial.params.items()}
        # a pickled optimiser is never written down
        attrs = {k: v for k, v in frozen.system_attrs.items() if not k.startswith("cma:optimizer")}
        return Suggestion(trial.number, values, attrs)

    def _frozen(self, recorded: Suggestion) -> FrozenTrial:
        return create_trial(
            state=TrialState.RUNNING,
            params={k: coded(k, self.parameters[k], v) for k, v in recorded.values.items()},
            distributions={k: distribution(self.parameters[k]) for k in recorded.values},
            system_attrs=dict(recorded.attrs),
        )

    def _sampler(self, number: int) -> BaseSampler:
        seed = seeded(self.search, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            match self.search.sampler:
                case "tpe":
                    return TPESampler(seed=seed, multivariate=True, group=self.conditional)
                case "gp":
                    return GPSampler(seed=seed)
                case "nsga2":
                    return _Evolving(
                        NSGAIISampler(seed=seed, population_size=POPULATION), self._lasting(), seed
                    )
                case "cmaes":
                    whole = CmaEsSampler(seed=seeded(self.search, "all"), n_startup_trials=0)
                    # what was tried first was not drawn from its distribution
                    return _Evolving(whole, self._lasting() if number >= self.tried else {}, seed)
        return RandomSampler(seed=seed)

    def _lasting(self) -> dict[str, BaseDistribution]:
        """The settings that every suggestion has; CMA-ES can use numbers alone."""
        found = {k: distribution(p) for k, p in self.parameters.items() if not p.when}
        numbers = self.search.sampler == "cmaes"
        return {
            k: d
            for k, d in found.items()
            if not d.single() and not (numbers and isinstance(d, CategoricalDistribution))
        }


class _Evolving(BaseSampler):
    """Evolves settings that are named beforehand, and draws all others at random.

    Optuna would take them from the results so far, and CMA-ES give up for good when these change.
    """

    def __init__(self, inner: BaseSampler, space: dict[str, BaseDistribution], seed: int) -> None:
        self.inner, self.space, self.chance = inner, space, RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The settings to evolve."""
        return self.space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next member of the generation."""
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A draw for a setting that is not evolved, or that is to mutate."""
        return self.chance.sample_independent(study, trial, param_name, param_distribution)


def created(directions: Sequence[int]) -> optuna.Study:
    """An empty study in memory; directions: 1 where bigger is better, -1 where smaller is."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings are about speed, in its own words
    ways = [StudyDirection.MAXIMIZE if one > 0 else StudyDirection.MINIMIZE for one in directions]
    # the name decides the brackets of Hyperband
    return optuna.create_study(directions=ways, study_name="search", sampler=RandomSampler(seed=0))


def seeded(search: Search, number: int | str) -> int:
    """The seed of one suggestion, or of the whole search."""
    return int.from_bytes(hashlib.sha256(f"{search.seed}/{number}".encode()).digest()[:4], "big")


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


# ------------------------------------------------------------------ settings as Optuna sees them
def distribution(parameter: Choice | Range) -> BaseDistribution:
    """What Optuna draws a setting from: values that can be counted by their place.

    It knows no lists, takes 1 for true, and rounds steps of real numbers in more than one way.
    """
    if isinstance(parameter, Choice):
        return CategoricalDistribution(range(len(parameter.choices)))
    if (values := parameter.values()) is not None:
        return IntDistribution(0, len(values) - 1)
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def drawn(trial: Trial, name: str, one: BaseDistribution) -> Any:
    """A setting of a trial: as it is fixed, or drawn by the sampler of the study."""
    if isinstance(one, CategoricalDistribution):
        return trial.suggest_categorical(name, one.choices)
    if isinstance(one, IntDistribution):
        return trial.suggest_int(name, one.low, one.high, log=one.log)
    assert isinstance(one, FloatDistribution)
    return trial.suggest_float(name, one.low, one.high, log=one.log)


def coded(name: str, parameter: Choice | Range, value: Any) -> Any:
    """A value as Optuna sees it; ValueError when the space does not have it."""
    try:
        value = parameter.drawn(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    values = parameter.values()
    return value if values is None else [among(value, (one,)) for one in values].index(True)


def plain(parameter: Choice | Range, value: Any) -> Any:
    """The setting itself, back from what Optuna sees."""
    values = parameter.values()
    return value if values is None else values[value]


# ------------------------------------------------------------------ stopping early
def prunes(search: Search, direction: int, courses: Sequence[Course | None], *, rungs: int) -> bool:
    """Whether the pruner that the space names drops the last of these suggestions, by number; None: unknown.

    The study holds nothing else, so what ran meanwhile plays no part.
    """
    study = created((direction,))
    study.pruner = pruner(search, rungs)
    each = search.stopping in HALVING
    for course in courses[:-1]:
        trial = study.ask()
        _reported(trial, course, each=each)
        _ended(study, trial, course)
    trial = study.ask()
    drops = _reported(trial, courses[-1], each=each)
    return drops if each else trial.should_prune()


def pruner(search: Search, rungs: int) -> BasePruner:
    """The pruner by name; a share of `keep` passes the percentile, one of `eta` each rung of asha."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match search.stopping:
            case "asha" if search.eta:
                return SuccessiveHalvingPruner(min_resource=1, reduction_factor=search.eta)
            case "hyperband" if search.eta:
                # a little above the last rung, as Optuna's logarithm rounds down
                most = search.eta ** (rungs - 1) + 1
                return HyperbandPruner(min_resource=1, max_resource=most, reduction_factor=search.eta)
            case "median":
                return MedianPruner()
            case "percentile" if search.keep:
                return PercentilePruner(100.0 * search.keep)
            case "wilcoxon" if search.level:
                return WilcoxonPruner(p_threshold=search.level)
    raise ValueError(f"{search.stopping} is no pruner: take asha, hyperband, median, percentile or wilcoxon")


def _reported(trial: Trial, course: Course | None, *, each: bool) -> bool:
    """Report a course as it ran; each: judged at every step, and whether the last judgement drops it.

    Successive halving then writes down what later suggestions are compared with.
    """
    drops = False
    for place, value in course.reports if course else ():
        trial.report(value, place)
        drops = each and trial.should_prune()
    return drops


def _ended(study: optuna.Study, trial: Trial, course: Course | None) -> None:
    if course and course.state == "complete":
        study.tell(trial, course.value)
    else:
        stopped = course is not None and course.state == "stopped"
        study.tell(trial, state=TrialState.PRUNED if stopped else TrialState.FAIL)
