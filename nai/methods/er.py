"""Experience replay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods import buffers
from nai.methods.base import Context, Memory, Method, Span, one_of
from nai.methods.replay import SELECTIONS, Store, plus, shares, task_gradients, weighed
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows

WEIGHTINGS = ("mean", "shares")


@dataclass(frozen=True)
class Er(Method):
    """Each step learns from its own batch and from samples of a buffer.

    size: samples in the buffer; 0 is finetuning. replay: samples of a step from it; 0: as many as its own.
    selection: reservoir: each sample shown has an equal chance to be in the buffer; class_balanced: so has
    each of a class, and classes share the slots. fill: the buffer is shown a task at its end, or the batch of
    every step of the first epoch, which needs no boundaries.
    weighting: mean: over all samples of both batches; shares: the n-th task takes 1/n of its own batch's loss
    and (1 - 1/n) of the replayed one's, so the first task replays nothing.
    Source: Chaudhry et al. 2019, algorithm 1; shares: van de Ven, Tuytelaars, Tolias 2022.
    """

    size: int = 200
    replay: int = 0
    selection: str = "reservoir"
    fill: str = "task"
    weighting: str = "mean"

    elementwise: ClassVar[frozenset[str]] = frozenset({"gradients"})  # which takes whole stacks
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "selection": SELECTIONS,
        "weighting": WEIGHTINGS,
    }

    def __post_init__(self) -> None:
        self.store.check()
        one_of(self.weighting, WEIGHTINGS, "weighting")

    @property
    def store(self) -> Store:
        """The settings of its buffer."""
        return Store(self.size, self.replay, self.selection, self.fill)

    @property
    def idle(self) -> frozenset[str]:
        return self.store.idle

    @property
    def needs_boundaries(self) -> bool:
        return super().needs_boundaries or self.weighting == "shares"

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
        new, kept = self._weights(batch, old.batch, context)
        return plus(
            task_gradients(net, params, weighed(batch, new), noise=context.noise, context=context),
            task_gradients(net, params, weighed(old.batch, kept), noise=old.noise, context=context),
        )

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

    def _weights(self, batch: Batch, old: Batch, context: Context) -> tuple[Tensor, Tensor]:
        """Of the loss of the step's own batch and of the replayed one's."""
        new, kept = shares(batch, old)
        if self.weighting == "mean":
            return new, kept
        share = torch.where(kept > 0, 1 - 1 / (context.depth + 1), 0.0)
        return 1 - share, share
