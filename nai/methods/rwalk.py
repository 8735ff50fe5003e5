"""Riemannian walk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, pull, spring_of, under, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, positive, whole, within
from nai.methods.ewcpp import running_fisher
from nai.models import Network, Params
from nai.tasks import Rows

LEAST = 1e-30
"""Divides where nothing has any score, which stays 0."""


@dataclass(frozen=True)
class RWalk(Method):
    """Importance is running Fisher information, plus the fall of the loss per distance of the walk.

    strength: of strength / 2 x sum of importance x (theta - theta*)^2, so twice the paper's lambda.
    alpha: weight of each step's own Fisher information in its moving average, as in `EwcPlusPlus`.
    dt: steps of an interval, over which the fall of the loss is divided by the distance on the Riemannian
    manifold; eps: added to that distance.
    Source: Chaudhry et al. 2018, eqs. 6 to 8; F / max F + relu(s) / max s, with maxima over all weights.
    Deviations: squares of each sample's own gradient, not of the batch's mean; the interval that a task's end
    cuts short counts as well.
    """

    strength: float = 0.2
    alpha: float = 0.9
    dt: int = 10
    eps: float = 2.0**-23

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"strength": Span(2e-3, 2e3, log=True)}

    def __post_init__(self) -> None:
        positive(strength=self.strength, eps=self.eps)
        within(self.alpha, 0, 1, "alpha")
        whole(1, dt=self.dt)
        if self.eps == 0:
            raise ValueError("eps 0 divides by zero where a weight did not move: use a number above 0")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        memory = unguarded(params, net.shapes()) | under("begun", {k: params[k] for k in net.shapes()})
        for name in ("fisher", "fall", "score", "past"):
            memory |= under(name, {k: torch.zeros_like(params[k]) for k in net.shapes()})
        return params, memory | {"seen": torch.zeros((), dtype=torch.int64, device=heads.device)}

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        return pull(grads, params, memory, self.strength)

    def spring(self, memory: Memory) -> Spring:
        return spring_of(memory, self.strength)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        memory = memory | running_fisher(before, memory, context, self.alpha)
        fall = {k: v - grads[k] * (params[k] - before[k]) for k, v in below("fall", memory).items()}
        memory |= under("fall", fall)
        step = context.epoch * context.steps + context.step + 1  # of this task
        over = self._interval(params, memory)
        return params, memory | {k: torch.where(step % self.dt == 0, v, memory[k]) for k, v in over.items()}

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        memory = memory | self._interval(params, memory)
        past, mean = below("past", memory), {}
        for name, score in below("score", memory).items():
            # averages, so that what was once important does not hold for ever
            mean[name] = torch.where(context.depth > 0, (past[name] + score) / 2, score)
        memory |= under("past", mean) | under("anchor", {k: params[k] for k in mean})
        memory |= under("score", {k: torch.zeros_like(v) for k, v in mean.items()})
        return params, memory | under("importance", importances(below("fisher", memory), mean))

    def _interval(self, params: Params, memory: Memory) -> Memory:
        """What an interval that ends here leaves: its score, and a new beginning."""
        out: Memory = {}
        for name, fall in below("fall", memory).items():
            walked = (params[name] - memory[f"begun.{name}"]).square()
            distance = 0.5 * memory[f"fisher.{name}"] * walked + self.eps
            out[f"score.{name}"] = memory[f"score.{name}"] + fall / distance
            out[f"fall.{name}"] = torch.zeros_like(fall)
            out[f"begun.{name}"] = params[name]
        return out


def importances(fisher: Params, score: Params) -> Params:
    """Both parts scaled to at most 1, negative scores as 0."""
    most, best = (
        torch.stack([v.amax() for v in part.values()]).amax().clamp(min=LEAST) for part in (fisher, score)
    )
    return {k: v / most + score[k].clamp(min=0) / best for k, v in fisher.items()}
