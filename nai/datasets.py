"""Data sets and benchmarks by name, and benchmarks in folders.

With nai/backbones.py the only file that knows torchvision, alone with scikit-learn; both are imported when a
data set is asked for.
"""

import contextlib
import difflib
import importlib
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nai.arrays import npz, npz_outline
from nai.backbones import Frozen
from nai.builders import nicv2, permuted, rotated, split, stream
from nai.core50 import core50, core50_outline
from nai.features import Features, featured
from nai.folders import folder_outline, from_folder, tiny_imagenet
from nai.pictures import extra
from nai.sources import Outline, Source, outline, quarter
from nai.tasks import Array, Benchmark

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
CIFAR100_MEAN, CIFAR100_STD = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)


def digits(root: Path) -> Source:
    """1797 handwritten digits, 1 x 8 x 8, that come with scikit-learn; a fixed quarter of each class is test.

    Source: Alpaydin and Kaynak 1998 (UCI optical recognition of handwritten digits).
    """
    with extra("digits", "scikit-learn"):
        from sklearn.datasets import load_digits
    images, labels = load_digits(return_X_y=True)
    inputs = images.astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    return Source("digits", inputs, labels, quarter(labels), scale=np.full(1, 1 / 16, np.float32))


def mnist(root: Path) -> Source:
    """70,000 handwritten digits, 1 x 28 x 28, read as 0..1. Source: LeCun et al. 1998."""
    return _unit("mnist", *_torchvision("mnist", "MNIST", root))


def fashion_mnist(root: Path) -> Source:
    """70,000 pictures of clothes, 1 x 28 x 28, read as 0..1. Source: Xiao et al. 2017."""
    return _unit("fashion_mnist", *_torchvision("fashion_mnist", "FashionMNIST", root))


def cifar10(root: Path) -> Source:
    """60,000 pictures of 10 classes, 3 x 32 x 32, each channel standardised. Source: Krizhevsky 2009."""
    arrays = _torchvision("cifar10", "CIFAR10", root)
    return _standardised("cifar10", *arrays, mean=CIFAR10_MEAN, std=CIFAR10_STD)


def cifar100(root: Path) -> Source:
    """60,000 pictures of 100 classes, 3 x 32 x 32, each channel standardised. Source: Krizhevsky 2009."""
    arrays = _torchvision("cifar100", "CIFAR100", root)
    return _standardised("cifar100", *arrays, mean=CIFAR100_MEAN, std=CIFAR100_STD)


def cifar10_100(root: Path) -> Source:
    """CIFAR-10 as classes 0..9 and CIFAR-100 as 10..109, all standardised as CIFAR-10 is."""
    first, second = cifar10(root), cifar100(root)
    return first._replace(
        name="cifar10_100",
        inputs=np.concatenate([first.inputs, second.inputs]),
        labels=np.concatenate([first.labels, second.labels + 10]),
        is_test=np.concatenate([first.is_test, second.is_test]),
    )


DATASETS: dict[str, Callable[..., Source]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "cifar10_100": cifar10_100,
    "tiny_imagenet": tiny_imagenet,
    "core50": core50,
    "folder": from_folder,
    "npz": npz,
}
"""Each reads a folder, or a file, and may have options of its own; a `module:attribute` does the same."""
OUTLINES: dict[str, Callable[..., Outline]] = {
    "core50": core50_outline,
    "folder": folder_outline,
    "npz": npz_outline,
}
"""Data sets that differ with their options, or from user to user; the others are always the same."""
OWN = ("folder", "npz")  # what a user brings lies nowhere by itself
BENCHMARKS: dict[str, Callable[..., Benchmark]] = {
    "split": split,
    "permuted": permuted,
    "rotated": rotated,
    "stream": stream,
    "nicv2": nicv2,
}


def load(dataset: str, root: str | Path | None = None, **options: Any) -> Source:
    """A data set from the folder `root`, else NAI_DATA, else ~/.cache/nai; downloaded there if it can be.

    dataset: a name of DATASETS, or a `module:attribute` that makes a Source of a folder and options.
    """
    made = _made(dataset, _loader(dataset), root, options)
    if ":" in dataset and not isinstance(made, Source):
        raise TypeError(f"data set {dataset!r} made a {type(made).__name__}, but must return a Source")
    return made  # type: ignore[no-any-return]


def looked_at(dataset: str, root: str | Path | None = None, **options: Any) -> Outline:
    """The outline of a data set of OUTLINES, or of a `module:attribute`, which is loaded for it."""
    if dataset in OUTLINES:
        found: Outline = _made(dataset, OUTLINES[dataset], root, options)
        return found
    source = load(dataset, root, **options)
    return outline(source.name, source.labels, source.is_test, source.inputs.shape[1:], source.batches)


def options_of(dataset: str) -> dict[str, inspect.Parameter]:
    """A data set's own options, beside `root`."""
    return dict(list(inspect.signature(_loader(dataset)).parameters.items())[1:])


