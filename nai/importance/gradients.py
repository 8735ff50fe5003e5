"""Per-sample gradients, squared (Fisher information) or in size (MAS), summed over a task.

Two ways to the same numbers: exact algebra for nets of linear layers (a sample's weight gradient is an outer
product, so its square is the outer product of squares) and `vmap` of `grad` for all others.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.func import grad, vjp, vmap

from nai.activations import activation
from nai.models import Network, Params, Trace
from nai.tasks import Batch, Rows, Samples, gather

CHUNK = 256
"""Samples of one pass through linear layers."""
CHUNK_SCORES = 512
"""The same for several scores: more would be faster, and stacks outgrow what `nai.footprint` foretells."""
CHUNK_VMAP = 32
"""Samples of one vmapped pass: each carries a gradient of the whole net."""

Score = Callable[[Tensor, Batch], tuple[Tensor, Tensor]]
"""Logits [batch, outputs] and batch in; what to differentiate and each sample's weight out, both [batch]."""
Power = Callable[[Tensor], Tensor]


def square(x: Tensor) -> Tensor:
    """For the Fisher information."""
    return x * x


def size(x: Tensor) -> Tensor:
    """For memory aware synapses."""
    return x.abs()


def per_sample(
    net: Network,
    params: Params,
    rows: Rows,
    source: Samples,
    *,
    score: Score,
    power: Power,
    labels: Tensor | None = None,
) -> Params:
    """Sum over rows of weight x power(gradient of the sample's score), the shape of each parameter.

    rows: weights that sum to 1 give a mean over samples. labels: [rows], in place of the data's.
    """
    return over_scores(net, params, rows, source, scores=(score,), power=power, labels=labels)


def over_scores(
    net: Network,
    params: Params,
    rows: Rows,
    source: Samples,
    *,
    scores: Sequence[Score],
    power: Power,
    labels: Tensor | None = None,
) -> Params:
    """`per_sample` summed over several scores, at little more than the cost of one for dense nets."""
    dense = CHUNK_SCORES if len(scores) > 1 else CHUNK
    way, chunk = (_by_algebra, dense) if net.dense else (_scores_by_vmap, CHUNK_VMAP)
    total: Params = {}
    for at in range(0, rows.indices.shape[0], chunk):
        batch = gather(source, Rows(rows.indices[at : at + chunk], rows.weights[at : at + chunk]))
        batch = batch if labels is None else batch._replace(labels=labels[at : at + chunk])
        total = _plus(total, way(net, params, batch, scores, power))
    return total


def _plus(total: Params, part: Params) -> Params:
    return {k: total[k].add_(v) if k in total else v for k, v in part.items()}


def _by_algebra(net: Network, params: Params, batch: Batch, scores: Sequence[Score], power: Power) -> Params:
    """One forward pass and one product a layer serve all scores, which share what the layers read."""
    layers, rule, rows = (*net.hidden, net.head), activation(net.activation), batch.inputs.shape[0]
    taps = [batch.inputs.new_zeros(rows, layer.units) for layer in layers]
    lifts = [torch.zeros_like(tap) for tap in taps[:-1]] if rule.starts else []

    def logits_of(taps: list[Tensor], lifts: list[Tensor]) -> tuple[Tensor, Trace]:
        trace = net.trace(params, batch.inputs, taps=taps, gates=[partial(torch.add, x) for x in lifts])
        return trace.logits, trace

    logits, pulled, trace = vjp(logits_of, taps, lifts, has_aux=True)  # type: ignore[misc]
    scaled: list[Tensor] = []
    found: Params = {}
    for score in scores:
        slope, weights = grad(partial(_summed, score), has_aux=True)(logits, batch)
        outs, aboves = pulled(slope)
        factor = (weights * batch.weights)[:, None]
        parts = [power(out) * factor for out in outs]
        scaled = [a.add_(b) for a, b in zip(scaled, parts, strict=True)] if scaled else parts
        found = _plus(found, _of_coefficients(net, params, trace, aboves, factor=factor, power=power))
    for layer, out, read in zip(layers, scaled, trace.inputs, strict=True):
        weight, bias, *_ = layer.parameters
        found[weight], found[bias] = out.mT @ power(read), out.sum(0)
    return found


def _of_coefficients(
    net: Network, params: Params, trace: Trace, aboves: Sequence[Tensor], *, factor: Tensor, power: Power
) -> Params:
    """What the coefficients of activations have for a sum, of gradients by what each layer says."""
    found: Params = {}
    for layer, above, before, said in zip(net.hidden, aboves, trace.before, trace.units, strict=False):
        names = layer.parameters[2:]
        own = (params[name][None] for name in names)
        _, parts = activation(net.activation).back(above, before, said, *own)
        found |= {k: (power(part) * factor).sum(0) for k, part in zip(names, parts, strict=True)}
    return found


def _summed(score: Score, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    scores, weights = score(logits, batch)
    return scores.sum(), weights


def _scores_by_vmap(
    net: Network, params: Params, batch: Batch, scores: Sequence[Score], power: Power
) -> Params:
    total: Params = {}
    for score in scores:
        total = _plus(total, by_vmap(net, params, batch, score, power))
    return total


def by_vmap(net: Network, params: Params, batch: Batch, score: Score, power: Power) -> Params:
    """Sum over a batch, for any network: each sample carries a gradient of the whole net."""

    def value(p: Params, one: Batch) -> tuple[Tensor, Tensor]:
        single = Batch(*(x[None] for x in one))
        scores, weights = score(net.trace(p, single.inputs).logits, single)
        return scores[0], weights[0]

    gradients, weights = vmap(grad(value, has_aux=True), in_dims=(None, 0))(params, batch)
    factor = weights * batch.weights
    return {k: (power(g) * factor.view(-1, *[1] * (g.ndim - 1))).sum(0) for k, g in gradients.items()}


def likelihood(mask: Callable[[Batch], Tensor]) -> Score:
    """Log-likelihood of the batch's labels within the outputs in use; weight 1."""

    def score(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        logp = logits.masked_fill(~mask(batch), -torch.inf).log_softmax(1)
        return logp.gather(1, batch.labels[:, None])[:, 0], torch.ones_like(batch.weights)

    return score


def expected_likelihood(label: Tensor, mask: Callable[[Batch], Tensor]) -> Score:
    """Log-likelihood of one label [] for every sample; weight: the net's own probability of it."""

    def score(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        allowed = mask(batch).gather(1, label.expand(batch.labels.shape)[:, None])[:, 0]
        logp = logits.masked_fill(~mask(batch), -torch.inf).log_softmax(1)
        own = logp.gather(1, label.expand(batch.labels.shape)[:, None])[:, 0]
        own = torch.where(allowed, own, 0.0)
        return own, torch.where(allowed, own.detach().exp(), 0.0)

    return score


def output_norm(mask: Callable[[Batch], Tensor]) -> Score:
    """Squared length of the logits in use; weight 1."""

    def score(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return logits.masked_fill(~mask(batch), 0.0).square().sum(1), torch.ones_like(batch.weights)

    return score
