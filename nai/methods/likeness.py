"""How alike the gradients of single samples are."""

import torch
from torch import Tensor
from torch.func import grad, vjp, vmap

from nai.methods.base import Context, cross_entropy, cross_entropy_slope
from nai.models import Network, Params
from nai.tasks import Batch, Rows, gather

NOTHING = 0.1
"""Likeness of a sample to no others at all, as in the authors' code of GSS."""
LEAST = 1e-30
"""Stands in for the length of a gradient of 0."""


def likeness(params: Params, rows: Rows, subset: Rows, context: Context) -> Tensor:
    """The largest cosine between each row's gradient and those of a subset, in -1..1, [rows]."""
    both = Rows(*(torch.cat(parts) for parts in zip(rows, subset, strict=True)))
    products = gradient_products(context.net, params, gather(context.source, both), context)
    length = products.diagonal().clamp(min=LEAST).sqrt()
    cosines = (products / length[:, None] / length)[: len(rows.indices), len(rows.indices) :]
    live = subset.weights > 0
    closest = torch.where(live, cosines, -1.0).amax(1).clamp(-1, 1)
    return torch.where(live.any(), closest, NOTHING)


def gradient_products(net: Network, params: Params, batch: Batch, context: Context) -> Tensor:
    """Inner products of the gradients of each two samples' losses, [batch, batch]."""
    batch = batch._replace(weights=torch.ones_like(batch.weights))
    if not net.dense:
        return _products_by_vmap(net, params, batch, context)
    layers = (*net.hidden, net.head)
    taps = [batch.inputs.new_zeros(len(batch.labels), layer.units) for layer in layers]

    def logits_of(taps: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        trace = net.trace(params, batch.inputs, taps=taps)
        return trace.logits, trace.inputs

    logits, pulled, reads = vjp(logits_of, taps, has_aux=True)  # type: ignore[misc]
    slopes = pulled(cross_entropy_slope(logits, batch, context))[0]
    # a sample's gradient is an outer product, of what its layer was told from above and what it reads, and 1
    return torch.stack([(s @ s.mT) * (r @ r.mT + 1) for s, r in zip(slopes, reads, strict=True)]).sum(0)


def _products_by_vmap(net: Network, params: Params, batch: Batch, context: Context) -> Tensor:
    def loss(p: Params, one: Batch) -> Tensor:
        single = Batch(*(v[None] for v in one))
        return cross_entropy(net.trace(p, single.inputs).logits, single, context)

    gradients = vmap(grad(loss), in_dims=(None, 0))(params, batch)
    return torch.stack([g.flatten(1) @ g.flatten(1).mT for g in gradients.values()]).sum(0)
