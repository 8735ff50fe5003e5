"""Frozen networks that turn pictures into features; with nai/datasets.py it knows torchvision."""

import contextlib
import difflib
import importlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nai.pictures import needed
from nai.seeds import generator

RANDOM, IMAGENET = "random_conv", "imagenet"
CLASSES = 1000  # of the networks that torchvision has weights for
UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError),
    torch.serialization.pickle.UnpicklingError,  # type: ignore[attr-defined]  # of text, say
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Frozen(NamedTuple):
    """Which network, with which weights, sees pictures at which size."""

    backbone: str  # random_conv, a network of torchvision, or a module:attribute that makes a module
    weights: str | None = None  # of torchvision's: imagenet, the default, or the file of a state dict
    pixels: int | None = None  # of a side; None: as the weights are used to, random_conv: as they are


class RandomConv(nn.Module):
    """Random filters, never learnt: pictures [batch, channels, height, width] to [batch, 9 x filters].

    Each picture is brought to mean 0 and deviation 1; filters of 5 x 5 with mean 0 and length 1, every second
    place; positive parts, averaged over 3 x 3 cells. Source: Jarrett et al. 2009 (random filters do well).
    """

    def __init__(self, channels: int, filters: int = 64, seed: int = 0) -> None:
        super().__init__()
        drawn = torch.randn(filters, channels, 5, 5, generator=generator(seed, "random_conv", channels))
        drawn -= drawn.mean((1, 2, 3), keepdim=True)
        self.register_buffer("filters", drawn / drawn.flatten(1).norm(dim=1)[:, None, None, None])

    def forward(self, pictures: Tensor) -> Tensor:
        mean = pictures.mean((1, 2, 3), keepdim=True)
        spread = (pictures - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
        said = F.conv2d((pictures - mean) / (spread + 0.1), self.get_buffer("filters"), stride=2).relu()
        return F.avg_pool2d(said, *_cells(said.shape[2:])).flatten(1)


class Seen(nn.Module):
    """A network behind what its weights expect to see: size, three channels, ImageNet's mean and spread."""

    def __init__(self, net: nn.Module, pixels: int) -> None:
        super().__init__()
        self.net, self.pixels = net, pixels
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures.expand(-1, 3, -1, -1)
        if x.shape[2:] != (self.pixels, self.pixels):
            x = F.interpolate(x, (self.pixels, self.pixels), mode="bilinear", align_corners=False)
        said: Tensor = self.net((x - self.get_buffer("mean")) / self.get_buffer("std"))
        return said.flatten(1)


def extractor(frozen: Frozen, features: tuple[int, ...]) -> nn.Module:
    """The network: pictures [batch, *features] of 0..1 in, [batch, width] out; no weight learns.

    ValueError for a name, a file or a size that is none, FileNotFoundError where weights are not to be had.
    """
    check(frozen)
    net = _made(frozen, features, _state(frozen)).eval()
    return net.requires_grad_(False)


def width_of(frozen: Frozen, features: tuple[int, ...]) -> int:
    """How many numbers it makes of a sample, without weights and mostly without computing."""
    try:
        said = _zeros_seen(frozen, features, "cpu" if ":" in frozen.backbone else "meta")
    except NotImplementedError:  # RegNets compute their own widths with tensors
        said = _zeros_seen(frozen, features, "cpu")
    if said.ndim != 2 or len(said) != 2:
        shape = f"makes {list(said.shape)} of 2 samples"
        raise ValueError(f"backbone {frozen.backbone!r} {shape}, but must make features [samples, width]")
    return int(said.shape[1])


def _zeros_seen(frozen: Frozen, features: tuple[int, ...], device: str) -> Tensor:
    with torch.device(device), torch.inference_mode():
        said: Tensor = _made(frozen, features, None).eval()(torch.zeros(2, *features))
    return said


def check(frozen: Frozen) -> None:
    """ValueError for settings that no backbone has."""
    if frozen.pixels is not None and frozen.pixels < 1:
        raise ValueError(f"pixels {frozen.pixels} must be at least 1, a side of the pictures it sees")
    if _is_torchvisions(frozen):
        return
    for name in ("weights", "pixels"):
        if getattr(frozen, name) is not None:
            raise ValueError(f"{name} acts only with a backbone of torchvision, not {frozen.backbone!r}")


def _is_torchvisions(frozen: Frozen) -> bool:
    return frozen.backbone != RANDOM and ":" not in frozen.backbone


def _made(frozen: Frozen, features: tuple[int, ...], state: dict[str, Tensor] | None) -> nn.Module:
    check(frozen)
    if ":" in frozen.backbone:
        return _own(frozen.backbone)
    if len(features) != 3:
        raise ValueError(
            f"backbone {frozen.backbone!r} needs pictures [channels, height, width], got {list(features)}"
        )
    if frozen.backbone == RANDOM:
        if min(features[1:]) < 5:
            raise ValueError(f"backbone {RANDOM} needs pictures of at least 5 pixels, got {list(features)}")
        return RandomConv(features[0])
    return _torchvisions(frozen, state)


def _torchvisions(frozen: Frozen, state: dict[str, Tensor] | None) -> nn.Module:
    """A network of torchvision whose last layer, the one with an output for each class, is left out."""
    models = _models(frozen.backbone)
    crop = models.get_model_weights(frozen.backbone).DEFAULT.transforms().crop_size
    pixels = frozen.pixels or int(crop[0])
    net: nn.Module = models.get_model(frozen.backbone, weights=None, **_settings(frozen.backbone, pixels))
    if state is not None:
        _filled(frozen, net, state)
    last = [name for name, module in net.named_modules() if _outputs(module) == CLASSES][-1]
    net.set_submodule(last, nn.Identity())
    return Seen(net, pixels)


def _outputs(module: nn.Module) -> int:
    found = getattr(module, "out_features", getattr(module, "out_channels", 0))
    return found if isinstance(found, int) else 0


def _settings(name: str, pixels: int) -> dict[str, Any]:
    """What two networks ask for so as not to be drawn slowly, and the side that a ViT is made for."""
    if name.startswith("vit_"):
        return {"image_size": pixels}
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _filled(frozen: Frozen, net: nn.Module, state: dict[str, Tensor]) -> None:
    try:
        net.load_state_dict(state)
    except (RuntimeError, AttributeError) as error:
        first = str(error).splitlines()[-1].strip()[:200]
        raise ValueError(f"weights {frozen.weights} are not those of {frozen.backbone}: {first}") from error


def _state(frozen: Frozen) -> dict[str, Tensor] | None:
    """The weights that a network of torchvision is given, by name."""
    if not _is_torchvisions(frozen):
        return None
    if frozen.weights not in (None, IMAGENET):
        return _read(Path(str(frozen.weights)).expanduser())
    models = _models(frozen.backbone)
    named = models.get_model_weights(frozen.backbone).DEFAULT
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where it says that it downloads
            found: dict[str, Tensor] = named.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"torchvision's weights of {frozen.backbone} cannot be downloaded ({error}): fetch them where "
            f"there is a network and give the file, weights = 'FILE.pth', or take backbone {RANDOM}"
        ) from error
    return found


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise FileNotFoundError(f"weights {file} are no file: give a state dict as torch.save writes it")
    try:
        found: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"weights {file} cannot be read as a state dict of tensors ({error})") from error
    return found


