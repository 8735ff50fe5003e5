"""Averaged gradient episodic memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods import buffers
from nai.methods.anchored import shaped
from nai.methods.base import Context, Memory, Method, Span
from nai.methods.replay import SELECTIONS, Store, task_gradients
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class Agem(Method):
    """A step's gradient may not work against that of samples of a buffer: what does is projected away.

    size, selection and fill: of the buffer, as in `Er`. replay: samples of a reference gradient; 0: as many
    as the step's own.
    Source: Chaudhry, Ranzato, Rohrbach, Elhoseiny 2019, eq. 11.
    Deviations: the buffer is one for all tasks, where the paper keeps as many samples of each, to which
    `class_balanced` comes close; with fill `step` it holds samples of the running task as well.
    """

    size: int = 200
    replay: int = 0
    selection: str = "reservoir"
    fill: str = "task"

    elementwise: ClassVar[frozenset[str]] = frozenset({"gradients"})  # which takes whole stacks
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"selection": SELECTIONS}

    def __post_init__(self) -> None:
        self.store.check()

    @property
    def store(self) -> Store:
        """The settings of its buffer."""
        return Store(self.size, self.replay, self.selection, self.fill)

    @property
    def idle(self) -> frozenset[str]:
        return self.store.idle

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        return self.store.step_draws(net, batch)

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        return self.store.task_draws(rows)

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        return params, buffers.empty(self.size, heads.device)

    def gradients(
        self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context
    ) -> Params:
        old = self.store.replayed(batch, memory, context)
        own = task_gradients(net, params, batch, noise=context.noise, context=context)
        old_ones = task_gradients(net, params, old.batch, noise=old.noise, context=context)
        return projected(own, old_ones, context.depth.ndim)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        found = self.store.after_step(memory, context)
        return params, found[0] if found else memory

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        found = self.store.after_task(memory, rows, context)
        return params, found[0] if found else memory


def projected(grads: Params, reference: Params, axes: int) -> Params:
    """The nearest gradients whose inner product with the reference is not negative; axes: of the stack."""
    along, length = inner(grads, reference, axes), inner(reference, reference, axes)
    # a reference of 0, as an empty buffer gives, has no inner product below 0
    factor = torch.where(along < 0, along / length.clamp(min=torch.finfo(length.dtype).tiny), 0.0)
    return {k: v - shaped(factor, v) * reference[k] for k, v in grads.items()}


def inner(a: Params, b: Params, axes: int) -> Tensor:
    """Inner product over all parameters, one for each place of a stack."""
    # added up one by one: the order in which a sum over the first axis is taken depends on the others
    first, *others = ((v * b[k]).flatten(axes).sum(-1) for k, v in a.items())
    return sum(others, first)
