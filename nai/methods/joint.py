"""Training from scratch on all tasks met so far: the upper bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, under
from nai.methods.base import Context, Memory, Method
from nai.models import Network, Params
from nai.tasks import Rows


@dataclass(frozen=True)
class Joint(Method):
    """From the initial weights on the data of all tasks so far; their set decides, not their order."""

    from_scratch: ClassVar[bool] = True

    def pool(self, done: Sequence[int], task: int) -> tuple[int, ...]:
        return tuple(sorted((*done, task)))

    def node(self, done: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(done))

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        return params, under("initial", params)

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return below("initial", memory), memory
