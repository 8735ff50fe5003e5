"""What goes together: a method, its scenario, and its training."""

import dataclasses
from typing import Any

from nai.methods.base import Method
from nai.training import Training

WAYS: tuple[dict[str, Any], ...] = ({"every": 10}, {"fill": "step"}, {"fill": "step", "weighting": "mean"})
"""Hyperparameters with which some methods do without boundaries, the least change first."""


def check_method(method: Method, training: Training, scenario: str) -> None:
    """ValueError: the method cannot work in the scenario, or needs known boundaries or more epochs."""
    name = type(method).__name__
    if scenario not in method.scenarios:
        able = " or ".join(repr(s) for s in sorted(method.scenarios))
        raise ValueError(
            f"{name} cannot work in scenario {scenario!r}: use scenario {able}, or another method"
        )
    if training.shortest < method.least_epochs:
        raise ValueError(
            f"{name} needs at least {method.least_epochs} epochs a task, got epochs = {training.shortest}: "
            "use more; `steps` makes each as short as wanted"
        )
    if training.boundaries == "hidden" and method.needs_boundaries:
        raise ValueError(
            f"{name} must be told where tasks begin and end, but boundaries are hidden: {_way(method)}, "
            "or boundaries 'known'"
        )


def _way(method: Any) -> str:
    """What would make the method do without boundaries."""
    known = {f.name for f in dataclasses.fields(method)} if dataclasses.is_dataclass(method) else ()
    for way in WAYS:
        if way.keys() <= set(known) and not dataclasses.replace(method, **way).needs_boundaries:
            changed = {k: v for k, v in way.items() if getattr(method, k) != v}
            return "give it " + " and ".join(f"{k} = {v!r}" for k, v in changed.items())
    return "use a method that needs none"


def check_training(training: Training, scenario: str) -> None:
    """ValueError: boundaries are hidden although each sample's task is told."""
    if training.boundaries == "hidden" and scenario == "task":
        raise ValueError(
            "boundaries are hidden, but scenario 'task' tells each sample's task: "
            "use scenario 'class' or 'domain', or boundaries 'known'"
        )
