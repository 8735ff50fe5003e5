"""Shared storage that is cut, slow, emptied or taken over, and drivers that die: no row lost or doubled."""

import os
import signal
import time
from pathlib import Path

import pytest
import s3_server
from tiny_sweeps import driver, inline, lasting, results, rows, tiny
from typer.testing import CliRunner

from sweep import lease, objects, record, sending
from sweep.cli import app
from sweep.cli_failures import FOLDER, STORAGE
from sweep.folder import Folder, FolderError
from sweep.lease import Lease
from sweep.mirror import Mirror
from sweep.objects import Bucket
from sweep.storage import StorageError, at
from sweep.watch import Watch

SMALL = ("search.suggestions=2", "orders.count=2", "confirm.orders.count=1")
DRIVER = """\
import os, signal, sys
from sweep import objects, sending
from tiny_sweeps import inline, tiny
sending.TICK, count = 0.02, 0
put = objects.Bucket.put
def counted(self, name, data):
    global count
    if not name.startswith("records/"):
        return put(self, name, data)
    count += 1
    mine = count
    if mine == {at} and {before}: os.kill(os.getpid(), {signal})
    put(self, name, data)
    if mine == {at} and not {before}: os.kill(os.getpid(), {signal})
objects.Bucket.put = counted
inline(tiny(*{space!r}), "here", storage={address!r})
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same sweep in a folder alone."""
    out = tmp_path_factory.mktemp("whole")
    inline(tiny(*SMALL), out)
    return out


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server of its own for each test: they harm it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(objects, "PATIENT", 1.0)
    monkeypatch.setattr(sending, "TICK", 0.02)
    with s3_server.running() as one:
        for name, value in one.environment.items():
            monkeypatch.setenv(name, value)
        yield one


ADDRESS = "s3://bucket/tiny"


def there(folder):
    """What a machine that has nothing yet finds in the storage."""
    folder.mkdir()
    assert Mirror(Folder.at(folder), at(ADDRESS)).fetch() == ()
    found = record.read(folder / "records")
    assert found.problems == found.conflicts == ()
    return found.rows


def same(found, folder, whole):
    """Rows and table of the clean run, each row once."""
    assert lasting(found) == lasting(rows(whole)) and len(found) == len(rows(whole))
    assert results(folder) == results(whole) == at(ADDRESS).get("results.json")


def when(done, then):
    """A watch that does something once so many runs are on record; and what it was told."""
    notes, left = [], [then]

    def standing(now):
        if now.done >= done and left:
            left.pop()()

    return Watch(standing=standing, note=notes.append), notes


@pytest.mark.parametrize(("at", "before"), [(1, True), (2, False)])
def test_a_driver_killed_between_two_puts_is_followed_by_another_machine(server, whole, tmp_path, at, before):
    code = DRIVER.format(at=at, before=before, signal=int(signal.SIGKILL), space=SMALL, address=ADDRESS)
    with driver(code, tmp_path) as child:
        said = child.communicate()[0]
    assert child.returncode == -signal.SIGKILL, said
    first = {one["fingerprint"]: one for one in there(tmp_path / "between")}
    inline(tiny(*SMALL), tmp_path / "other", storage=ADDRESS)
    found = there(tmp_path / "after")
    assert first.items() <= {one["fingerprint"]: one for one in found}.items()
    same(found, tmp_path / "other", whole)


def test_a_driver_that_was_taken_over_wakes_up_and_records_nothing_twice(
    server, whole, tmp_path, monkeypatch
):
    code = DRIVER.format(at=1, before=False, signal=int(signal.SIGSTOP), space=SMALL, address=ADDRESS)
    slow = "from sweep import lease\nlease.BEAT = 0.0\n"  # a sign of life at every look
    with driver(slow + code, tmp_path) as child:
        try:
            assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
            with pytest.raises(FolderError, match=f"in use by process {child.pid}"):
                inline(tiny(*SMALL), tmp_path / "other", storage=ADDRESS)
            inline(tiny(*SMALL), tmp_path / "other", storage=ADDRESS, takeover=True)
            os.kill(child.pid, signal.SIGCONT)
            said = child.communicate()[0]
        finally:
            child.kill()
    assert child.returncode == 1 and "FolderError: s3://bucket/tiny was taken over by process" in said
    same(there(tmp_path / "after"), tmp_path / "other", whole)


def test_a_storage_that_is_gone_for_a_while_gets_all_in_the_end(server, whole, tmp_path):
    def cut():
        server.door.close()
        time.sleep(3 * objects.PATIENT)  # so that it is noticed

    watch, notes = when(2, cut)
    watch = Watch(standing=watch.standing, note=watch.note, stage=lambda text: back(text, server))
    inline(tiny(*SMALL), tmp_path / "here", storage=ADDRESS, watch=watch)
    (note,) = notes
    assert f"rows are kept in {tmp_path / 'here'}" in note and s3_server.SECRET not in note
    same(there(tmp_path / "after"), tmp_path / "here", whole)