def _models(name: str) -> Any:
    with needed(f"the backbone {name}", "torchvision", "data"):
        from torchvision import models
    known = models.list_models(module=models)
    if name not in known:
        near = difflib.get_close_matches(name, [RANDOM, *known], 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        few = "mobilenet_v3_small, resnet18"
        raise ValueError(
            f"backbone {name!r} is unknown: {hint}known are {RANDOM}, torchvision's networks such as {few}, "
            'and "module:attribute"'
        )
    return models


def _own(name: str) -> nn.Module:
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"backbone {name!r} cannot be imported: {error}") from error
    if not isinstance(made, nn.Module):
        raise TypeError(f"backbone {name!r} made a {type(made).__name__}, but must make a torch.nn.Module")
    return made


def _cells(sides: torch.Size) -> Iterator[Any]:
    """Kernel and stride that average so many places into 3 x 3 cells, or fewer where there are fewer."""
    strides = [max(1, side // 3) for side in sides]
    yield [side - (min(3, side) - 1) * stride for side, stride in zip(sides, strides, strict=True)]
    yield strides


def digest_of(module: nn.Module) -> Iterator[bytes]:
    """The bytes of all weights and buffers, by name."""
    for name, value in sorted(module.state_dict().items()):
        yield f"|{name} {value.dtype} {math.prod(value.shape)}|".encode()
        yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
