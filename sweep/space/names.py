"""What the names of a search space stand for: nai's methods, models, benchmarks and training, or one's own.

They, and so torch, are imported when a function is called, not before.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.space.mistakes import unknown

if TYPE_CHECKING:
    from nai.models import Network
    from sweep.space.shapes import Shape

Options = dict[str, Any]
Thing = Callable[..., Any]
"""A method, model or benchmark, or the class of training settings."""


def known(section: str) -> Mapping[str, Thing]:
    """What a name of the section may stand for."""
    from nai.datasets import BENCHMARKS
    from nai.methods import METHODS
    from nai.models import MODELS
    from nai.training import Training

    tables: dict[str, Mapping[str, Thing]] = {
        "benchmark": BENCHMARKS,
        "model": MODELS,
        "method": METHODS,
        "training": {"training": Training},
    }
    return tables[section]


def found(section: str, name: str) -> Thing:
    """What a name stands for: a known name, or `module:attribute`; ValueError when there is none."""
    from nai.trial import attribute

    if ":" not in name and name not in known(section):
        raise ValueError(unknown(section, name, known(section)))
    thing = attribute(name) if ":" in name else known(section)[name]
    if not callable(thing):
        raise ValueError(f"{name} is neither a class nor a function")
    return thing


class Beside(NamedTuple):
    """What a method is to work with: a benchmark's shape, networks, and the hardest training."""

    shape: "Shape"
    nets: "Sequence[Network]"
    training: Options


def fitting_method(name: str, options: Options, beside: Beside | None) -> object:
    """The method, as `made` makes it; ValueError where it cannot work with what is beside it."""
    from nai.fitting import check_method
    from nai.training import Training

    method: Any = made("method", name, options)
    if beside:
        check_method(method, Training(**beside.training), beside.shape.scenario)
        for net in beside.nets:
            method.suits(net, beside.shape.heads)
    return method


def fitting_training(options: Options, scenario: str | None) -> object:
    """The training, as `made` makes it; ValueError where it cannot be in the scenario."""
    from nai.fitting import check_training

    training: Any = made("training", "training", options)
    if scenario:
        check_training(training, scenario)
    return training


def made(section: str, name: str, options: Options) -> object:
    """The method, model or training of these settings; ValueError or TypeError when it refuses them."""
    from nai.methods import Method
    from nai.models import Network

    thing = found(section, name)(**options)
    kind = {"method": Method, "model": Network}.get(section, object)
    if not isinstance(thing, kind):
        raise TypeError(f"{name} makes a {type(thing).__name__}, not a {kind.__module__}.{kind.__name__}")
    return thing
