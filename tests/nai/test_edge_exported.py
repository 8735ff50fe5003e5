"""A head trained by its exported program: the losses and weights of torch, and what a device saves."""

import builtins

import pytest
import torch

from nai import edge
from nai.backbones import Frozen
from nai.features import featured, pictures
from nai.seeds import generator

RATES = edge.Rates(0.05, 0.9, 1e-3)


@pytest.fixture(scope="module", params=[0, 12])
def head(request):
    return edge.Head(20, 6, request.param)


@pytest.fixture(scope="module")
def program(head, tmp_path_factory):
    pytest.importorskip("executorch", reason="needs the extra edge: pip install 'nai-sweep[edge]'")
    return edge.export_head(head, 8, tmp_path_factory.mktemp("edge") / "head.pte")


def steps(count):
    chance = generator(0, "steps")
    for _ in range(count):
        weights = torch.rand(8, generator=chance)
        features, labels = torch.randn(8, 20, generator=chance), torch.randint(6, (8,), generator=chance)
        yield features, labels, weights / weights.sum()


def test_the_program_trains_as_torch_does(head, program):
    theirs = edge.ExportedHead(program, RATES)
    ours = edge.TorchHead(_copy(head), 8, RATES)
    gaps = [abs(ours.step(*step) - theirs.step(*step)) for step in steps(60)]
    assert max(gaps) < 1e-5
    some = torch.randn(21, 20, generator=generator(1))
    assert theirs.logits(some).shape == (21, 6)
    assert torch.allclose(theirs.logits(some), ours.logits(some), atol=1e-5)


def test_training_moves_the_weights_and_asking_does_not(head, program):
    trained = edge.ExportedHead(program, RATES)
    before = trained.weights()
    trained.logits(torch.randn(5, 20))
    assert all(torch.equal(value, before[name]) for name, value in trained.weights().items())
    trained.step(*next(steps(1)))
    assert all(not torch.equal(value, before[name]) for name, value in trained.weights().items())


def test_saved_weights_are_gone_on_from(head, program):
    first, second = edge.ExportedHead(program, RATES), edge.ExportedHead(program, RATES)
    for step in steps(5):
        first.step(*step)
    second.restore(first.weights())
    some = torch.randn(9, 20, generator=generator(2))
    assert torch.equal(first.logits(some), second.logits(some))
    with pytest.raises(ValueError, match="are not those of this head"):
        second.restore({"other": torch.zeros(2)})


@pytest.mark.parametrize("backend", ["portable", pytest.param("xnnpack", marks=pytest.mark.full)])
def test_the_exported_backbone_makes_the_same_features(backend, tmp_path):
    pytest.importorskip("executorch", reason="needs the extra edge: pip install 'nai-sweep[edge]'")
    from nai.datasets import digits

    data = digits(tmp_path)
    found = featured(data, Frozen("random_conv"))
    file = edge.export_backbone(found.module, (1, 8, 8), tmp_path / "backbone.pte", backend)
    said = edge.run_backbone(file, pictures(data, slice(0, 3)))
    assert torch.allclose(said, torch.tensor(found.source.inputs[:3]), atol=1e-4)


def test_a_missing_executorch_names_the_extra(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("executorch"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"needs executorch: pip install 'nai-sweep\[edge\]'"):
        edge.export_head(edge.Head(4, 2), 2, tmp_path / "head.pte")


def test_an_unknown_backend_and_a_missing_program_are_refused(tmp_path):
    with pytest.raises(ValueError, match="backend 'cuda' is unknown"):
        edge.export_backbone(torch.nn.Identity(), (4,), tmp_path / "x.pte", "cuda")
    with pytest.raises(FileNotFoundError, match="export a head or a backbone there first"):
        edge.ExportedHead(tmp_path / "none.pte", RATES)


def _copy(head):
    made = edge.Head(head.width, head.outputs, head.hidden, seed=5)
    made.load_state_dict(head.state_dict())
    return made