def benchmark(name: str, **options: Any) -> Benchmark:
    """A benchmark: one of BENCHMARKS made of a `dataset`, or what "module:attribute" makes."""
    if ":" in name:
        return _imported(name, options)
    if name not in BENCHMARKS:
        raise ValueError(
            f'benchmark {name!r} is not known: {_hint(name, list(BENCHMARKS))}, or "module:attribute"'
        )
    builder = BENCHMARKS[name]
    dataset, root = options.pop("dataset", None), options.pop("root", None)
    if dataset is None:
        raise ValueError(f"benchmark {name} needs the option dataset: choose one of {', '.join(DATASETS)}")
    own = options_of(dataset)
    known = ["dataset", "root", *Frozen._fields, *list(inspect.signature(builder).parameters)[1:], *own]
    for option in options:
        if option not in known:
            raise ValueError(f"benchmark {name} has no option {option!r}: {_hint(option, known)}")
    frozen = frozen_of(options)
    source = load(dataset, root, **{k: v for k, v in options.items() if k in own})
    source = source if frozen is None else through(source, frozen, root).source
    return builder(source, **{k: v for k, v in options.items() if k not in own})


def frozen_of(options: dict[str, Any]) -> Frozen | None:
    """The frozen network that options of a benchmark ask for, which lose what it reads."""
    given = {name: options.pop(name) for name in Frozen._fields if name in options}
    asked = {name: value for name, value in given.items() if value is not None}
    if asked and "backbone" not in asked:
        raise ValueError(f"{next(iter(asked))} acts only with a backbone: name one, such as random_conv")
    return Frozen(**asked) if asked else None


def through(source: Source, frozen: Frozen, root: str | Path | None = None) -> Features:
    """A data set through a frozen network; its features are kept in the folder `features` beside the data."""
    return featured(source, frozen, place(root) / "features")


def _hint(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known are {', '.join(known)}"


def _loader(dataset: str) -> Callable[..., Any]:
    if ":" in dataset:
        return _attribute("data set", dataset)
    if dataset not in DATASETS:
        known = f'{_hint(dataset, list(DATASETS))}, or "module:attribute"'
        raise ValueError(f"data set {dataset!r} is not known: {known}")
    return DATASETS[dataset]


def _made(dataset: str, maker: Callable[..., Any], root: str | Path | None, options: dict[str, Any]) -> Any:
    if root is None and dataset in OWN:
        raise ValueError(f"data set {dataset} needs the option root: where your data are")
    return maker(place(root), **options)


def place(root: str | Path | None = None) -> Path:
    """The folder that holds data sets: the one given, else NAI_DATA, else ~/.cache/nai."""
    return Path(root or os.environ.get("NAI_DATA") or Path.home() / ".cache" / "nai").expanduser()


def _attribute(what: str, name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{what} {name!r} cannot be imported: {error}") from error
    return found


def _imported(name: str, options: dict[str, Any]) -> Benchmark:
    builder = _attribute("benchmark", name)
    try:
        inspect.signature(builder).bind(**options)
    except TypeError as error:
        raise ValueError(
            f"benchmark {name!r} does not take the options {sorted(options)}: {error}"
        ) from error
    made = builder(**options)
    if not isinstance(made, Benchmark):
        kind = type(made).__name__
        raise TypeError(f"benchmark {name!r} made a {kind}, but must return a Benchmark: see Benchmark.of")
    return made


def _unit(name: str, inputs: Array, labels: Array, is_test: Array) -> Source:
    return Source(name, inputs, labels, is_test, scale=np.full(1, 1 / 255, np.float32))


def _standardised(
    name: str, inputs: Array, labels: Array, is_test: Array, *, mean: Sequence[float], std: Sequence[float]
) -> Source:
    center, spread = np.reshape(mean, (-1, 1, 1)), np.reshape(std, (-1, 1, 1))
    scale, shift = (1 / (255 * spread)).astype(np.float32), (-center / spread).astype(np.float32)
    return Source(name, inputs, labels, is_test, scale, shift)


def _torchvision(dataset: str, kind: str, root: Path) -> tuple[Array, Array, Array]:
    """inputs [samples, channels, height, width], labels and is_test, training samples first."""
    with extra(dataset, "torchvision"):
        from torchvision import datasets
    with _alone(dataset, root):
        halves = [_half(dataset, getattr(datasets, kind), root, train) for train in (True, False)]
    inputs = np.concatenate([np.asarray(half.data) for half in halves])
    inputs = inputs[:, None] if inputs.ndim == 3 else inputs.transpose(0, 3, 1, 2)
    labels = np.concatenate([np.asarray(half.targets, np.int64) for half in halves])
    is_test = np.repeat([False, True], [len(half.data) for half in halves])
    return np.ascontiguousarray(inputs), labels, is_test


def _half(dataset: str, kind: Callable[..., Any], root: Path, train: bool) -> Any:
    """Torchvision's training or test set, from files where they are there, else from its own download."""
    problems = (OSError, RuntimeError, ValueError, EOFError, AssertionError)
    with contextlib.suppress(*problems):
        return kind(root, train=train, download=False)
    try:
        return kind(root, train=train, download=True)
    except problems as error:
        fetch = f"python -c \"from nai.datasets import load; load('{dataset}', root='FOLDER')\""
        raise FileNotFoundError(
            f"the data set {dataset} is not in {root.absolute()} and cannot be downloaded there ({error}): "
            f"fetch it where there is a network, {fetch}, and give FOLDER as root or NAI_DATA"
        ) from error


@contextlib.contextmanager
def _alone(dataset: str, root: Path) -> Iterator[None]:
    """Hold the folder's lock, so that nobody else downloads, or reads what is half unpacked."""
    with extra(dataset, "filelock"):
        from filelock import FileLock
    with contextlib.suppress(OSError):  # reading, which comes next, says what is wrong
        root.mkdir(parents=True, exist_ok=True)
    if not os.access(root, os.W_OK):
        yield
        return
    with FileLock(root / f".{dataset}.lock"):
        yield
