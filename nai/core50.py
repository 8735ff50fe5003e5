"""CORe50 and the official runs of its NICv2 protocol, from the folder that its authors' archives unpack to.

The lists of files are text; the pickled tables beside them are never read.
"""

import re
from pathlib import Path

import numpy as np

from nai.orders import Order, Orders
from nai.orders import check as check_order
from nai.pictures import read
from nai.sources import Outline, Source, outline

BATCHES = (79, 196, 391)
RUNS = 10
OBJECTS, CATEGORY = 50, 5  # objects, and how many make a category
LEVELS = ("object", "category")
ARCHIVES = (
    "http://bias.csr.unibo.it/maltoni/download/core50/core50_128x128.zip",
    "https://vlomonaco.github.io/core50/data/batches_filelists_NICv2.zip",
)
FRAME = re.compile(r"s\d+/o(\d+)/[\w-]+\.png")  # in its folder and nowhere else
SIDE, MINI = 128, 32  # pixels of a frame, and of the small ones that are handed out too
STAND_IN = 120  # blank samples of a batch
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Batches = list[list[str]]
"""The frames of each batch, as paths below the folder of pictures."""


def core50(root: Path, batches: int = 391, run: int = 0, size: int = 32, level: str = "object") -> Source:
    """164,866 frames of 50 objects in 10 categories, in the 79, 196 or 391 batches of an official NICv2 run.

    size: pixels of a side; the frames have 128. level: a class is an object, or a category of five. Classes
    are numbered by object, alike in all runs. Test are the frames of sessions 3, 7 and 10, standardised as
    ImageNet is. Source: Lomonaco and Maltoni 2017; Lomonaco, Maltoni, Pellegrini 2020 (NICv2).
    """
    check(batches, run, size, level)
    trained, tested = _lists(root / "core50", batches, run)
    frames = [*(frame for batch in trained for frame in batch), *tested]
    owners = np.repeat([*range(len(trained)), -1], [*map(len, trained), len(tested)])
    labels = np.array([_object(frame) for frame in frames]) // (CATEGORY if level == "category" else 1)
    center, spread = (np.reshape(v, (3, 1, 1)) for v in (MEAN, STD))
    return Source(
        "core50",
        read([_pictures(root / "core50", size) / frame for frame in frames], size),
        labels,
        owners < 0,
        (1 / (255 * spread)).astype(np.float32),
        (-center / spread).astype(np.float32),
        owners,
    )


def core50_outline(
    root: Path, batches: int = 391, run: int = 0, size: int = 32, level: str = "object"
) -> Outline:
    """What is known without the files: so many batches, here of one class each, and every class in some."""
    check(batches, run, size, level)
    classes = OBJECTS if level == "object" else OBJECTS // CATEGORY
    owners = np.repeat(np.arange(batches), STAND_IN)
    tested = np.repeat(np.arange(classes), STAND_IN)
    labels = np.concatenate([owners % classes, tested])
    is_test = np.repeat([False, True], [len(owners), len(tested)])
    owners = np.concatenate([owners, np.full(len(tested), -1)])
    return outline("core50", labels, is_test, (3, size, size), owners)


def runs(root: str | Path, batches: int = 391) -> Orders:
    """The ten official runs as task orders: run r as an order of the batches of run 0.

    ValueError when a run has a batch that run 0 has not: then it is no order of those tasks, but a benchmark
    of its own (`run = r`).
    """
    check(batches, 0, 1, "object")
    found = [_lists(Path(root) / "core50", batches, run)[0] for run in range(RUNS)]
    home = {frozenset(batch): task for task, batch in enumerate(found[0])}
    return tuple(_order(run, made, home) for run, made in enumerate(found))


def check(batches: int, run: int, size: int, level: str) -> None:
    """ValueError unless there is such an official run, and pictures can have that size."""
    if batches not in BATCHES:
        raise ValueError(
            f"batches {batches} must be one of {', '.join(map(str, BATCHES))}: NICv2 has no others"
        )
    if not 0 <= run < RUNS:
        raise ValueError(f"run {run} must be one of the official runs 0..{RUNS - 1}")
    if size < 1:
        raise ValueError(f"size {size} must be at least 1 pixel; the frames have {SIDE}")
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is unknown: known are {', '.join(LEVELS)}")


def _lists(folder: Path, batches: int, run: int) -> tuple[Batches, list[str]]:
    """The frames of each batch of a run, and those of the common test set."""
    named = Path(f"NIC_v2_{batches}", f"run{run}")
    places = [folder / named, folder / "batches_filelists" / named]
    place = next((path for path in places if path.is_dir()), None)
    if place is None:
        raise FileNotFoundError(_absent(f"the lists {named} are", folder))
    numbered = {int(path.name.split("_")[2]): path for path in place.glob("train_batch_*_filelist.txt")}
    if sorted(numbered) != list(range(batches)) or not (place / "test_filelist.txt").is_file():
        count = f"{len(numbered)} of the {batches} lists of batches and test_filelist.txt"
        raise FileNotFoundError(f"{place} does not hold just {count}: unpack {ARCHIVES[1]} again")
    return [_frames(numbered[batch]) for batch in range(batches)], _frames(place / "test_filelist.txt")


def _frames(file: Path) -> list[str]:
    """The frames that a list names: a path and a label a line, of which the label differs between runs."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def _object(frame: str) -> int:
    """Which of the 50 objects a frame shows, from 0, as its path says."""
    found = FRAME.fullmatch(frame)
    if not found or not 1 <= int(found[1]) <= OBJECTS:
        raise ValueError(f"frame {frame} of CORe50 is not s<session>/o<1..{OBJECTS}>/<name>.png")
    return int(found[1]) - 1


def _pictures(folder: Path, size: int) -> Path:
    """The folder of frames: the small ones are good for a size that needs no more."""
    for side in (MINI, SIDE) if size <= MINI else (SIDE,):
        if (folder / f"core50_{side}x{side}").is_dir():
            return folder / f"core50_{side}x{side}"
    raise FileNotFoundError(_absent(f"the frames core50_{SIDE}x{SIDE} are", folder))


def _absent(what: str, folder: Path) -> str:
    return (
        f"{what} not in {folder.absolute()}: download {ARCHIVES[0]} (4 GB) and {ARCHIVES[1]}, unpack both "
        "there, or give the folder that holds core50 as root or NAI_DATA"
    )


def _order(run: int, made: Batches, home: dict[frozenset[str], int]) -> Order:
    for number, batch in enumerate(made):
        if frozenset(batch) not in home:
            raise ValueError(
                f"batch {number} of run {run} is none of run 0, so the run is no order of its tasks: "
                f"take it as a benchmark of its own, run = {run}"
            )
    return check_order((home[frozenset(batch)] for batch in made), len(home))
