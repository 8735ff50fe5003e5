"""An activation as a module, and as one function that can be watched."""

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from nai.activations.kinds import Activation
from nai.activations.table import ACTIVATIONS


class Reproducing(nn.Module):
    """An activation of `ACTIVATIONS` for so many neurons, their coefficients as parameters [units] each.

    axis: of the neurons in what it is given. chance: draws the first values; None: PyTorch's own generator.
    ValueError for a name that is unknown.
    Source: Liang, Lyu, Wang, Yang 2021, "Reproducing activation function for deep learning".
    """

    def __init__(
        self, name: str, units: int, *, axis: int = 1, chance: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.name, self.axis = name, axis
        for own, start in activation(name).starts.items():
            self.register_parameter(own, nn.Parameter(start(units, chance)))

    def forward(self, x: Tensor) -> Tensor:
        if ACTIVATIONS[self.name].plain:
            return ACTIVATIONS[self.name](x)
        return reproduced(x, self.name, tuple(self.parameters()), self.axis)


def activation(name: str) -> Activation:
    """An activation by its name; ValueError with the known ones."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is unknown: known are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def reproduced(x: Tensor, name: str, coefficients: tuple[Tensor, ...], axis: int = -1) -> Tensor:
    """What neurons say by an activation that is not plain; axis: of the neurons.

    coefficients: each broadcasts over x with its neurons last. To whoever watches PyTorch's functions, such
    as `nai.Guard` and DeepLIFT, this is one function of x, not the many that it is made of.
    """
    if has_torch_function((x, *coefficients)):
        said: Tensor = handle_torch_function(reproduced, (x, *coefficients), x, name, coefficients, axis=axis)
        return said
    if axis in (-1, x.ndim - 1):
        return ACTIVATIONS[name](x, *coefficients)
    return ACTIVATIONS[name](x.movedim(axis, -1), *coefficients).movedim(-1, axis)
