"""Picture files as arrays; the only file that knows Pillow."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nai.tasks import Array

ENDINGS = (".png", ".jpg", ".jpeg")
MODES = {1: "L", 3: "RGB"}  # by channels


@contextlib.contextmanager
def needed(what: str, package: str, bundle: str) -> Iterator[None]:
    """A missing package said in the words of the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(f"{what} needs {package}: pip install 'nai-sweep[{bundle}]'") from error


def extra(dataset: str, package: str) -> contextlib.AbstractContextManager[None]:
    """The same of a data set."""
    return needed(f"the data set {dataset}", package, "data")


def is_picture(path: Path) -> bool:
    """Whether a name is that of a picture; hidden files are none."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def read(files: Sequence[Path], size: int | None = None, channels: int = 3) -> Array:
    """Pictures [files, channels, height, width] uint8, each made a square of `size` pixels, or as they are.

    One array is filled picture by picture: files * channels * height * width bytes and no copy.
    FileNotFoundError for a file that cannot be read, ValueError for one of another size than the first.
    """
    if channels not in MODES:
        raise ValueError(f"channels {channels} must be 1 (grey) or 3 (red, green, blue)")
    if size is not None and size < 1:
        raise ValueError(f"size {size} must be at least 1 pixel")
    inputs: Array = np.empty((0,), np.uint8)
    for row, file in enumerate(files):
        picture = resized(_decoded(file, channels), size)
        if not row:
            inputs = np.empty((len(files), *picture.shape), np.uint8)
        if picture.shape != inputs.shape[1:]:
            form, first = ("{1} x {0}".format(*shape[-2:]) for shape in (picture.shape, inputs.shape))
            raise ValueError(f"{file} has {form} pixels and {files[0].name} {first}: give one size for all")
        inputs[row] = picture.numpy()
    return inputs


def resized(picture: Tensor, size: int | None) -> Tensor:
    """A picture [channels, height, width] uint8 as a square of `size` pixels: bilinear, and antialiased."""
    if size is None or picture.shape[1:] == (size, size):
        return picture
    values = F.interpolate(picture[None].double(), (size, size), mode="bilinear", antialias=True)[0]
    # ties pushed upwards, so that every processor rounds to the same bytes
    return (values + 0.5 + 1e-6).floor().clamp(0, 255).byte()


def _decoded(file: Path, channels: int) -> Tensor:
    with extra(str(file.parent), "pillow"):
        from PIL import Image
    try:
        # by content, whatever the name says: other formats start programs of their own
        with Image.open(file, formats=("PNG", "JPEG")) as picture:
            if picture.mode[0] in "IF":
                raise ValueError(f"{file} has pixels of mode {picture.mode}: save it with 8 bits a channel")
            pixels = np.array(picture.convert(MODES[channels]))
    except OSError as error:
        raise FileNotFoundError(
            f"{file} cannot be read as a picture ({error}): unpack it again, or delete it"
        ) from error
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels)).movedim(2, 0)
