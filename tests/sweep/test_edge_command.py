"""`nai-sweep edge`: the same streams with replay and without, from Python and by command, and its spaces."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nai.datasets import DATASETS
from sweep import edge
from sweep.cli import app
from sweep.cli_edge import stream
from sweep.cli_failures import DATA, INPUT
from sweep.space import Mistakes, read
from sweep.space.shapes import shape

ROOT = Path(__file__).resolve().parents[2]
DIGITS = {
    **{"name": "nicv2", "dataset": "digits", "scenario": "class", "backbone": "random_conv"},
    **{"samples": 20, "parts": 2, "valid": 0.1},
}


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("NAI_DATA", str(tmp_path))


def test_replay_is_worth_ten_points_within_its_bytes():
    *lines, found = edge.measured(edge.Wanted(DIGITS, 60_001, "uint8", runs=2))
    assert tuple(lines) == found.lines and [line.run for line in lines] == [0, 0, 1, 1]
    assert [line.buffer_bytes for line in lines[::2]] == [0, 0]
    width = 256  # 64 filters, of which 2 x 2 places are left; two floats and a label beside each sample
    assert {line.buffer_bytes for line in lines[1::2]} == {60_001 // (width + 9) * (width + 9)}
    assert found.head_bytes == 4 * (width * 10 + 10) and found.loss_gap is None
    mean, half = edge.interval(edge.gains(found.lines))
    assert mean > 0.1 and half is not None
    assert all(line.experiences == 19 and line.steps == len(line.losses) for line in lines)


def test_the_exported_head_reaches_the_same(tmp_path):
    pytest.importorskip("executorch", reason="needs the extra edge: pip install 'nai-sweep[edge]'")
    wanted = edge.Wanted(DIGITS, 20_001, rate=0.01, runs=1, export=tmp_path / "out", backend="portable")
    _, plain, program, found = edge.measured(wanted)
    assert program.trained_by == "program" and program.steps == plain.steps
    assert found.loss_gap < 1e-5 and program.accuracy == pytest.approx(plain.accuracy, abs=0.01)
    assert found.programs.keys() == {"backbone.pte", "head.pte"} and min(found.programs.values()) > 1000


def test_a_missing_executorch_is_told_before_anything_is_trained(monkeypatch, tmp_path):
    for name in ("executorch", "executorch.exir"):
        monkeypatch.setitem(sys.modules, name, None)
    said = told(f"--runs 1 --export {tmp_path / 'out'}")
    assert said.exit_code == DATA and "pip install 'nai-sweep[edge]'" in said.stderr
    assert "% of all test samples" not in said.stderr and "Traceback" not in said.stderr
    assert not (tmp_path / "out").exists() and not said.stdout


def told(words):
    return CliRunner().invoke(app, ["edge", "digits", "--samples", "20", "--parts", "2", *words.split()])


def test_the_command_shows_a_table_or_json():
    said = told("--runs 2 --budget 16KiB --json")
    assert said.exit_code == 0, said.stderr
    assert all(line["buffer_bytes"] <= 16 * 1024 for line in json.loads(said.stdout)["lines"])
    said = told("--runs 1 --store uint8")
    assert said.exit_code == 0, said.stderr
    assert "replay is worth" in said.stdout and "599,960" in said.stdout  # 2264 rows of 256 + 8 + 1 bytes
    assert said.stderr.count("% of all test samples") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("digits --budget lots", "'lots' is no number of bytes: write 64KiB, 600KB or 2MB"),
        ("digits --samples 500", "are more than the"),
        ("digits --samples 20 --parts 2 --store int4", "store 'int4' is unknown"),
        ("digits --pixels 32", "pixels acts only with a backbone of torchvision"),
        ("digit", "did you mean 'digits'"),
    ],
)
def test_mistakes_are_told_on_a_line(words, said):
    shown = CliRunner().invoke(app, ["edge", *words.split()])
    assert shown.exit_code == INPUT and said in shown.stderr and "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    ("text", "count"), [("4000", 4000), ("64KiB", 65536), ("600KB", 600_000), ("2mb", 2_000_000), ("0", 0)]
)
def test_sizes_are_read(text, count):
    assert edge.size(text) == count


def test_core50_is_learnt_in_its_official_runs():
    options = stream("core50", {"backbone": "resnet18", "weights": None}, {"samples": 50}, batches=79)
    wanted = {"name": "stream", "dataset": "core50", "batches": 79, "backbone": "resnet18"}
    assert options == wanted | {"scenario": "class", "valid": 0.1}
    assert "core50" in DATASETS


def test_the_shipped_spaces_have_features_as_inputs_without_their_data():
    for name, tasks, outputs in (("edge_orders", 20, 100), ("edge_nicv2", 39, 10)):
        options = dict(read(name).first("er")["benchmark"])
        found = shape(options.pop("name"), options)
        assert (found.tasks, found.features, found.outputs) == (tasks, (576,), outputs)


@pytest.mark.parametrize("name", ["edge_nicv2", "edge_orders"])
def test_the_page_shows_the_table_of_the_records(name, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from head_to_head import beside, markdown

    folder = ROOT / "docs" / "studies" / name
    assert markdown(beside(folder, "er"), "er") in (ROOT / "docs" / "edge.md").read_text(encoding="utf-8")
    assert read(name).canonical() == read(str(folder / "space.toml")).canonical()


def test_settings_of_a_backbone_without_one_are_a_mistake():
    with pytest.raises(Mistakes, match="acts only with a backbone"):
        read("split_mnist", ["benchmark.pixels=32"])
    with pytest.raises(Mistakes, match="did you mean 'resnet18'"):
        read("edge_orders", ["benchmark.backbone=resnet81"])


def test_the_example_shows_replay_ahead(capsys):
    runpy.run_path(str(ROOT / "examples" / "edge.py"), run_name="__main__")
    alone, replay, *_ = capsys.readouterr().out.splitlines()
    assert float(replay.split(": ")[1].split()[0]) > float(alone.split(": ")[1].split()[0]) + 10
