"""Augmentation of training batches on the device: pure functions of images and of draws."""

from collections.abc import Mapping

import torch
from torch import Tensor

from nai.seeds import Draw
from nai.tasks import Samples

AUGMENTATIONS = ("none", "crop_flip")
PADDING = 4  # pixels on each side
SHIFT, FLIP = "augment.shift", "augment.flip"


def draws(name: str, features: tuple[int, ...], batch: int) -> dict[str, Draw]:
    """Draws of a training step, by purpose: the corner of each sample's crop, and whether it is flipped.

    ValueError when the samples are no images [channels, height, width].
    """
    if name == "none":
        return {}
    if len(features) != 3:
        raise ValueError(
            f"augment {name!r} needs images [channels, height, width], but samples have shape "
            f"{list(features)}: take augment 'none'"
        )
    return {
        SHIFT: lambda chance: torch.randint(0, 2 * PADDING + 1, (batch, 2), generator=chance),
        FLIP: lambda chance: torch.rand(batch, generator=chance) < 0.5,
    }


def augmented(inputs: Tensor, noise: Mapping[str, Tensor], source: Samples) -> Tensor:
    """The inputs of a step, changed as its draws say; as they are where nothing was drawn for it."""
    return crop_flip(inputs, noise[SHIFT], noise[FLIP], source.black) if SHIFT in noise else inputs


def crop_flip(inputs: Tensor, shifts: Tensor, flips: Tensor, black: Tensor | None = None) -> Tensor:
    """Images padded with black by 4 pixels, cropped to their old size, and mirrored left to right.

    inputs: [..., batch, channels, height, width]. shifts: [..., batch, 2] whole, 0..8, the crop's corner
    (row, column). flips: [..., batch] bool. black: broadcasts over [channels, height, width]; None: 0.
    Source: He, Zhang, Ren, Sun 2016 (section 4.2), there with a padding of 4 pixels on each side too.
    """
    *_, height, width = inputs.shape
    row, column = (torch.arange(n, device=inputs.device) for n in (height, width))
    column = torch.where(flips[..., None], width - 1 - column, column)
    rows, columns = row + shifts[..., :1] - PADDING, column + shifts[..., 1:] - PADDING
    inside = _within(rows, height)[..., :, None] & _within(columns, width)[..., None, :]
    places = rows.clamp(0, height - 1)[..., :, None] * width + columns.clamp(0, width - 1)[..., None, :]
    places = places.flatten(-2)[..., None, :].expand(*inputs.shape[:-2], height * width)
    found = inputs.flatten(-2).gather(-1, places).unflatten(-1, (height, width))
    return torch.where(inside[..., None, :, :], found, 0.0 if black is None else black)


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)
