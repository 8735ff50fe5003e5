"""Networks as functions of their weights: structure here, numbers in a dict of tensors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from nai.seeds import Draw

Params = dict[str, Tensor]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
}
"""Only functions whose vector and scalar code round alike, so that a result never depends on its stack."""
SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda above, said: torch.ops.aten.threshold_backward(above, said, 0),
    "leaky_relu": lambda above, said: above * torch.where(said > 0, 1.0, 0.01),
    "tanh": lambda above, said: above * (1 - said * said),
}
"""The gradient below each activation, from the gradient above it and what it said."""


class Layer(NamedTuple):
    """A layer with neurons: the parameters whose first axis counts them, and the layer that feeds it."""

    name: str
    parameters: tuple[str, ...]
    units: int
    source: int | None  # index of the hidden layer it reads; None: the input, or several layers


class Trace(NamedTuple):
    """What one forward pass leaves behind."""

    logits: Tensor  # [batch, outputs]
    inputs: tuple[Tensor, ...]  # what each weighted layer reads, head last
    units: tuple[Tensor, ...]  # what each hidden layer says, after its activation: [batch, units, *space]


class Network(nn.Module, ABC):
    """A network without weights of its own (it lives on the meta device): call it through `trace`.

    `hidden` lists the layers with neurons in the order of `Trace.units`, `head` is the output layer.
    """

    hidden: tuple[Layer, ...]
    head: Layer
    dense = False
    """Linear layers only: per-sample algebra is exact, `trace` takes whole stacks, `gradients` is by hand."""

    @abstractmethod
    def forward(
        self, inputs: Tensor, noise: Mapping[str, Tensor], taps: Sequence[Tensor] | None = None
    ) -> Trace:
        """Logits and inner values; `noise` holds dropout masks, `taps` are added to pre-activations."""

    def trace(
        self,
        params: Params,
        inputs: Tensor,
        noise: Mapping[str, Tensor] | None = None,
        taps: Sequence[Tensor] | None = None,
    ) -> Trace:
        """The forward pass with the given weights: [batch, *features] in."""
        result: Trace = functional_call(self, params, (inputs, noise or {}, taps))
        return result

    def gradients(
        self, params: Params, inputs: Tensor, noise: Mapping[str, Tensor], slope: Callable[[Tensor], Tensor]
    ) -> Params:
        """Gradient of a loss given its slope: logits in, the loss's derivative by them out.

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
        """A fresh initial value: PyTorch's own default for the layer the parameter belongs to."""
        module, _, kind = name.rpartition(".")
        owner = self.get_submodule(module)
        shape = owner.get_parameter(kind).shape
        if isinstance(owner, nn.GroupNorm):
            return torch.ones(shape) if kind == "weight" else torch.zeros(shape)
        fan_in = owner.get_parameter("weight")[0].numel()
        width: float = fan_in**0.5
        return (torch.rand(shape, generator=chance) * 2 - 1) / width


def keep_mask(batch: int, units: Sequence[int], dropout: float) -> Draw:
    """Draws a dropout mask [batch, *units], scaled to keep the mean."""
    return lambda chance: (torch.rand(batch, *units, generator=chance) >= dropout) / (1 - dropout)


def _drop(x: Tensor, name: str, noise: Mapping[str, Tensor]) -> Tensor:
    return x * noise[name] if name in noise else x


