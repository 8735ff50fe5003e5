"""A residual network without batch statistics."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nai.activations import Reproducing
from nai.models.network import Gates, Layer, Network, Trace, activated, check_image, parameters_of, passed


class Block(nn.Module):
    """A residual block of two 3x3 convolutions, each with a group norm and an activation."""

    def __init__(
        self, channels: int, width: int, stride: int, groups: int, *, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, width)
        same = channels == width and stride == 1
        self.short = None if same else nn.Conv2d(channels, width, 1, stride, bias=False)
        self.said1, self.said2 = Reproducing(activation, width), Reproducing(activation, width)

    def forward(self, x: Tensor, index: int, gates: Gates | None) -> tuple[Tensor, Tensor]:
        inner = self.said1(self.norm1(self.conv1(x)))
        short = x if self.short is None else self.short(x)
        return inner, self.said2(self.norm2(self.conv2(passed(inner, index, gates))) + short)


class ResNet18(Network):
    """ResNet-18 with a 3x3 stem for small images, group norm in place of batch norm.

    Source: He, Zhang, Ren, Sun 2016. Deviation: group norm, because batch statistics tie a sample's
    result to its batch (padding rows included) and drift with the order of the tasks.
    """

    added = frozenset({"activation"})

    def __init__(
        self,
        features: Sequence[int],
        outputs: int,
        width: int = 64,
        groups: int = 4,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if width < 1 or width % groups:
            raise ValueError(f"resnet18: width {width} is not a multiple of its {groups} norm groups")
        channels, *_ = check_image(features, 8, "resnet18")
        widths = [width * 2**i for i in range(4) for _ in range(2)]
        sizes = [width, *widths]
        with torch.device("meta"):
            self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            self.norm = nn.GroupNorm(groups, width)
            self.activations = activated(activation, [width])
            self.blocks = nn.ModuleList(
                Block(a, b, 2 if i in (2, 4, 6) else 1, groups, activation=activation)
                for i, (a, b) in enumerate(pairwise(sizes))
            )
            self.out = nn.Linear(widths[-1], outputs)
        self.hidden = (
            _owned(self, "stem", ("stem", "norm", "activations.0"), width),
            *self._block_layers(widths),
        )
        self.head = _owned(self, "out", ("out",), outputs)
        self.activation, self.features = activation, tuple(features)

    def _block_layers(self, widths: Sequence[int]) -> list[Layer]:
        layers = []
        for i, units in enumerate(widths):
            at = f"blocks.{i}"
            layers.append(_owned(self, f"{at}.conv1", (f"{at}.conv1", f"{at}.norm1", f"{at}.said1"), units))
            # the shortcut ends in the same neurons as the second convolution
            ends = (f"{at}.conv2", f"{at}.norm2", f"{at}.short", f"{at}.said2")
            layers.append(_owned(self, f"{at}.conv2", ends, units))
        return layers

    def forward(
        self,
        inputs: Tensor,
        noise: Mapping[str, Tensor],
        taps: Sequence[Tensor] | None = None,
        gates: Gates | None = None,
    ) -> Trace:
        x = self.activations[0](self.norm(self.stem(inputs)))
        said = [x]
        for i, block in enumerate(self.blocks):
            inner, x = block(passed(x, 2 * i, gates), 2 * i + 1, gates)
            said += [inner, x]
        x = passed(x, -1, gates)
        x = x.mean((-2, -1))
        return Trace(self.out(x).float(), (inputs, x), tuple(said))


def _owned(net: nn.Module, name: str, modules: Sequence[str], units: int) -> Layer:
    return Layer(name, parameters_of(net, *modules), units, None)
