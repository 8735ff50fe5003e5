"""From a layer's activation statistics to the importance of its neurons.

Every function takes mean and spread (standard deviation) of each neuron over samples, both [units],
and a small number for the denominator; it gives importances [units] that are at least 0.
Source: Kim & Lee 2021 (neuron_std); the others are the alternatives that the paper leaves open.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Normaliser = Callable[[Tensor, Tensor, float], Tensor]


def neuron_std(mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """Mean of each neuron over its own standard deviation over samples (the paper's)."""
    return mean / (spread + eps)


def layer_std(mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """Mean over the standard deviation of the means of the layer's neurons."""
    return mean / ((mean - mean.mean()).square().mean().sqrt() + eps)


def layer_std_all(mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """Mean over the standard deviation over samples and neurons of the layer together."""
    within, between = spread.square().mean(), (mean - mean.mean()).square().mean()
    return mean / ((within + between).sqrt() + eps)


def layer_mean(mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """Mean over the layer's average of it."""
    return mean / (mean.mean() + eps)


def layer_max(mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """Mean over the layer's largest."""
    return mean / (mean.max() + eps)


def layer_sum(mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """Mean over the layer's sum: without match_scale, strength must grow with the layer's width."""
    return mean / (mean.sum() + eps)


def layer_softmax(mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """Softmax of the means over the layer's neurons."""
    return mean.softmax(0)


def none(mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """The mean activation itself."""
    return mean


def normalised(rule: Normaliser, mean: Tensor, spread: Tensor, eps: float) -> Tensor:
    """Importance [units] by a rule; a neuron that never fires, or whose mean is below 0, has none."""
    # clamped first, or a negative sum would turn the signs of a whole layer
    return torch.where(mean > 0, rule(mean.clamp(min=0), spread, eps), 0.0)


def matched(layers: list[Tensor]) -> list[Tensor]:
    """Importances of all layers over one number, their mean over the whole net: strengths then compare.

    One number for the whole net: layer by layer would make most normalisations the same.
    """
    total = torch.stack([x.sum() for x in layers]).sum()
    mean = total / sum(x.shape[0] for x in layers)
    return [torch.where(mean > 0, x / mean, x) for x in layers]


NORMALISERS: dict[str, Normaliser] = {
    "neuron_std": neuron_std,
    "layer_std": layer_std,
    "layer_mean": layer_mean,
    "layer_max": layer_max,
    "layer_sum": layer_sum,
    "layer_std_all": layer_std_all,
    "layer_softmax": layer_softmax,
    "none": none,
}
