"""Hard attention to the task."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, shaped, under
from nai.methods.base import Context, Memory, Method, Span, cross_entropy, positive
from nai.methods.groups import check_chain, columns
from nai.methods.positions import learnt, position, unlearnt
from nai.models import Network, Params
from nai.tasks import Batch, Rows

SATURATED = 50.0
FARTHEST = 6.0


@dataclass(frozen=True)
class Hat(Method):
    """Each task learns gates over the hidden neurons; weights between neurons that earlier tasks use rest.

    strength: c, of the share of free neurons that a task opens. smax: how steep gates are at an epoch's end.
    gain: how many times as fast as weights embeddings move under Adam; 1 is the paper's, under its SGD.
    The k-th task of an order learns the k-th row of embeddings. A task not yet met is asked with the row that
    it would start from.
    Source: Serrà, Surís, Miron, Karatzoglou 2018, eqs. 1-5 and section 2.5.
    Deviation: what a task uses is a neuron's gate above 1/2, 0 or 1, in evaluation and in the running maximum
    alike, and `after_step` puts what rests back; so no optimiser moves it, and nothing is forgotten.
    """

    strength: float = 0.75
    smax: float = 400.0
    gain: float = 10.0

    scenarios: ClassVar[frozenset[str]] = frozenset({"task"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"after_step"})
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

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        check_gates(net)
        rows = {n.name: torch.randn(len(heads), n.units, generator=chance) for n in net.hidden}
        params = params | under("embedding", {k: v.to(heads.device) / self.gain for k, v in rows.items()})
        used = {n.name: torch.zeros(n.units, device=heads.device) for n in net.hidden}
        memory = unlearnt(heads, "hat")
        held = resting(net, params, used, memory["position"], heads)
        return params, memory | under("used", used) | under("held", held)

    def predict(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        return net.trace(params, batch.inputs, gates=self.hard(net, params, memory, context)).logits

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        sharp = self.sharpness(context)
        gates = [self.soft(e, sharp) for e in self.embeddings(net, params, memory, context)]
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
        """s: from 1 / smax to smax within each epoch, eq. 3; smax where an epoch is one step."""
        past = torch.where(context.steps > 1, context.step / (context.steps - 1).clamp(min=1), 1.0)
        return 1 / self.smax + (self.smax - 1 / self.smax) * past

    def soft(self, embedding: Tensor, sharp: Tensor) -> Tensor:
        """Gates sigmoid(s e) whose gradient is compensated, eqs. 4 and 5.

        What the compensation leaves is the gradient of smax x sigmoid(e), until s e is saturated.
        """
        steep, shallow = sharp * embedding.detach(), self.smax * sigmoid(embedding)
        live = (SATURATED - steep.abs()).clamp(max=0).exp()
        return sigmoid(steep) + live * (shallow - shallow.detach())


def sigmoid(x: Tensor) -> Tensor:
    """By the hyperbolic tangent, which alone rounds alike in every stack."""
    return 0.5 + 0.5 * torch.tanh(x / 2)


def resting(net: Network, params: Params, used: dict[str, Tensor], place: Tensor, heads: Tensor) -> Params:
    """Whether a parameter belongs to the tasks learnt, 0 or 1, in a shape that broadcasts over it.

    A weight does if both its neurons do, which is min(A_l, A_l-1) of eq. 2; place: of each task, [tasks].
    """
    held: Params = {}
    for layer in net.hidden:
        for name in layer.parameters:
            own = shaped(used[layer.name], params[name])
            if layer.source is not None and params[name].ndim > 1:
                own = torch.minimum(own, columns(used[net.hidden[layer.source].name], params[name]))
            held[name] = own
    outputs = (heads & (place > 0)[:, None]).any(0).float()
    rows = (torch.arange(len(place), device=place.device) < place.max()).float()
    held |= {name: shaped(outputs, params[name]) for name in net.head.parameters}
    return held | {k: shaped(rows, v) for k, v in params.items() if k.startswith("embedding.")}


def check_gates(net: Network) -> None:
    """ValueError unless the network is a chain whose neurons can be shut."""
    check_chain(net, "hat")
    if not net.gated:
        raise ValueError(
            f"{type(net).__name__} has no gates, which method hat needs: let its forward take `gates` and "
            "multiply what each hidden layer says by its own"
        )
