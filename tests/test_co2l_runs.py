"""Co2L in sweeps: the official runs are spaces that can run, and its page says what the records say."""

import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from nai.training import Training
from nai.trial import method_of
from sweep import record, session
from sweep.space import read

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
OFFICIAL = ("co2l_split_cifar10", "co2l_split_tiny_imagenet", "co2l_rotated_mnist")
TINY = (
    "model.width=4",
    "method.size=10",
    "method.replay=4",
    "method.projection=8",
    "method.linear_epochs=1",
    "method.linear_batch=8",
    "training.epochs=2",
    "training.first_epochs=3",
    "training.warm_epochs=1",
    "training.batch=8",
    "benchmark.valid=0.2",
    "confirm.seeds={init=[0], data=[0]}",
    "resources={cpus=1, device='cpu'}",
)
"""The official run on CIFAR-10 made as small as its files of the test are."""


def write_cifar10(root, monkeypatch, *, each):
    """The files of CIFAR-10 with so many pictures of each class, its check sums switched off."""
    from torchvision.datasets import CIFAR10

    folder, chance = root / CIFAR10.base_folder, np.random.default_rng(0)
    folder.mkdir(parents=True)
    names = [name for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list)]
    for name in names:
        labels = np.repeat(np.arange(10), each)
        data = chance.integers(0, 128, (len(labels), 3, 1024)) + 12 * labels[:, None, None]
        content = {"data": data.reshape(len(labels), -1).astype(np.uint8), "labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(content))
    meta = {**CIFAR10.meta, "md5": None}
    (folder / meta["filename"]).write_bytes(pickle.dumps({meta["key"]: [str(n) for n in range(10)]}))
    monkeypatch.setattr(CIFAR10, "meta", meta)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, None] for name in names[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[names[5], None]])


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_run_is_a_space_with_nothing_searched(name):
    space = read(f"published/{name}")
    assert [method.name for method in space.methods] == ["co2l"]
    assert not space.parameters("co2l") and space.resources.device == "cuda"
    method = method_of({"name": "co2l", **space.methods[0].options})
    training = Training(**space.training.options)
    assert (method.strength, method.current_temperature, method.past_temperature) == (1.0, 0.2, 0.01)
    assert (training.batch, training.algorithm, training.schedule) == (512, "sgd", "cosine")
    # of a step's samples, the buffer's share in what the authors draw batches from
    official = 512 * 200 / ((60000 if "mnist" in name else 10000) + 200)
    assert method.size == 200 and method.replay == round(official)
    assert method.lengths == ("free" if "mnist" in name else "unit")


def test_the_run_on_split_cifar10_goes_its_whole_way(tmp_path, monkeypatch):
    write_cifar10(tmp_path / "data", monkeypatch, each=1)
    monkeypatch.setenv("NAI_DATA", str(tmp_path / "data"))
    accuracies = {}
    for scenario in ("class", "task"):
        space = read("published/co2l_split_cifar10", (*TINY, f"benchmark.scenario={scenario}"))
        ended = session.run(space, tmp_path / scenario, engine="inline", track=False)
        assert ended.results["complete"] and not ended.results["failed"]
        rows = record.read(tmp_path / scenario / "records").rows
        accuracies[scenario] = np.array(rows[0]["test"])
        assert accuracies[scenario].shape == (6, 5)
    # one set of weights, asked among all classes met and within each task
    assert (accuracies["task"][1:] >= accuracies["class"][1:]).all()
    assert accuracies["task"][-1].mean() > accuracies["class"][-1].mean()


def test_the_example_answers_both_questions_with_the_same_weights(capsys):
    runpy.run_path(str(ROOT / "examples" / "contrastive.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Co2L", "cross-entropy"]
    for line in lines:
        among, within = (float(part.split()[-1]) for part in line.split(" %")[:2])
        assert within > among + 20 and among > 20


# ---------------------------------------------------------------- what each part is worth
STUDIES = ("co2l_digits", "co2l_fashion_mnist")


@pytest.fixture(scope="module")
def measured():
    from contrastive import found

    return {name: found(ROOT / "docs" / "studies" / name) for name in STUDIES}


@pytest.mark.parametrize("name", STUDIES)
def test_the_page_shows_the_tables_of_the_records(name, measured):
    from contrastive import ARMS, relations_table
    from head_to_head import markdown

    arms, relations = measured[name]
    told = {one.method for one in arms}
    assert told == ARMS.keys() if name == "co2l_digits" else told < ARMS.keys()
    assert all(one.accuracies.shape == (8,) for one in arms)
    page = (ROOT / "docs" / "contrastive.md").read_text(encoding="utf-8")
    assert markdown(arms, "Co2L") in page and relations_table(relations) in page


@pytest.mark.parametrize("name", STUDIES)
def test_the_shipped_space_is_the_one_on_record(name):
    kept = read(str(ROOT / "docs" / "studies" / name / "space.toml"))
    assert read(name).canonical() == kept.canonical()


def test_distillation_is_worth_points_with_either_loss(measured):
    there = {(one.above, one.below): one for one in measured["co2l_digits"][1]}
    for above, below in (
        ("Co2L", "no distillation"),
        ("symmetric", "symmetric, no distillation"),
        ("Co2L", "replay"),
    ):
        assert there[above, below].verdict == "holds" and there[above, below].won == 1


def test_on_pictures_co2l_is_above_the_probe_and_distillation_is_worth_points(measured):
    told = {(one.above, one.below): one.verdict for one in measured["co2l_fashion_mnist"][1]}
    assert told["Co2L", "cross-entropy, probed"] == told["Co2L", "no distillation"] == "holds"
    assert told["Co2L", "symmetric"] == "not decided"