def back(stage, server):
    """The storage answers again once the sweep is over."""
    if stage.startswith("sending"):
        server.door.open()


def test_a_storage_that_is_gone_for_good_costs_no_row(server, whole, tmp_path, monkeypatch):
    """Training goes on; the end says where the rows are, and the same command sends them."""
    monkeypatch.setattr(sending, "PATIENCE", 1.0)
    watch, _ = when(2, server.door.close)
    with pytest.raises(StorageError, match="the same command sends what is left"):
        inline(tiny(*SMALL), tmp_path / "here", storage=ADDRESS, watch=watch)
    made = rows(tmp_path / "here")
    assert results(tmp_path / "here") == results(whole)
    server.door.open()
    assert len(there(tmp_path / "before")) < len(made)
    inline(tiny(*SMALL), tmp_path / "here", storage=ADDRESS, takeover=True)  # this very process had it
    assert there(tmp_path / "after") == made
    same(made, tmp_path / "here", whole)


def test_a_storage_that_lost_everything_gets_it_again(server, whole, tmp_path, monkeypatch):
    """The lease is lost with it, so the driver ends: another one might have begun there."""
    monkeypatch.setattr(lease, "BEAT", 0.0)

    def emptied():
        server.kill()
        server.start()
        time.sleep(1.0)

    watch, _ = when(2, emptied)
    with pytest.raises(FolderError, match="was taken away"):
        inline(tiny(*SMALL), tmp_path / "here", storage=ADDRESS, watch=watch)
    inline(tiny(*SMALL), tmp_path / "here", storage=ADDRESS)
    same(there(tmp_path / "after"), tmp_path / "here", whole)


def test_a_slow_storage_changes_nothing(server, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "PATIENT", 20.0)
    server.door.wait = 0.15
    inline(tiny(*SMALL), tmp_path / "here", storage=ADDRESS)
    server.door.wait = 0.0
    same(there(tmp_path / "after"), tmp_path / "here", whole)


def test_keys_are_written_nowhere(server, tmp_path):
    """Neither here nor in the storage, and nothing says them."""
    inline(tiny(*SMALL, "search.suggestions=1"), tmp_path / "here", storage=ADDRESS)
    storage = at(ADDRESS)
    there = [storage.get(name) for name in storage.listing()]
    here = [path.read_bytes() for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert len(there) > 8 and len(here) > 8
    assert [data for data in (*there, *here) if s3_server.SECRET.encode() in data] == []


# --- what the command line says
@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.doctor.own_address", lambda: "127.0.0.1")
    space = tmp_path / "tiny.toml"
    space.write_text(tiny(*SMALL).to_toml())
    return ("run", space, "--out", tmp_path / "out", "--engine", "inline", "--no-track", "--storage", ADDRESS)


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_storage_that_does_not_answer_ends_the_command_before_anything_is_trained(server, words, tmp_path):
    server.door.close()
    said = call(*words)
    assert said.exit_code == STORAGE and "nai-sweep doctor --storage" in said.stderr
    assert "Traceback" not in said.stderr and s3_server.SECRET not in said.stderr
    assert not (tmp_path / "out" / "records").exists()
    found = call("doctor", "--storage", ADDRESS)
    assert found.exit_code == STORAGE and "not fit for a sweep: storage" in found.stdout


def test_a_storage_in_use_is_refused_and_says_the_way_out(server, words):
    held = Lease(Bucket(ADDRESS))
    held.holder = held.holder._replace(machine="another", host="far-away")
    held.take()
    said = call(*words)
    assert said.exit_code == FOLDER
    assert f"is in use by process {held.holder.pid} on far-away" in said.stderr
    assert "at once with --takeover" in said.stderr
    done = call(*words, "--takeover")
    assert done.exit_code == 0 and f"storage  {ADDRESS}" in done.stdout
    assert call("status", ADDRESS).stdout.startswith(f"sweep         {ADDRESS}, finished")


def test_doctor_tries_a_storage_out_and_leaves_nothing_there(server, words, tmp_path):
    for address in (ADDRESS, str(tmp_path / "shared")):
        said = call("doctor", "--storage", address)
        assert said.exit_code == 0 and "one driver at a time" in " ".join(said.stdout.split())
        assert at(address).listing() == {}


# --- workers
@pytest.mark.faults
def test_workers_put_their_rows_there_themselves(server, whole, tmp_path):
    """Nothing is sent by this driver, and all is there."""
    code = (
        "from tiny_sweeps import tiny\nfrom sweep import session\nfrom sweep.mirror import Mirror\n"
        "Mirror._put = lambda self, name: None\n"
        f"session.run(tiny(*{SMALL!r}), 'here', engine='tune', track=False, storage={ADDRESS!r})"
    )
    with driver(code, tmp_path) as child:
        said = child.communicate()[0]
    assert child.returncode == 0, said
    there = {Path(name).name for name in at(ADDRESS).listing() if name.startswith("records/")}
    assert there and there == {path.name for path in (tmp_path / "here" / "records").iterdir()}
    assert lasting(rows(tmp_path / "here")) == lasting(rows(whole))
