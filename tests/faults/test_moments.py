"""A sweep broken off at any of the moments in which something becomes durable comes to the same end."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
from tiny_sweeps import driver, inline, lasting, results, rows, tiny

from sweep import parts
from sweep.states import Disk

SMALL = ("search.suggestions=2", "orders.count=2", "confirm.orders.count=1")


class Killed(BaseException):
    """The end of a process, as far as one process can play it: nothing may catch it and go on."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    inline(tiny(*SMALL), out)
    return lasting(rows(out)), results(out)


@contextlib.contextmanager
def killed(monkeypatch, number, after):
    """Before or after the so manieth publication of a file the process ends; gives the names published."""
    published, link, replace = [], os.link, os.replace

    def counted(publish):
        def once(source, target, *more):
            if len(published) == number and not after:
                raise Killed
            publish(source, target, *more)
            published.append(Path(target).name)
            if len(published) == number + 1 and after:
                raise Killed

        return once

    with monkeypatch.context() as patch:
        patch.setattr("sweep.parts.os.link", counted(link))
        patch.setattr("sweep.parts.os.replace", counted(replace))
        yield published


def test_killed_at_any_publication_the_next_call_comes_to_the_same_rows_and_table(
    whole, tmp_path, monkeypatch
):
    """Before and after each file that is put in place: lock, space, tasks, suggestions, records, results."""
    with killed(monkeypatch, 10**9, after=False) as names:
        inline(tiny(*SMALL), tmp_path / "counted")
    assert len(names) > 8 and any(name.endswith(".parquet") for name in names)
    moments = [(number, after) for number in range(len(names)) for after in (False, True)]
    for number, after in random.Random(13).sample(moments, 10):
        out = tmp_path / f"{number}-{after}"
        with pytest.raises(Killed), killed(monkeypatch, number, after):
            inline(tiny(*SMALL), out)
        inline(tiny(*SMALL), out)
        assert (lasting(rows(out)), results(out)) == whole, f"killed at {names[number]}"


@pytest.mark.parametrize("jump", [7200.0, -7200.0, -86400.0])
def test_a_clock_that_jumps_changes_no_result(whole, tmp_path, monkeypatch, jump):
    """Hours forward or back while it runs and between two calls: the order of rows is nowhere one of time."""
    plain, calls = time.time, []

    def jumping():
        calls.append(jump)
        return plain() + jump * (len(calls) % 2)

    monkeypatch.setattr(time, "time", jumping)
    inline(tiny(*SMALL, "search.suggestions=1"), tmp_path)
    monkeypatch.setattr(time, "time", lambda: plain() + jump)
    inline(tiny(*SMALL), tmp_path)
    assert results(tmp_path) == whole[1]
    assert whole[0].items() <= lasting(rows(tmp_path)).items()  # and those that led when there was but one


def test_a_disk_that_fails_at_any_publication_loses_nothing(whole, tmp_path, monkeypatch):
    """An error of the disk at each file in turn ends the call with its reason, and the next one goes on."""
    plain, count = parts._write, 0
    for number in range(0, 12, 2):
        out, count = tmp_path / str(number), 0

        def full(draft, data, *, at=number):
            nonlocal count
            count += 1
            if count == at + 1:
                raise OSError(28, "No space left on device", str(draft))
            plain(draft, data)

        monkeypatch.setattr(parts, "_write", full)
        with pytest.raises(OSError, match="No space left on device"):
            inline(tiny(*SMALL), out)
        monkeypatch.setattr(parts, "_write", plain)
        inline(tiny(*SMALL), out)
        assert (lasting(rows(out)), results(out)) == whole


def test_killed_while_it_writes_a_state_the_state_is_absent(tmp_path):
    """A process dies with half of the file written; the half is passed by, and makes room later."""
    code = """\
import os, signal
from pathlib import Path
import torch
from nai.learn import Lesson
from nai.states import State
from sweep import states
def half(tensors, path, about):
    plain(tensors, path, about)
    os.truncate(path, os.path.getsize(path) // 2)
    os.kill(os.getpid(), signal.SIGKILL)
plain, states.save_file = states.save_file, half
one = State(Lesson((0,), {"a": torch.ones(99)}, {}, {}), torch.ones(2, 2), torch.ones(2, 2), (1.0,))
states.Disk(Path("states"), 0).put("k", one)
"""
    child = driver(code, tmp_path)
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    (left,) = (tmp_path / "states").iterdir()
    assert left.suffix == ".part" and Disk(tmp_path / "states", 0).get("k") is None
    Disk(tmp_path / "states", 0, disk_bytes=0)._make_room()
    assert list((tmp_path / "states").iterdir()) == []