class Mlp(Network):
    """A multi-layer perceptron on flattened inputs.

    widths: units of each hidden layer. dropout: share of hidden units dropped while training.
    """

    dense = True

    def __init__(
        self,
        features: Sequence[int],
        outputs: int,
        widths: Sequence[int] = (100, 100),
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check(widths=widths, activation=activation, dropout=dropout)
        sizes = [torch.Size(features).numel(), *widths, outputs]
        with torch.device("meta"):
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        layers = [
            Layer(f"layers.{i}", (f"layers.{i}.weight", f"layers.{i}.bias"), n, i - 1 if i else None)
            for i, n in enumerate(sizes[1:])
        ]
        self.hidden, self.head, self.features = tuple(layers[:-1]), layers[-1], tuple(features)
        self.activation, self.dropout = activation, dropout

    def draws(self, batch: int) -> dict[str, Draw]:
        if not self.dropout:
            return {}
        return {
            f"dropout.{i}": keep_mask(batch, (layer.units,), self.dropout)
            for i, layer in enumerate(self.hidden)
        }

    def forward(
        self, inputs: Tensor, noise: Mapping[str, Tensor], taps: Sequence[Tensor] | None = None
    ) -> Trace:
        return self.trace(dict(self.named_parameters()), inputs, noise, taps)

    def trace(
        self,
        params: Params,
        inputs: Tensor,
        noise: Mapping[str, Tensor] | None = None,
        taps: Sequence[Tensor] | None = None,
    ) -> Trace:
        """The forward pass; given whole stacks, [replicas, ...] each, it is that of every replica."""
        x, read, said = inputs.flatten(-len(self.features)), [], []
        for i, layer in enumerate((*self.hidden, self.head)):
            weight, bias = layer.parameters
            read.append(x)
            x = affine(x, params[weight], params[bias])
            x = x if taps is None else x + taps[i]
            if i < len(self.hidden):
                x = ACTIVATIONS[self.activation](x)
                said.append(x)
                x = _drop(x, f"dropout.{i}", noise or {})
        return Trace(x, tuple(read), tuple(said))

    def gradients(
        self, params: Params, inputs: Tensor, noise: Mapping[str, Tensor], slope: Callable[[Tensor], Tensor]
    ) -> Params:
        trace = self.trace(params, inputs, noise)
        below, found = slope(trace.logits), {}
        for i in reversed(range(len(trace.inputs))):
            weight, bias = (*self.hidden, self.head)[i].parameters
            found[weight], found[bias] = below.mT @ trace.inputs[i], below.sum(-2)
            if i:
                below = _drop(below @ params[weight], f"dropout.{i - 1}", noise)
                below = SLOPES[self.activation](below, trace.units[i - 1])
        return found


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer, or one for each replica of a stack."""
    return F.linear(x, weight, bias) if weight.ndim == 2 else torch.baddbmm(bias[:, None], x, weight.mT)


class ConvNet(Network):
    """Six 3x3 convolutions in three pooled pairs, one dense layer, the head.

    Source: Jung, Ahn, Cha, Moon 2020 (AGS-CL), network `conv_net`: widths 32, 64, 128, dense 256,
    dropout 0.25 after each pair and 0.5 after the dense layer, no normalisation.
    """

    def __init__(
        self,
        features: Sequence[int],
        outputs: int,
        widths: Sequence[int] = (32, 64, 128),
        dense_units: int = 256,
        dropout: float = 0.25,
        dropout_dense: float = 0.5,
    ) -> None:
        super().__init__()
        _check(widths=widths, dropout=dropout, dropout_dense=dropout_dense)
        channels, *space = _image(features, 2 ** len(widths), "conv")
        self.space = [[n // 2 ** (i + 1) for n in space] for i in range(len(widths))]
        sizes = [channels, *(w for width in widths for w in (width, width))]
        flat = widths[-1] * torch.Size(self.space[-1]).numel()
        with torch.device("meta"):
            self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
            self.dense_layer = nn.Linear(flat, dense_units)
            self.out = nn.Linear(dense_units, outputs)
        names = [f"convs.{i}" for i in range(len(self.convs))] + ["dense_layer", "out"]
        units = [*sizes[1:], dense_units, outputs]
        layers = [
            Layer(n, (f"{n}.weight", f"{n}.bias"), u, i - 1 if i else None)
            for i, (n, u) in enumerate(zip(names, units, strict=True))
        ]
        self.hidden, self.head = tuple(layers[:-1]), layers[-1]
        self.dropout, self.dropout_dense = dropout, dropout_dense

    def draws(self, batch: int) -> dict[str, Draw]:
        masks = {}
        for i, space in enumerate(self.space if self.dropout else []):
            masks[f"dropout.{i}"] = keep_mask(batch, (self.hidden[2 * i + 1].units, *space), self.dropout)
        if self.dropout_dense:
            masks["dropout.dense"] = keep_mask(batch, (self.hidden[-1].units,), self.dropout_dense)
        return masks

    def forward(
        self, inputs: Tensor, noise: Mapping[str, Tensor], taps: Sequence[Tensor] | None = None
    ) -> Trace:
        x, read, said = inputs, [], []
        for i, conv in enumerate(self.convs):
            read.append(x)
            x = torch.relu(conv(x))
            said.append(x)
            if i % 2:
                x = _drop(F.max_pool2d(x, 2), f"dropout.{i // 2}", noise)
        read.append(x.flatten(1))
        x = torch.relu(self.dense_layer(read[-1]))
        said.append(x)
        read.append(_drop(x, "dropout.dense", noise))
        return Trace(self.out(read[-1]), tuple(read), tuple(said))


class Block(nn.Module):
    """A residual block of two 3x3 convolutions, each with a group norm."""

    def __init__(self, channels: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, width)
        same = channels == width and stride == 1
        self.short = None if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inner = torch.relu(self.norm1(self.conv1(x)))
        short = x if self.short is None else self.short(x)
        return inner, torch.relu(self.norm2(self.conv2(inner)) + short)


class ResNet18(Network):
    """ResNet-18 with a 3x3 stem for small images, group norm in place of batch norm.

    Source: He, Zhang, Ren, Sun 2016. Deviation: group norm, because batch statistics tie a sample's
    result to its batch (padding rows included) and drift with the order of the tasks.
    """

    def __init__(self, features: Sequence[int], outputs: int, width: int = 64, groups: int = 4) -> None:
        super().__init__()
        if width < 1 or width % groups:
            raise ValueError(f"resnet18: width {width} is not a multiple of its {groups} norm groups")
        channels, *_ = _image(features, 8, "resnet18")
        widths = [width * 2**i for i in range(4) for _ in range(2)]
        sizes = [width, *widths]
        with torch.device("meta"):
            self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            self.norm = nn.GroupNorm(groups, width)
            self.blocks = nn.ModuleList(
                Block(a, b, 2 if i in (2, 4, 6) else 1, groups) for i, (a, b) in enumerate(pairwise(sizes))
            )
            self.out = nn.Linear(widths[-1], outputs)
        self.hidden = (_owned(self, "stem", ("stem", "norm"), width), *self._block_layers(widths))
        self.head = _owned(self, "out", ("out",), outputs)

    def _block_layers(self, widths: Sequence[int]) -> list[Layer]:
        layers = []
        for i, units in enumerate(widths):
            at = f"blocks.{i}"
            layers.append(_owned(self, f"{at}.conv1", (f"{at}.conv1", f"{at}.norm1"), units))
            # the shortcut ends in the same neurons as the second convolution
            ends = (f"{at}.conv2", f"{at}.norm2", f"{at}.short")
            layers.append(_owned(self, f"{at}.conv2", ends, units))
        return layers

    def forward(
        self, inputs: Tensor, noise: Mapping[str, Tensor], taps: Sequence[Tensor] | None = None
    ) -> Trace:
        x = torch.relu(self.norm(self.stem(inputs)))
        said = [x]
        for block in self.blocks:
            inner, x = block(x)
            said += [inner, x]
        x = x.mean((-2, -1))
        return Trace(self.out(x), (inputs, x), tuple(said))


def _owned(net: nn.Module, name: str, modules: Sequence[str], units: int) -> Layer:
    names = [n for n, _ in net.named_parameters() if n.rpartition(".")[0] in modules]
    return Layer(name, tuple(names), units, None)


def _image(features: Sequence[int], least: int, model: str) -> Sequence[int]:
    if len(features) != 3 or min(features[1:]) < least:
        raise ValueError(
            f"{model} needs images [channels, height, width] of at least {least} pixels a side, "
            f"got features {tuple(features)}: use model mlp"
        )
    return features


def _check(widths: Sequence[int], activation: str = "relu", **dropouts: float) -> None:
    if not widths or any(not isinstance(w, int) or w < 2 for w in widths):
        raise ValueError(f"widths {tuple(widths)} must be one or more whole numbers of at least 2")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is unknown: known are {', '.join(ACTIVATIONS)}")
    for name, value in dropouts.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} {value} must be at least 0 and below 1")


MODELS: dict[str, type[Network]] = {"mlp": Mlp, "conv": ConvNet, "resnet18": ResNet18}
