"""Views of samples for contrastive learning, of a whole batch on the device, each sample by its own draws."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nai.seeds import Draw
from nai.tasks import Samples

GRAY = (0.299, 0.587, 0.114)
"""Luma of red, green and blue (ITU-R BT.601)."""
NUMBERS = 16
"""Numbers in 0..1 that a view of one picture takes, by place in `DRAWN`; the last three are spare, so that
a batch's draw fills whole vectors."""
DRAWN = (
    "area", "ratio", "top", "left", "flip", "jitter", "brightness", "contrast", "saturation", "hue", "gray",
    "blur", "sigma",
)  # fmt: skip


class View(NamedTuple):
    """How a view of a sample is made.

    crop: least share of the picture's area that is cut out, and enlarged to its size; 1: none. flip, jitter,
    gray, blur: the chance of each: mirrored; brightness, contrast and saturation changed by up to 0.4 of
    what they are, hue by up to 0.1 of the circle; colours taken away; blurred by a Gaussian of 0.1 to 2
    pixels. noise: deviation of normal noise on every number; mask: chance of each number to be 0.
    """

    crop: float = 1.0
    flip: float = 0.0
    jitter: float = 0.0
    gray: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    mask: float = 0.0

    @property
    def pictures(self) -> bool:
        """Whether it is for images [channels, height, width] alone."""
        return self.crop < 1 or any((self.flip, self.jitter, self.gray, self.blur))


VIEWS: dict[str, View] = {
    "simclr": View(crop=0.2, flip=0.5, jitter=0.8, gray=0.2),
    "simclr_blur": View(crop=0.1, flip=0.5, jitter=0.8, gray=0.2, blur=0.5),
    "crops": View(crop=0.7),
    "noise": View(noise=0.2, mask=0.2),
}
"""Those of the official runs of Co2L on CIFAR-10, Tiny-ImageNet and rotated MNIST (the first two of Chen et
al. 2020), and one for flat vectors, whose features are best standardised."""


def draws(purpose: str, view: View, features: Sequence[int], leading: Sequence[int]) -> dict[str, Draw]:
    """What views [*leading] of samples of that shape take of chance."""
    wanted: dict[str, Draw] = {}
    if view.pictures:
        wanted[f"{purpose}.picture"] = lambda chance: torch.rand(*leading, NUMBERS, generator=chance)
    if view.noise:
        wanted[f"{purpose}.noise"] = lambda chance: torch.randn(*leading, *features, generator=chance)
    if view.mask:
        wanted[f"{purpose}.mask"] = lambda chance: torch.rand(*leading, *features, generator=chance)
    return wanted


def viewed(
    inputs: Tensor, view: View, noise: Mapping[str, Tensor], purpose: str, *, source: Samples
) -> Tensor:
    """A view of each sample [batch, *features], as the draws of that purpose [batch, ...] say."""
    x = inputs
    if view.pictures:
        black = inputs.new_zeros(()) if source.black is None else source.black
        white = black + 1 if source.white is None else source.white
        x = picture(x, view, noise[f"{purpose}.picture"], black=black, white=white)
    if view.noise:
        x = x + view.noise * noise[f"{purpose}.noise"]
    return x.where(noise[f"{purpose}.mask"] >= view.mask, 0.0) if view.mask else x


def picture(images: Tensor, view: View, chance: Tensor, *, black: Tensor, white: Tensor) -> Tensor:
    """Views of images [batch, channels, height, width]; chance: [batch, 16] in 0..1, each sample's own.

    black, white: what the bytes 0 and 255 are read as; colours are changed between the two.
    Source: torchvision's RandomResizedCrop, ColorJitter, RandomGrayscale and GaussianBlur, as the official
    runs chain them. Deviations: boxes end between pixels, and are cut at the picture's edge where torchvision
    draws again; brightness, contrast, saturation and hue follow each other in this order, theirs in a random
    one; what crops read is not rounded to bytes.
    """
    drawn = {name: chance[:, place] for place, name in enumerate(DRAWN)}
    x = images
    if view.crop < 1:
        x = cropped(x, *box(drawn, view.crop, x.shape[-2:]))
    if view.flip:
        x = torch.where(_column(drawn["flip"] < view.flip), x.flip(-1), x)
    if view.jitter or view.gray:
        unit = (x - black) / (white - black)
        if view.jitter:
            unit = torch.where(_column(drawn["jitter"] < view.jitter), jittered(unit, drawn), unit)
        if view.gray and unit.shape[1] == 3:
            unit = torch.where(_column(drawn["gray"] < view.gray), gray(unit).expand_as(unit), unit)
        x = black + unit * (white - black)
    if view.blur:
        x = torch.where(_column(drawn["blur"] < view.blur), blurred(x, 0.1 + 1.9 * drawn["sigma"]), x)
    return x


