"""Data sets through frozen networks: computed once, standardised, and a benchmark like any other."""

import builtins

import numpy as np
import pytest
import torch
from torch import nn

from nai import backbones, features
from nai.backbones import Frozen, extractor, width_of
from nai.builders import nicv2
from nai.datasets import benchmark, digits, through
from nai.features import featured
from nai.sources import Source

RANDOM = Frozen("random_conv")


class Means(nn.Module):
    """A network of the user's own: the mean of each row of a picture."""

    def forward(self, pictures):
        return pictures.mean((1, 3))


def source(samples=12, side=9):
    inputs = np.random.default_rng(0).integers(0, 256, (samples, 1, side, side), np.uint8)
    return Source("some", inputs, np.arange(samples) % 3, np.arange(samples) >= 8)


def test_features_have_mean_0_and_deviation_1_over_what_is_learnt_from():
    found = featured(source(), RANDOM).source
    learnt = found.inputs[:8].astype(np.float64)
    assert found.inputs.dtype == np.float32 and found.inputs.shape == (12, width_of(RANDOM, (1, 9, 9)))
    spread = learnt.std(0)
    assert np.abs(learnt.mean(0)).max() < 1e-5
    # a filter that says nothing is read as 0
    assert np.minimum(np.abs(spread - 1), spread).max() < 1e-4 and (spread > 0.9).mean() > 0.9


def test_the_module_makes_the_features_of_pictures():
    data = source()
    found = featured(data, RANDOM)
    said = found.module(features.pictures(data, slice(0, 12)))
    assert torch.allclose(said, torch.tensor(found.source.inputs), atol=1e-5)


def test_features_are_computed_once(tmp_path, monkeypatch):
    first = featured(source(), RANDOM, tmp_path).source
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(features, "extracted", lambda *_: pytest.fail("computed again"))
    assert np.array_equal(featured(source(), RANDOM, tmp_path).source.inputs, first.inputs)
    monkeypatch.undo()
    file.write_bytes(file.read_bytes()[:-5])  # cut short: computed anew, and kept again
    assert np.array_equal(featured(source(), RANDOM, tmp_path).source.inputs, first.inputs)
    assert np.load(file).shape == first.inputs.shape


def test_other_pictures_have_features_of_their_own(tmp_path):
    featured(source(), RANDOM, tmp_path)
    featured(source(samples=9), RANDOM, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_nobody_learns_in_a_backbone_and_its_width_needs_no_weights():
    net = extractor(RANDOM, (3, 32, 32))
    assert [p for p in net.parameters() if p.requires_grad] == [] and not net.training
    assert width_of(RANDOM, (3, 32, 32)) == 576 == net(torch.zeros(1, 3, 32, 32)).shape[1]


@pytest.mark.parametrize(("name", "width"), [("mobilenet_v3_small", 1024), ("squeezenet1_1", 512)])
def test_the_last_layer_of_torchvisions_networks_is_left_out(name, width):
    pytest.importorskip("torchvision")
    assert width_of(Frozen(name, pixels=64), (1, 8, 8)) == width


@pytest.mark.full
def test_every_network_of_torchvision_is_a_backbone():
    models = pytest.importorskip("torchvision").models
    widths = {name: width_of(Frozen(name), (3, 32, 32)) for name in models.list_models(module=models)}
    assert len(widths) > 70 and min(widths.values()) == widths["regnet_x_400mf"] == 400


def test_weights_come_from_a_file(tmp_path):
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    net = models.get_model("mobilenet_v3_small").eval()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    frozen = Frozen("mobilenet_v3_small", str(tmp_path / "net.pth"), 32)
    pictures = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (backbones.MEAN, backbones.STD))
    inner = net.avgpool(net.features((pictures - mean) / std)).flatten(1)
    assert torch.allclose(extractor(frozen, (3, 32, 32))(pictures), net.classifier[:-1](inner), atol=1e-6)
    with pytest.raises(ValueError, match=r"are not those of squeezenet1_1"):
        extractor(frozen._replace(backbone="squeezenet1_1"), (3, 32, 32))


def test_what_is_no_file_of_weights_says_so(tmp_path):
    pytest.importorskip("torchvision")
    with pytest.raises(FileNotFoundError, match="give a state dict"):
        extractor(Frozen("resnet18", str(tmp_path / "none.pth")), (3, 32, 32))
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(ValueError, match="cannot be read as a state dict"):
        extractor(Frozen("resnet18", str(tmp_path / "text.pth")), (3, 32, 32))


