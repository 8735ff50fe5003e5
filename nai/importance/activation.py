"""Mean and spread of each neuron's activation over a task."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from nai.models import Network, Params
from nai.tasks import Rows, Samples, gather

CHUNK = 512
"""Rows of one forward pass: a constant, since sums must not depend on circumstances."""


class Statistics(NamedTuple):
    """Of one layer: [units] each."""

    mean: Tensor
    spread: Tensor


Moments = tuple[Tensor, Tensor, Tensor]
"""Weight [], mean [units] and sum of squared distances from it [units] of some samples."""


def gap(maps: Tensor) -> Tensor:
    """Global average: [batch, units, *space] to [batch, units]."""
    return maps.mean(tuple(range(2, maps.ndim)))


def largest(maps: Tensor) -> Tensor:
    """Largest value of each map."""
    return maps.flatten(2).amax(2)


def spatial_l2(maps: Tensor) -> Tensor:
    """Euclidean norm of each map."""
    return maps.flatten(2).square().sum(2).sqrt()


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {"gap": gap, "max": largest, "spatial_l2": spatial_l2}


def mean(units: Tensor) -> Tensor:
    """The activation itself (paper: after ReLU, so at least 0)."""
    return units


def mean_abs(units: Tensor) -> Tensor:
    """Its size, for activations that may be negative."""
    return units.abs()


STATISTICS: dict[str, Callable[[Tensor], Tensor]] = {"mean": mean, "mean_abs": mean_abs}


def activation_statistics(
    net: Network, params: Params, rows: Rows, source: Samples, *, pooling: str = "gap", stat: str = "mean"
) -> list[Statistics]:
    """Mean and standard deviation (over samples) of every hidden neuron, one forward pass over the rows.

    Streaming: chunks are merged by the update of Chan, Golub, LeVeque 1983, so memory does not grow with
    the task. rows: indices [rows] with weights that sum to 1, 0 for padding.
    Source: Kim & Lee 2021, section 3.1 (importance of a neuron); convolutions by global average pooling.
    """
    state: list[Moments] = []
    for at in range(0, rows.indices.shape[0], CHUNK):
        part = Rows(rows.indices[at : at + CHUNK], rows.weights[at : at + CHUNK])
        maps = net.trace(params, gather(source, part).inputs).units
        pooled = [STATISTICS[stat](POOLINGS[pooling](x) if x.ndim > 2 else x) for x in maps]
        new = [moments(x, part.weights) for x in pooled]
        state = [merged(a, b) for a, b in zip(state, new, strict=True)] if state else new
    return [statistics(x) for x in state]


def statistics(state: Moments) -> Statistics:
    """Mean and standard deviation from moments."""
    weight, average, squares = state
    return Statistics(average, (squares / weight.clamp(min=1e-12)).sqrt())


def moments(x: Tensor, weights: Tensor) -> Moments:
    """Of activations [samples, units], each sample with its weight [samples]."""
    weight = weights.sum()
    average = (x * weights[:, None]).sum(0) / weight.clamp(min=1e-12)
    return weight, average, ((x - average).square() * weights[:, None]).sum(0)


def merged(a: Moments, b: Moments) -> Moments:
    """Moments of two parts together."""
    weight = a[0] + b[0]
    share, apart = b[0] / weight.clamp(min=1e-12), b[1] - a[1]
    return weight, a[1] + apart * share, a[2] + b[2] + apart.square() * a[0] * share


def shuffled(layers: list[Tensor], orders: list[Tensor]) -> list[Tensor]:
    """The random control: the same importances on other neurons of the same layer."""
    return [torch.index_select(x, 0, order) for x, order in zip(layers, orders, strict=True)]
