"""DeepLIFT's rule RevealCancel, for chains of linear layers with an activation between each two."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import vjp

from nai.activations import Reproducing
from nai.models import Mlp, Network, Params, affine

if TYPE_CHECKING:
    from nai.importance.attribution.question import Question

Activation = Callable[[Tensor], Tensor]
SMALL = 1e-10
"""Differences below which a quotient of differences is a derivative."""
NEEDED = "deeplift_reveal follows linear layers with an activation between each two: {} is none; use deeplift"


class Chain(NamedTuple):
    """Linear layers, the output's last, and the activation after each but that."""

    weights: tuple[Tensor, ...]  # [units, inputs]
    biases: tuple[Tensor, ...]  # [units]
    activations: tuple[Activation, ...]


def chain_of(net: Network, params: Params) -> Chain | None:
    """A network of this package as a chain; None for all but an MLP."""
    if not isinstance(net, Mlp):
        return None
    weights, biases = zip(*(layer.parameters[:2] for layer in (*net.hidden, net.head)), strict=True)
    activations = tuple(partial(net.said, params, i) for i in range(len(net.hidden)))
    return Chain(tuple(params[k] for k in weights), tuple(params[k] for k in biases), activations)


def chain_of_module(model: nn.Module) -> Chain | None:
    """A plain Sequential of linear layers and activations, perhaps flattening first, as a chain, or None."""
    parts = list(model) if isinstance(model, nn.Sequential) else []
    parts = parts[1:] if parts and isinstance(parts[0], nn.Flatten) else parts
    linear, between = parts[::2], parts[1::2]
    if len(parts) % 2 == 0 or not all(isinstance(x, nn.Linear) for x in linear):
        return None
    if not all(isinstance(x, Reproducing) or _fixed(x) for x in between):
        return None
    layers = [x for x in linear if isinstance(x, nn.Linear)]
    biases = [x.weight.new_zeros(len(x.weight)) if x.bias is None else x.bias.detach() for x in layers]
    return Chain(tuple(x.weight.detach() for x in layers), tuple(biases), tuple(between))


def _fixed(module: nn.Module) -> bool:
    """Whether it is one of PyTorch's activations, without parameters."""
    return type(module).__module__ == "torch.nn.modules.activation" and not [*module.parameters()]


def deeplift_reveal(question: "Question") -> list[Tensor]:
    """Contributions by RevealCancel: what raises a neuron and what lowers it each act first half the time.

    Source: Shrikumar, Greenside, Kundaje 2017, sections 3.5.1 and 3.5.3; with r + p for the reference's
    pre-activation and a part of the difference, as a reference may have any.
    """
    chain = question.chain
    if chain is None:
        raise ValueError(NEEDED.format("this network"))
    below, parts = _differences(chain, question.inputs.flatten(1), question.reference.flatten(1))
    shares: list[Tensor] = []
    rising = falling = question.direction
    for i in reversed(range(len(parts))):
        factor = _routed(chain.weights[i + 1], below[i + 1], rising, falling)
        shares.insert(0, factor * below[i + 1])
        up, down = parts[i]
        rising, falling = factor * up, factor * down
    return shares


def _differences(
    chain: Chain, inputs: Tensor, reference: Tensor
) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """Inputs less reference of what each linear layer reads, and of each activation the two multipliers."""
    below, parts = [inputs - reference], []
    said = reference
    for weight, bias, activation in zip(chain.weights, chain.biases, chain.activations, strict=False):
        said = affine(said, weight, bias)
        up, down = _parts(weight, below[-1])
        rises, falls, slope = _revealed(activation, said, up, down)
        parts.append((_quotient(rises, up, slope), _quotient(falls, down, slope)))
        below.append(rises + falls)
        said = activation(said)
    return below, parts


def _parts(weight: Tensor, apart: Tensor) -> tuple[Tensor, Tensor]:
    """What raises each pre-activation, and what lowers it, both [batch, units]."""
    more, less = weight.clamp(min=0), weight.clamp(max=0)
    high, low = apart.clamp(min=0), apart.clamp(max=0)
    return high @ more.mT + low @ less.mT, high @ less.mT + low @ more.mT


def _revealed(
    activation: Activation, before: Tensor, up: Tensor, down: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the two parts do to an activation, each first half the time, and its mean slope at the ends."""
    both = before + up + down
    start, raised, lowered, end = (activation(x) for x in (before, before + up, before + down, both))
    slope = (_slope(activation, before) + _slope(activation, both)) / 2
    return (raised - start + end - lowered) / 2, (lowered - start + end - raised) / 2, slope


def _slope(activation: Activation, at: Tensor) -> Tensor:
    value, pulled = vjp(activation, at)  # type: ignore[misc]
    slope: Tensor = pulled(torch.ones_like(value))[0]
    return slope


def _quotient(change: Tensor, by: Tensor, slope: Tensor) -> Tensor:
    small = by.abs() < SMALL
    return torch.where(small, slope, change / torch.where(small, 1.0, by))


def _routed(weight: Tensor, apart: Tensor, rising: Tensor, falling: Tensor) -> Tensor:
    """Multiplier of what a linear layer reads: through what it raises and what it lowers; half each at 0."""
    more, less = weight.clamp(min=0), weight.clamp(max=0)
    high, low = rising @ more + falling @ less, rising @ less + falling @ more
    return torch.where(apart > 0, high, torch.where(apart < 0, low, (high + low) / 2))