def box(drawn: Mapping[str, Tensor], least: float, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """First row and column [batch, 2], and height and width [batch, 2], of each sample's crop, in pixels.

    Its share of the area is uniform from `least` to 1, the log of width / height from log 3/4 to log 4/3.
    """
    whole = torch.tensor([float(n) for n in size], device=drawn["area"].device)
    area = (least + (1 - least) * drawn["area"]) * whole.prod()
    root = ((2 * drawn["ratio"] - 1) * (math.log(4 / 3) / 2)).exp()
    sides = torch.minimum(torch.stack([area.sqrt() / root, area.sqrt() * root], -1), whole)
    return torch.stack([drawn["top"], drawn["left"]], -1) * (whole - sides), sides


def cropped(images: Tensor, first: Tensor, sides: Tensor) -> Tensor:
    """Each image's box enlarged to the image's size, between pixels linearly."""
    rows = _between(images, first[:, 0], sides[:, 0])
    return _between(rows.mT, first[:, 1], sides[:, 1]).mT


def _between(images: Tensor, first: Tensor, side: Tensor) -> Tensor:
    """As many rows as there are, taken from the given part of the height."""
    height = images.shape[-2]
    steps = (torch.arange(height, device=images.device) + 0.5) / height
    first, side = first[:, None], side[:, None]
    at = torch.maximum(first + side * steps - 0.5, first)  # beyond the outer pixels' centres there is no more
    at = torch.minimum(at, torch.maximum(first + side - 1, first))
    low = at.floor()
    share = (at - low)[:, None, :, None]
    near, far = (_rows(images, place) for place in (low.long(), (low.long() + 1).clamp(max=height - 1)))
    return near * (1 - share) + far * share


def _rows(images: Tensor, places: Tensor) -> Tensor:
    """Rows [batch, height] of each image."""
    return images.gather(-2, places[:, None, :, None].expand(images.shape))


def jittered(unit: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
    """Images in 0..1 with other brightness and contrast, and saturation and hue where there are colours."""
    factors = {k: _column(0.6 + 0.8 * drawn[k]) for k in ("brightness", "contrast", "saturation")}
    x = (unit * factors["brightness"]).clamp(0, 1)
    mean = (gray(x) if x.shape[1] == 3 else x).mean((1, 2, 3), keepdim=True)
    x = _blend(x, mean, factors["contrast"])
    if x.shape[1] != 3:
        return x
    return turned(_blend(x, gray(x), factors["saturation"]), 0.2 * drawn["hue"] - 0.1)


def _blend(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    return (share * x + (1 - share) * other).clamp(0, 1)


def gray(unit: Tensor) -> Tensor:
    """The luma of red, green and blue, [batch, 1, height, width]."""
    red, green, blue = (unit[:, i : i + 1] for i in range(3))
    return GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue


def turned(unit: Tensor, shift: Tensor) -> Tensor:
    """Colours with their hue turned by a share of the circle, value and saturation kept."""
    red, green, blue = unit.unbind(1)
    value, least = unit.amax(1), unit.amin(1)
    chroma = value - least
    span = chroma.clamp(min=1e-12)
    hue = torch.where(
        value == red,
        (green - blue) / span,
        torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    turned_hue = hue + 6 * shift[:, None, None] + 12
    channels = []
    for start in (5.0, 3.0, 1.0):
        k = (start + turned_hue).remainder(6.0)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, 1)


def blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Each image under its own Gaussian, mirrored at the edge, as wide as the official kernel."""
    radius = min(images.shape[-2] // 20, images.shape[-2] - 1, images.shape[-1] - 1)
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    weight = (-(offsets * offsets) / (2 * (sigma * sigma)[:, None])).exp()
    weight = weight / weight.sum(1, keepdim=True)
    wide = F.pad(images, (radius,) * 4, mode="reflect") if radius else images
    height, width = images.shape[-2:]
    taps = [weight[:, i, None, None, None] for i in range(2 * radius + 1)]
    rows = [tap * wide[..., i : i + height, :] for i, tap in enumerate(taps)]
    tall = torch.stack(rows).sum(0)
    return torch.stack([tap * tall[..., i : i + width] for i, tap in enumerate(taps)]).sum(0)


def _column(values: Tensor) -> Tensor:
    """[batch] against images."""
    return values[:, None, None, None]
