"""Commands that show a sweep: report with its files, compare, watch."""

import json
import shutil
import threading
import time

import pytest
from read_page import Read
from tiny_sweeps import ROOT, RUNGS, inline, tiny
from typer.testing import CliRunner

from sweep import look
from sweep.cli import app
from sweep.cli_failures import FOLDER, INPUT
from sweep.cli_show import near
from sweep.watch import Watch


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep; leave it as it is."""
    out = tmp_path_factory.mktemp("swept") / "out"
    inline(tiny(*RUNGS), out)
    return out


@pytest.fixture
def copy(swept, tmp_path):
    return shutil.copytree(swept, tmp_path / "copy")


def test_report_writes_what_is_asked_for_and_names_it(copy, monkeypatch):
    for kind in ("png", "pdf"):  # drawn in test_report_files.py
        monkeypatch.setattr(f"sweep.report.drawing.{kind}", lambda chart: b"drawn")
    plain = call("report", copy)
    assert plain.exit_code == 0, plain.stderr
    assert not (copy / "report_static.html").exists() and not (copy / "figures").exists()
    more = call("report", copy, "--static", "--figures")
    assert more.exit_code == 0, more.stderr
    made = [copy / name for name in ("report.html", "report_static.html", "figures")]
    assert more.stdout.split()[-3:] == [near(path) for path in made]
    assert made[1].stat().st_size < 1_000_000 < made[0].stat().st_size
    assert (made[2] / "summary.tex").is_file() and (made[2] / "spread-1.csv").is_file()
    assert (made[2] / "spread-1.pdf").read_bytes() == b"drawn"


def test_studies_of_the_documentation_have_their_report(tmp_path):
    study = shutil.copytree(ROOT / "docs" / "studies" / "split_mnist_nai", tmp_path / "study")
    look.render(study)
    text = Read((study / "report.html").read_text(encoding="utf-8")).text
    assert json.loads((study / "results.json").read_text())["verdict"] in text
    assert "classes 8 9 → " in text  # tasks by their names


def test_compare_puts_sweeps_on_one_page(swept, copy, tmp_path):
    said = call("compare", swept, copy, "--out", tmp_path / "both.html")
    assert said.exit_code == 0, said.stderr
    assert said.stdout.split() == [near(tmp_path / "both.html")]
    text = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert text.count("Plotly.newPlot(node") == 1  # the library is there once
    assert "2 sweeps side by side" in text and ">copy<" in text and ">out<" in text


def test_compare_names_a_folder_that_holds_no_sweep(swept, tmp_path):
    said = call("compare", swept, tmp_path / "none", "--out", tmp_path / "both.html")
    assert said.exit_code == FOLDER and "none holds no sweep" in said.stderr
    assert not (tmp_path / "both.html").exists()


def test_watch_of_a_finished_sweep_says_so_and_ends(swept):
    said = call("watch", swept)
    assert said.exit_code == 0 and "finished" in said.stdout
    assert call("watch", swept, "--every", "0").exit_code == INPUT


def test_watch_follows_runs_that_come_in_until_the_last(copy):
    part = next(iter(sorted((copy / "records").glob("part-*"))))
    hidden = part.rename(copy / part.name)
    seen, notes = [], []
    follower = threading.Thread(
        target=lambda: seen.append(look.follow(copy, Watch(standing=seen.append, note=notes.append), 0.1))
    )
    follower.start()
    end = time.monotonic() + 60
    while not seen and time.monotonic() < end:
        time.sleep(0.05)
    hidden.rename(part)
    follower.join(60)
    assert not follower.is_alive()
    assert seen[0].done < seen[-1].done == seen[-1].expected
    assert notes == ["no process works on this sweep now: the command that started it goes on with it"]


def test_watch_says_when_the_process_that_worked_is_gone(copy):
    part = next(iter(sorted((copy / "records").glob("part-*"))))
    hidden, owner = part.rename(copy / part.name), look.Folder.of_records(copy).owner
    owner.write_text("1234 on a machine\n")
    seen, notes = [], []
    follower = threading.Thread(
        target=lambda: look.follow(copy, Watch(standing=seen.append, note=notes.append), 0.1)
    )
    follower.start()
    waited(lambda: len(seen) > 2)
    assert notes == []
    owner.unlink()
    waited(lambda: notes)
    hidden.rename(part)
    follower.join(60)
    assert notes == ["no process works on this sweep now: the command that started it goes on with it"]


def waited(true):
    """Wait a minute at most for what another thread does."""
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    assert true()


@pytest.mark.parametrize(
    ("command", "options"),
    [("report", "--static --figures"), ("compare", "--out"), ("watch", "--every")],
)
def test_help_lists_the_options(command, options, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    said = call(command, "--help")
    assert said.exit_code == 0 and all(f"{option} " in said.stdout for option in options.split())
