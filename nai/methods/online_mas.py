"""Memory aware synapses on a stream, with or without known task boundaries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.importance.gradients import output_norm, per_sample, size
from nai.methods.anchored import below, pull, spring_of, under, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, mask_of, positive, whole, within
from nai.methods.mas import Mas
from nai.models import Network, Params
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class OnlineMas(Method):
    """How much a weight changes the squared length of the outputs, as a moving average along training.

    strength: of strength / 2 x sum of Omega (theta - theta*)^2.
    alpha: weight of each step's batch in the moving average.
    every: steps between two consolidations; 0 consolidates when a task ends, and nowhere else.
    eta: Omega becomes eta x Omega + the moving average.
    Source: Aljundi et al. 2018, eq. 4; on a stream as in Aljundi, Kelchtermans, Tuytelaars 2019.
    Deviation: it is consolidated every so many steps, not where the loss is at rest, and over what the steps
    see, not over a buffer of hard samples.
    Cost: one more forward and backward pass over the batch a step, with the weights before the step.
    """

    strength: float = 2.0
    alpha: float = 0.05
    every: int = 0
    eta: float = 0.9

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "strength": Mas.ranges["strength"],
        "alpha": Span(0.005, 0.5, log=True),
        "every": Span(5, 100, log=True),
        "eta": Span(0.0, 1.0),
    }

    def __post_init__(self) -> None:
        positive(strength=self.strength)
        within(self.alpha, 0, 1, "alpha")
        within(self.eta, 0, 1, "eta")
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
        none = {k: torch.zeros_like(params[k]) for k in net.shapes()}
        seen = torch.zeros((), dtype=torch.int64, device=heads.device)
        return params, unguarded(params, none) | under("size", none) | {"seen": seen}

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
        mean = below("size", memory)
        omega = {k: self.eta * memory[f"importance.{k}"] + v for k, v in mean.items()}
        return params, memory | under("importance", omega) | under("anchor", {k: params[k] for k in mean})

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return (params, memory) if self.every else self.after_stretch(net, params, memory, context)

    def _running(self, before: Params, memory: Memory, context: Context) -> Memory:
        """The moving average of the size of each sample's own gradient, after one more step."""

        def mask(batch: Batch) -> Tensor:
            return mask_of(batch, context)

        score, old = output_norm(mask), below("size", memory)
        new = per_sample(context.net, before, context.rows, context.source, score=score, power=size)
        alpha = torch.where(memory["seen"] == 0, 1.0, self.alpha)  # the first batch starts the average
        mean = {k: alpha * v + (1 - alpha) * old[k] for k, v in new.items()}
        return under("size", mean) | {"seen": memory["seen"] + 1}
