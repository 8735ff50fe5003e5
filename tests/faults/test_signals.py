"""Signals and readers that go away: the program ends soon, says how to go on, and shows no traceback."""

import errno
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import typer
from tiny_sweeps import SPACE

from sweep import session
from sweep.cli_failures import CLUSTER, explained

ROOT = Path(__file__).resolve().parents[2]
CODE = "import sys; sys.argv[0] = 'nai-sweep'; from sweep.cli import main; main()"
WORDS = ("run", "space.toml", "--out", "out", "--engine", "inline", "--no-track")


def program(folder, *more):
    (folder / "space.toml").write_text(SPACE)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", CODE, *WORDS, *more],
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


def pressed_until_it_ends(child):
    """What it said. Python loses a Ctrl-C that comes while it ends an object: one more may be needed."""
    for _ in range(6):
        try:
            return child.communicate(timeout=10)[1]
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
    child.kill()
    raise AssertionError(f"it went on: {child.communicate()[1]}")


def test_a_second_ctrl_c_stops_at_once_and_without_a_traceback(tmp_path):
    with program(tmp_path, "--set", "training.epochs=100000") as child:
        training(child)
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGINT)
        said = pressed_until_it_ends(child)
    assert child.returncode == 130
    assert "Traceback" not in said
    assert session.status(tmp_path / "out")[1] == ()


def test_a_terminal_that_is_closed_ends_it_and_nothing_on_record_is_lost(tmp_path):
    """A real one: the kernel sends SIGHUP, and what is still said goes nowhere."""
    ours, theirs = pty.openpty()
    (tmp_path / "space.toml").write_text(SPACE)
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", CODE, *WORDS, "--set", "training.epochs=100000"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        said = b""
        while b"search 0/" not in said:
            said += os.read(ours, 4096)
        os.close(ours)
        assert child.wait(timeout=60) == 128 + signal.SIGHUP
    finally:
        child.kill()  # it would train for hours
    assert session.status(tmp_path / "out")[1] == ()
    assert (tmp_path / "out" / "report.html").is_file() and not (
        tmp_path / "out" / "sweep.lock.json"
    ).exists()


def test_under_nohup_it_goes_on(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with program(tmp_path) as child:
            training(child)
            child.send_signal(signal.SIGHUP)
            child.communicate(timeout=120)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert child.returncode == 0


def test_a_sweep_that_nobody_can_read_any_more_ends_as_one_whose_pipe_broke(tmp_path):
    """As `nai-sweep run ... 2>&1 | head -1` does it."""
    with program(tmp_path, "--set", "training.epochs=100000") as child:
        child.stdout.close()
        child.stderr.close()
        assert child.wait(timeout=60) == 128 + signal.SIGPIPE
    assert not (tmp_path / "out" / "sweep.lock.json").exists()


def test_a_pipe_that_breaks_elsewhere_is_told(capsys):
    with pytest.raises(typer.Exit) as ended, explained():
        raise BrokenPipeError(errno.EPIPE, "a socket of another program")
    assert ended.value.exit_code == CLUSTER and "another program" in capsys.readouterr().err


def test_a_reader_that_goes_away_while_it_runs_costs_no_row_and_shows_no_traceback(tmp_path):
    with program(tmp_path) as child:
        child.stdout.close()
        said = child.stderr.read()
        child.wait(timeout=60)
    assert "Traceback" not in said and "Exception ignored" not in said
    assert child.returncode == 128 + signal.SIGPIPE
    standing, problems = session.status(tmp_path / "out")
    assert standing.done == standing.expected and problems == ()
