"""Measures of attribution by name."""

from nai.importance.attribution.chain import deeplift_reveal
from nai.importance.attribution.paths import conductance, gradient_x_activation, hidden_ig
from nai.importance.attribution.question import Measure
from nai.importance.attribution.rescale import deeplift

MEASURES: dict[str, Measure] = {
    "conductance": conductance,
    "hidden_ig": hidden_ig,
    "deeplift": deeplift,
    "deeplift_reveal": deeplift_reveal,
    "grad_x_act": gradient_x_activation,
}
PATHS = ("conductance", "hidden_ig")
"""Those that take steps."""
COMPLETE = ("conductance", "hidden_ig", "deeplift", "deeplift_reveal")
"""Those that start from a reference; their shares of a layer that all paths cross sum to the difference."""
