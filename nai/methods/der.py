"""Dark experience replay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods import dark
from nai.methods.base import Context, Memory, Method, Span, positive
from nai.methods.replay import Store, plus, task_gradients
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class Der(Method):
    """The logits of samples in a buffer shall stay what they were when the samples went in.

    size, replay, selection and fill: as in `Er`. alpha: of the mean squared distance of the logits in use.
    Source: Buzzega, Boschini, Porrello, Abati, Calderara 2020, eq. 5.
    Deviations: the distance is over outputs in use for the sample (all, where boundaries are hidden), and
    logits are stored without dropout. With fill `step` they are those of the first epoch, before the step;
    by default those of the task's end, since after several epochs early ones tell little.
    """

    size: int = 200
    replay: int = 0
    alpha: float = 0.5
    selection: str = "reservoir"
    fill: str = "task"

    elementwise: ClassVar[frozenset[str]] = frozenset({"gradients"})  # which takes whole stacks
    late: ClassVar[frozenset[str]] = frozenset({"alpha"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "alpha": Span(0.05, 2.0, log=True),
    }

    def __post_init__(self) -> None:
        self.store.check()
        positive(alpha=self.alpha)
        if self.fill == "step":  # the buffer acts within the first task, too
            object.__setattr__(self, "late", frozenset())

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
        return params, dark.empty(self.size, heads)

    def gradients(
        self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context
    ) -> Params:
        old = self.store.replayed(batch, memory, context)
        own = task_gradients(net, params, batch, noise=context.noise, context=context)
        kept = dark.gradients(net, params, old, memory, alpha=self.alpha, context=context)
        return plus(own, kept)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, dark.after_step(self.store, before, memory, context)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, dark.after_task(self.store, params, rows, memory, context=context)
