"""Columns of perceptrons with lateral adapters, each in parameters of one flat dict.

The first column has the net's own names, the k-th `columns.<k>.<name>`; its adapters have `scale` (alpha),
`down` (V) and `up` (U) beside a layer's `weight` and `bias`.
"""

import torch
from torch import Tensor

from nai.activations import ACTIVATIONS
from nai.methods.base import Context
from nai.models import Mlp, Network, Params, affine

Shapes = dict[str, tuple[int, ...]]
ALIGNED = 4
"""Adapters, and hidden layers narrower than the net's, have a multiple of so many units, for stacks."""
SCALE = 0.1
"""What earlier columns say is weighed by factors that start between 0 and this."""


def perceptron(net: Network) -> Mlp:
    """The net itself; ValueError unless it is one whose columns can be built."""
    if not isinstance(net, Mlp):
        raise ValueError(
            f"method progressive has columns of linear layers, not of a {type(net).__name__}: use model mlp"
        )
    if ACTIVATIONS[net.activation].starts:
        raise ValueError(
            f"method progressive adds neurons, and has no coefficients of activation {net.activation!r} for "
            "them: use relu, poly_sin or another activation without"
        )
    return net


def column_shapes(net: Mlp, columns: int, share: float) -> Shapes:
    """Every parameter of every column; those of the first have the names of the net's own."""
    found: Shapes = {}
    for k in range(columns):
        inputs = torch.Size(net.features).numel()
        for i, layer in enumerate((*net.hidden, net.head)):
            whole = share == 1 or layer is net.head
            units = layer.units if whole else max(ALIGNED, ALIGNED * round(share * layer.units / ALIGNED))
            found |= {
                _name(k, f"{layer.name}.weight"): (units, inputs),
                _name(k, f"{layer.name}.bias"): (units,),
            }
            if i and k:
                inner = -(-inputs // ALIGNED) * ALIGNED  # V's units: as many as the layer below has
                found[_name(k, f"{layer.name}.scale")] = (k,)
                found[_name(k, f"{layer.name}.down")] = (inner, k * inputs)
                found[_name(k, f"{layer.name}.up")] = (units, inner)
            inputs = units
    return found


def column_logits(net: Mlp, params: Params, inputs: Tensor, context: Context) -> Tensor:
    """What every column answers, [columns, batch, outputs]; gradients stay within their column."""
    said: list[list[Tensor]] = [[] for _ in net.hidden]  # by layer and column
    logits = []
    for k in range(len(context.heads)):
        x = inputs.flatten(-len(net.features))
        for i, layer in enumerate((*net.hidden, net.head)):
            name = _name(k, layer.name)
            x = affine(x, params[f"{name}.weight"], params[f"{name}.bias"])
            if i and k:
                x = x + _lateral(net, params, name, said[i - 1][:k])
            if layer is not net.head:
                x = ACTIVATIONS[net.activation](x)
                said[i].append(x.detach())
                x = _dropped(x, i, k, context)
        logits.append(x.float())
    return torch.stack(logits)


def initial(name: str, shapes: Shapes, chance: torch.Generator) -> Tensor:
    """A parameter's first value: as PyTorch starts linear layers, and small factors."""
    layer, _, part = name.rpartition(".")
    drawn = torch.rand(shapes[name], generator=chance)
    if part == "scale":
        return SCALE * drawn
    fan_in = shapes[f"{layer}.weight" if part == "bias" else name][1]
    return (drawn * 2 - 1) / float(fan_in**0.5)


def column_of(name: str) -> int:
    """The column that a parameter belongs to."""
    return int(name.split(".")[1]) if name.startswith("columns.") else 0


def _lateral(net: Mlp, params: Params, name: str, said: list[Tensor]) -> Tensor:
    """What a layer reads from earlier columns, [batch, units]: U f(V [alpha h, of each of them])."""
    scale, down, up = (params[f"{name}.{part}"] for part in ("scale", "down", "up"))
    known = torch.cat([scale[j] * x for j, x in enumerate(said)], -1)
    return ACTIVATIONS[net.activation](known @ down.mT) @ up.mT


def _dropped(x: Tensor, layer: int, column: int, context: Context) -> Tensor:
    mask = context.noise.get(f"dropout.{layer}")
    if mask is None:
        return x
    # a narrower column takes the mask's first units
    return torch.where(context.depth == column, x * mask[..., : x.shape[-1]], x)


def _name(column: int, name: str) -> str:
    return f"columns.{column}.{name}" if column else name
