"""Synaptic intelligence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, pull, spring_of, under, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, positive
from nai.models import Network, Params
from nai.tasks import Rows


@dataclass(frozen=True)
class Si(Method):
    """Importance is each weight's share in the fall of the loss along the training path.

    strength: of strength / 2 x sum of Omega (theta - theta*)^2, so twice the paper's c.
    damping: the paper's xi.
    Source: Zenke, Poole, Ganguli 2017, eqs. 3 to 5; g is the gradient of the task loss alone.
    Deviation: shares below 0 count as 0, so that no weight is pushed away from its anchor.
    """

    strength: float = 20.0
    damping: float = 0.1

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust", "after_step"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"strength": Span(2e-2, 2e6, log=True)}

    def __post_init__(self) -> None:
        positive(strength=self.strength, damping=self.damping)
        if self.damping == 0:
            raise ValueError("damping 0 divides by zero where a weight did not move: use a number above 0")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        path = {k: torch.zeros_like(params[k]) for k in net.shapes()}
        return params, unguarded(params, net.shapes()) | under("path", path)

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        return pull(grads, params, memory, self.strength)

    def spring(self, memory: Memory) -> Spring:
        return spring_of(memory, self.strength)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, memory | walked(before, grads, params, memory)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, consolidated(params, memory, self.damping)


def walked(before: Params, grads: Params, params: Params, memory: Memory) -> Memory:
    """The path integral after one more step."""
    path = below("path", memory)
    return under("path", {k: v - grads[k] * (params[k] - before[k]) for k, v in path.items()})


def consolidated(params: Params, memory: Memory, damping: float) -> Memory:
    """The path as importance, around the weights as they are; a new path begins."""
    out: Memory = {}
    for name, path in below("path", memory).items():
        moved = params[name] - memory[f"anchor.{name}"]
        share = path.clamp(min=0) / (moved.square() + damping)
        out[f"importance.{name}"] = memory[f"importance.{name}"] + share
        out[f"path.{name}"] = torch.zeros_like(path)
        out[f"anchor.{name}"] = params[name]
    return out
