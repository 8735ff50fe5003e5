"""Logits beside the samples of a buffer: `logits` [size, outputs], as they were when the samples went in."""

from functools import partial

import torch
from torch import Tensor

from nai.methods import buffers
from nai.methods.base import Context, Memory, mask_of
from nai.methods.replay import Replayed, Store, by_slot, gradients_by, weighed
from nai.models import Network, Params
from nai.tasks import Batch, Rows, gather


def empty(size: int, heads: Tensor) -> Memory:
    """A buffer without samples."""
    logits = torch.zeros(size, heads.shape[-1], device=heads.device)
    return buffers.empty(size, heads.device) | {"logits": logits}


def after_step(store: Store, params: Params, memory: Memory, context: Context) -> Memory:
    """The buffer after a step's batch was shown, with the logits of those that went in."""
    found = store.after_step(memory, context)
    if found is None:
        return memory
    logits = context.net.trace(params, gather(context.source, context.rows).inputs).logits
    fresh = logits[(found[1] - store.size).clamp(min=0)]
    return found[0] | {"logits": buffers.carried(*found, memory["logits"], fresh)}


def after_task(store: Store, params: Params, rows: Rows, memory: Memory, *, context: Context) -> Memory:
    """The buffer after a whole task was shown, with the logits of those that went in."""
    found = store.after_task(memory, rows, context)
    if found is None:
        return memory
    # one forward pass for the slots, not one for the whole task
    fresh = by_slot(found[0], context, lambda inputs: context.net.trace(params, inputs).logits)
    return found[0] | {"logits": buffers.carried(*found, memory["logits"], fresh)}


def slope(logits: Tensor, batch: Batch, goal: Tensor, context: Context) -> Tensor:
    """Derivative of the weighted mean of squared distances of logits [batch, outputs] in use from a goal."""
    used = mask_of(batch, context)
    apart = torch.where(used, logits - goal, 0.0)
    return 2 * apart * (batch.weights / used.sum(-1))[..., None]


def gradients(
    net: Network, params: Params, old: Replayed, memory: Memory, *, alpha: float | Tensor, context: Context
) -> Params:
    """Gradient of alpha x the mean squared distance of replayed samples' logits from those stored."""
    batch, goal = weighed(old.batch, alpha), at(memory["logits"], old.places)
    own = partial(slope, batch=batch, goal=goal, context=context)
    return gradients_by(net, params, batch.inputs, own, noise=old.noise)


def at(stored: Tensor, places: Tensor) -> Tensor:
    """What is stored in slots [..., size, n] at places [..., batch], for one lesson or a whole stack."""
    return stored.gather(-2, places[..., None].expand(*places.shape, stored.shape[-1]))
