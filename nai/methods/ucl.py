"""Uncertainty-regularised continual learning."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, shaped
from nai.methods.base import Context, Memory, Method, Span, cross_entropy, positive
from nai.methods.groups import check_chain, columns
from nai.models import Layer, Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class Ucl(Method):
    """Weights are Gaussian, with one uncertainty a neuron: what is certain is held.

    Training samples weights, evaluation takes their means. With u = initial / old deviation of a neuron, a
    weight is held by the larger u^2 of its two ends, and by (u theta*)^2 x its distance: large ones more.
    alpha: of the hold in the first task, to the initial weights (1 in later ones). beta: of what keeps
    deviations near their old values. ratio: share of the initial variance that is noise. lr_rho: learning
    rate of the deviations, which a training's decay does not touch. The output layer is plain unless tasks
    share outputs: in scenario domain, or where classes come back.

    Source: Ahn, Cha, Lee, Moon 2019, eq. 6; initial values, biases as in their code. Deviation: a constant
    learning rate, the last weights (theirs falls on plateaus, and the best epoch on validation data counts).
    """

    alpha: float = 0.01
    beta: float = 0.03
    ratio: float = 0.5
    lr_rho: float = 1e-3

    elementwise: ClassVar[frozenset[str]] = frozenset({"after_step"})
    undecayed: ClassVar[tuple[str, ...]] = ("rho.",)
    revision: ClassVar[int] = 1  # outputs that only some tasks share are Gaussian, deviations without decay
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "alpha": Span(1e-3, 10.0, log=True),
        "beta": Span(1e-5, 1.0, log=True),
        "ratio": Span(0.05, 0.95),
        "lr_rho": Span(1e-4, 0.1, log=True),
    }

    def __post_init__(self) -> None:
        positive(alpha=self.alpha, beta=self.beta, lr_rho=self.lr_rho)
        if not 0 < self.ratio < 1:
            raise ValueError(f"ratio {self.ratio} must lie between 0 and 1, both excluded")

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        shapes, weights = net.shapes(), [layer.parameters[0] for layer in (*net.hidden, net.head)]
        return {f"sample.{name}": _normal(shapes[name]) for name in weights}

    def suits(self, net: Network, heads: Tensor) -> None:
        check_chain(net, "ucl")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        out, shared = dict(params), bool((heads.sum(0) > 1).any())
        for layer in (*net.hidden, net.head) if shared else net.hidden:
            weight, bias, *_ = layer.parameters
            total = variance(out[weight])
            drawn = torch.rand(out[weight].shape, generator=chance).to(out[weight])
            out[weight] = (drawn * 2 - 1) * math.sqrt(3 * total * (1 - self.ratio))
            out[bias] = torch.zeros_like(out[bias])
            rho = math.log(math.expm1(math.sqrt(total * self.ratio)))
            out[f"rho.{layer.name}"] = torch.full_like(out[bias], rho)
        first = {"square": self.alpha, "size": 0.0}
        memory = self._remembered(net, out)
        return out, {k: v * first.get(k.partition(".")[0], 1.0) for k, v in memory.items()}

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        sampled = dict(params)
        for layer in _gaussian(net, params):
            name, sigma = layer.parameters[0], deviation(params[f"rho.{layer.name}"])
            sampled[name] = params[name] + shaped(sigma, params[name]) * context.noise[f"sample.{name}"]
        told = cross_entropy(net.trace(sampled, batch.inputs, context.noise).logits, batch, context)
        return told + self.held(params, memory) / (batch.weights > 0).sum().clamp(min=1)

    def held(self, params: Params, memory: Memory) -> Tensor:
        """What keeps means and deviations near the old ones, [], before it is shared among a batch."""
        parts = []
        for name, anchor in below("anchor", memory).items():
            away = params[name] - anchor
            parts.append((memory[f"square.{name}"] * (away * away)).sum() / 2)
            parts.append((memory[f"size.{name}"] * away.abs()).sum())
        for name, old in below("deviation", memory).items():
            now = deviation(params[f"rho.{name}"]).square()
            share = now / old.square()
            parts.append(self.beta / 2 * (share - share.log() + now - now.log()).sum())
        return torch.stack(parts).sum()

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        # an optimiser's step is proportional to its rate, so this share of it is a step at lr_rho
        share, names = self.lr_rho / context.rate, [k for k in params if k.startswith("rho.")]
        return params | {k: before[k] + (params[k] - before[k]) * share for k in names}, memory

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, self._remembered(net, params)

    def _remembered(self, net: Network, params: Params) -> Memory:
        """The posterior as the next task's prior, and how strongly it holds each mean."""
        out: Memory = {}
        fed: Tensor | None = None
        for layer in _gaussian(net, params):
            weight, *others = layer.parameters
            sigma = deviation(params[f"rho.{layer.name}"])
            sure = math.sqrt(variance(params[weight]) * self.ratio) / sigma
            ends = shaped(sure, params[weight])
            ends = ends if fed is None else torch.maximum(ends, columns(fed, params[weight]))
            out |= {f"square.{weight}": ends.square(), **{f"square.{k}": sure.square() for k in others}}
            for name in layer.parameters:
                out[f"anchor.{name}"] = params[name]
                out[f"size.{name}"] = (shaped(sure, params[name]) * params[name]).square()
            out[f"deviation.{layer.name}"], fed = sigma, sure
        return out


def deviation(rho: Tensor) -> Tensor:
    """Standard deviation of a neuron's weights, above 0."""
    return torch.log1p(torch.exp(rho))


def variance(weight: Tensor) -> float:
    """Initial variance of a weight, mean and noise together: 2 / fan in, of convolutions 2 / fan out."""
    return 2 / (weight[0] if weight.ndim == 2 else weight[:, 0]).numel()


def _gaussian(net: Network, params: Params) -> list[Layer]:
    return [layer for layer in (*net.hidden, net.head) if f"rho.{layer.name}" in params]


def _normal(shape: torch.Size) -> Draw:
    return lambda chance: torch.randn(shape, generator=chance)
