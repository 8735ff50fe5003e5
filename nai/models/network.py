"""A network as a function of its weights: structure here, numbers in a dict of tensors."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nai.activations import ACTIVATIONS, Reproducing, activation
from nai.seeds import Draw

Params = dict[str, Tensor]
Gate = Tensor | Callable[[Tensor], Tensor]
"""Done to what a layer says: factors [units] or, for whole stacks, [replicas, units], or a function."""
Gates = Sequence[Gate | None]
"""One for each hidden layer; None: nothing is done to it."""


class Layer(NamedTuple):
    """A layer with neurons: the parameters whose first axis counts them, and the layer that feeds it."""

    name: str
    parameters: tuple[str, ...]
    units: int
    source: int | None  # index of the hidden layer it reads; None: the input, or several layers


class Trace(NamedTuple):
    """What one forward pass leaves behind; under autocast the logits alone are float32."""

    logits: Tensor  # [batch, outputs]
    inputs: tuple[Tensor, ...]  # what each weighted layer reads, head last
    units: tuple[Tensor, ...]  # what each hidden layer says, after its activation: [batch, units, *space]
    before: tuple[Tensor, ...] = ()  # and before it; of dense nets alone, whose activation is not plain


class Network(nn.Module, ABC):
    """A network without weights of its own (it lives on the meta device): call it through `trace`.

    `hidden` lists the layers with neurons in the order of `Trace.units`, `head` is the output layer.
    """

    hidden: tuple[Layer, ...]
    head: Layer
    dense = False
    """Linear layers only: per-sample algebra is exact, `trace` takes whole stacks, `gradients` is by hand."""

    activation: str = "relu"
    """Of `nai.activations`; decides how weights start."""

    revision: ClassVar[int] = 0
    """Raised by hand when a change of this network's code changes its results; part of the fingerprint."""

    added: ClassVar[frozenset[str]] = frozenset()
    """Settings that older records do not name: told only where they are not the default."""

    @abstractmethod
    def forward(
        self, inputs: Tensor, noise: Mapping[str, Tensor], taps: Sequence[Tensor] | None = None
    ) -> Trace:
        """Logits and inner values; `noise` holds dropout masks, `taps` are added to pre-activations.

        A network may take `gates: Gates | None = None` as well and hand on what each hidden layer says by
        `passed`. Without it, it works with every method that uses none; see `gated`.
        """

    @property
    def gated(self) -> bool:
        """Whether neurons can be shut one by one: `forward` takes gates."""
        return "gates" in inspect.signature(self.forward).parameters

    def trace(
        self,
        params: Params,
        inputs: Tensor,
        noise: Mapping[str, Tensor] | None = None,
        taps: Sequence[Tensor] | None = None,
        *,
        gates: Gates | None = None,
    ) -> Trace:
        """The forward pass with the given weights: [batch, *features] in.

        Parameters of other names, which a method has added, are left to the method.
        """
        own = dict(self.named_parameters())
        given = {name: value for name, value in params.items() if name in own}
        more = {} if gates is None else {"gates": gates}
        result: Trace = functional_call(self, given, (inputs, noise or {}, taps), more)
        return result

    def gradients(
        self,
        params: Params,
        inputs: Tensor,
        noise: Mapping[str, Tensor],
        slope: Callable[[Tensor], Tensor],
        *,
        out: Params | None = None,
    ) -> Params:
        """Gradient of a loss given its slope: logits in, the loss's derivative by them out.

        out: float32 tensors to write it into, where no pass is in lower precision.

        Dense nets have it written out, for one lesson or a whole stack, which spares autograd's overhead.
        """
        raise TypeError(f"{type(self).__name__} is not dense: its gradients are autograd's")

    def draws(self, batch: int) -> dict[str, Draw]:
        """Chance that each training step needs (dropout masks)."""
        return {}

    @property
    def outputs(self) -> tuple[Layer, ...]:
        """The output layers: the head, or several in a module of the user's own."""
        return (self.head,)

    def shapes(self) -> dict[str, torch.Size]:
        """Name and shape of every parameter."""
        return {name: p.shape for name, p in self.named_parameters()}

    def body(self) -> list[str]:
        """Parameters below the head."""
        return [name for name, _ in self.named_parameters() if name not in self.head.parameters]

    def draw(self, name: str, chance: torch.Generator) -> Tensor:
        """A fresh initial value: PyTorch's own default for the layer the parameter belongs to.

        Coefficients of activations start as these say, and so do weights below a SIREN's waves.
        """
        module, _, kind = name.rpartition(".")
        owner = self.get_submodule(module)
        shape = owner.get_parameter(kind).shape
        if isinstance(owner, Reproducing):
            return ACTIVATIONS[owner.name].starts[kind](shape[0], chance)
        if isinstance(owner, nn.GroupNorm):
            return torch.ones(shape) if kind == "weight" else torch.zeros(shape)
        fan_in = owner.get_parameter("weight")[0].numel()
        if kind == "weight" and ACTIVATIONS[self.activation].siren:
            return siren_weight(shape, chance, first=module == self.hidden[0].name)
        width: float = fan_in**0.5
        return (torch.rand(shape, generator=chance) * 2 - 1) / width


