"""Which searched setting mattered: Optuna's fANOVA on suggestions and what each of them reached."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

LOG = 30.0
"""A setting above 0 whose largest value is so many times the smallest counts by its logarithm."""


def importances(points: Sequence[Mapping[str, Any]], values: Sequence[float]) -> dict[str, float] | None:
    """Share 0..1 of the variance of `values` that each setting explains, largest first; they sum to 1.

    points: the settings of each suggestion by dotted name; those that not all of them have, or that do not
    differ, are left out. None where fewer than two suggestions or nothing is left, or nothing varies.
    Source: Hutter et al. 2014, fANOVA, as Optuna has it, seed 0.
    """
    names = [name for name in sorted({n for point in points for n in point}) if _varies(points, name)]
    if len(points) < 2 or not names or max(values) == min(values):
        return None
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it says that it made a study
    distributions = {name: _distribution([point[name] for point in points]) for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for point, value in zip(points, values, strict=True):
            params = {name: _coded(point[name]) for name in names}
            study.add_trial(create_trial(params=params, distributions=distributions, value=float(value)))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
    shares = {name: float(share) for name, share in found.items()}
    return shares if all(map(math.isfinite, shares.values())) else None


def _varies(points: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether every suggestion has the setting, and they do not all have it alike."""
    return all(name in point for point in points) and len({_coded(point[name]) for point in points}) > 1


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    """The range, or the choices, that these values are from."""
    if all(type(value) in (int, float) for value in values):
        low, high = float(min(values)), float(max(values))
        return FloatDistribution(low, high, log=low > 0 and high / low >= LOG)
    return CategoricalDistribution(sorted({_coded(value) for value in values}, key=repr))


def _coded(value: Any) -> Any:
    """Lists as text, which a choice of Optuna may be."""
    return repr(value) if isinstance(value, list | tuple | dict) else value
