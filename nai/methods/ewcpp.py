"""EWC++: the Fisher information as a moving average along training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.importance.gradients import likelihood, per_sample, square
from nai.methods.anchored import below, pull, spring_of, under, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, mask_of, positive, whole, within
from nai.methods.ewc import STRENGTHS
from nai.models import Network, Params
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class EwcPlusPlus(Method):
    """Elastic weight consolidation by a running Fisher information, with or without known task boundaries.

    strength: of strength / 2 x sum of F (theta - theta*)^2.
    alpha: weight of each step's own Fisher information in its moving average.
    every: steps between two consolidations; 0 consolidates when a task ends, and nowhere else.
    Source: Chaudhry et al. 2018, eq. 6 and section 3.1.
    Deviations: squares of each sample's own gradient, not of the batch's mean (which is smaller by up to the
    batch's size); alpha of single steps, where the authors' code averages windows of several with alpha 0.9.
    """

    strength: float = 100.0
    alpha: float = 0.1
    every: int = 0

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "strength": STRENGTHS,
        "alpha": Span(0.01, 0.9, log=True),
    }

    def __post_init__(self) -> None:
        positive(strength=self.strength)
        within(self.alpha, 0, 1, "alpha")
        whole(0, every=self.every)
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
        fisher = {k: torch.zeros_like(params[k]) for k in net.shapes()}
        seen = torch.zeros((), dtype=torch.int64, device=heads.device)
        return params, unguarded(params, fisher) | under("fisher", fisher) | {"seen": seen}

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        return pull(grads, params, memory, self.strength)

    def spring(self, memory: Memory) -> Spring:
        return spring_of(memory, self.strength)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, memory | running_fisher(before, memory, context, self.alpha)

    def after_stretch(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, memory | consolidated(params, memory)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return (params, memory) if self.every else self.after_stretch(net, params, memory, context)


def running_fisher(before: Params, memory: Memory, context: Context, alpha: float) -> Memory:
    """The moving average of `fisher.<parameter>` and the number of steps `seen`, after one more step.

    before: the weights at which the step's gradients were taken.
    """

    def mask(batch: Batch) -> Tensor:
        return mask_of(batch, context)

    new = per_sample(context.net, before, context.rows, context.source, score=likelihood(mask), power=square)
    first = memory["seen"] == 0  # starts the average
    old = below("fisher", memory)
    mean = {k: torch.where(first, v, alpha * v + (1 - alpha) * old[k]) for k, v in new.items()}
    return under("fisher", mean) | {"seen": memory["seen"] + 1}


def consolidated(params: Params, memory: Memory) -> Memory:
    """The running average as importance, around the weights as they are."""
    fisher = below("fisher", memory)
    return under("importance", fisher) | under("anchor", {k: params[k] for k in fisher})
