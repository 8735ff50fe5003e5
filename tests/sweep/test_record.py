"""What is on record stays on record: whole, once, and never read as something it is not."""

import errno
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep import parts, record, record_bytes

ROOT = Path(__file__).parents[2]


def row(name="a", **changes):
    """A finished row over two tasks whose numbers float32 holds exactly."""
    matrix = [[0.5, 0.5], [1.0, 0.5], [0.75, 0.875]]
    return {
        "fingerprint": name,
        "suggestion": "0123456789ab",
        "settings": '{"method":{"name":"nai","strength":0.5}}',
        "benchmark": "split digits",
        "scenario": "task",
        "model": "mlp",
        "method": "nai",
        "order": [1, 0],
        "seed_init": 0,
        "seed_data": 2**40,
        "seconds": 1.5,
        "device": "cpu",
        "width": 8,
        "versions": '{"torch":"2"}',
        "finished": 100.0,
        "valid": matrix,
        "test": matrix,
        "effective_strength": [0.25, 0.5],
        "error": None,
        "chosen": None,
        **changes,
    }


def failed(name="a", **changes):
    return row(name, valid=None, test=None, effective_strength=None, error="diverged: loss is nan", **changes)


def bare(schema, rows, **options):
    """Parquet bytes of rows as another program would write them."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, **options)
    return sink.getvalue().to_pybytes()


def plant(folder, data):
    """Put bytes under the name that their digest gives, as a careful forger would."""
    path = folder / parts.name_of(data)
    path.write_bytes(data)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- what goes in comes out ---


def test_rows_come_back_as_they_were(tmp_path):
    rows = (row("a"), row("b", order=[0, 1], effective_strength=None), failed("c"), row("d", valid=None))
    record.write(tmp_path, rows)
    assert record.read(tmp_path) == (rows, (), ())


def test_row_of_twenty_tasks_comes_back_as_it_was(tmp_path):
    matrix = [[(r * 20 + c) / 512 for c in range(20)] for r in range(21)]
    big = row(order=list(range(19, -1, -1)), valid=matrix, test=matrix, effective_strength=[0.5] * 20)
    record.write(tmp_path, [big])
    assert record.read(tmp_path).rows == (big,)


def test_rows_are_those_of_the_schema(tmp_path):
    record.write(tmp_path, [row()])
    assert [list(found) for found in record.read(tmp_path).rows] == [record.SCHEMA.names]


def test_text_of_any_alphabet_comes_back(tmp_path):
    record.write(tmp_path, [row(model="сеть-網-🧠", error=None)])
    assert record.read(tmp_path).rows[0]["model"] == "сеть-網-🧠"


def test_folder_that_does_not_exist_holds_nothing(tmp_path):
    assert record.read(tmp_path / "none") == ((), (), ())


def test_equal_rows_in_any_order_are_the_same_part(tmp_path):
    first = record.write(tmp_path / "one", [row("a"), row("b")])
    second = record.write(tmp_path / "two", [row("b"), row("a")])
    assert (first.name, first.read_bytes()) == (second.name, second.read_bytes())


def test_part_written_twice_is_written_once(tmp_path):
    before = record.write(tmp_path, [row()]).stat()
    after = record.write(tmp_path, [row()]).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_to_parquet_replaces_and_keeps_the_order_of_rows(tmp_path):
    path = tmp_path / "results.parquet"
    path.write_text("old")
    record.to_parquet([row("b"), row("a")], path)
    assert pq.read_table(path)["fingerprint"].to_pylist() == ["b", "a"]
    assert names(tmp_path) == ["results.parquet"]


# --- rows that are refused ---


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra": 1}, "lacks or adds ['extra']"),
        ({"method": None}, "has no ['method']"),
        ({"order": [40000, 0]}, "order of the rows does not fit"),
        ({"order": [0.5, 0]}, "has [0.5]; its order, seeds and width are whole numbers"),
        ({"seed_init": "7"}, "has ['7']; its order"),
        ({"seed_data": 2**70}, "seed_data of the rows does not fit"),
        ({"valid": [0.5, 0.5]}, "valid of the rows does not fit"),
        ({"valid": [[0.5, None]]}, "non-nullable but contains nulls"),
        ({"error": 5}, "error of the rows does not fit"),
    ],
)
def test_row_that_does_not_fit_the_schema_is_named_and_nothing_is_written(tmp_path, changes, says):
    with pytest.raises(ValueError, match=says.replace("[", r"\[")):
        record.write(tmp_path, [row("a"), row("b", **changes)])
    assert names(tmp_path) == []


def test_row_that_lacks_a_field_is_refused(tmp_path):
    lacking = row()
    del lacking["finished"]
    with pytest.raises(ValueError, match=r"row a lacks or adds \['finished'\]"):
        record.write(tmp_path, [lacking])


def test_bundle_without_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        record.write(tmp_path, [])


# --- damage is seen, told, and stays where it is ---


@pytest.fixture
def damaged(tmp_path):
    """A folder with a sound part of row `a` and a path whose bytes a test may spoil (row `b`)."""
    record.write(tmp_path, [row("a")])
    return tmp_path, record.write(tmp_path, [row("b")])


def assert_told_not_read(folder, part, reason="torn or altered"):
    found = record.read(folder)
    assert found.rows == (row("a"),)
    assert [problem.path for problem in found.problems] == [part]
    assert reason in found.problems[0].reason
    assert part.exists()


def test_part_cut_at_any_length_is_never_read(damaged):
    folder, part = damaged
    whole = part.read_bytes()
    for length in [*range(0, len(whole), 61), *range(len(whole) - 16, len(whole))]:
        part.write_bytes(whole[:length])
        assert_told_not_read(folder, part)


def test_part_with_a_byte_changed_anywhere_is_never_read(damaged):
    folder, part = damaged
    whole = part.read_bytes()
    for place in [*range(0, len(whole), 61), len(whole) - 1]:
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert_told_not_read(folder, part)


def test_part_with_bytes_added_is_never_read(damaged):
    folder, part = damaged
    part.write_bytes(part.read_bytes() + b"\0")
    assert_told_not_read(folder, part)


def test_part_under_the_name_of_another_is_never_read(damaged):
    folder, part = damaged
    shutil.copy(record.write(folder / "elsewhere", [row("c")]), part)
    shutil.rmtree(folder / "elsewhere")
    assert_told_not_read(folder, part)


def test_damaged_part_does_not_swallow_the_same_rows_written_again(damaged):
    folder, part = damaged
    part.write_bytes(b"spoilt")
    with pytest.raises(OSError, match="damaged file has this name"):
        record.write(folder, [row("b")])
    assert part.read_bytes() == b"spoilt"
    part.unlink()
    record.write(folder, [row("b")])
    assert {one["fingerprint"] for one in record.read(folder).rows} == {"a", "b"}


@pytest.mark.parametrize("name", ["notes.txt", "part-1.parquet", f"part-{'A' * 32}.parquet", ".hidden"])
def test_foreign_file_is_told_and_left_alone(tmp_path, name):
    record.write(tmp_path, [row("a")])
    (tmp_path / name).write_text("mine")
    assert_told_not_read(tmp_path, tmp_path / name, "not a record of this sweep")
    record.compact(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_part_that_is_no_plain_file_is_told(tmp_path, make):
    record.write(tmp_path, [row("a")])
    path = tmp_path / f"part-{'0' * 32}.parquet"
    make(path)
    found = record.read(tmp_path)
    assert found.rows == (row("a"),)
    assert found.problems == ((path, "not a plain file; move it away"),)


def test_part_the_disk_cannot_give_is_told(tmp_path, monkeypatch):
    part = record.write(tmp_path, [row("a")])

    def refuse(self):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert record.read(tmp_path) == ((), ((part, "cannot be read: Input/output error"),), ())


def test_drafts_of_killed_writers_are_passed_by(tmp_path):
    record.write(tmp_path, [row("a")])
    (tmp_path / ".draft-123-00ff00ff00ff00ff").write_bytes(b"half a pa")
    assert record.read(tmp_path) == ((row("a"),), (), ())


def test_parquet_of_another_origin_is_not_a_record(tmp_path):
    record.write(tmp_path, [row("a")])
    path = plant(tmp_path, bare(pa.schema({"x": pa.int64()}), [{"x": 1}], store_schema=False))
    assert_told_not_read(tmp_path, path, "schema is version none, not 2")


def test_later_schema_is_not_guessed_at(tmp_path, monkeypatch):
    record.write(tmp_path, [row("a")])
    with monkeypatch.context() as later:
        later.setattr(record_bytes, "VERSION", "3")
        path = record.write(tmp_path, [row("b")])
    assert_told_not_read(tmp_path, path, "its schema is version 3, not 2; use the release that wrote it")


def test_rows_of_the_first_schema_are_read_with_nothing_chosen(tmp_path, monkeypatch):
    chosen = [[0.01, 1.0, 2.0, 0.9]] * 5
    with monkeypatch.context() as earlier:
        kept = [field for field in record.SCHEMA if field.name != "chosen"]
        earlier.setattr(record_bytes, "SCHEMA", pa.schema(kept, metadata={"nai.schema": "1"}))
        earlier.setattr(record_bytes, "VERSION", "1")
        record.write(tmp_path, [{k: v for k, v in row("a").items() if k != "chosen"}])
    record.write(tmp_path, [row("b") | {"chosen": chosen}])
    found = record.read(tmp_path)
    assert not found.problems
    assert {one["fingerprint"]: one for one in found.rows} == {
        row("a")["fingerprint"]: row("a"),
        row("b")["fingerprint"]: row("b") | {"chosen": chosen},
    }


def test_columns_other_than_the_schema_are_refused(tmp_path, monkeypatch):
    record.write(tmp_path, [row("a")])
    with monkeypatch.context() as other:
        wide = record.SCHEMA.set(record.SCHEMA.get_field_index("width"), pa.field("width", pa.int64()))
        other.setattr(record_bytes, "SCHEMA", wide)
        path = record.write(tmp_path, [row("b")])
    assert_told_not_read(tmp_path, path, "columns are not those of schema version 2")


def test_bytes_that_are_no_parquet_are_refused(tmp_path):
    record.write(tmp_path, [row("a")])
    assert_told_not_read(tmp_path, plant(tmp_path, b"PAR1 or so"), "not a record of a sweep")


class Trap(pa.ExtensionType):
    """An Arrow type that notes when it is rebuilt from bytes of a file."""

    sprung = False

    def __init__(self):
        super().__init__(pa.string(), "test.trap")

    def __arrow_ext_serialize__(self):
        return b"code"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        cls.sprung = True
        return cls()


def test_arrow_types_of_a_foreign_file_are_never_built(tmp_path):
    record.write(tmp_path, [row("a")])
    pa.register_extension_type(Trap())
    try:
        sink = pa.BufferOutputStream()
        column = pa.ExtensionArray.from_storage(Trap(), pa.array(["x"]))
        pq.write_table(pa.table({"x": column}), sink)
        data = sink.getvalue().to_pybytes()
        pq.read_schema(pa.BufferReader(data))
        assert Trap.sprung  # so the trap works
        Trap.sprung = False
        assert_told_not_read(
            tmp_path, plant(tmp_path, data), "brings an Arrow schema, which is never trusted"
        )
        assert not Trap.sprung
    finally:
        pa.unregister_extension_type("test.trap")


# --- rows that speak of the same work ---


def test_equal_results_are_one_row_the_first(tmp_path):
    late = row(finished=200.0, seconds=9.0, width=1, versions="{}", device="cuda")
    record.write(tmp_path, [late])
    record.write(tmp_path, [row(finished=100.0)])
    assert record.read(tmp_path) == ((row(finished=100.0),), (), ())


def test_equal_results_with_nan_are_no_conflict(tmp_path):
    matrix = [[math.nan, 0.5]]
    record.write(tmp_path, [row(valid=matrix)])
    record.write(tmp_path, [row(valid=matrix, finished=200.0)])
    found = record.read(tmp_path)
    assert (len(found.rows), found.conflicts) == (1, ())


def test_second_result_is_a_conflict_that_shows_both(tmp_path):
    other = row(finished=200.0, test=[[0.0, 0.0]])
    for rows in ([other], [row()], [row(finished=300.0)], [row(finished=400.0, test=[[0.0, 0.0]])]):
        record.write(tmp_path, rows)
    found = record.read(tmp_path)
    assert found.rows == (row(),)
    assert found.conflicts == (("a", row(), other),)


def test_error_gives_way_to_the_result_of_a_retry_and_is_no_conflict(tmp_path):
    record.write(tmp_path, [failed(finished=50.0)])
    record.write(tmp_path, [row(finished=100.0)])
    record.write(tmp_path, [failed(finished=150.0)])
    assert record.read(tmp_path) == ((row(finished=100.0),), (), ())


def test_of_two_errors_the_last_one_stands(tmp_path):
    record.write(tmp_path, [failed(finished=50.0)])
    record.write(tmp_path, [failed(finished=60.0)])
    assert record.read(tmp_path) == ((failed(finished=60.0),), (), ())


# --- merging ---


def several(folder):
    """Parts with a row each, an equal result, a conflict and an error that was retried."""
    lone = [row(name) for name in "abc"]
    twice = [row("a", finished=200.0), row("b", finished=300.0, test=[[0.0, 0.0]]), failed("c", finished=1.0)]
    return [record.write(folder, [each]) for each in (*lone, *twice)]


def test_compact_leaves_one_part_that_reads_the_same(tmp_path):
    several(tmp_path)
    before = record.read(tmp_path)
    merged = record.compact(tmp_path)
    assert names(tmp_path) == [merged.name]
    assert record.read(tmp_path) == before
    assert len(before.conflicts) == 1


def test_compact_keeps_every_distinct_row(tmp_path):
    several(tmp_path)
    record.write(tmp_path, [row("a"), row("b")])
    assert pq.read_metadata(record.compact(tmp_path)).num_rows == 6


def test_compact_has_nothing_to_do_with_one_part(tmp_path):
    part = record.write(tmp_path, [row()])
    assert record.compact(tmp_path) is None
    assert part.exists()


def test_compact_leaves_damaged_parts_alone(tmp_path):
    spoilt = several(tmp_path)[0]
    spoilt.write_bytes(b"spoilt")
    before = record.read(tmp_path)
    record.compact(tmp_path)
    assert record.read(tmp_path) == before
    assert spoilt.read_bytes() == b"spoilt"


def test_compact_removes_nothing_if_the_new_part_reads_otherwise(tmp_path, monkeypatch):
    old = several(tmp_path)
    load = parts.load
    whole = [load(part) for part in old]
    monkeypatch.setattr(parts, "load", lambda part: load(part) if part in old else whole[0])
    with pytest.raises(OSError, match="does not give back the rows of the 6 parts"):
        record.compact(tmp_path)
    assert all(part.exists() for part in old)


def test_reader_that_meets_a_merge_looks_again(tmp_path, monkeypatch):
    several(tmp_path)
    before = record.read(tmp_path)
    load = parts.load

    def merge_first(part):
        monkeypatch.setattr(parts, "load", load)
        record.compact(tmp_path)
        return load(part)

    monkeypatch.setattr(parts, "load", merge_first)
    assert record.read(tmp_path) == before


# --- a growing folder ---


def test_store_returns_what_is_new(tmp_path):
    store = record.Store(tmp_path / "records")
    assert store.refresh() == ()
    record.write(store.folder, [row("b")])
    assert store.refresh() == (row("b"),)
    record.write(store.folder, [row("a"), failed("c")])
    assert store.refresh() == (row("a"), failed("c"))
    record.write(store.folder, [row("a", finished=1.0), row("c")])
    assert store.refresh() == (row("c"),)
    assert store.refresh() == ()
    assert store.records == record.read(store.folder)


def test_store_reads_a_part_once(tmp_path, monkeypatch):
    store = record.Store(tmp_path)
    record.write(tmp_path, [row("a")])
    store.refresh()
    read, load = [], parts.load
    monkeypatch.setattr(parts, "load", lambda part: read.append(part) or load(part))
    second = record.write(tmp_path, [row("b")])
    store.refresh()
    assert read == [second]


def test_store_goes_on_over_a_merge(tmp_path):
    several(tmp_path)
    store = record.Store(tmp_path)
    store.refresh()
    before = store.records
    record.compact(tmp_path)
    assert store.refresh() == ()
    assert store.records == before


# --- kill -9 and several writers ---


def python(code, *arguments):
    """Start code that may call `die()` (SIGKILL) with `record`, `parts`, `row` and `folder` at hand."""
    start = f"""
        import os, signal, sys
        sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
        from pathlib import Path
        from sweep import parts, record
        from test_record import row
        folder = Path(sys.argv[1])
        die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    """
    source = textwrap.dedent(start) + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", source, *map(str, arguments)])


KILLS = {
    "half the draft": "os.fsync = lambda file: (os.ftruncate(file, 700), die())",
    "before it is published": "os.link = die",
    "just published": "link = os.link; os.link = lambda *both: (link(*both), die())",
    "before the folder is durable": "parts._sync = die",
}


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
def test_killed_writer_costs_at_most_its_own_bundle(tmp_path, kill):
    record.write(tmp_path, [row("a")])
    child = python(kill + "\nrecord.write(folder, [row('b'), row('c')])", tmp_path)
    assert child.wait() == -signal.SIGKILL
    left = record.read(tmp_path)
    assert left in [((row("a"),), (), ()), ((row("a"), row("b"), row("c")), (), ())]
    record.write(tmp_path, [row("b"), row("c")])
    assert record.read(tmp_path) == ((row("a"), row("b"), row("c")), (), ())


@pytest.mark.parametrize(
    "kill",
    [
        *KILLS.values(),
        "parts.remove = die",
        "unlink = Path.unlink\n"
        "Path.unlink = lambda path, **k: (unlink(path, **k), die() if path.name[0] == 'p' else None)",
    ],
    ids=[*KILLS, "before the old parts go", "one old part gone"],
)
def test_killed_merge_costs_nothing(tmp_path, kill):
    several(tmp_path)
    before = record.read(tmp_path)
    assert python(kill + "\nrecord.compact(folder)", tmp_path).wait() == -signal.SIGKILL
    assert record.read(tmp_path) == before
    merged = record.compact(tmp_path)
    assert record.read(tmp_path) == before
    assert [name for name in names(tmp_path) if name.startswith("part-")] == [merged.name]


def test_writers_of_the_same_rows_at_once_leave_one_part(tmp_path):
    code = """
        import time
        while not (folder / "go").exists():
            time.sleep(0.001)
        for i in range(50):
            record.write(folder / "records", [row(f"{i:02}")])
    """
    children = [python(code, tmp_path) for _ in range(2)]
    (tmp_path / "go").touch()
    assert [child.wait() for child in children] == [0, 0]
    found = record.read(tmp_path / "records")
    assert found == (tuple(row(f"{i:02}") for i in range(50)), (), ())
    assert len(names(tmp_path / "records")) == 50


# --- disks that refuse ---


def test_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "records").write_text("in the way")
    with pytest.raises(NotADirectoryError, match="records"):
        record.write(tmp_path / "records", [row()])
    with pytest.raises(NotADirectoryError, match="records"):
        record.read(tmp_path / "records")


class FullDisk:
    """A file that takes half of what it is given, then says that the disk is full."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_is_told_with_path_and_free_space_and_publishes_nothing(tmp_path, monkeypatch):
    record.write(tmp_path, [row("a")])
    opened = Path.open
    with monkeypatch.context() as full:
        full.setattr(Path, "open", lambda path, mode="r": FullDisk(opened(path, mode)))
        with pytest.raises(OSError, match=r"No space left.*MB free.*safe") as told:
            record.write(tmp_path, [row("b")])
    assert told.value.errno == errno.ENOSPC
    assert Path(told.value.filename).parent == tmp_path
    assert len(names(tmp_path)) == 1
    assert record.read(tmp_path) == ((row("a"),), (), ())


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_disk_that_fails_late_publishes_nothing(tmp_path, monkeypatch, step):
    def refuse(*_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    record.write(tmp_path, [row("a")])
    with monkeypatch.context() as late:
        late.setattr(os, step, refuse)
        if step == "link":
            late.setattr(Path, "rename", refuse)
        with pytest.raises(OSError, match="Disk quota exceeded"):
            record.write(tmp_path, [row("b")])
    assert len(names(tmp_path)) == 1


def test_disk_without_hard_links_is_written_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    record.write(tmp_path, [row()])
    assert record.read(tmp_path) == ((row(),), (), ())
    assert len(names(tmp_path)) == 1


# --- cost ---


def test_ten_thousand_rows_are_read_within_seconds(tmp_path):
    for block in range(10):
        record.write(tmp_path, [row(f"{block}-{i:04}") for i in range(1000)])
    start = time.perf_counter()
    assert len(record.read(tmp_path).rows) == 10_000
    assert time.perf_counter() - start < 5  # about 0.4 on two idle cores


def test_store_that_grows_part_by_part_is_as_one_that_reads_all_at_once(tmp_path):
    store = record.Store(tmp_path)
    shorter = {"order": [1], "valid": [[0.5, 0.5], [0.5, 1.0]], "effective_strength": None}
    bursts = (
        [row("c"), row("a", **shorter)],
        [row("b"), failed("d")],
        [row("b", finished=9.0)],  # the same run once more, later
        [row("d"), row("e", valid=None, order=[])],
        [row("f"), row("f", finished=7.0)],
    )
    for rows in bursts:
        record.write(tmp_path, rows)
        news = store.refresh()
        assert list(news) == sorted(news, key=lambda one: one["fingerprint"])
        assert store.records == record.read(tmp_path)
    assert [one["fingerprint"] for one in store.records.rows] == list("abcdef")
    assert store.records.rows[0] == row("a", **shorter)


def test_merged_parts_bring_no_news(tmp_path):
    store = record.Store(tmp_path)
    for name in "ab":
        record.write(tmp_path, [row(name)])
    assert len(store.refresh()) == 2
    record.compact(tmp_path)
    assert store.refresh() == ()
    record.write(tmp_path, [row("c")])
    assert store.refresh() == (row("c"),)
