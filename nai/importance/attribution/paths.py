"""Attribution to hidden neurons by gradients, at one place or along a path."""

import torch
from torch import Tensor
from torch.func import vjp

from nai.importance.attribution.question import Question, instead


def conductance(question: Question) -> list[Tensor]:
    """Total conductance: a neuron's slope times its own steps, summed while the inputs go their way.

    Midpoint rule: slopes in the middle of each step, so the error is half of that at its ends. The shares of
    a layer that all paths cross sum to the difference of the explained number.
    Source: Dhamdhere, Sundararajan, Yan 2018; as path-integrated gradients: Shrikumar, Su, Kundaje 2018.
    """
    before = question.said(question.reference)
    shares = [torch.zeros_like(x) for x in before]
    for step in range(question.steps):
        share = (step + 1) / question.steps
        after = question.said(question.at(share) if share < 1 else question.inputs)
        slopes, _ = question.slopes(question.at((step + 0.5) / question.steps), after)
        shares = [s + g * (b - a) for s, g, a, b in zip(shares, slopes, before, after, strict=True)]
        before = after
    return shares


def hidden_ig(question: Question) -> list[Tensor]:
    """Integrated gradients of a hidden layer along the straight line between its own two values.

    Each layer has a line of its own, so the passes are as many as steps times layers. Midpoint rule.
    Source: Sundararajan, Taly, Yan 2017, with the layer in place of the inputs.
    """
    starts, ends = question.said(question.reference), question.said(question.inputs)
    shares = []
    for layer, (start, end) in enumerate(zip(starts, ends, strict=True)):
        total = torch.zeros_like(end)
        for step in range(question.steps):
            value = start + (step + 0.5) / question.steps * (end - start)
            total = total + _slope(question, value, layer, len(ends))
        shares.append(total / question.steps * (end - start))
    return shares


def _slope(question: Question, value: Tensor, layer: int, layers: int) -> Tensor:
    """Derivative of the explained number by what one of the layers is made to say."""

    def number(value: Tensor) -> Tensor:
        gates = [instead(value) if i == layer else None for i in range(layers)]
        return question.explained(question.inputs, gates)[0]

    numbers, pulled = vjp(number, value)  # type: ignore[misc]
    slope: Tensor = pulled(torch.ones_like(numbers))[0]
    return slope


def gradient_x_activation(question: Question) -> list[Tensor]:
    """What a neuron says times the slope by it: the explained number's change to first order without it."""
    slopes, said = question.slopes(question.inputs, question.said(question.inputs))
    return [g * x for g, x in zip(slopes, said, strict=True)]
