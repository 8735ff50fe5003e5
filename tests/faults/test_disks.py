"""Disks that are really full or may not be written; for who may mount one."""

import contextlib
import os
import subprocess

import pytest
from tiny_sweeps import SPACE, inline, lasting, rows, tiny
from typer.testing import CliRunner

from sweep.cli import app
from sweep.cli_failures import STORAGE

SMALL = ("search.suggestions=1", "orders.count=2", "confirm.orders.count=1")


@contextlib.contextmanager
def mounted(place, options):
    place.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a disk is for the superuser alone")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def run(folder, out):
    (folder / "space.toml").write_text(SPACE)
    words = ["run", str(folder / "space.toml"), "--out", str(out), "--engine", "inline", "--no-track"]
    return CliRunner().invoke(app, [*words, *(word for one in SMALL for word in ("--set", one))])


def test_a_full_disk_is_told_with_its_path_and_once_there_is_room_the_same_command_goes_on(tmp_path):
    inline(tiny(*SMALL), tmp_path / "elsewhere")
    with mounted(tmp_path / "disk", "size=16m") as disk:
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        said = run(tmp_path, disk / "out")
        assert said.exit_code == STORAGE
        assert str(disk) in said.stderr and "make room" in said.stderr and "Traceback" not in said.stderr
        ballast.unlink()
        assert run(tmp_path, disk / "out").exit_code == 0
        assert lasting(rows(disk / "out")) == lasting(rows(tmp_path / "elsewhere"))


def test_a_disk_that_fills_while_it_runs_keeps_every_row_before(tmp_path):
    """Room for the first records alone: the report does not fit."""
    with mounted(tmp_path / "disk", "size=64k") as disk:
        said = run(tmp_path, disk / "out")
        assert said.exit_code == STORAGE and "make room" in said.stderr and str(disk / "out") in said.stderr
        assert not list((disk / "out").glob(".*"))  # no draft takes the room that there is
        before = lasting(rows(disk / "out"))
        assert before
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert run(tmp_path, disk / "out").exit_code == 0
        assert before.items() <= lasting(rows(disk / "out")).items()


def test_a_disk_that_may_not_be_written_is_told_before_anything_starts(tmp_path):
    with mounted(tmp_path / "disk", "size=1m,ro") as disk:
        said = run(tmp_path, disk / "out")
    assert said.exit_code == STORAGE
    assert str(disk) in said.stderr and "give leave to write there or give another folder" in said.stderr
    assert "training" not in said.stderr


def test_without_leave_to_write_it_is_told_too(tmp_path):
    """The same for who is not the superuser."""
    if os.geteuid() == 0:
        pytest.skip("the superuser may write anywhere")
    (tmp_path / "closed").mkdir(mode=0o555)
    said = run(tmp_path, tmp_path / "closed" / "out")
    assert said.exit_code == STORAGE and "closed" in said.stderr
