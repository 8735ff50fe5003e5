"""Data sets in folders of pictures: a user's own, and Tiny-ImageNet as it is unpacked."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nai.pictures import is_picture, read
from nai.sources import Outline, Source, outline, quarter
from nai.tasks import Indices

TINY_MEAN, TINY_STD = (0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)
TINY = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
PARTS = ("train", "test")


class Listed(NamedTuple):
    """The pictures of a folder, read or not."""

    files: list[Path]
    labels: Indices
    is_test: NDArray[np.bool_]


def from_folder(root: str | Path, size: int | None = None, channels: int = 3) -> Source:
    """Pictures in a folder for each class, root/<class>/*.png, or root/train/<class> and root/test/<class>.

    PNG and JPEG, read as 0..1, as squares of `size` pixels, or all of one size already. Classes are numbered
    by name. Without train and test a fixed quarter of each class is test.
    """
    listed, unit = _listed(Path(root)), np.full(1, 1 / 255, np.float32)
    inputs = read(listed.files, size, channels)
    return Source(Path(root).absolute().name, inputs, listed.labels, listed.is_test, scale=unit)


def folder_outline(root: str | Path, size: int | None = None, channels: int = 3) -> Outline:
    """What a folder holds, by its names and its first picture alone."""
    listed = _listed(Path(root))
    features = read(listed.files[:1], size, channels).shape[1:]
    return outline(Path(root).absolute().name, listed.labels, listed.is_test, features)


def tiny_imagenet(root: Path) -> Source:
    """110,000 pictures of 200 classes, 3 x 64 x 64, each channel standardised; the validation set is test.

    Classes are numbered as in wnids.txt. Source: Le and Yang 2015 (Stanford CS231n).
    """
    folder = root / "tiny-imagenet-200"
    if not (folder / "wnids.txt").is_file():
        raise FileNotFoundError(
            f"Tiny-ImageNet is not in {folder.absolute()}: download {TINY} (248 MB), unpack it in "
            f"{root.absolute()}, or give the folder that holds tiny-imagenet-200 as root or NAI_DATA"
        )
    listed = _tiny(folder)
    center, spread = (np.reshape(v, (3, 1, 1)) for v in (TINY_MEAN, TINY_STD))
    scale, shift = (1 / (255 * spread)).astype(np.float32), (-center / spread).astype(np.float32)
    inputs = read(listed.files, 64)
    return Source("tiny_imagenet", inputs, listed.labels, listed.is_test, scale, shift)


def _tiny(folder: Path) -> Listed:
    names = [Path(name).name for name in (folder / "wnids.txt").read_text(encoding="utf-8").split()]
    numbers = {name: number for number, name in enumerate(names)}
    train = [(file, number) for name, number in numbers.items() for file in _of_class(folder, name)]
    notes = folder / "val" / "val_annotations.txt"
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.is_file() else []
    images = folder / "val" / "images"  # and no file elsewhere, whatever the notes say
    test = [(images / Path(file).name, numbers[name]) for file, name, *_ in map(str.split, lines)]
    if not train or not test:
        raise FileNotFoundError(f"{folder} lacks train/<class>/images or {notes.name}: unpack {TINY} again")
    files, labels = zip(*train, *test, strict=True)
    is_test = np.repeat([False, True], [len(train), len(test)])
    return Listed(list(files), np.array(labels, np.int64), is_test)


def _of_class(folder: Path, name: str) -> list[Path]:
    return _pictures(folder / "train" / name / "images")


def _listed(root: Path) -> Listed:
    if not root.is_dir():
        raise FileNotFoundError(
            f"there is no folder {root.absolute()}: give as root one with a folder for each class"
        )
    parts = PARTS if all((root / part).is_dir() for part in PARTS) else ("",)
    found = {part: dict(_classes(root / part)) for part in parts}
    names = sorted({name for part in found.values() for name in part})
    rows = [
        (file, names.index(name), part == "test")
        for part, classes in found.items()
        for name, files in classes.items()
        for file in files
    ]
    if not rows:
        raise FileNotFoundError(
            f"{root.absolute()} holds no pictures: put them at <class>/*.png, .jpg or .jpeg"
        )
    files, labels, is_test = zip(*rows, strict=True)
    numbers = np.array(labels, np.int64)
    return Listed(list(files), numbers, np.array(is_test) if len(parts) > 1 else quarter(numbers))


def _classes(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Each class that has pictures, by name."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and (files := _pictures(path)):
            yield path.name, files


def _pictures(folder: Path) -> list[Path]:
    return sorted(filter(is_picture, folder.iterdir())) if folder.is_dir() else []
