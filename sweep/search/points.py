"""An even spread over what is searched, which needs no results."""

import math
from collections.abc import Mapping
from typing import Any

from scipy.stats import qmc

from sweep.asked import Values
from sweep.space import Choice, Range
from sweep.space.conditions import acts

Parameters = Mapping[str, Choice | Range]
"""What is searched, by dotted name; what others hang on comes before them."""


def spread(parameters: Parameters, seed: int, number: int) -> Values:
    """The point of this number of one scrambled Sobol sequence: an axis a setting, whether it exists or not.

    Optuna's own sampler counts in the study and takes its axes from the first result, so that conditions and
    restarts would change the sequence.
    """
    engine = qmc.Sobol(len(parameters), scramble=True, seed=seed)
    if number:
        engine.fast_forward(number)
    values: Values = {}
    for (name, parameter), share in zip(parameters.items(), engine.random(1)[0].tolist(), strict=True):
        if acts(parameter, values):
            values[name] = at(parameter, share)
    return values


def at(parameter: Choice | Range, share: float) -> Any:
    """The value below which this share of all draws lies; share: 0 to 1, 1 left out."""
    values = parameter.values()
    if isinstance(parameter, Choice) or values is not None:
        return (values or ())[int(share * len(values or ()))]
    half = 0.5 if parameter.whole else 0.0  # a whole number has the room of one around it
    low, high = parameter.low - half, parameter.high + half
    value = low * (high / low) ** share if parameter.log else low + share * (high - low)
    value = math.floor(value + half) if parameter.whole else value
    return min(max(value, parameter.low), parameter.high)
