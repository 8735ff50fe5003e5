"""Multi-layer perceptrons, with their gradients written out."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nai.models.network import (
    Gates,
    Layer,
    Network,
    Params,
    Trace,
    check_settings,
    dropped,
    keep_mask,
    passed,
)
from nai.seeds import Draw

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
}
"""Only functions whose vector and scalar code round alike, so that a result never depends on its stack."""
SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda above, said: torch.ops.aten.threshold_backward(above, said, 0),
    "leaky_relu": lambda above, said: above * torch.where(said > 0, 1.0, 0.01),
    "tanh": lambda above, said: above * (1 - said * said),
}
"""The gradient below each activation, from the gradient above it and what it said."""


class Mlp(Network):
    """A multi-layer perceptron on flattened inputs.

    widths: units of each hidden layer. dropout: share of hidden units dropped while training.
    """

    dense = True

    def __init__(
        self,
        features: Sequence[int],
        outputs: int,
        widths: Sequence[int] = (100, 100),
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_settings(widths, dropout=dropout)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation {activation!r} is unknown: known are {', '.join(ACTIVATIONS)}")
        sizes = [torch.Size(features).numel(), *widths, outputs]
        with torch.device("meta"):
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        layers = [
            Layer(f"layers.{i}", (f"layers.{i}.weight", f"layers.{i}.bias"), n, i - 1 if i else None)
            for i, n in enumerate(sizes[1:])
        ]
        self.hidden, self.head, self.features = tuple(layers[:-1]), layers[-1], tuple(features)
        self.activation, self.dropout = activation, dropout

    def draws(self, batch: int) -> dict[str, Draw]:
        if not self.dropout:
            return {}
        return {
            f"dropout.{i}": keep_mask(batch, (layer.units,), self.dropout)
            for i, layer in enumerate(self.hidden)
        }

    def forward(
        self,
        inputs: Tensor,
        noise: Mapping[str, Tensor],
        taps: Sequence[Tensor] | None = None,
        gates: Gates | None = None,
    ) -> Trace:
        return self.trace(dict(self.named_parameters()), inputs, noise, taps, gates=gates)

    def trace(
        self,
        params: Params,
        inputs: Tensor,
        noise: Mapping[str, Tensor] | None = None,
        taps: Sequence[Tensor] | None = None,
        *,
        gates: Gates | None = None,
    ) -> Trace:
        """The forward pass; given whole stacks, [replicas, ...] each, it is that of every replica."""
        x, read, said = inputs.flatten(-len(self.features)), [], []
        for i, layer in enumerate((*self.hidden, self.head)):
            weight, bias = layer.parameters
            read.append(x)
            x = affine(x, params[weight], params[bias])
            x = x if taps is None else x + taps[i]
            if i < len(self.hidden):
                x = ACTIVATIONS[self.activation](x)
                said.append(x)
                x = dropped(passed(x, i, gates), f"dropout.{i}", noise or {})
        return Trace(x.float(), tuple(read), tuple(said))

    def gradients(
        self,
        params: Params,
        inputs: Tensor,
        noise: Mapping[str, Tensor],
        slope: Callable[[Tensor], Tensor],
        *,
        out: Params | None = None,
    ) -> Params:
        trace = self.trace(params, inputs, noise)
        below, found = slope(trace.logits), dict(out or {})
        for i in reversed(range(len(trace.inputs))):
            weight, bias = (*self.hidden, self.head)[i].parameters
            if out is None:
                found[weight] = (below.mT @ trace.inputs[i]).float()
                found[bias] = below.float().sum(-2)
            else:
                torch.matmul(below.mT, trace.inputs[i], out=out[weight])
                torch.sum(below, -2, out=out[bias])
            if i:
                below = dropped(below @ params[weight], f"dropout.{i - 1}", noise)
                below = SLOPES[self.activation](below, trace.units[i - 1])
        return found


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer, or one for each replica of a stack."""
    return F.linear(x, weight, bias) if weight.ndim == 2 else torch.baddbmm(bias[:, None], x, weight.mT)
