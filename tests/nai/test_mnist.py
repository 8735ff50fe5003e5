"""Real MNIST, five tasks of two digits: the figures of docs/results.md hold on two orders."""

import gzip
import os
from pathlib import Path

import pytest

import nai
from nai.trial import load

ORDERS = ((0, 1, 2, 3, 4), (3, 0, 4, 2, 1))
MODEL, TRAINING = nai.Named.of("mlp", widths=[256, 256]), nai.Training(epochs=5, batch=128)


def unpacked(packed: Path, root: Path) -> Path:
    """The four original files as torchvision keeps them."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in sorted(packed.glob("*-ubyte.gz")):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with MNIST: NAI_DATA, or the original files in the shared data beside the clone."""
    given = Path(os.environ.get("NAI_DATA", "none"))
    packed = Path(__file__).resolve().parents[3] / "shared" / "data" / "MNIST"
    if (given / "MNIST" / "raw").is_dir():
        return given
    if not packed.is_dir():
        pytest.skip(
            "no MNIST: NAI_DATA names no folder with it, and there is no shared/data beside the clone"
        )
    return unpacked(packed, tmp_path_factory.mktemp("mnist"))


def accuracies(root, method, scenario="task", orders=ORDERS):
    """Final accuracy of each order."""
    named = nai.Named.of("split", dataset="mnist", classes=2, scenario=scenario, root=str(root))
    trials = [nai.Trial(named, MODEL, method, TRAINING, order) for order in orders]
    return [o.result.test[-1].mean().item() for o in nai.run_many(trials, benchmark=load(named))]


@pytest.mark.full
def test_ewc_si_and_nai_hold_what_finetuning_forgets(root):
    forgets = accuracies(root, nai.Finetune())
    assert all(0.75 <= accuracy <= 0.96 for accuracy in forgets)
    for method in (nai.Ewc(strength=669.0), nai.Si(strength=4680.0), nai.Nai(strength=0.0826)):
        assert min(accuracies(root, method)) >= 0.97


@pytest.mark.full
def test_joint_training_is_above_and_class_incremental_finetuning_at_the_last_task_alone(root):
    assert accuracies(root, nai.Joint(), orders=ORDERS[:1])[0] > 0.985
    assert all(0.19 <= a <= 0.21 for a in accuracies(root, nai.Finetune(), "class"))
