"""A plain convolutional network for small images."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nai.models.network import (
    Gates,
    Layer,
    Network,
    Trace,
    activated,
    check_image,
    check_settings,
    dropped,
    keep_mask,
    parameters_of,
    passed,
)
from nai.seeds import Draw


def channels_last(images: Tensor) -> Tensor:
    """The same images [..., channels, height, width]; on a CPU laid out channels-last, as oneDNN likes."""
    # by axes, since vmap knows no memory formats
    return images.movedim(-3, -1).contiguous().movedim(-1, -3) if images.device.type == "cpu" else images


class ConvNet(Network):
    """Six 3x3 convolutions in three pooled pairs, one dense layer, the head.

    Source: Jung, Ahn, Cha, Moon 2020 (AGS-CL), network `conv_net`: widths 32, 64, 128, dense 256,
    dropout 0.25 after each pair and 0.5 after the dense layer, no normalisation.
    On a CPU it runs channels-last, which saves a fifth of a step, in bfloat16 a third
    (benchmarks/conv_cpu.py).
    """

    revision = 1  # channels-last
    added = frozenset({"activation"})

    def __init__(
        self,
        features: Sequence[int],
        outputs: int,
        widths: Sequence[int] = (32, 64, 128),
        dense_units: int = 256,
        dropout: float = 0.25,
        dropout_dense: float = 0.5,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_settings(widths, dropout=dropout, dropout_dense=dropout_dense)
        channels, *space = check_image(features, 2 ** len(widths), "conv")
        self.space = [[n // 2 ** (i + 1) for n in space] for i in range(len(widths))]
        sizes = [channels, *(w for width in widths for w in (width, width))]
        flat = widths[-1] * torch.Size(self.space[-1]).numel()
        with torch.device("meta"):
            self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
            self.dense_layer = nn.Linear(flat, dense_units)
            self.out = nn.Linear(dense_units, outputs)
            self.activations = activated(activation, [*sizes[1:], dense_units])
        names = [f"convs.{i}" for i in range(len(self.convs))] + ["dense_layer", "out"]
        units = [*sizes[1:], dense_units, outputs]
        layers = [
            Layer(n, parameters_of(self, n, f"activations.{i}"), u, i - 1 if i else None)
            for i, (n, u) in enumerate(zip(names, units, strict=True))
        ]
        self.hidden, self.head = tuple(layers[:-1]), layers[-1]
        self.dropout, self.dropout_dense, self.activation = dropout, dropout_dense, activation
        self.features = tuple(features)

    def draws(self, batch: int) -> dict[str, Draw]:
        masks = {}
        for i, space in enumerate(self.space if self.dropout else []):
            masks[f"dropout.{i}"] = keep_mask(batch, (self.hidden[2 * i + 1].units, *space), self.dropout)
        if self.dropout_dense:
            masks["dropout.dense"] = keep_mask(batch, (self.hidden[-1].units,), self.dropout_dense)
        return masks

    def forward(
        self,
        inputs: Tensor,
        noise: Mapping[str, Tensor],
        taps: Sequence[Tensor] | None = None,
        gates: Gates | None = None,
    ) -> Trace:
        x, read, said = channels_last(inputs), [], []
        for i, conv in enumerate(self.convs):
            read.append(x)
            x = self.activations[i](conv(x))
            said.append(x)
            x = passed(x, i, gates)
            if i % 2:
                x = dropped(F.max_pool2d(x, 2), f"dropout.{i // 2}", noise)
        read.append(x.flatten(1))
        x = self.activations[-1](self.dense_layer(read[-1]))
        said.append(x)
        read.append(dropped(passed(x, -1, gates), "dropout.dense", noise))
        return Trace(self.out(read[-1]).float(), tuple(read), tuple(said))
