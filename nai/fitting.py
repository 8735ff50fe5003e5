"""What goes together: a method, its scenario, and its training."""

import dataclasses

from nai.methods.base import Method
from nai.training import Training

WAYS = {"every": "give it every = 10 steps, say", "fill": "give it fill = 'step'"}
"""How methods with such a hyperparameter do without boundaries."""


def check_method(method: Method, training: Training, scenario: str) -> None:
    """ValueError: the method cannot work in the scenario, or needs known boundaries or more epochs."""
    name = type(method).__name__
    if scenario not in method.scenarios:
        able = " or ".join(repr(s) for s in sorted(method.scenarios))
        raise ValueError(
            f"{name} cannot work in scenario {scenario!r}: use scenario {able}, or another method"
        )
    if training.epochs < method.least_epochs:
        raise ValueError(
            f"{name} needs at least {method.least_epochs} epochs a task, got epochs = {training.epochs}: "
            "use more; `steps` makes each as short as wanted"
        )
    if training.boundaries == "hidden" and method.needs_boundaries:
        known = {f.name for f in dataclasses.fields(method)} if dataclasses.is_dataclass(method) else ()
        way = next((way for name, way in WAYS.items() if name in known), "use a method that needs none")
        raise ValueError(
            f"{name} must be told where tasks begin and end, but boundaries are hidden: {way}, "
            "or boundaries 'known'"
        )


def check_training(training: Training, scenario: str) -> None:
    """ValueError: boundaries are hidden although each sample's task is told."""
    if training.boundaries == "hidden" and scenario == "task":
        raise ValueError(
            "boundaries are hidden, but scenario 'task' tells each sample's task: "
            "use scenario 'class' or 'domain', or boundaries 'known'"
        )
