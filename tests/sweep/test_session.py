"""The same sweep again finds everything on record; whatever was lost, it comes to the same results."""

import json
import shutil
import sqlite3
import time

import pytest
from tiny_sweeps import OWN, RUNS, driver, found, inline, lasting, parts, results, rows, tiny

from sweep import record, session
from sweep.causes import AlikeError
from sweep.folder import FolderError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep; leave it as it is."""
    out = tmp_path_factory.mktemp("whole") / "out"
    inline(tiny(), out)
    return out


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with methods of a user's own, in which the sweep is started."""
    (tmp_path / "own_session.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sweep_leaves_rows_results_and_report(whole):
    assert len(rows(whole)) == RUNS
    assert found(whole)["complete"] and found(whole)["done"] == RUNS and found(whole)["failed"] == 0
    assert (whole / "report.html").stat().st_size > 10_000
    assert lasting(record.Store(whole / "records").refresh()) == lasting(rows(whole))


def test_the_same_sweep_elsewhere_gives_the_same_rows_and_results(whole, tmp_path):
    inline(tiny(), tmp_path)
    assert lasting(rows(tmp_path)) == lasting(rows(whole))
    assert results(tmp_path) == results(whole)


def test_the_same_call_again_runs_nothing(copy, monkeypatch):
    before = parts(copy)
    monkeypatch.setattr("sweep.bundle.train", None)
    ended = inline(tiny(), copy)
    assert parts(copy) == before
    assert not ended.interrupted and ended.results == found(copy)


def test_what_the_same_call_again_writes_is_the_same(whole, copy):
    (copy / "results.json").unlink()
    (copy / "report.html").unlink()
    inline(tiny(), copy)
    assert results(copy) == results(whole)
    assert (copy / "report.html").is_file()


def test_more_suggestions_go_on_from_those_on_record(whole, tmp_path):
    inline(tiny("search.suggestions=2"), tmp_path)
    few = lasting(rows(tmp_path))
    kept = parts(tmp_path)
    inline(tiny(), tmp_path)
    assert set(kept) < set(parts(tmp_path))
    assert few.items() <= lasting(rows(tmp_path)).items()
    assert results(tmp_path) == results(whole)


@pytest.mark.parametrize("lost", [[0], [1, 3], [0, 1], [2]])
def test_records_that_are_lost_come_back(whole, copy, lost):
    # parts by the time of their writing: twice two suggestions, then the best and the baseline
    written = sorted(
        parts(copy), key=lambda part: min(r["finished"] for r in record.decode(part.read_bytes()))
    )
    for n in lost:
        written[n].unlink()
    left = len(rows(copy))
    assert session.status(copy)[0].done == left
    inline(tiny(), copy)
    assert lasting(rows(copy)) == lasting(rows(whole))
    assert results(copy) == results(whole)
    assert len(rows(copy)) == RUNS


def test_damaged_and_foreign_files_are_told_and_their_runs_run_again(whole, copy):
    torn, altered = parts(copy)[:2]
    torn.write_bytes(torn.read_bytes()[:-100])
    data = bytearray(altered.read_bytes())
    data[len(data) // 2] ^= 1
    altered.write_bytes(data)
    (copy / "records" / "notes.txt").write_text("not a record")
    notes = []
    # the damaged files keep the names of the parts that would come in their place
    for damaged in (torn, altered):
        damaged.rename(damaged.with_name(f"part-{damaged.name[5:37][::-1]}.parquet"))
    ended = inline(tiny(), copy, watch=session.Watch(note=notes.append))
    assert len(notes) == 3 and all("is not read" in note for note in notes)
    assert sum("torn or altered" in note for note in notes) == 2
    assert ended.results["complete"]
    assert lasting(rows(copy)) == lasting(rows(whole)) and results(copy) == results(whole)
    assert len(session.status(copy)[1]) == 3


def test_another_space_is_refused_and_nothing_is_touched(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(FolderError, match=r"training.epochs: 1 -> 3"):
        inline(tiny("training.epochs=3"), copy)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_wider_space_takes_the_runs_of_a_narrower_one_from_a_copy_of_its_records(whole, tmp_path):
    before = {row["fingerprint"]: row["finished"] for row in rows(whole)}
    shutil.copytree(whole / "records", tmp_path / "out" / "records")
    inline(tiny("orders.count=4"), tmp_path / "out")
    after = {row["fingerprint"]: row["finished"] for row in rows(tmp_path / "out")}
    assert before.items() <= after.items() and len(after) > len(before)


def test_an_engine_that_does_not_exist_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="engine 'dask' is unknown: known are tune, inline"):
        session.run(tiny(), tmp_path / "out", engine="dask")
    assert not (tmp_path / "out").exists()


def test_a_space_is_a_value_a_file_or_the_name_of_a_shipped_one(whole, tmp_path):
    (tmp_path / "mine.toml").write_text(tiny().to_toml())
    inline(tmp_path / "mine.toml", tmp_path / "out")
    assert results(tmp_path / "out") == results(whole)


def test_without_a_folder_it_lies_in_runs_under_the_name_of_the_space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = inline(tiny("search.suggestions=1"), None)
    assert ended.folder.root == tmp_path / "runs" / "tiny"


def test_the_folder_may_move_and_be_used_from_anywhere(whole, copy, tmp_path, monkeypatch):
    moved = copy.rename(tmp_path / "moved")
    parts(moved)[0].unlink()
    monkeypatch.chdir(tmp_path)
    inline(tiny(), "moved")
    assert results(moved) == results(whole)
    monkeypatch.chdir("/")
    assert session.render(moved).results == found(whole)


@pytest.mark.parametrize("records", [1, 4])
def test_a_folder_that_moves_while_it_runs_ends_the_sweep_and_goes_on_at_its_new_name(
    whole, tmp_path, monkeypatch, records
):
    out, moved = tmp_path / "out", tmp_path / "moved"

    def bursts(trained):
        for row in trained:
            if out.exists() and len(parts(out)) == records:
                out.rename(moved)
            yield [row]

    with monkeypatch.context() as patch:
        patch.setattr("sweep.bundle.bursts", bursts)
        with pytest.raises(FolderError, match=r"out is gone: it was moved or removed .* --out"):
            inline(tiny(), out)
    assert not out.exists() and len(parts(moved)) == records
    inline(tiny(), moved)
    assert results(moved) == results(whole)


def test_status_and_report_need_no_data_and_say_the_same(whole, copy, monkeypatch):
    monkeypatch.setattr("nai.datasets.load", None)
    standing, problems = session.status(copy)
    assert (standing.done, standing.expected, standing.failed, problems) == (RUNS, RUNS, 0, ())
    (copy / "results.json").unlink()
    assert session.render(copy).results == found(whole)


@pytest.mark.parametrize("spoilt", ["", "no list", "[" * 100_000, '{"a": 1}', "[1, 2]"])
def test_what_a_page_says_beside_the_records_may_be_spoilt(whole, copy, spoilt):
    """Names of the tasks and how alike they look, of which the next run makes new ones."""
    for name in ("tasks.json", "similarity.json"):
        (copy / name).write_text(spoilt)
    (copy / "command.txt").write_bytes(b"\xff")
    assert session.render(copy).results == found(whole)
    inline(tiny(), copy)
    for name in ("tasks.json", "similarity.json"):
        assert (copy / name).read_bytes() == (whole / name).read_bytes()


def test_a_second_process_is_refused_while_the_first_runs(tmp_path):
    code = "import tiny_sweeps as t; t.inline(t.tiny('training.epochs=100000'), 'out')"
    first = driver(code, tmp_path)
    try:
        while not (tmp_path / "out" / "space.toml").exists():
            assert first.poll() is None
            time.sleep(0.05)
        with pytest.raises(FolderError, match=f"in use by process {first.pid}"):
            inline(tiny("training.epochs=100000"), tmp_path / "out")
    finally:
        first.kill()
        first.communicate()


# --- what fails ---


def test_a_method_that_fails_gives_rows_with_errors_and_each_call_ends_with_the_reason(own):
    broken = tiny("method.name='own_session:Broken'")
    for known in (6, 12):
        with pytest.raises(AlikeError, match="the first 6 runs all failed in one way"):
            inline(broken, own / "out")
        assert [row["error"] for row in rows(own / "out")] == ["AssertionError: this cannot work"] * known
    ended = inline(broken, own / "out")
    assert ended.results["best"] is None and ended.results["failed"] == 12 and ended.results["complete"]
    assert [one["runs"] for one in ended.results["failures"]] == [12]


def test_rates_that_diverge_do_not_win(tmp_path):
    space = tiny("training.rate={choices=[1e-3, 1e30]}", "search.sampler='random'", "method.strength=0.1")
    ended = inline(space, tmp_path)
    errors = {json.loads(r["settings"])["training"]["rate"]: r["error"] for r in rows(tmp_path)}
    assert errors[1e-3] is None and errors[1e30].startswith("diverged: ")
    assert ended.results["best"]["settings"]["training"]["rate"] == 1e-3
    assert ended.results["failed"] == 3 and ended.results["complete"]


def test_an_accident_ends_the_call_and_the_next_one_goes_on(own, monkeypatch):
    unlucky = tiny("method.name='own_session:Unlucky'")
    with pytest.raises(OSError, match="the disk is on fire"):
        inline(unlucky, own / "out")
    monkeypatch.delattr("own_session.Unlucky.pool")
    assert inline(unlucky, own / "out").results["failed"] == 0


def test_ctrl_c_leaves_what_is_done_and_the_next_call_goes_on(whole, tmp_path):
    stops = [KeyboardInterrupt]

    def stop(standing):
        if standing.done == 6 and stops:
            raise stops.pop()

    ended = inline(tiny(), tmp_path, watch=session.Watch(standing=stop))
    assert ended.interrupted and not ended.results["complete"]
    assert len(rows(tmp_path)) == 6
    again = inline(tiny(), tmp_path)
    assert not again.interrupted and results(tmp_path) == results(whole)


# --- what is the user's own ---


def test_methods_models_and_benchmarks_of_the_folder_one_starts_in(own):
    space = tiny(
        "benchmark={name='own_session:blobs', tasks=4}",
        "model={name='own_session:net', units={choices=[3, 5]}}",
        "method.name='own_session:Plain'",
    )
    ended = inline(space, own / "out")
    assert ended.results["complete"] and ended.results["failed"] == 0
    assert {(row["model"], row["method"]) for row in rows(own / "out")} >= {
        ("own_session:net", "own_session:Plain"),
        ("own_session:net", "finetune"),
    }
    assert all(len(row["order"]) == 4 for row in rows(own / "out"))


# --- MLflow ---


def trials(database):
    with sqlite3.connect(database) as connection:
        asked = "select value from tags where key = 'fingerprint'"
        return sorted(value for (value,) in connection.execute(asked))


def test_mlflow_has_every_run_once_and_is_made_anew_from_the_records(copy, tmp_path):
    fingerprints = sorted(row["fingerprint"] for row in rows(copy))
    session.run(tiny(), copy, engine="inline")  # all is on record, but MLflow has nothing yet
    assert trials(copy / "mlflow.db") == fingerprints
    assert session.sync(copy) is None
    assert trials(copy / "mlflow.db") == fingerprints
    (copy / "mlflow.db").unlink()
    shutil.rmtree(copy / "mlartifacts")
    # another process, as MLflow keeps databases open
    other = driver("from sweep import session; assert session.sync('copy') is None", tmp_path)
    assert (other.communicate(timeout=120), other.returncode)[1] == 0
    assert trials(copy / "mlflow.db") == fingerprints


def test_a_finished_sweep_puts_many_record_files_into_one_and_keeps_every_row(whole, copy, monkeypatch):
    monkeypatch.setattr(session, "MANY_PARTS", 1)
    assert len(parts(copy)) > 1
    inline(tiny(), copy)
    assert len(parts(copy)) == 1
    assert lasting(rows(copy)) == lasting(rows(whole))
    assert results(copy) == results(whole)


def test_results_that_this_release_would_not_give_again_are_run_again(whole, copy, monkeypatch):
    monkeypatch.setattr("nai.trial.NUMERICS", 1000)
    ended = inline(tiny(), copy)
    assert len(rows(copy)) == 2 * RUNS  # the old ones stay on record
    assert ended.results["done"] == RUNS and ended.results["complete"]
