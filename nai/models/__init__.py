"""Networks as functions of their weights, one a file; `MODELS` gives each its name."""

from nai.models.conv import ConvNet
from nai.models.mlp import Mlp, affine
from nai.models.network import Gate, Gates, Layer, Network, Params, Trace, keep_mask
from nai.models.resnet import Block, ResNet18

MODELS: dict[str, type[Network]] = {"mlp": Mlp, "conv": ConvNet, "resnet18": ResNet18}

__all__ = [
    "MODELS",
    "Block",
    "ConvNet",
    "Gate",
    "Gates",
    "Layer",
    "Mlp",
    "Network",
    "Params",
    "ResNet18",
    "Trace",
    "affine",
    "keep_mask",
]
