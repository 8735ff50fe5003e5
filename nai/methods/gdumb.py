"""GDumb: a balanced buffer, and a network learnt from it alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods import buffers
from nai.methods.anchored import below, under
from nai.methods.base import Context, Memory, Method, Span, whole
from nai.methods.replay import Replayed, draws, replayed, task_gradients
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class GDumb(Method):
    """Each task fills a class-balanced buffer, and the network learns anew from this buffer alone.

    size: samples in the buffer. replay: samples of a step; 0: as many as a batch of the training has.
    Steps go through the buffer in shuffled passes, the last step of each taking what is left. An epoch has as
    many steps as the task's own data fill, unless the training's `steps` says otherwise.
    Source: Prabhu, Torr, Dokania 2020. Deviations: it starts again from the run's own initial weights, as
    `Joint` does, rather than from others; neither cutmix nor a schedule of the rate.
    """

    size: int = 200
    replay: int = 0

    from_scratch: ClassVar[bool] = True
    elementwise: ClassVar[frozenset[str]] = frozenset({"gradients", "after_step"})  # which take whole stacks
    revision: ClassVar[int] = 1  # passes through the buffer in place of a new draw in each step
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"replay": Span(8, 128, log=True)}

    def __post_init__(self) -> None:
        whole(1, size=self.size)
        whole(0, replay=self.replay)

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        return draws("replay", net, self.size, count=self.replay or batch)

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        return {"keys": buffers.keys(rows)}

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        seen = {"seen": torch.zeros(self.size, dtype=torch.bool, device=heads.device)}
        return params, buffers.empty(self.size, heads.device) | seen | under("initial", params)

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        keys, labels = context.noise["keys"], context.source.labels
        filled = buffers.class_balanced(memory, rows, keys, labels=labels)[0]
        return below("initial", memory), filled | {"seen": torch.zeros_like(memory["seen"])}

    def gradients(
        self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context
    ) -> Params:
        own = self._next(memory, context)
        return task_gradients(net, params, own.batch, noise=own.noise, context=context)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        own = self._next(memory, context)
        seen = memory["seen"] | buffers.marked(own.places, own.batch.weights > 0, self.size)
        over = (seen | (memory["slots"] < 0)).all(-1, keepdim=True)
        return params, memory | {"seen": seen & ~over}

    def _next(self, memory: Memory, context: Context) -> Replayed:
        """The step's samples: some of those that its pass has not seen yet."""
        left = torch.where(memory["seen"], buffers.EMPTY, memory["slots"])
        count = self.replay or context.rows.weights.shape[-1]
        return replayed("replay", memory | {"slots": left}, context, count=count)
