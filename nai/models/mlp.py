"""Multi-layer perceptrons, with their gradients written out."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nai.activations import ACTIVATIONS, reproduced
from nai.models.network import (
    Gates,
    Layer,
    Network,
    Params,
    Trace,
    activated,
    check_settings,
    dropped,
    keep_mask,
    parameters_of,
    passed,
)
from nai.seeds import Draw


class Mlp(Network):
    """A multi-layer perceptron on flattened inputs.

    widths: units of each hidden layer. activation: of `nai.activations`. dropout: share of hidden units
    dropped while training.
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
        sizes = [torch.Size(features).numel(), *widths, outputs]
        with torch.device("meta"):
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
            self.activations = activated(activation, widths)
        layers = [
            Layer(
                f"layers.{i}", parameters_of(self, f"layers.{i}", f"activations.{i}"), n, i - 1 if i else None
            )
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
        x, read, before, said = inputs.flatten(-len(self.features)), [], [], []
        for i, layer in enumerate((*self.hidden, self.head)):
            weight, bias, *_ = layer.parameters
            read.append(x)
            x = affine(x, params[weight], params[bias])
            x = x if taps is None else x + taps[i]
            if i < len(self.hidden):
                before.append(x)
                x = self.said(params, i, x)
                said.append(x)
                x = dropped(passed(x, i, gates), f"dropout.{i}", noise or {})
        kept = () if ACTIVATIONS[self.activation].plain else tuple(before)
        return Trace(x.float(), tuple(read), tuple(said), kept)

    def said(self, params: Params, index: int, x: Tensor) -> Tensor:
        """What a hidden layer's neurons say of their pre-activations, [..., batch, units]."""
        if ACTIVATIONS[self.activation].plain:
            return ACTIVATIONS[self.activation](x)
        return reproduced(x, self.activation, self.coefficients(params, index))

    def coefficients(self, params: Params, index: int) -> tuple[Tensor, ...]:
        """Those of a hidden layer's activation, [..., 1, units] each."""
        return tuple(params[name].unsqueeze(-2) for name in self.hidden[index].parameters[2:])

    def gradients(
        self,
        params: Params,
        inputs: Tensor,
        noise: Mapping[str, Tensor],
        slope: Callable[[Tensor], Tensor],
        *,
        out: Params | None = None,
    ) -> Params:
        trace, rule = self.trace(params, inputs, noise), ACTIVATIONS[self.activation]
        below, found = slope(trace.logits), dict(out or {})
        for i in reversed(range(len(trace.inputs))):
            weight, bias, *_ = (*self.hidden, self.head)[i].parameters
            if out is None:
                found[weight] = (below.mT @ trace.inputs[i]).float()
                found[bias] = below.float().sum(-2)
            else:
                torch.matmul(below.mT, trace.inputs[i], out=out[weight])
                torch.sum(below, -2, out=out[bias])
            if i:
                below = dropped(below @ params[weight], f"dropout.{i - 1}", noise)
                before = trace.before[i - 1] if trace.before else None
                own = self.coefficients(params, i - 1)
                below, parts = rule.back(below, before, trace.units[i - 1], *own)
                for name, part in zip(self.hidden[i - 1].parameters[2:], parts, strict=True):
                    torch.sum(part, -2, out=found[name]) if out else found.update(
                        {name: part.float().sum(-2)}
                    )
        return found


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer, or one for each replica of a stack."""
    return F.linear(x, weight, bias) if weight.ndim == 2 else torch.baddbmm(bias[:, None], x, weight.mT)
