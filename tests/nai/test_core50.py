import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import FRAMES, TESTED, TRAINED, frames, nicv2_391, shade, write_frames, write_nicv2_391

from nai import core50
from nai.builders import split, stream
from nai.datasets import benchmark, load, looked_at


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Lists of two runs, frames of 128 and of 32 pixels; nothing else that the archives hold."""
    made = tmp_path_factory.mktemp("data")
    write_nicv2_391(made / "core50", range(2))
    write_frames(made / "core50" / "core50_32x32", 32)
    return made


@pytest.fixture(scope="module")
def source(root):
    return load("core50", root, run=1)


def shown(source):
    """The (object, session) that each picture shows."""
    return source.inputs[:, :2, 0, 0].tolist()


def test_a_run_holds_its_batches_in_its_order_and_the_common_test_set(source):
    batches = nicv2_391(1)
    assert len(source.inputs) == 50 * 11 * FRAMES
    for number in (0, 1, 200, 390):
        mine = [f.split("/")[:2] for f in batches[number]]
        expected = [shade(int(s[1:]), int(o[1:]))[:2].tolist() for s, o in mine]
        assert [shown(source)[i] for i in np.flatnonzero(source.batches == number)] == expected
    assert (source.is_test == (source.batches == -1)).all()
    assert {session for _, session in np.array(shown(source))[source.is_test]} == set(TESTED)
    assert {session for _, session in np.array(shown(source))[~source.is_test]} == set(TRAINED)


def test_a_class_is_the_object_in_every_run_or_its_category(root, source):
    assert source.labels.tolist() == [thing - 1 for thing, _ in shown(source)]
    category = load("core50", root, run=1, level="category")
    assert category.labels.tolist() == (source.labels // 5).tolist()


def test_a_stream_tests_every_batch_on_its_share_of_its_classes(source):
    made = stream(source, valid=0.25)
    assert len(made.tasks) == 391
    assert len(made.tasks[0].classes) == 10
    assert {len(task.classes) for task in made.tasks[1:]} == {1}
    tested = np.concatenate([task.test for task in made.tasks])
    assert sorted(tested.tolist()) == np.flatnonzero(source.is_test).tolist()
    for task in made.tasks[1:]:
        assert [len(part) for part in task.splits[:2]] == [3, 1]
        assert len(task.test) in (1, 2)  # 12 frames of an object are shared by its 8 batches


def test_any_accuracy_on_the_test_set_is_the_mean_over_tasks_weighted_by_their_test_samples(source):
    made = stream(source)
    right = np.random.default_rng(0).random(len(source.labels)) < 0.7
    weights = np.array([len(task.test) for task in made.tasks])
    accuracies = np.array([right[task.test].mean() for task in made.tasks])
    assert np.isclose(np.average(accuracies, weights=weights), right[source.is_test].mean())


def test_the_accuracy_that_the_documentation_works_out_is_that_on_the_whole_test_set(source):
    made, chance = stream(source), np.random.default_rng(0)
    right = chance.random((3, len(source.labels))) < 0.7
    test = np.array([[row[task.test].mean() for task in made.tasks] for row in right])
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    exec(next(b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def official" in b), found)
    found["benchmark"] = lambda *names, **options: made
    assert np.allclose(found["official"](test), right[:, source.is_test].mean(1))


def test_the_runs_are_orders_of_the_batches_of_run_0(root, tmp_path):
    write_nicv2_391(tmp_path / "core50", range(10), below="batches_filelists")
    orders = core50.runs(tmp_path)
    assert len(orders) == 10
    assert orders[0] == tuple(range(391))
    home = nicv2_391(0)
    for run in (1, 9):
        assert [home[task] for task in orders[run]] == nicv2_391(run)
    lists = tmp_path / "core50" / "batches_filelists" / "NIC_v2_391" / "run3"
    (lists / "train_batch_07_filelist.txt").write_text("s1/o1/C_01_01_000.png 0\n")
    with pytest.raises(ValueError, match=r"batch 7 of run 3 is none of run 0.* run = 3"):
        core50.runs(tmp_path)


def test_frames_of_128_pixels_are_made_smaller_where_there_are_no_small_ones(tmp_path):
    write_nicv2_391(tmp_path / "core50", [0])
    write_frames(tmp_path / "core50" / "core50_128x128", 128)
    small = load("core50", tmp_path, size=8)
    assert small.inputs.shape == (2200, 3, 8, 8)
    assert np.array_equal(small.inputs[:, 0], np.broadcast_to(1 + small.labels[:, None, None], (2200, 8, 8)))


def test_the_outline_has_the_tasks_and_outputs_of_the_data(root, source):
    made, real = (stream(s) for s in (looked_at("core50", root).source, source))
    assert (len(made.tasks), made.outputs) == (len(real.tasks), real.outputs) == (391, 50)
    for batches in core50.BATCHES:
        seen = looked_at("core50", batches=batches, level="category", size=64)
        assert seen.features == (3, 64, 64)
        assert (len(stream(seen.source, "domain").tasks), stream(seen.source).outputs) == (batches, 10)
        assert len(split(seen.source, 2).tasks) == 5


def test_what_is_not_there_is_answered_with_what_to_download(root, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load("core50", tmp_path)
    for word in (
        "NIC_v2_391",
        str(tmp_path),
        "core50_128x128.zip",
        "batches_filelists_NICv2.zip",
        "NAI_DATA",
    ):
        assert word in str(caught.value)
    shutil.copytree(root / "core50" / "NIC_v2_391", tmp_path / "core50" / "NIC_v2_391")
    with pytest.raises(FileNotFoundError, match="the frames core50_128x128 are not in"):
        load("core50", tmp_path)
    (tmp_path / "core50" / "NIC_v2_391" / "run0" / "train_batch_00_filelist.txt").unlink()
    with pytest.raises(FileNotFoundError, match="does not hold just 390 of the 391 lists of batches"):
        load("core50", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": 390}, "batches 390 must be one of 79, 196, 391"),
        ({"run": 10}, r"run 10 must be one of the official runs 0\.\.9"),
        ({"level": "kind"}, "level 'kind' is unknown: known are object, category"),
        ({"size": 0}, "size 0 must be at least 1 pixel"),
    ],
)
def test_settings_that_do_not_exist_are_refused_before_anything_is_read(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        benchmark("stream", dataset="core50", root=str(tmp_path), **options)


@pytest.mark.parametrize("frame", ["s1/o1/../../secret.png", "s1/o1/a b.png"])
def test_a_frame_elsewhere_is_refused(frame):
    with pytest.raises(ValueError, match=r"secret|a b"):
        core50._object(frame)


def test_a_frame_of_no_object_is_refused():
    assert frames([(3, 50)])[0] == "s3/o50/C_03_50_000.png"
    for wrong in ("s3/o51/C_03_51_000.png", "s3/o0/x.png", "o1/x.png"):
        with pytest.raises(ValueError, match=f"frame {wrong} of CORe50 is not"):
            core50._object(wrong)
