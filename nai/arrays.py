"""A user's own arrays as a data set, from memory or from an .npz file; nothing pickled is read."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nai.sources import Outline, Source, outline, quarter
from nai.tasks import Array, Indices

KEYS = ("inputs", "labels", "is_test", "scale", "shift")


def from_tensors(
    inputs: Any,
    labels: Any,
    is_test: Any = None,
    *,
    name: str = "own",
    scale: Any = None,
    shift: Any = None,
) -> Source:
    """Arrays or CPU tensors as a data set; without `is_test` a fixed quarter of each class is test.

    inputs: [samples, *features], images [samples, channels, height, width]; bytes stand for
    `inputs * scale + shift` (scale 1/255 unless given), other numbers are read as float32. labels: [samples],
    class numbers from 0. is_test: [samples], true or false.
    """
    given = np.asarray(inputs)
    numbers, test = _told(name, len(given), labels, is_test)
    if given.dtype != np.uint8:
        return Source(name, given.astype(np.float32), numbers, test, scale, shift)
    unit = np.full(1, 1 / 255, np.float32) if scale is None and shift is None else scale
    return Source(name, given, numbers, test, unit, shift)


def _told(name: str, samples: int, labels: Any, is_test: Any) -> tuple[Indices, NDArray[np.bool_]]:
    """Class numbers and the split of so many samples; ValueError unless they can be these."""
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or (len(numbers) and numbers.min() < 0):
        form = f"{numbers.dtype} of shape {list(numbers.shape)}"
        raise ValueError(
            f"labels of {name} are {form}, but must be class numbers from 0, one for each sample"
        )
    numbers = numbers.astype(np.int64)
    test = quarter(numbers) if is_test is None else np.asarray(is_test, bool)
    if not samples == len(numbers) == len(test):
        counts = f"{samples} inputs, {len(numbers)} labels and {len(test)} is_test"
        raise ValueError(f"{name} has {counts}: there must be one of each for every sample")
    return numbers, test


def npz(root: str | Path) -> Source:
    """The .npz file `root` with the arrays inputs and labels, and perhaps is_test, scale and shift."""
    with _opened(Path(root)) as held:
        arrays = {key: _array(Path(root), held, key) for key in KEYS if key in held}
    return from_tensors(**arrays, name=Path(root).stem)


def npz_outline(root: str | Path) -> Outline:
    """What an .npz file holds, without its inputs."""
    with _opened(Path(root)) as held:
        given = [_array(Path(root), held, key) if key in held else None for key in ("labels", "is_test")]
    name, (count, *features) = Path(root).stem, _shape(Path(root))
    return outline(name, *_told(name, count, *given), tuple(features))


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path.absolute()}: give as root an .npz of inputs and labels"
        )
    try:
        held = np.load(path, allow_pickle=False)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no .npz file ({error}): write it with numpy.savez") from error
    if lacking := {"inputs", "labels"} - set(getattr(held, "files", ())):
        raise ValueError(f"{path} lacks {' and '.join(sorted(lacking))}: write it with numpy.savez")
    return held


def _array(path: Path, held: Any, key: str) -> Array:
    try:
        return np.asarray(held[key])
    except ValueError as error:
        raise ValueError(f"{key} in {path} cannot be read ({error}): save numbers, not objects") from error


def _shape(path: Path) -> tuple[int, ...]:
    """The shape of the inputs, from their header alone."""
    with zipfile.ZipFile(path) as packed, packed.open("inputs.npy") as file:
        form = np.lib.format
        first = form.read_magic(file) == (1, 0)
        shape, *_ = (form.read_array_header_1_0 if first else form.read_array_header_2_0)(file)
    return tuple(shape)
