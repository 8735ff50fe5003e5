"""Signals and readers that go away: the program ends soon, says how to go on, and shows no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tiny_sweeps import SPACE

from sweep import session

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("run", "space.toml", "--out", "out", "--engine", "inline", "--no-track")


def program(folder, *more):
    (folder / "space.toml").write_text(SPACE)
    code = "import sys; sys.argv[0] = 'nai-sweep'; from sweep.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *WORDS, *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def training(child):
    for line in child.stderr:
        if "training" in line:
            return
    raise AssertionError("it never began to train")


def test_a_second_ctrl_c_stops_at_once_and_without_a_traceback(tmp_path):
    with program(tmp_path, "--set", "training.epochs=100000") as child:
        training(child)
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in said
    assert session.status(tmp_path / "out")[1] == ()


def test_a_terminal_that_is_closed_ends_it_and_nothing_on_record_is_lost(tmp_path):
    with program(tmp_path, "--set", "training.epochs=100000") as child:
        training(child)
        child.send_signal(signal.SIGHUP)
        _, said = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGHUP
    assert "Traceback" not in said
    assert session.status(tmp_path / "out")[1] == ()


def test_a_reader_that_goes_away_while_it_runs_costs_no_row_and_shows_no_traceback(tmp_path):
    with program(tmp_path) as child:
        child.stdout.close()
        said = child.stderr.read()
        child.wait(timeout=60)
    assert "Traceback" not in said and "Exception ignored" not in said
    standing, problems = session.status(tmp_path / "out")
    assert standing.done == standing.expected and problems == ()