def siren_weight(shape: torch.Size, chance: torch.Generator | None, *, first: bool) -> Tensor:
    """A weight [units, inputs, *space] as it starts below waves; first: it reads the network's inputs.

    Source: Sitzmann, Martel, Bergman, Lindell, Wetzstein 2020, section 3.2, with their frequency, 30.
    """
    fan_in = shape[1:].numel()
    reach: float = 1 / fan_in if first else (6 / fan_in) ** 0.5 / 30
    return (torch.rand(shape, generator=chance) * 2 - 1) * reach


def activated(name: str, widths: Sequence[int]) -> nn.ModuleList:
    """The activation of each hidden layer; ValueError for an unknown name."""
    activation(name)
    return nn.ModuleList(Reproducing(name, units) for units in widths)


def parameters_of(net: nn.Module, *modules: str) -> tuple[str, ...]:
    """Names of the parameters that modules hold themselves, those of modules that do not exist left out."""
    found = [name for name, _ in net.named_parameters()]
    return tuple(name for module in modules for name in found if name.rpartition(".")[0] == module)


def keep_mask(batch: int, units: Sequence[int], dropout: float) -> Draw:
    """Draws a dropout mask [batch, *units], scaled to keep the mean."""
    return lambda chance: (torch.rand(batch, *units, generator=chance) >= dropout) / (1 - dropout)


def dropped(x: Tensor, name: str, noise: Mapping[str, Tensor]) -> Tensor:
    """With the mask of that name, or as it is where none was drawn."""
    return x * noise[name] if name in noise else x


def passed(x: Tensor, index: int, gates: Gates | None) -> Tensor:
    """What a hidden layer says, [..., batch, units, *space], times its gates, or as they change it."""
    gate = gates[index] if gates else None
    if gate is None:
        return x
    if not isinstance(gate, Tensor):
        return gate(x)
    return x * gate.view(*gate.shape[:-1], 1, gate.shape[-1], *[1] * (x.ndim - gate.ndim - 1))


def check_image(features: Sequence[int], least: int, model: str) -> Sequence[int]:
    """The features, [channels, height, width]; ValueError unless they are such and no side is too short."""
    if len(features) != 3 or min(features[1:]) < least:
        raise ValueError(
            f"{model} needs images [channels, height, width] of at least {least} pixels a side, "
            f"got features {tuple(features)}: use model mlp"
        )
    return features


def check_settings(widths: Sequence[int], **dropouts: float) -> None:
    """ValueError for widths and chances that no network can have."""
    if not widths or any(not isinstance(w, int) or w < 2 for w in widths):
        raise ValueError(f"widths {tuple(widths)} must be one or more whole numbers of at least 2")
    for name, value in dropouts.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} {value} must be at least 0 and below 1")
