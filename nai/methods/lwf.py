"""Learning without forgetting."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, under
from nai.methods.base import (
    Context,
    Memory,
    Method,
    Span,
    cross_entropy,
    cross_entropy_slope,
    one_of,
    positive,
)
from nai.models import Network, Params
from nai.tasks import Batch, Rows

WEIGHTINGS = ("sum", "shares")


@dataclass(frozen=True)
class Lwf(Method):
    """On each new sample, the answers among what was learnt before shall stay those of the old network.

    strength: of the distillation, lambda_o. temperature: divides the logits, the old and the new ones.
    weighting: sum: cross-entropy + strength x the sum over old heads; shares: the n-th task takes 1/n of the
    cross-entropy and (1 - 1/n) of the mean over old heads, whatever the strength.
    Heads: in the scenario task each old task's own, in class all classes met before, in domain the only one.
    Source: Li & Hoiem 2016, section 3, with T^2 as in Hinton et al. 2015; shares: van de Ven et al. 2022.
    Deviations: no warm-up of the new head; van de Ven's softmax runs over the new classes as well.
    """

    strength: float = 1.0
    temperature: float = 2.0
    weighting: str = "sum"

    # before a head is known, distillation weighs 0; and what is remembered does not ask for either
    late: ClassVar[frozenset[str]] = frozenset({"strength", "temperature"})
    acts_with: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {"strength": ("weighting", ("sum",))}
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"strength": Span(0.1, 10.0, log=True)}

    def __post_init__(self) -> None:
        positive(strength=self.strength, temperature=self.temperature)
        one_of(self.weighting, WEIGHTINGS, "weighting")
        if self.temperature == 0:
            raise ValueError("temperature 0 divides by zero: use a number above 0")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        return params, under("old", params) | {"known": torch.zeros_like(heads)}

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        logits = net.trace(params, batch.inputs, context.noise).logits
        old = net.trace(below("old", memory), batch.inputs).logits
        new, kept = self._weights(memory, context)
        apart = distance(logits, old, memory["known"], self.temperature)
        return new * cross_entropy(logits, batch, context) + kept * (apart * batch.weights).sum()

    def gradients(
        self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context
    ) -> Params:
        if not net.dense:
            return super().gradients(net, params, batch, memory, context)
        old = net.trace(below("old", memory), batch.inputs).logits
        new, kept = self._weights(memory, context)

        def slope(logits: Tensor) -> Tensor:
            apart = distance_slope(logits, old, memory["known"], self.temperature)
            return new * cross_entropy_slope(logits, batch, context) + kept * apart * batch.weights[:, None]

        return net.gradients(params, batch.inputs, context.noise, slope)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        place = torch.arange(len(context.heads), device=context.heads.device) == context.task
        learnt = memory["known"].any(1) | place
        # in the scenarios class and domain all tasks have one head: it counts once
        same = (context.heads[:, None] == context.heads).all(2) & learnt
        again = same.tril(-1).any(1)
        known = context.heads & (learnt & ~again)[:, None]
        return params, under("old", params) | {"known": known}

    def _weights(self, memory: Memory, context: Context) -> tuple[Tensor | float, Tensor | float]:
        """Of the cross-entropy, and of the distillation of each head."""
        if self.weighting == "sum":
            return 1.0, self.strength
        share, heads = 1 / (context.depth + 1), memory["known"].any(1).sum()
        return share, (1 - share) / heads.clamp(min=1)


def softened(logits: Tensor, heads: Tensor, temperature: float) -> Tensor:
    """Log-probabilities of [batch, outputs] within each head [heads, outputs], -inf elsewhere.

    Within heads without any output, which have no weight, they run over all.
    """
    used = heads | ~heads.any(1, keepdim=True)
    scaled = (logits / temperature).masked_fill(~used[:, None], -torch.inf)
    return scaled - scaled.logsumexp(2, keepdim=True)


def distance(logits: Tensor, old: Tensor, heads: Tensor, temperature: float) -> Tensor:
    """T^2 x KL divergence of the new answers from the old ones, summed over heads, [batch]."""
    was, now = softened(old, heads, temperature), softened(logits, heads, temperature)
    apart = was.exp() * (was - now).masked_fill(~heads[:, None], 0.0)
    return temperature * temperature * apart.masked_fill(~heads[:, None], 0.0).sum((0, 2))


def distance_slope(logits: Tensor, old: Tensor, heads: Tensor, temperature: float) -> Tensor:
    """Derivative of `distance` by the logits, [batch, outputs]."""
    apart = softened(logits, heads, temperature).exp() - softened(old, heads, temperature).exp()
    return temperature * apart.masked_fill(~heads[:, None], 0.0).sum(0)
