"""Latent replay: a buffer of what a hidden layer said."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nai.methods import buffers
from nai.methods.anchored import below, shaped
from nai.methods.base import Context, Memory, Method, Span, cross_entropy, whole, within
from nai.methods.replay import SELECTIONS, Store, by_slot, shares, shown
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows, Samples


@dataclass(frozen=True)
class LatentReplay(Method):
    """What a hidden layer said about samples is stored and replayed to the layers above it.

    size, replay and selection: of the buffer, as in `Er`; it is shown a task at its end.
    above: hidden layers above the stored one; 0 stores the last, as networks that are not dense must.
    slow: after the first task, the share of each step that the stored layer and those below still take; 0
    holds them still, so that what is stored stays true.
    Source: Pellegrini, Graffieti, Lomonaco, Maltoni 2020; with the last layer the replay in the head of
    Demosthenous & Vassiliades 2021.
    Deviations: a reservoir, or a balanced one, in place of equal numbers drawn from each batch; the loss is
    the mean over all samples of both batches, of equal size by default; what is stored meets no dropout.
    """

    size: int = 200
    replay: int = 0
    above: int = 0
    slow: float = 0.0
    selection: str = "reservoir"

    elementwise: ClassVar[frozenset[str]] = frozenset({"after_step"})
    late: ClassVar[frozenset[str]] = frozenset({"slow"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "selection": SELECTIONS,
        "slow": Span(0.0, 0.5),
    }

    def __post_init__(self) -> None:
        self.store.check()
        whole(1, size=self.size)
        whole(0, above=self.above)
        within(self.slow, 0, 1, "slow")

    @property
    def store(self) -> Store:
        """The settings of its buffer."""
        return Store(self.size, self.replay, self.selection, "task")

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        return self.store.step_draws(net, batch)

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        return self.store.task_draws(rows)

    def suits(self, net: Network, heads: Tensor) -> None:
        last = len(net.hidden) - 1
        if self.above > last:
            many = f"leaves none of {last + 1} hidden layers to store"
            raise ValueError(f"above {self.above} {many}: use 0..{last}")
        if self.above and not net.dense:
            kind = f"is for dense networks, {type(net).__name__} is not one"
            raise ValueError(f"above {self.above} {kind}: use above 0")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        width = params[reader(net, self.above)].shape[1]
        latents = torch.zeros(self.size, width, device=heads.device)
        return params, buffers.empty(self.size, heads.device) | {"latents": latents}

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        found = buffers.picked(memory, context.noise["replay"], self.replay or len(batch.weights))
        old = stored(memory["latents"][found.places], found.rows, context.source)
        new, kept = shares(batch, old)
        own = cross_entropy(net.trace(params, batch.inputs, context.noise).logits, batch, context)
        said = answers(net, params, old.inputs, self.above, context=context)
        return new * own + kept * cross_entropy(said, old, context)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        # gradients of 0 would not do: kept moments move a weight in spite of them
        first, out = context.depth == 0, dict(params)
        share = torch.where(first, 1.0, self.slow)
        for name in held(context.net, self.above):
            now, was = params[name], before[name]
            out[name] = torch.where(shaped(first, now), now, was + shaped(share, now) * (now - was))
        return out, memory

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        memory, origin = shown(memory, rows, context, self.selection)
        at = place(net, self.above) + 1
        fresh = by_slot(memory, context, lambda inputs: net.trace(params, inputs).inputs[at])
        return params, memory | {"latents": buffers.carried(memory, origin, memory["latents"], fresh)}


def place(net: Network, above: int) -> int:
    """Index of the stored hidden layer."""
    return len(net.hidden) - 1 - above


def reader(net: Network, above: int) -> str:
    """The weights that read the stored layer."""
    return (*net.hidden, net.head)[place(net, above) + 1].parameters[0]


def held(net: Network, above: int) -> list[str]:
    """Parameters of the stored layer and of those below it."""
    at = place(net, above)
    if at == len(net.hidden) - 1:
        return net.body()
    return [name for own in net.hidden[: at + 1] for name in own.parameters]


def stored(latents: Tensor, rows: Rows, source: Samples) -> Batch:
    """A batch whose inputs are what the stored layer said."""
    return Batch(latents, source.labels[rows.indices], rows.weights, source.tasks[rows.indices])


def answers(net: Network, params: Params, latents: Tensor, above: int, *, context: Context) -> Tensor:
    """Logits [batch, outputs] that the layers above make of what the stored one said [batch, units]."""
    at, layers = place(net, above), (*net.hidden, net.head)
    weight, bias, *_ = layers[at + 1].parameters
    if not above:
        return F.linear(latents, params[weight], params[bias]).float()
    # the stored layer is shut, and what the next one would read is added to what it makes of nothing
    one = latents.new_zeros(1, *context.source.inputs.shape[1:])
    taps = [latents.new_zeros(1, own.units) for own in layers]
    taps[at + 1] = F.linear(latents, params[weight])
    gates = [latents.new_zeros(own.units) if i == at else None for i, own in enumerate(net.hidden)]
    return net.trace(params, one, below("replay", context.noise), taps, gates=gates).logits
