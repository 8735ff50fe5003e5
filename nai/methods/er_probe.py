"""Experience replay with linear evaluation: what a body that replay has trained is worth."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nai.methods import buffers
from nai.methods.base import Context, Memory, Method, cross_entropy, one_of, whole
from nai.methods.co2l import learnt
from nai.methods.pairs import check_views, draws, pairs
from nai.methods.probe import Probe, pool
from nai.methods.replay import Store, shown
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows
from nai.views import VIEWS


@dataclass(frozen=True)
class ErProbe(Method):
    """As `Co2l`, with the cross-entropy of all views in place of its losses: the control of its paper.

    The buffer, the two views of each sample and the head learnt anew after each task are the same, so that
    the loss alone differs; the settings are those of `Co2l`.
    Source: Cha, Lee, Shin 2021, section 5.3, and `main_ce_buffer.py` of their code.
    """

    size: int = 200
    replay: int = 0
    selection: str = "class_balanced"
    views: str = "simclr"
    linear_epochs: int = 100
    linear_batch: int = 256
    linear_rate: float = 1.0
    linear_inputs: str = "viewed"
    linear_balance: str = "class"

    def __post_init__(self) -> None:
        self.store.check()
        self.probe.check()
        whole(1, size=self.size)
        one_of(self.views, tuple(VIEWS), "views")

    @property
    def store(self) -> Store:
        """The settings of its buffer."""
        return Store(self.size, self.replay, self.selection, "task")

    @property
    def probe(self) -> Probe:
        """The settings of its linear evaluation."""
        return Probe(
            self.linear_epochs, self.linear_batch, self.linear_rate, self.linear_inputs, self.linear_balance
        )

    def suits(self, net: Network, heads: Tensor) -> None:
        check_views(net, self.views)

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        return draws(net, VIEWS[self.views], self.size, batch=batch, replay=self.replay)

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        return self.store.task_draws(rows) | self.probe.draws(net, rows, self.size, self.views)

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        met = torch.zeros(heads.shape[1], dtype=torch.bool, device=heads.device)
        return params, buffers.empty(self.size, heads.device) | {"met": met}

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        seen = pairs(batch, memory, context, VIEWS[self.views], replay=self.replay)
        return cross_entropy(net.trace(params, seen.batch.inputs, seen.noise).logits, seen.batch, context)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        met = memory["met"] | learnt(context)
        fitted = self.probe.fitted(net, params, pool(rows, memory), met, context, view=self.views)
        memory, _ = shown(memory, rows, context, self.selection)
        return fitted, memory | {"met": met}
