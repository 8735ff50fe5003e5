"""Laws of a storage, whoever keeps it; and of the lease that tells its one driver."""

import json
import subprocess
import sys
import time

import pytest
import s3_server

from sweep import lease, objects
from sweep.environment import PlaceError
from sweep.folder import FolderError
from sweep.lease import Lease
from sweep.objects import Bucket, MovedError
from sweep.storage import Direct, Shared, StorageError, at


@pytest.fixture(scope="module")
def server():
    with s3_server.running() as one:
        yield one


@pytest.fixture
def bucket(server, monkeypatch, request):
    """A corner of the bucket that no other test looks into."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Bucket(f"s3://bucket/{request.node.name.partition('[')[0]}/x")


@pytest.fixture(params=["s3", "folder"])
def storage(request, bucket, tmp_path):
    return bucket if request.param == "s3" else Shared(tmp_path / "shared")


# --- files
def test_what_is_put_is_there_and_what_is_removed_is_not(storage):
    assert storage.listing() == {}
    storage.put("space.toml", b"one")
    storage.put("records/part-1", b"four")
    storage.put("space.toml", b"three")
    assert storage.listing() == {"space.toml": 5, "records/part-1": 4}
    assert (storage.get("space.toml"), storage.get("records/part-1")) == (b"three", b"four")
    storage.remove(["records/part-1", "records/part-2"])
    assert storage.listing() == {"space.toml": 5}
    with pytest.raises(FileNotFoundError):
        storage.get("records/part-1")


@pytest.mark.parametrize(
    "address",
    [
        "s4://bucket/x",
        "s3://",
        "s3://key:secret@bucket/x",
        "s3://bucket/../x",
        "s3://b/x?versionId=1",
        "http://h/x",
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(address):
    with pytest.raises(ValueError, match="is no storage: known are s3://bucket/name"):
        at(address)


def test_a_path_is_a_folder_and_an_address_a_bucket(bucket, tmp_path):
    assert isinstance(at(str(tmp_path)), Shared)
    assert at("s3://bucket/some/name/").address == "s3://bucket/some/name"


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sweep.objects", None)
    with pytest.raises(PlaceError, match=r"pip install 'nai-sweep\[sweep,storage\]'"):
        at("s3://bucket/x")


def test_a_bucket_that_is_not_there_is_no_empty_one(bucket):
    with pytest.raises(StorageError, match="404 Not Found\n"):
        at("s3://none/x").listing()
    with pytest.raises(StorageError, match="there is no such bucket"):
        at("s3://none/x").put("a", b"")


def test_keys_of_a_profile_are_found(bucket, tmp_path, monkeypatch):
    """obstore reads no ~/.aws; with boto3 it does. This server takes any key: a missing one is the oracle."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text("[lab]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    at("s3://bucket/profile").put("a", b"")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageError, match="nobody"):
        at("s3://bucket/profile")


def test_a_worker_that_is_refused_tries_no_more(bucket, server):
    direct = Direct(bucket.address)
    direct(b"one")
    assert len(bucket.listing()) == 1
    server.door.close()
    try:
        direct(b"two")
    finally:
        server.door.open()
    assert direct.storage is None
    direct(b"three")
    assert len(bucket.listing()) == 1


# --- the lease
def test_a_second_driver_is_told_who_is_the_first(bucket):
    first = Lease(bucket)
    first.take()
    who = rf"in use by process {first.holder.pid} on {first.holder.host}, which gave a sign of life \d+ s ago"
    with pytest.raises(FolderError, match=who) as refused:
        Lease(bucket).take()
    assert "--takeover" in str(refused.value)
    first.free()
    Lease(bucket).take()


def elsewhere(bucket, **changed):
    """The lease as if another machine held it."""
    first = Lease(bucket)
    first.holder = first.holder._replace(machine="another", host="far", pid=1, **changed)
    first.take()
    return first


def test_a_lease_runs_out_by_the_clock_of_the_storage(bucket, monkeypatch):
    first = elsewhere(bucket)
    monkeypatch.setattr(time, "time", lambda: 0.0)  # no clock of this machine counts
    with pytest.raises(FolderError, match="process 1 on far"):
        Lease(bucket).take()
    monkeypatch.setattr(lease, "TERM", 1.0)
    while True:
        try:
            Lease(bucket).take()
            break
        except FolderError:
            time.sleep(0.2)
    first.said = -lease.BEAT
    with pytest.raises(FolderError, match="was taken over by process"):
        first.keep()


def test_a_driver_that_is_alive_keeps_its_lease(bucket, monkeypatch):
    first = elsewhere(bucket)
    before = bucket.seen(lease.NAME).tag
    first.keep()
    assert bucket.seen(lease.NAME).tag == before  # not time yet
    monkeypatch.setattr(lease, "BEAT", 0.0)
    first.keep()
    assert bucket.seen(lease.NAME).tag != before
    with pytest.raises(FolderError, match="process 1 on far"):
        Lease(bucket).take()


def test_who_was_taken_over_can_neither_keep_nor_free_the_lease(bucket, monkeypatch):
    first, second = elsewhere(bucket), Lease(bucket)
    second.take(takeover=True)
    monkeypatch.setattr(lease, "BEAT", 0.0)
    with pytest.raises(FolderError, match="what it did stays"):
        first.keep()
    first.free()
    assert json.loads(bucket.get(lease.NAME))["free"] is False
    second.keep()


def test_a_lease_that_somebody_took_away_ends_its_driver(bucket, monkeypatch):
    first = elsewhere(bucket)
    bucket.remove([lease.NAME])
    monkeypatch.setattr(lease, "BEAT", 0.0)
    with pytest.raises(FolderError, match="was taken away"):
        first.keep()


def test_a_sign_of_life_whose_answer_was_lost_is_ones_own(bucket, monkeypatch):
    first = elsewhere(bucket)
    was = first.tag
    monkeypatch.setattr(lease, "BEAT", 0.0)
    first.keep()
    first.tag = was  # as if that had never been answered
    first.keep()
    first.keep()


def test_a_driver_of_this_machine_that_was_killed_holds_nothing(bucket):
    code = (
        "import os, sys\nfrom sweep.lease import Lease\nfrom sweep.objects import Bucket\n"
        "Lease(Bucket(sys.argv[1])).take()\nos.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, bucket.address], check=False)
    assert json.loads(bucket.get(lease.NAME))["free"] is False
    Lease(bucket).take()


@pytest.mark.parametrize("ignored", ["create", "swap"])
def test_a_storage_that_heeds_no_conditions_is_refused(bucket, monkeypatch, ignored):
    def heedless(self, name, data, tag=None):
        self.put(name, data)
        return self.seen(name).tag

    monkeypatch.setattr(Bucket, ignored, heedless)
    with pytest.raises(StorageError, match="does not heed conditions"):
        Lease(bucket).take()


def test_an_object_changes_only_if_it_is_as_it_was_seen(bucket):
    tag = bucket.create("a", b"1")
    with pytest.raises(MovedError):
        bucket.create("a", b"2")
    bucket.swap("a", b"3", tag)
    with pytest.raises(MovedError):
        bucket.swap("a", b"4", tag)
    assert bucket.get("a") == b"3"


def test_a_storage_that_does_not_answer_says_so_soon(bucket, server, monkeypatch):
    monkeypatch.setattr(objects, "PATIENT", 1.0)
    server.door.close()
    try:
        with pytest.raises(StorageError, match="doctor --storage") as refused:
            Bucket(bucket.address).listing()
    finally:
        server.door.open()
    assert s3_server.SECRET not in str(refused.value)
