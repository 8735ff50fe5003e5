"""A folder and its storage: what the one has the other gets, sound, once, and nothing else."""

import pytest
import s3_server
from made_rows import row, settings
from tiny_sweeps import inline, lasting, results, rows, tiny

from sweep import look, parts, record, session
from sweep.folder import Folder, FolderError
from sweep.mirror import Mirror, local
from sweep.storage import Shared, at

SMALL = ("search.suggestions=2", "orders.count=2", "confirm.orders.count=1")


@pytest.fixture(scope="module")
def server():
    with s3_server.running() as one:
        yield one


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sweep in a folder alone."""
    out = tmp_path_factory.mktemp("whole")
    inline(tiny(*SMALL), out)
    return out


@pytest.fixture(params=["s3", "folder"])
def address(request, server, monkeypatch, tmp_path):
    """A place of its own in either kind of storage."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = request.node.name.partition("[")[0]
    return f"s3://bucket/{name}" if request.param == "s3" else str(tmp_path / "shared")


def still():
    """No lease to keep."""


def mirror(folder, address):
    folder.mkdir(exist_ok=True)
    return Mirror(Folder.at(folder), at(address))


def brought(address, folder):
    """What a machine that has nothing yet finds in a storage: rows, and what is odd."""
    problems = mirror(folder, address).fetch()
    return rows(folder), problems


@pytest.fixture
def parted(address, tmp_path):
    """Two parts of a row each, here and in the storage; gives them with a mirror that has sent them."""
    one = mirror(tmp_path / "here", address)
    one.fetch()
    chosen = settings("nai", strength=1.0)
    made = [record.write(one.folder.records, [row(chosen, order, (0, 0))]) for order in ((0, 1), (1, 0))]
    one.send(still)
    return one, made


# --- whole sweeps
def test_a_sweep_in_a_storage_is_the_sweep_of_a_folder(whole, address, tmp_path):
    """Its rows and its table, bit for bit; and another machine finds all of it, and trains nothing."""
    ended = inline(tiny(*SMALL), tmp_path / "here", storage=address)
    assert ended.storage == address
    assert lasting(rows(tmp_path / "here")) == lasting(rows(whole))
    assert results(tmp_path / "here") == results(whole) == at(address).get("results.json")
    inline(tiny(*SMALL), tmp_path / "there", storage=address)
    assert rows(tmp_path / "there") == rows(tmp_path / "here")
    assert results(tmp_path / "there") == results(whole)


def test_another_machine_goes_on_where_the_first_ended(whole, address, tmp_path):
    inline(tiny(*SMALL, "orders.count=1"), tmp_path / "here", storage=address)
    first = {one["fingerprint"]: one for one in rows(tmp_path / "here")}
    inline(tiny(*SMALL), tmp_path / "there", storage=address)
    second = {one["fingerprint"]: one for one in rows(tmp_path / "there")}
    assert first.items() <= second.items() and len(first) < len(second)
    assert results(tmp_path / "there") == results(whole)
    (again, problems) = brought(address, tmp_path / "third")
    assert again == rows(tmp_path / "there") and problems == ()


def test_a_sweep_is_read_by_its_address(whole, address, tmp_path):
    inline(tiny(*SMALL), tmp_path / "here", storage=address)
    assert look.status(address) == look.status(tmp_path / "here") == look.status(whole)
    assert look.analyse(address, ["summary"]) == look.analyse(whole, ["summary"])
    assert results(look.render(address).folder.root) == results(whole)
    assert look.preset(address) == look.preset(whole)


def test_a_sweep_is_gone_on_with_by_its_address(address, tmp_path):
    inline(tiny(*SMALL), tmp_path / "here", storage=address)
    session.confirm(address, ["confirm.orders.count=2"], engine="inline", track=False)
    assert len(brought(address, tmp_path / "there")[0]) == len(rows(tmp_path / "here")) + 2


def test_a_copy_is_not_driven_without_its_storage(address, tmp_path):
    space = tiny(*SMALL, "search.suggestions=1", "orders.count=1")
    inline(space, tmp_path / "here", storage=address)
    with pytest.raises(FolderError, match=f"give --storage {address}"):
        inline(space, tmp_path / "here")
    assert look.status(tmp_path / "here")[0].done > 0


# --- parts
def test_nothing_is_fetched_or_sent_twice(parted, address, tmp_path):
    one, made = parted
    there = at(address).listing()
    assert {f"records/{part.name}" for part in made} <= there.keys()
    puts = []
    one.storage.put = lambda name, data: puts.append(name)
    one.send(still)
    assert puts == []
    other = mirror(tmp_path / "there", address)
    other.fetch()
    other._fetched = lambda name: pytest.fail(f"{name} is here already")
    assert other.fetch() == ()


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_a_damaged_part_is_no_row_and_named(parted, address, tmp_path, harm):
    _, made = parted
    data = made[0].read_bytes()
    bad = data[:-1] if harm == "cut" else bytes([data[0] ^ 1]) + data[1:]
    at(address).put(f"records/{made[0].name}", bad)
    found, (problem,) = brought(address, tmp_path / "there")
    assert [each["order"] for each in found] == [[1, 0]]
    assert problem.path.name == made[0].name and "torn or altered" in problem.reason


def test_a_part_that_is_cut_in_the_storage_is_sent_again_by_who_has_it(parted, address, tmp_path):
    one, made = parted
    at(address).put(f"records/{made[0].name}", made[0].read_bytes()[:-1])
    assert one.fetch() == ()
    one.send(still)
    assert brought(address, tmp_path / "there") == (rows(one.folder.root), ())


def test_a_part_that_is_cut_here_is_fetched_again(parted, address):
    one, made = parted
    before = rows(one.folder.root)
    made[0].write_bytes(made[0].read_bytes()[:-1])
    one.fetch()
    assert rows(one.folder.root) == before and len(before) == 2


def test_a_damaged_part_is_not_sent(parted, address):
    one, _ = parted
    (one.folder.records / parts.name_of(b"other")).write_bytes(b"another")
    one.send(still)
    assert at(address).listing().keys() & {f"records/{parts.name_of(b'other')}"} == set()


def test_what_is_merged_here_is_merged_there(parted, address, tmp_path):
    one, _ = parted
    before = rows(one.folder.root)
    one.compacted()
    one.send(still)
    (merged,) = parts.listed(one.folder.records)
    kept = [name for name in at(address).listing() if name.startswith("records/")]
    assert kept == [f"records/{merged}"]
    assert brought(address, tmp_path / "there") == (before, ())


def test_parts_that_this_driver_has_not_merged_stay(parted, address, tmp_path):
    """Whoever put it there meanwhile: only what went into the merged part goes."""
    one, _ = parted
    other = record.encoded([row(settings("ewc"), (0, 1), (0, 0))])
    at(address).put(f"records/{parts.name_of(other)}", other)
    one.compacted()
    one.send(still)
    assert len(brought(address, tmp_path / "there")[0]) == 3


def test_names_that_no_sweep_has_are_left_where_they_are(parted, address, tmp_path):
    storage = at(address)
    for name in ("records/notes.txt", "evil.py", "records/part-1.parquet"):
        storage.put(name, b"x")
    mirror(tmp_path / "there", address).fetch()
    found = sorted(path.name for path in (tmp_path / "there").rglob("*") if path.is_file())
    assert found == sorted(["identity.txt", *parts.listed(parted[0].folder.records)])


def test_another_sweep_in_the_storage_is_refused(whole, address, tmp_path):
    inline(tiny(*SMALL, "search.suggestions=1", "orders.count=1"), tmp_path / "here", storage=address)
    before = at(address).listing()
    with pytest.raises(FolderError, match="holds another sweep than"):
        inline(tiny(*SMALL), whole, storage=address)
    after = at(address).listing()
    assert {name: after[name] for name in before if "lease" not in name} == {
        name: size for name, size in before.items() if "lease" not in name
    }


def test_an_address_without_a_sweep_says_how_to_start_one(server, monkeypatch, tmp_path):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FolderError, match="nai-sweep run SPACE --storage s3://bucket/nothing"):
        local("s3://bucket/nothing")


def test_a_folder_is_its_own_copy(tmp_path):
    assert local(tmp_path) == tmp_path
    assert local(str(tmp_path)) == tmp_path
    assert Shared(tmp_path).address == str(tmp_path)
