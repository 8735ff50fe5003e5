"""Hard attention to the task."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, under
from nai.methods.attention import check_gates, resting, soft
from nai.methods.base import Context, Memory, Method, Span, cross_entropy, positive
from nai.methods.positions import check_own, learnt, position, unlearnt
from nai.models import Network, Params
from nai.tasks import Batch, Rows

FARTHEST = 6.0
"""Embeddings stay within this, as in the authors' code."""


@dataclass(frozen=True)
class Hat(Method):
    """Each task learns gates over the hidden neurons; weights between neurons that earlier tasks use rest.

    strength: c, of the share of free neurons that a task opens. smax: how steep gates are at an epoch's end.
    gain: how many times as fast as weights embeddings move under Adam; 1 is the paper's, under its SGD.
    The k-th task of an order learns the k-th row of embeddings. A task not yet met is asked with the row that
    it would start from.
    A training's decay does not touch embeddings: it would empty the rows of tasks to come before their turn.
    Source: Serrà, Surís, Miron, Karatzoglou 2018, section 2.
    Deviation: what a task uses is a neuron's gate above 1/2, 0 or 1, in evaluation and in the running maximum
    alike, and `after_step` puts what rests back; so no optimiser moves it, and nothing is forgotten.
    """

    strength: float = 0.75
    smax: float = 400.0
    gain: float = 10.0

    scenarios: ClassVar[frozenset[str]] = frozenset({"task"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"after_step"})
    undecayed: ClassVar[tuple[str, ...]] = ("embedding.",)
    revision: ClassVar[int] = 1  # embeddings without decay
    ranges = MappingProxyType(
        {
            "strength": Span(0.1, 4.0, log=True),
            "smax": Span(25.0, 800.0, log=True),
            "gain": Span(1.0, 50.0, log=True),
        }
    )

    def __post_init__(self) -> None:
        positive(strength=self.strength, smax=self.smax, gain=self.gain)
        if self.smax < 1 or not self.gain:
            raise ValueError(f"smax {self.smax} must be at least 1, and gain {self.gain} more than 0")

    def suits(self, net: Network, heads: Tensor) -> None:
        check_gates(net)
        check_own(heads, "hat")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        rows = {n.name: torch.randn(len(heads), n.units, generator=chance) for n in net.hidden}
        params = params | under("embedding", {k: v.to(heads.device) / self.gain for k, v in rows.items()})
        used = {n.name: torch.zeros(n.units, device=heads.device) for n in net.hidden}
        memory = unlearnt(heads)
        held = resting(net, params, used, memory["position"], heads)
        return params, memory | under("used", used) | under("held", held)

    def predict(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        return net.trace(params, batch.inputs, gates=self.hard(net, params, memory, context)).logits

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        sharp = self.sharpness(context)
        gates = [soft(e, sharp, self.smax) for e in self.embeddings(net, params, memory, context)]
        logits = net.trace(params, batch.inputs, context.noise, gates=gates).logits
        free = [1 - memory[f"used.{layer.name}"] for layer in net.hidden]
        load = torch.stack([(a * f).sum() for a, f in zip(gates, free, strict=True)]).sum()
        room = torch.stack([f.sum() for f in free]).sum()
        return cross_entropy(logits, batch, context) + self.strength * (load / room.clamp(min=1))

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        held, far = below("held", memory), FARTHEST / self.gain
        near = {k: v.clamp(-far, far) if k.startswith("embedding.") else v for k, v in params.items()}
        return {k: torch.where(held[k] > 0, before[k], v) for k, v in near.items()}, memory

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        opened = zip(net.hidden, self.hard(net, params, memory, context), strict=True)
        used = {layer.name: torch.maximum(memory[f"used.{layer.name}"], gate) for layer, gate in opened}
        memory = learnt(memory, context)
        held = resting(net, params, used, memory["position"], context.heads)
        return params, memory | under("used", used) | under("held", held)

    # ---------------------------------------------------------------- the formulas
    def embeddings(self, net: Network, params: Params, memory: Memory, context: Context) -> list[Tensor]:
        """The task's embedding of each hidden layer, [units]."""
        place = position(memory, context)
        row = torch.where(place > 0, place - 1, context.depth)[None]
        return [self.gain * params[f"embedding.{n.name}"].index_select(0, row)[0] for n in net.hidden]

    def hard(self, net: Network, params: Params, memory: Memory, context: Context) -> list[Tensor]:
        """The task's gates where they are more than 1/2, [units] of 0 and 1 for each hidden layer."""
        return [(e > 0).float() for e in self.embeddings(net, params, memory, context)]

    def sharpness(self, context: Context) -> Tensor:
        """s, which grows from 1 / smax to smax within each epoch; smax where an epoch is one step."""
        past = torch.where(context.steps > 1, context.step / (context.steps - 1).clamp(min=1), 1.0)
        return 1 / self.smax + (self.smax - 1 / self.smax) * past
