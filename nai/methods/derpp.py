"""Dark experience replay with labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods import dark
from nai.methods.base import Context, Memory, Method, Span, positive
from nai.methods.replay import Store, draws, plus, replayed, task_gradients, weighed
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class DerPlusPlus(Method):
    """Dark experience replay, and the cross-entropy of a second batch from the same buffer.

    size, replay, alpha, selection and fill: as in `Der`. beta: of that cross-entropy; 0 is `Der`.
    Source: Buzzega, Boschini, Porrello, Abati, Calderara 2020, eq. 6.
    Deviations: those of `Der`.
    """

    size: int = 200
    replay: int = 0
    alpha: float = 0.5
    beta: float = 0.5
    selection: str = "reservoir"
    fill: str = "task"

    elementwise: ClassVar[frozenset[str]] = frozenset({"gradients"})  # which takes whole stacks
    late: ClassVar[frozenset[str]] = frozenset({"alpha", "beta"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "alpha": Span(0.05, 2.0, log=True),
        "beta": Span(0.05, 2.0, log=True),
    }

    def __post_init__(self) -> None:
        self.store.check()
        positive(alpha=self.alpha, beta=self.beta)
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
        second = draws("second", net, self.size, count=self.replay or batch)
        return self.store.step_draws(net, batch) | second

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
        again = replayed("second", memory, context, count=self.replay or batch.weights.shape[-1])
        labelled = weighed(again.batch, self.beta)
        return plus(
            task_gradients(net, params, batch, noise=context.noise, context=context),
            dark.gradients(net, params, old, memory, alpha=self.alpha, context=context),
            task_gradients(net, params, labelled, noise=again.noise, context=context),
        )

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, dark.after_step(self.store, before, memory, context)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, dark.after_task(self.store, params, rows, memory, context=context)
