"""What is asked of a network: which number is explained, from which reference, through which layers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vjp

from nai.importance.attribution.chain import Chain
from nai.models import Gate, Network, Params

View = Callable[[Tensor, Sequence[Gate | None]], tuple[Tensor, tuple[Tensor, ...]]]
"""A network with its weights: inputs [batch, *features] and what is done to what each layer says (one gate
for each, or none at all) in; outputs [batch, outputs] and what each layer says [batch, units, *space] out."""


class Question(NamedTuple):
    """Why the outputs of `inputs` along `direction` differ from those of `reference`."""

    view: View
    inputs: Tensor  # [batch, *features]
    reference: Tensor  # of the same shape
    direction: Tensor  # [batch, outputs]: the explained number is the sum of outputs x direction
    steps: int = 32  # of a path from reference to inputs
    chain: Chain | None = None  # the same network as a chain of linear layers, where it is one

    def at(self, share: float) -> Tensor:
        """The inputs so far along the straight line from reference (0) to inputs (1)."""
        return self.reference + share * (self.inputs - self.reference)

    def explained(self, inputs: Tensor, gates: Sequence[Gate | None] = ()) -> tuple[Tensor, list[Tensor]]:
        """The explained number of each sample [batch], and what each layer says."""
        outputs, said = self.view(inputs, gates)
        return (outputs * self.direction).sum(1), list(said)

    def said(self, inputs: Tensor) -> list[Tensor]:
        """What each layer says."""
        return list(self.view(inputs, ())[1])

    def slopes(self, inputs: Tensor, like: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Derivative of the explained number by what each layer says, and what it says; like: its shapes."""

        def moved(taps: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            return self.explained(inputs, [plus(tap) for tap in taps])

        numbers, pulled, said = vjp(moved, [torch.zeros_like(x) for x in like], has_aux=True)  # type: ignore[misc]
        return pulled(torch.ones_like(numbers))[0], said


Measure = Callable[[Question], list[Tensor]]
"""A question in; of each layer, the share of every neuron [batch, units, *space] out."""


def plus(tap: Tensor) -> Gate:
    """Adds to what a layer says."""
    return lambda said: said + tap


def instead(value: Tensor) -> Gate:
    """Has a layer say something else."""
    # a copy, since what follows may write into it
    return lambda said: value.clone()


def one_hot(labels: Tensor, outputs: int, like: Tensor) -> Tensor:
    """1 at each sample's label, 0 elsewhere: [batch, outputs] of the type of `like`."""
    places = torch.arange(outputs, device=labels.device)
    return (labels[:, None] == places).to(like.dtype)


def view_of(net: Network, params: Params) -> View:
    """A network of this package with its weights; ValueError for one whose `forward` takes no gates."""
    if not net.gated:
        raise ValueError(
            f"{type(net).__name__} cannot be attributed: its forward takes no gates; "
            "see nai.Network.forward, or use importance_source 'activation'"
        )

    def view(inputs: Tensor, gates: Sequence[Gate | None]) -> tuple[Tensor, tuple[Tensor, ...]]:
        trace = net.trace(params, inputs, gates=gates or None)
        return trace.logits, trace.units

    return view
