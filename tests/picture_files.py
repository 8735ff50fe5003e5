"""Small data sets in files, as their authors' archives unpack to."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

OBJECTS, TRAINED, TESTED, FRAMES = 50, (1, 2, 4, 5, 6, 8, 9, 11), (3, 7, 10), 4


def picture(number: int, side: int = 4, channels: int = 3) -> np.ndarray:
    """Pixels [channels, side, side] uint8 that no other number has."""
    return np.random.default_rng(number).integers(0, 256, (channels, side, side), np.uint8)


def write_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.squeeze(np.ascontiguousarray(np.moveaxis(pixels, 0, 2)))).save(path)


def write_folder(root: Path, classes: Sequence[str], count: int, part: str = "", side: int = 4) -> np.ndarray:
    """`count` pictures of each class, in order of the classes given, [classes * count, 3, side, side]."""
    numbered = [(name, i) for name in classes for i in range(count)]
    made = np.stack([picture(len(part) * 1000 + n, side) for n in range(len(numbered))])
    for (name, i), pixels in zip(numbered, made, strict=True):
        write_picture(root / part / name / f"{i:03}.png", pixels)
    return made


def write_tiny_imagenet(root: Path, names: Sequence[str], train: int = 8, test: int = 2) -> None:
    """The layout of tiny-imagenet-200.zip with fewer classes, each picture of one colour."""
    folder = root / "tiny-imagenet-200"
    folder.mkdir(parents=True)
    (folder / "wnids.txt").write_text("\n".join(names) + "\n")
    for number, name in enumerate(names):
        (folder / "train" / name).mkdir(parents=True)
        (folder / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.JPEG\t0\t0\t63\t63\n")
        for i in range(train):
            write_picture(folder / "train" / name / "images" / f"{name}_{i}.JPEG", flat(number, i))
    notes = []
    for at, (number, name) in enumerate([(k, n) for _ in range(test) for k, n in enumerate(names)]):
        write_picture(folder / "val" / "images" / f"val_{at}.JPEG", flat(number, 9))
        notes.append(f"val_{at}.JPEG\t{name}\t0\t32\t44\t62")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(notes) + "\n")
    (folder / "test" / "images").mkdir(parents=True)  # without labels, and not read


def flat(number: int, i: int, side: int = 64) -> np.ndarray:
    """One colour, which survives JPEG to within a few steps: red tells the class, green the place."""
    return np.broadcast_to(np.array([20 * number, 10 * i, 0], np.uint8)[:, None, None], (3, side, side))


def frame(session: int, thing: int, number: int) -> str:
    return f"s{session}/o{thing}/C_{session:02}_{thing:02}_{number:03}.png"


def frames(units: Iterable[tuple[int, int]]) -> list[str]:
    return [frame(session, thing, number) for session, thing in units for number in range(FRAMES)]


def nicv2_391(run: int) -> list[list[str]]:
    """391 batches as NICv2 has them: ten objects at once, then one object in one session at a time."""
    first = [(1, thing) for thing in range(1, OBJECTS + 1, 5)]
    units = [(s, thing) for s in TRAINED for thing in range(1, OBJECTS + 1) if (s, thing) not in first]
    shuffled = [units[i] for i in np.random.default_rng(run).permutation(len(units))]
    return [frames(first), *(frames([unit]) for unit in shuffled)]


def write_nicv2_391(folder: Path, runs: Iterable[int], *, below: str = "") -> None:
    """Lists of the runs; a label numbers the objects as they come, so it differs between runs."""
    for run in runs:
        place = folder / below / "NIC_v2_391" / f"run{run}"
        place.mkdir(parents=True)
        numbers: dict[str, int] = {}
        tested = frames((s, thing) for s in TESTED for thing in range(1, OBJECTS + 1))
        listed = {f"train_batch_{n:02}": batch for n, batch in enumerate(nicv2_391(run))} | {"test": tested}
        for name, batch in listed.items():
            lines = [f"{f} {numbers.setdefault(f.split('/')[1], len(numbers))}" for f in batch]
            (place / f"{name}_filelist.txt").write_text("\n".join(lines) + "\n")


def shade(session: int, thing: int) -> np.ndarray:
    """What a frame of an object shows in a session."""
    return np.array([thing, session, 100], np.uint8)


def write_frames(folder: Path, side: int) -> None:
    """All frames of a session and object alike, of one colour; linked, since they are many."""
    for session in (*TRAINED, *TESTED):
        for thing in range(1, OBJECTS + 1):
            first = folder / frame(session, thing, 0)
            write_picture(first, np.broadcast_to(shade(session, thing)[:, None, None], (3, side, side)))
            for number in range(1, FRAMES):
                (folder / frame(session, thing, number)).hardlink_to(first)
