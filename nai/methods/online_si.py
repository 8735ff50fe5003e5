"""Synaptic intelligence on a stream, with or without known task boundaries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import pull, spring_of, under, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, positive, whole
from nai.methods.si import Si, consolidated, walked
from nai.models import Network, Params
from nai.tasks import Rows


@dataclass(frozen=True)
class OnlineSi(Method):
    """Each weight's share in the fall of the loss, consolidated every so many steps.

    strength: of strength / 2 x sum of Omega (theta - theta*)^2. damping: the paper's xi.
    every: steps between two consolidations, wherever tasks begin; 0 consolidates when a task ends, as `Si`.
    Source: Zenke, Poole, Ganguli 2017, eqs. 3 to 5, with the end of every stretch of steps as that of a task.
    """

    strength: float = 20.0
    damping: float = 0.1
    every: int = 0

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust", "after_step"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "strength": Si.ranges["strength"],
        "every": Span(5, 100, log=True),
    }

    def __post_init__(self) -> None:
        positive(strength=self.strength, damping=self.damping)
        whole(0, every=self.every)
        if self.damping == 0:
            raise ValueError("damping 0 divides by zero where a weight did not move: use a number above 0")
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
        path = {k: torch.zeros_like(params[k]) for k in net.shapes()}
        return params, unguarded(params, path) | under("path", path)

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        return pull(grads, params, memory, self.strength)

    def spring(self, memory: Memory) -> Spring:
        return spring_of(memory, self.strength)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, memory | walked(before, grads, params, memory)

    def after_stretch(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, consolidated(params, memory, self.damping)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return (params, memory) if self.every else self.after_stretch(net, params, memory, context)
