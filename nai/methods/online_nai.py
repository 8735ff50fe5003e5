"""Neuron activation importance on a stream, from running statistics of activations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.importance.activation import STATISTICS, gap, moments
from nai.methods.anchored import below, pull, spring_of, under
from nai.methods.base import Context, Memory, Method, Span, Spring, one_of, positive, whole, within
from nai.methods.groups import spread
from nai.models import Network, Params
from nai.normalise import NORMALISERS, matched, normalised
from nai.tasks import Rows, gather


@dataclass(frozen=True)
class OnlineNai(Method):
    """Neurons that have of late spoken much and steadily keep their incoming weights; the head is free.

    strength: of strength / 2 x sum over neurons of Omega ||theta - theta*||^2, as in `Nai`.
    alpha: weight of each step's batch in the running mean and variance of every neuron's activation.
    every: steps between two consolidations; 0 consolidates when a task ends, and nowhere else.
    eta: Omega becomes eta x Omega + the importance that the running statistics give.
    normalization, eps, activation_stat: as in `Nai`; importances are over their mean, convolutions pooled.
    Source: Kim & Lee 2021, eqs. 1 to 4; that statistics run along the stream is derived here.
    Cost: one more forward pass over the batch a step, without dropout, with the weights before the step.
    """

    strength: float = 0.1
    alpha: float = 0.05
    every: int = 0
    eta: float = 0.9
    normalization: str = "neuron_std"
    eps: float = 1e-6
    activation_stat: str = "mean"

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "strength": Span(1e-3, 1e1, log=True),
        "alpha": Span(0.005, 0.5, log=True),
        "every": Span(5, 100, log=True),
        "eta": Span(0.0, 1.0),
        "normalization": tuple(NORMALISERS),
    }

    def __post_init__(self) -> None:
        positive(strength=self.strength, eps=self.eps)
        within(self.alpha, 0, 1, "alpha")
        within(self.eta, 0, 1, "eta")
        whole(0, every=self.every)
        one_of(self.normalization, list(NORMALISERS), "normalization")
        one_of(self.activation_stat, list(STATISTICS), "activation_stat")
        if self.every:  # the penalty acts within the first task, too
            object.__setattr__(self, "late", frozenset())

    @property
    def stretch(self) -> int:
        return self.every

    @property
    def idle(self) -> frozenset[str]:
        return frozenset({"after_task"} if self.every else set())

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        silent = {layer.name: params[layer.parameters[0]].new_zeros(layer.units) for layer in net.hidden}
        memory = {k: v for part in ("mean", "variance", "omega") for k, v in under(part, silent).items()}
        seen = torch.zeros((), dtype=torch.int64, device=heads.device)
        anchors = {name: params[name] for name in net.body()}
        return params, memory | {"seen": seen} | under("anchor", anchors) | spread(net, silent, params)

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        return pull(grads, params, memory, self.strength)

    def spring(self, memory: Memory) -> Spring:
        return spring_of(memory, self.strength)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, memory | self._running(before, memory, context)

    def after_stretch(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        means, rule = below("mean", memory), NORMALISERS[self.normalization]
        new = matched(
            [normalised(rule, m, memory[f"variance.{k}"].sqrt(), self.eps) for k, m in means.items()]
        )
        omega = {k: self.eta * memory[f"omega.{k}"] + v for k, v in zip(means, new, strict=True)}
        anchors = {name: params[name] for name in net.body()}
        return params, memory | under("omega", omega) | under("anchor", anchors) | spread(net, omega, params)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return (params, memory) if self.every else self.after_stretch(net, params, memory, context)

    def _running(self, before: Params, memory: Memory, context: Context) -> Memory:
        """Mean and variance after one more step: of all batches, each with alpha x (1 - alpha)^age."""
        net, out = context.net, {"seen": memory["seen"] + 1}
        units = net.trace(before, gather(context.source, context.rows).inputs).units
        for layer, maps in zip(net.hidden, units, strict=True):
            said = STATISTICS[self.activation_stat](gap(maps) if maps.ndim > 2 else maps)
            _, mean, squares = moments(said, context.rows.weights)
            alpha = torch.where(memory["seen"] == 0, 1.0, self.alpha)  # the first batch starts the average
            old, apart = memory[f"variance.{layer.name}"], mean - memory[f"mean.{layer.name}"]
            out[f"mean.{layer.name}"] = memory[f"mean.{layer.name}"] + alpha * apart
            out[f"variance.{layer.name}"] = (1 - alpha) * (old + alpha * apart.square()) + alpha * squares
        return out