def test_weights_that_cannot_be_fetched_say_the_way_out(monkeypatch):
    pytest.importorskip("torchvision")

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(FileNotFoundError, match=r"weights = 'FILE.pth', or take backbone random_conv"):
        extractor(Frozen("resnet18"), (3, 32, 32))


def test_a_missing_torchvision_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("torchvision"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"needs torchvision: pip install 'nai-sweep\[data\]'"):
        extractor(Frozen("resnet18"), (3, 32, 32))


@pytest.mark.parametrize(
    ("frozen", "said"),
    [
        (Frozen("resnet81"), "did you mean 'resnet18'"),
        (Frozen("random_conv", pixels=32), "pixels acts only with a backbone of torchvision"),
        (Frozen("random_conv", weights="x"), "weights acts only with a backbone of torchvision"),
        (Frozen("resnet18", pixels=0), "pixels 0 must be at least 1"),
        (Frozen("no_such_module:net"), "cannot be imported"),
    ],
)
def test_backbones_that_cannot_be_are_refused(frozen, said):
    pytest.importorskip("torchvision")
    with pytest.raises(ValueError, match=said):
        extractor(frozen, (3, 32, 32))


def test_vectors_have_no_random_filters():
    with pytest.raises(ValueError, match="needs pictures"):
        extractor(RANDOM, (64,))


def test_a_module_of_ones_own_makes_features(tmp_path, monkeypatch):
    (tmp_path / "own_rows.py").write_text(
        "from torch import nn\nclass Rows(nn.Module):\n"
        "    def forward(self, pictures):\n        return pictures.mean((1, 3))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = digits(tmp_path)
    assert width_of(Frozen("own_rows:Rows"), (1, 8, 8)) == 8
    found = through(data, Frozen("own_rows:Rows"), tmp_path).source
    raw = (data.inputs / 16).mean((1, 3))
    learnt = raw[~data.is_test]
    spread = np.where(learnt.std(0) > 1e-6, learnt.std(0), np.inf)
    assert np.allclose(found.inputs, (raw - learnt.mean(0)) / spread, atol=1e-4)


def test_a_benchmark_takes_a_backbone(monkeypatch, tmp_path):
    monkeypatch.setenv("NAI_DATA", str(tmp_path))
    made = benchmark("nicv2", dataset="digits", backbone="random_conv", samples=10, parts=2)
    assert made.features == (width_of(RANDOM, (1, 8, 8)),) and len(made.tasks) == 19
    assert (tmp_path / "features").is_dir()
    with pytest.raises(ValueError, match="pixels acts only with a backbone"):
        benchmark("nicv2", dataset="digits", pixels=32)


def test_nicv2_meets_classes_one_by_one_and_again():
    data = digits(None)
    made = nicv2(data, first=3, samples=20, parts=4, run=1)
    sizes = [len(task.classes) for task in made.tasks]
    assert sizes == [3] + [1] * 37
    assert [len(task.train) + len(task.valid) for task in made.tasks] == [60] + [20] * 37
    met = [task.classes[0] for task in made.tasks[1:]] + list(made.tasks[0].classes)
    assert {number: met.count(number) for number in range(10)} == dict.fromkeys(range(10), 4)
    tested = np.concatenate([task.test for task in made.tasks])
    assert len(tested) == len(set(tested.tolist())) == data.is_test.sum()


def test_runs_of_nicv2_have_the_same_samples_in_other_orders():
    data, key = digits(None), lambda made: [task.classes for task in made.tasks]
    one, two = (nicv2(data, samples=20, parts=3, run=run) for run in (0, 1))
    assert key(one) != key(two) and key(one) == key(nicv2(data, samples=20, parts=3, run=0))
    assert np.array_equal(np.sort(one.inputs.reshape(-1, 64), 0), np.sort(two.inputs.reshape(-1, 64), 0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 100, "parts": 9}, "are more than the"),
        ({"samples": 0}, "must be at least 1"),
        ({"first": 11}, "must be from 1 to 10"),
    ],
)
def test_streams_that_cannot_be_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        nicv2(digits(None), **{"samples": 10, "parts": 2} | options)
