import gzip
import hashlib
import os
import pickle
import struct
import sys
import threading
import time
import urllib.error
from pathlib import Path

import numpy as np
import pytest

from nai import datasets
from nai.builders import permuted, split
from nai.datasets import benchmark, load

COUNTS = {"train": 12, "t10k": 4}


def pictures(part, *shape):
    return np.random.default_rng(len(part)).integers(0, 256, (COUNTS[part], *shape), np.uint8)


def classes(part):
    return np.arange(COUNTS[part], dtype=np.uint8) % 10


def idx(array):
    """The IDX format: two zero bytes, type 8 (uint8), number of axes, big-endian sizes, bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_files():
    for part in COUNTS:
        yield f"{part}-images-idx3-ubyte", idx(pictures(part, 28, 28))
        yield f"{part}-labels-idx1-ubyte", idx(classes(part))


def write_mnist(root, family="MNIST"):
    folder = root / family / "raw"
    folder.mkdir(parents=True)
    for name, content in idx_files():
        (folder / name).write_bytes(content)


def write_cifar10(root, monkeypatch):
    """Torchvision's folder of pickled batches, its check sums switched off."""
    from torchvision.datasets import CIFAR10

    folder = root / CIFAR10.base_folder
    folder.mkdir()
    names = {
        "train": [name for name, _ in CIFAR10.train_list],
        "t10k": [name for name, _ in CIFAR10.test_list],
    }
    for part, files in names.items():
        flat = np.split(pictures(part, 3 * 32 * 32), [2, 5, 7, 9][: len(files) - 1])
        labels = np.split(classes(part), [2, 5, 7, 9][: len(files) - 1])
        for name, own, marks in zip(files, flat, labels, strict=True):
            (folder / name).write_bytes(pickle.dumps({"data": own, "labels": marks.tolist()}))
    meta = {**CIFAR10.meta, "md5": None}
    (folder / meta["filename"]).write_bytes(pickle.dumps({meta["key"]: [str(n) for n in range(10)]}))
    monkeypatch.setattr(CIFAR10, "meta", meta)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, None] for name in names["train"]])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, None] for name in names["t10k"]])


def is_test():
    return [False] * 12 + [True] * 4


