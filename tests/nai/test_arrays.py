import numpy as np
import pytest
import torch

from nai.arrays import from_tensors, npz
from nai.builders import permuted, rotated, split
from nai.datasets import benchmark, looked_at
from nai.sources import quarter


def samples(count=8, classes=4):
    labels = np.repeat(np.arange(classes), count)
    return np.random.default_rng(0).integers(0, 256, (len(labels), 1, 3, 3), np.uint8), labels


def test_bytes_stand_for_zero_to_one_unless_a_scale_is_given():
    inputs, labels = samples()
    assert (from_tensors(inputs, labels).scale * 255).tolist() == [1.0]
    given = from_tensors(inputs, labels, scale=[2.0], shift=[-1.0])
    assert (given.scale, given.shift) == ([2.0], [-1.0])
    assert from_tensors(inputs, labels, shift=[-1.0]).scale is None


def test_tensors_and_arrays_make_the_same_benchmark_and_a_quarter_is_test():
    inputs, labels = samples()
    arrays = from_tensors(inputs, labels)
    tensors = from_tensors(torch.from_numpy(inputs), torch.from_numpy(labels))
    assert split(arrays).digest == split(tensors).digest
    assert np.array_equal(arrays.is_test, quarter(labels))
    chosen = np.arange(len(labels)) % 2 == 0
    assert np.array_equal(from_tensors(inputs, labels, chosen).is_test, chosen)


def test_numbers_that_are_no_bytes_are_read_as_they_are():
    inputs, labels = np.linspace(-1, 1, 32 * 5).reshape(32, 5), samples()[1]
    source = from_tensors(inputs, labels)
    assert (source.scale, source.shift) == (None, None)
    made = permuted(source, 3)
    assert made.inputs.dtype == np.float32
    assert np.array_equal(made.inputs[:32], inputs.astype(np.float32))
    assert np.array_equal(np.sort(made.inputs[32:64]), np.sort(made.inputs[:32]))
    assert torch.equal(made.samples().inputs, torch.from_numpy(made.inputs.copy()))
    with pytest.raises(ValueError, match=r"float32 samples of shape \[5\] cannot be rotated"):
        rotated(source)


@pytest.mark.parametrize(
    "more", [{}, {"is_test": np.arange(32) % 4 == 1, "scale": np.ones(1), "shift": np.ones(1)}]
)
def test_an_npz_file_is_the_arrays_in_it_and_its_place_is_not_part_of_the_digest(tmp_path, more):
    inputs, labels = samples()
    for name in ("one", "two"):
        np.savez_compressed(tmp_path / f"{name}.npz", inputs=inputs, labels=labels, **more)
    made = [benchmark("split", dataset="npz", root=str(tmp_path / f"{name}.npz")) for name in ("one", "two")]
    assert made[0].digest == made[1].digest == split(from_tensors(inputs, labels, **more)).digest
    seen, source = looked_at("npz", tmp_path / "one.npz"), npz(tmp_path / "one.npz")
    assert seen.features == (1, 3, 3)
    assert seen.source.labels.tolist() == source.labels.tolist()
    assert seen.source.is_test.tolist() == source.is_test.tolist()


def test_what_is_no_sound_file_is_refused_and_nothing_pickled_is_read(tmp_path):
    inputs, _ = samples()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*no.npz: give as root an .npz"):
        npz(tmp_path / "no.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(ValueError, match=r"text.npz is no .npz file"):
        npz(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", inputs)
    with pytest.raises(ValueError, match=r"one.npy lacks inputs and labels: write it with numpy.savez"):
        npz(tmp_path / "one.npy")
    np.savez(tmp_path / "half.npz", inputs=inputs)
    with pytest.raises(ValueError, match=r"half.npz lacks labels"):
        npz(tmp_path / "half.npz")
    np.savez(tmp_path / "objects.npz", inputs=inputs, labels=np.array([{}] * 32, object))
    with pytest.raises(
        ValueError, match=r"labels in .*objects.npz cannot be read .*: save numbers, not objects"
    ):
        npz(tmp_path / "objects.npz")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((32, 1), int), r"labels of own are int64 of shape \[32, 1\], but must be class numbers"),
        (np.zeros(32), "labels of own are float64"),
        (np.full(32, -1), "but must be class numbers from 0"),
        (np.zeros(31, int), "own has 32 inputs, 31 labels and 31 is_test"),
    ],
)
def test_labels_that_do_not_fit_are_refused_and_a_look_at_a_file_says_so_too(labels, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        from_tensors(samples()[0], labels)
    np.savez(tmp_path / "own.npz", inputs=samples()[0], labels=labels)
    with pytest.raises(ValueError, match=message):
        looked_at("npz", tmp_path / "own.npz")
