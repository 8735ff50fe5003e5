"""GDumb: a balanced buffer, and a network learnt from it alone."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods import buffers
from nai.methods.anchored import below, under
from nai.methods.base import Context, Memory, Method, whole
from nai.methods.replay import draws, replayed, task_gradients
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class GDumb(Method):
    """Each task fills a class-balanced buffer, and the network learns anew from this buffer alone.

    size: samples in the buffer. replay: samples of a step; 0: as many as a batch of the training has. An
    epoch has as many steps as the task's own data fill, unless the training's `steps` says otherwise.
    Source: Prabhu, Torr, Dokania 2020. Deviations: it starts again from the run's own initial weights, as
    `Joint` does, rather than from others; neither cutmix nor a schedule of the rate.
    """

    size: int = 200
    replay: int = 0

    from_scratch: ClassVar[bool] = True
    elementwise: ClassVar[frozenset[str]] = frozenset({"gradients"})  # which takes whole stacks

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
        return params, buffers.empty(self.size, heads.device) | under("initial", params)

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        keys, labels = context.noise["keys"], context.source.labels
        return below("initial", memory), buffers.class_balanced(memory, rows, keys, labels=labels)[0]

    def gradients(
        self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context
    ) -> Params:
        own = replayed("replay", memory, context, count=self.replay or batch.weights.shape[-1])
        return task_gradients(net, params, own.batch, noise=own.noise, context=context)