@pytest.mark.parametrize(("name", "family"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_files_are_read_as_they_are_training_samples_first(tmp_path, name, family):
    write_mnist(tmp_path, family)
    source = load(name, tmp_path)
    assert np.array_equal(source.inputs[:, 0], np.concatenate([pictures(p, 28, 28) for p in COUNTS]))
    assert source.inputs.shape == (16, 1, 28, 28)
    assert source.labels.tolist() == [*range(10), 0, 1, 0, 1, 2, 3]
    assert source.is_test.tolist() == is_test()
    assert (source.scale * 255).tolist() == [1.0]
    assert source.shift is None


def test_cifar_batches_are_read_channels_first_and_standardised_per_channel(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    source = load("cifar10", tmp_path)
    flat = np.concatenate([pictures(p, 3 * 32 * 32) for p in COUNTS])
    assert np.array_equal(source.inputs.reshape(16, -1), flat)
    assert source.inputs.shape == (16, 3, 32, 32)
    assert source.is_test.tolist() == is_test()
    mean = np.reshape(datasets.CIFAR10_MEAN, (3, 1, 1))
    std = np.reshape(datasets.CIFAR10_STD, (3, 1, 1))
    assert np.allclose(
        source.inputs * source.scale + source.shift, (source.inputs / 255 - mean) / std, atol=1e-6
    )


def test_both_cifars_have_a_hundred_and_ten_classes(monkeypatch):
    parts = np.zeros((2, 3, 1, 1), np.uint8), np.array([0, 9]), np.array([False, True])
    monkeypatch.setattr(datasets, "_torchvision", lambda dataset, kind, root: parts)
    source = load("cifar10_100", "anywhere")
    assert source.labels.tolist() == [0, 9, 10, 19]
    assert source.is_test.tolist() == [False, True, False, True]
    assert source.name == "cifar10_100"


def test_digits_are_all_there_and_a_fixed_quarter_of_each_class_is_test():
    source = load("digits")
    assert source.inputs.shape == (1797, 1, 8, 8)
    assert (source.inputs.min(), source.inputs.max(), float(source.scale[0])) == (0, 16, 1 / 16)
    counts, held = np.bincount(source.labels), np.bincount(source.labels[source.is_test])
    assert held.tolist() == (counts // 4).tolist()
    assert np.array_equal(source.is_test, load("digits").is_test)
    # The first picture of scikit-learn's set is a 0, its second row 0 0 13 15 10 15 5 0.
    assert source.labels[0] == 0
    assert source.inputs[0, 0, 1].tolist() == [0, 0, 13, 15, 10, 15, 5, 0]


def test_the_folder_is_the_argument_else_the_environment_else_the_cache(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setitem(datasets.DATASETS, "mnist", seen.append)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NAI_DATA", raising=False)
    load("mnist")
    monkeypatch.setenv("NAI_DATA", "~/elsewhere")
    load("mnist")
    load("mnist", "/given")
    assert seen == [tmp_path / ".cache" / "nai", tmp_path / "elsewhere", Path("/given")]


def test_packed_files_in_the_folder_are_unpacked_not_downloaded(tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    resources = []
    for name, content in idx_files():
        packed = gzip.compress(content)
        (raw / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    assert np.array_equal(load("mnist", tmp_path).inputs[12:, 0], pictures("t10k", 28, 28))


def test_without_files_or_network_the_error_names_the_folder_and_the_way_out(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    with pytest.raises(FileNotFoundError) as caught:
        load("mnist", tmp_path / "new")
    for word in ("mnist", str(tmp_path / "new"), "no network", "load('mnist', root='FOLDER')", "NAI_DATA"):
        assert word in str(caught.value)


def test_damaged_files_are_an_error_that_names_the_folder(tmp_path):
    write_mnist(tmp_path)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        load("mnist", tmp_path)


def test_two_loaders_download_once_and_neither_reads_half_a_file(tmp_path, monkeypatch):
    files = dict(idx_files())
    fetched = []

    def slow(url, download_root, filename, md5):
        name = filename.removesuffix(".gz")
        fetched.append(name)
        Path(download_root, name).write_bytes(b"")
        time.sleep(0.05)
        Path(download_root, name).write_bytes(files[name])

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", slow)
    loaded = []
    threads = [threading.Thread(target=lambda: loaded.append(load("mnist", tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fetched) == sorted(files)
    assert np.array_equal(loaded[0].inputs, loaded[1].inputs)


@pytest.mark.parametrize(
    ("module", "dataset", "package"),
    [("torchvision", "mnist", "torchvision"), ("sklearn.datasets", "digits", "scikit-learn")],
)
def test_a_missing_extra_names_itself(tmp_path, monkeypatch, module, dataset, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as caught:
        load(dataset, tmp_path)
    assert str(caught.value) == f"the data set {dataset} needs {package}: pip install 'nai-sweep[data]'"


def test_a_benchmark_by_name_is_the_builder_on_the_data_set():
    made = benchmark("split", dataset="digits", classes=5, scenario="class", valid=0.25, seed=3)
    assert made.digest == split(load("digits"), 5, "class", valid=0.25, seed=3).digest
    assert benchmark("permuted", dataset="digits", tasks=2).digest == permuted(load("digits"), 2).digest


def test_a_benchmark_may_come_from_a_module(tmp_path, monkeypatch):
    (tmp_path / "own_tasks.py").write_text(
        "from nai.datasets import benchmark\n"
        "def fives(seed): return benchmark('split', dataset='digits', classes=5, seed=seed)\n"
        "def nothing(): return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert benchmark("own_tasks:fives", seed=1).digest == split(load("digits"), 5, seed=1).digest
    with pytest.raises(
        ValueError, match=r"does not take the options \['size'\]: missing a required argument"
    ):
        benchmark("own_tasks:fives", size=1)
    with pytest.raises(TypeError, match="'own_tasks:nothing' made a NoneType, but must return a Benchmark"):
        benchmark("own_tasks:nothing")
    with pytest.raises(ValueError, match=r"'own_tasks:sixes' cannot be imported: .*has no attribute 'sixes'"):
        benchmark("own_tasks:sixes")
    with pytest.raises(ValueError, match="cannot be imported: No module named 'missing_tasks'"):
        benchmark("missing_tasks:x")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "spilt",
            {},
            "benchmark 'spilt' is not known: did you mean 'split'.*permuted, rotated.*module:attribute",
        ),
        ("split", {"dataset": "digit"}, "data set 'digit' is not known: did you mean 'digits'"),
        (
            "split",
            {"dataset": "digits", "clases": 2},
            "no option 'clases': did you mean 'classes'.*class_order",
        ),
        ("split", {"dataset": "digits", "tasks": 2}, "split has no option 'tasks'"),
        ("split", {"dataset": "digits", "source": 2}, "split has no option 'source'"),
        ("permuted", {}, "permuted needs the option dataset: choose one of digits, mnist"),
    ],
)
def test_a_wrong_name_or_option_is_answered_with_the_known_ones(name, options, message):
    with pytest.raises(ValueError, match=message):
        benchmark(name, **options)


REAL = {
    "mnist": ("MNIST/raw/train-images-idx3-ubyte", (70000, 1, 28, 28)),
    "fashion_mnist": ("FashionMNIST/raw/train-images-idx3-ubyte", (70000, 1, 28, 28)),
    "cifar10": ("cifar-10-batches-py/test_batch", (60000, 3, 32, 32)),
    "cifar100": ("cifar-100-python/train", (60000, 3, 32, 32)),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_files_have_equal_classes_and_the_scale_that_their_loader_claims(name):
    file, shape = REAL[name]
    folder = os.environ.get("NAI_DATA")
    if not folder or not Path(folder, file).exists():
        pytest.skip(f"NAI_DATA names no folder with {file}")
    source = load(name, folder)
    assert source.inputs.shape == shape
    assert len(set(np.bincount(source.labels[source.is_test]).tolist())) == 1 or name == "mnist"
    assert source.is_test.sum() == 10000
    if source.shift is not None:
        values = source.inputs[~source.is_test][::10] * source.scale + source.shift
        assert np.abs(values.mean((0, 2, 3))).max() < 0.02
        assert np.abs(values.std((0, 2, 3)) - 1).max() < 0.02


def test_a_data_set_may_come_from_a_module(tmp_path, monkeypatch):
    (tmp_path / "own_data.py").write_text(
        "from nai.arrays import from_tensors\n"
        "import numpy as np\n"
        "def blots(root, count=40):\n"
        "    labels = np.arange(count) % 4\n"
        "    return from_tensors((10 * labels[:, None]).astype(np.uint8), labels, name=root.name)\n"
        "def nothing(root): return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = benchmark("split", dataset="own_data:blots", root=str(tmp_path / "ink"), count=80, classes=2)
    assert made.name == "split_ink"
    assert made.digest == split(load("own_data:blots", tmp_path, count=80)).digest
    with pytest.raises(TypeError, match="'own_data:nothing' made a NoneType, but must return a Source"):
        load("own_data:nothing")
    with pytest.raises(ValueError, match=r"data set 'own_data:blobs' cannot be imported: .* no attribute"):
        load("own_data:blobs")


def test_cifar_10_comes_first_as_one_task_and_then_cifar_100_in_tens(monkeypatch):
    def arrays(dataset, kind, root):
        classes = 10 if kind == "CIFAR10" else 100
        labels, is_test = np.tile(np.arange(classes), 6), np.repeat([False] * 5 + [True], classes)
        return np.zeros((6 * classes, 3, 1, 1), np.uint8), labels, is_test

    monkeypatch.setattr(datasets, "_torchvision", arrays)
    made = benchmark("split", dataset="cifar10_100", root="anywhere", classes=10)
    assert [task.classes for task in made.tasks] == [tuple(range(n, n + 10)) for n in range(0, 110, 10)]
    assert made.owners[:60].tolist() == [0] * 60
    twenty = benchmark("split", dataset="cifar100", root="anywhere", classes=5)
    assert len(twenty.tasks) == 20
