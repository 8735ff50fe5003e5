"""Kinds of activation: the same function for all neurons, blocks of neurons, mixtures that neurons learn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nai.activations.curves import Curve

Start = Callable[[int, torch.Generator | None], Tensor]
"""First values of a coefficient: number of units and generator in, [units] out."""
Back = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
"""The gradient by what is said, x, what is said, and each coefficient in; the gradient by x, and that by each
coefficient before the sum over samples, out."""


@dataclass(frozen=True)
class Activation:
    """What neurons say of what they read: x [..., units] and each coefficient, which broadcast over x, in.

    says: what it is, for lists. starts: of each coefficient, one number a neuron. siren: its networks start
    with the weights of Sitzmann et al. 2020. plain: one function for every neuron, without coefficients,
    whose gradient follows from what was said (`back` then reads no x).
    """

    says: str
    value: Callable[..., Tensor]
    back: Back
    starts: Mapping[str, Start] = field(default_factory=dict)
    siren: bool = False
    plain: bool = False

    def __call__(self, x: Tensor, *coefficients: Tensor) -> Tensor:
        return self.value(x, *coefficients)


def plain(
    says: str, value: Callable[[Tensor], Tensor], slope: Callable[[Tensor, Tensor], Tensor]
) -> Activation:
    """One function for all; slope: the gradient above and what was said in, the gradient below out."""
    return Activation(says, value, lambda above, x, said: (slope(above, said), ()), plain=True)


def blocks(says: str, *curves: Curve, siren: bool = False) -> Activation:
    """Neurons in equal parts, side by side, one curve for each part; the last takes what is left over."""

    def value(x: Tensor) -> Tensor:
        parts = zip(curves, _parts(x, len(curves)), strict=True)
        return torch.cat([curve.value(part) for curve, part in parts], -1)

    def back(above: Tensor, x: Tensor, said: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        parts = zip(curves, _parts(x, len(curves)), strict=True)
        return above * torch.cat([curve.slopes(part)[0] for curve, part in parts], -1), ()

    return Activation(says, value, back, siren=siren)


def mixture(says: str, *curves: Curve, starts: Sequence[Start], siren: bool = False) -> Activation:
    """The sum of curves whose coefficients each neuron learns; starts: in the order of the coefficients."""
    names = [name for curve in curves for name in curve.coefficients]

    def value(x: Tensor, *coefficients: Tensor) -> Tensor:
        first, *rest = (curve.value(x, *own) for curve, own in _owned(curves, coefficients))
        return sum(rest, first)

    def back(
        above: Tensor, x: Tensor, said: Tensor, *coefficients: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        slopes = [curve.slopes(x, *own) for curve, own in _owned(curves, coefficients)]
        by_x = sum((s[0] for s in slopes[1:]), slopes[0][0])
        return above * by_x, tuple(above * slope for s in slopes for slope in s[1:])

    return Activation(says, value, back, dict(zip(names, starts, strict=True)), siren)


def normal(mean: float, deviation: float) -> Start:
    """Drawn from a normal distribution."""
    return lambda units, chance: mean + deviation * torch.randn(units, generator=chance)


def uniform(low: float, high: float) -> Start:
    """Drawn evenly between two numbers."""
    return lambda units, chance: low + (high - low) * torch.rand(units, generator=chance)


def constant(value: float) -> Start:
    """The same for every neuron."""
    return lambda units, chance: torch.full((units,), value)


def _parts(x: Tensor, count: int) -> Sequence[Tensor]:
    units = x.shape[-1]
    size = units // count
    sizes = [size] * (count - 1) + [units - size * (count - 1)]
    return torch.split(x, sizes, -1)


def _owned(curves: Sequence[Curve], coefficients: Sequence[Tensor]) -> list[tuple[Curve, Sequence[Tensor]]]:
    found, at = [], 0
    for curve in curves:
        count = len(curve.coefficients)
        found.append((curve, coefficients[at : at + count]))
        at += count
    return found
