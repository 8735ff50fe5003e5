"""How much each neuron contributes to the answers of a task: attribution as importance."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nai.importance.activation import Moments, Statistics, merged, moments, statistics
from nai.importance.attribution.chain import NEEDED, chain_of
from nai.importance.attribution.measures import MEASURES
from nai.importance.attribution.question import Question, View, one_hot, view_of
from nai.models import Mlp, Network, Params
from nai.tasks import Batch, Rows, Samples, gather

CHUNK = 128
"""Samples of one pass: a constant, since sums must not depend on circumstances, and few enough for
what `nai.footprint` foretells of activations."""
TARGETS = ("true", "predicted", "contrast")
BASELINES = ("zeros", "mean")


class Asked(NamedTuple):
    """How a task is asked about.

    target: logit of the sample's label (true), of the net's answer (predicted), or of the label less the mean
    of all outputs in use (contrast). baseline: a path's start: 0, or the mean of the task's inputs.
    samples: at most so many, evenly from the task's.
    """

    measure: str
    steps: int
    target: str
    baseline: str
    samples: int


def attribution_statistics(
    net: Network,
    params: Params,
    rows: Rows,
    source: Samples,
    *,
    asked: Asked,
    mask: Callable[[Batch], Tensor],
) -> list[Statistics]:
    """Mean and standard deviation (over samples) of the size of each hidden neuron's share.

    Shares of a map are summed over its places first. mask: outputs in use of each sample, [batch, outputs].
    """
    rows, state = thinned(rows, asked.samples), list[Moments]()
    view, measure = view_of(net, params), MEASURES[asked.measure]
    start = _mean(rows, source) if asked.baseline == "mean" else None
    for at in range(0, rows.indices.shape[0], CHUNK):
        batch = gather(source, Rows(rows.indices[at : at + CHUNK], rows.weights[at : at + CHUNK]))
        reference = torch.zeros_like(batch.inputs) if start is None else start.expand_as(batch.inputs)
        direction = directed(asked.target, batch, mask(batch), view)
        shares = measure(
            Question(view, batch.inputs, reference, direction, asked.steps, chain_of(net, params))
        )
        sizes = [x.flatten(2).sum(2).abs() if x.ndim > 2 else x.abs() for x in shares]
        new = [moments(x, batch.weights) for x in sizes]
        state = [merged(a, b) for a, b in zip(state, new, strict=True)] if state else new
    return [statistics(x) for x in state]


def suited(net: Network, measure: str) -> None:
    """ValueError for a network that cannot be asked by a measure of MEASURES, with the way out."""
    view_of(net, {})
    if measure == "deeplift_reveal" and not isinstance(net, Mlp):
        raise ValueError(NEEDED.format(type(net).__name__))
    norms = [name for name, module in net.named_modules() if isinstance(module, nn.GroupNorm | nn.LayerNorm)]
    if measure == "deeplift" and norms:
        raise ValueError(
            f"deeplift has no rule for the norms of {type(net).__name__} ({norms[0]}, ...): "
            "use conductance or hidden_ig, which need none"
        )


def thinned(rows: Rows, most: int) -> Rows:
    """At most so many of the samples, evenly spaced, with equal weights; padded to a multiple of 32."""
    size = -(-most // 32) * 32
    if rows.indices.shape[0] <= size:
        return rows
    live = (rows.weights > 0).sum()  # they come first
    place = torch.arange(size, device=rows.indices.device)
    picks, before = ((p * live).div(most, rounding_mode="floor") for p in (place, place - 1))
    new = ((picks > before) & (place < most)).to(rows.weights.dtype)
    picks = picks.clamp(max=rows.indices.shape[0] - 1)
    return Rows(torch.index_select(rows.indices, 0, picks), new / new.sum())


def directed(target: str, batch: Batch, used: Tensor, view: View) -> Tensor:
    """The explained number of each sample as weights of its outputs; both as `used`, [batch, outputs]."""
    labels = batch.labels
    if target == "predicted":
        labels = view(batch.inputs, ())[0].masked_fill(~used, -torch.inf).argmax(1)
    own = one_hot(labels, used.shape[1], batch.inputs)
    if target != "contrast":
        return own
    shares = used.to(own.dtype)
    return own - shares / shares.sum(1, keepdim=True)


def _mean(rows: Rows, source: Samples) -> Tensor:
    """Mean of the inputs, [1, *features]."""
    total: Tensor | None = None
    for at in range(0, rows.indices.shape[0], CHUNK):
        batch = gather(source, Rows(rows.indices[at : at + CHUNK], rows.weights[at : at + CHUNK]))
        weights = batch.weights.view(-1, *[1] * (batch.inputs.ndim - 1))
        part = (batch.inputs * weights).sum(0, keepdim=True)
        total = part if total is None else total + part
    assert total is not None
    return total
