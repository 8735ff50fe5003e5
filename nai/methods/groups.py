"""A neuron's group, its incoming weights and bias, which rest or move together."""

import torch
from torch import Tensor

from nai.methods.anchored import shaped, under
from nai.methods.base import Memory
from nai.models import Network, Params


def chained(net: Network) -> bool:
    """Whether each hidden layer reads the one before it and nothing else."""
    return all(layer.source == i - 1 for i, layer in enumerate(net.hidden) if i)


def check_chain(net: Network, method: str) -> None:
    """ValueError unless the network is a chain."""
    if not chained(net):
        raise ValueError(
            f"{type(net).__name__} has layers fed by several others: method {method} needs a chain, "
            "such as model mlp or conv"
        )


def columns(values: Tensor, weight: Tensor) -> Tensor:
    """Values [units] of the feeding layer's neurons along a weight's second axis.

    A flattened map's numbers stand together, channel after channel, so each channel's value is repeated.
    """
    repeated = values.repeat_interleave(weight.shape[1] // values.shape[0])
    return repeated.view(1, -1, *[1] * (weight.ndim - 2))


def spread(net: Network, omega: Params, params: Params) -> Memory:
    """Importance of each hidden layer's parameters, broadcastable to them, from its neurons' [units]."""
    own = {name: shaped(omega[layer.name], params[name]) for layer in net.hidden for name in layer.parameters}
    return under("importance", own)


def proximal(params: Params, anchors: Params, omega: Tensor, reach: Tensor) -> Params:
    """One layer's groups, each moved straight by its reach: to its anchor if it has importance, else to 0.

    params, anchors: the layer's own, [units, ...] each; omega, reach: [units]. Who is near enough arrives
    exactly. Source: Jung, Ahn, Cha, Moon 2020, the proximal steps of section 3.
    """
    goal = {k: torch.where(shaped(omega > 0, v), anchors[k], 0.0) for k, v in params.items()}
    away = {k: v - goal[k] for k, v in params.items()}
    squares = [d.flatten(1).square().sum(1) if d.ndim > 1 else d.square() for d in away.values()]
    distance = torch.stack(squares).sum(0).sqrt().clamp(min=1e-12)
    keep = torch.relu(1 - reach / distance)
    return {k: goal[k] + shaped(keep, d) * d for k, d in away.items()}


def emptied(net: Network, params: Params, omega: dict[str, Tensor], used: Tensor) -> Params:
    """Parameters with the weights that leave neurons without importance at 0.

    omega: [units] by layer. used: [outputs] bool, the outputs whose weights count.
    """
    out = dict(params)
    for before, layer in zip(net.hidden, (*net.hidden[1:], net.head), strict=True):
        weight = layer.parameters[0]
        silent = columns(omega[before.name] == 0, params[weight])
        lost = silent & used[:, None] if layer is net.head else silent
        out[weight] = torch.where(lost, 0.0, params[weight])
    return out
