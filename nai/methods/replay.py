"""Learning from a buffer beside a step's own batch: what the methods of replay have in common."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vjp, vmap

from nai.methods import buffers
from nai.methods.anchored import below
from nai.methods.base import Context, Memory, cross_entropy_slope, mask_of, one_of, whole
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows, gather

FILLS = ("task", "step")
SELECTIONS = ("reservoir", "class_balanced")
CHUNK = 256
"""Samples of one forward pass through what a buffer holds."""


class Replayed(NamedTuple):
    """A batch from the buffer."""

    batch: Batch  # weights sum to 1, or are all 0 where the buffer is empty
    noise: dict[str, Tensor]  # its own dropout masks
    places: Tensor  # [batch] slots of the buffer


class Store(NamedTuple):
    """The settings of a buffer, as `nai.methods.er.Er` explains them, and how it is filled and asked."""

    size: int
    replay: int
    selection: str
    fill: str

    def check(self) -> None:
        """ValueError for settings that no buffer can have."""
        whole(0, size=self.size, replay=self.replay)
        one_of(self.selection, SELECTIONS, "selection")
        one_of(self.fill, FILLS, "fill")

    @property
    def idle(self) -> frozenset[str]:
        """Hooks without use: all of them for a buffer of size 0."""
        if not self.size:
            return frozenset({"gradients", "after_step", "after_task"})
        return frozenset({"after_step" if self.fill == "task" else "after_task"})

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        """Draws of every step."""
        own = draws("replay", net, self.size, count=self.replay or batch)
        return own | ({"keys": buffers.keys(batch)} if self.fill == "step" else {})

    def task_draws(self, rows: int) -> dict[str, Draw]:
        """Draws of a task."""
        return {"keys": buffers.keys(rows)} if self.fill == "task" else {}

    def replayed(self, batch: Batch, memory: Memory, context: Context) -> Replayed:
        """The samples that a step replays beside its own batch."""
        return replayed("replay", memory, context, count=self.replay or batch.weights.shape[-1])

    def after_step(self, memory: Memory, context: Context) -> tuple[Memory, Tensor] | None:
        """The buffer, and where each slot's content lay before, if steps fill it, and this one does."""
        if self.fill == "task" or context.epoch:
            return None
        return shown(
            *buffers.without_repeats(memory, context.rows, context.noise["keys"]), context, self.selection
        )

    def after_task(self, memory: Memory, rows: Rows, context: Context) -> tuple[Memory, Tensor] | None:
        """The same of a task."""
        return None if self.fill == "step" else shown(memory, rows, context, self.selection)


def shown(memory: Memory, rows: Rows, context: Context, selection: str) -> tuple[Memory, Tensor]:
    """The buffer after rows were shown, their keys being drawn, and where each slot's content lay before."""
    keys = context.noise["keys"]
    if selection == "reservoir":
        return buffers.reservoir(memory, rows, keys)
    return buffers.class_balanced(memory, rows, keys, labels=context.source.labels)


def draws(name: str, net: Network, size: int, *, count: int) -> dict[str, Draw]:
    """What `replayed` needs in each step: a choice of the buffer's slots, and dropout for the samples."""
    masks = net.draws(buffers.rows_for(count))
    return {name: buffers.uniform(size)} | {f"{name}.{k}": v for k, v in masks.items()}


def replayed(name: str, memory: Memory, context: Context, *, count: int) -> Replayed:
    """So many samples of the buffer, as the draws of that name say."""
    found = buffers.picked(memory, context.noise[name], count)
    return Replayed(gather(context.source, found.rows), below(name, context.noise), found.places)


def by_slot(memory: Memory, context: Context, read: Callable[[Tensor], Tensor]) -> Tensor:
    """What is read off the inputs of each slot's sample, [size, n]; of any sample where a slot is empty."""
    parts = memory["slots"].clamp(min=0).split(CHUNK)
    return torch.cat([read(gather(context.source, Rows(p, torch.ones_like(p))).inputs) for p in parts])


def gradients_by(
    net: Network,
    params: Params,
    inputs: Tensor,
    slope: Callable[[Tensor], Tensor],
    *,
    noise: dict[str, Tensor],
) -> Params:
    """Gradient of a loss given its derivative by the logits; for one lesson or a whole stack."""
    if net.dense:
        return net.gradients(params, inputs, noise, slope)

    def answer(p: Params, x: Tensor, n: dict[str, Tensor]) -> Tensor:
        return net.trace(p, x, n).logits

    head = net.head.parameters[0]
    many = params[head].ndim > len(net.shapes()[head])
    logits, pulled = vjp(lambda p: (vmap(answer) if many else answer)(p, inputs, noise), params)  # type: ignore[misc]
    found: Params = pulled(slope(logits))[0]
    return found


def task_gradients(
    net: Network, params: Params, batch: Batch, *, noise: dict[str, Tensor], context: Context
) -> Params:
    """Gradient of the weighted cross-entropy, each sample within its own head."""
    slope = partial(cross_entropy_slope, batch=batch, context=context)
    return gradients_by(net, params, batch.inputs, slope, noise=noise)


def sample_losses(logits: Tensor, batch: Batch, context: Context) -> Tensor:
    """Each sample's cross-entropy within its own head, whatever its weight, [batch]."""
    logits = logits.masked_fill(~mask_of(batch, context), -torch.inf)
    return logits.logsumexp(-1) - logits.gather(-1, batch.labels[:, None])[:, 0]


def weighed(batch: Batch, factor: Tensor | float) -> Batch:
    """The batch with its weights times a factor, a number or one a lesson."""
    factor = factor[..., None] if isinstance(factor, Tensor) else factor
    return batch._replace(weights=batch.weights * factor)


def plus(*parts: Params) -> Params:
    """The sum of gradients."""
    first, *others = parts
    return {k: sum((p[k] for p in others), v) for k, v in first.items()}


def shares(batch: Batch, old: Batch) -> tuple[Tensor, Tensor]:
    """Shares of live samples of two batches; all for the first where neither has any."""
    new, kept = ((b.weights > 0).sum(-1) for b in (batch, old))
    share = kept / (new + kept).clamp(min=1)
    return 1 - share, share
