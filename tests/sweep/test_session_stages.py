"""Search, confirmation and hunts one after the other: nothing on record runs again, no bit changes."""

import json
import random
import shutil
import subprocess

import pytest
from tiny_sweeps import RUNGS, driver, found, inline, lasting, parts, results, rows, tiny

from sweep import session
from sweep.confirming import overrides
from sweep.folder import Folder
from sweep.hunting import Request

QUIET = {"engine": "inline", "track": False}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep with rungs; leave it as it is."""
    out = tmp_path_factory.mktemp("whole") / "out"
    inline(tiny(*RUNGS), out)
    return out


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


@pytest.fixture
def trained(monkeypatch):
    """Fingerprints of all runs that are trained from here on."""
    from sweep import bundle

    names, train = [], bundle.train

    def noted(*given, **named):
        for row in train(*given, **named):
            names.append(row["fingerprint"])
            yield row

    monkeypatch.setattr(bundle, "train", noted)
    return names


def again(calls):
    """The same space in one call, as the changes of all of them leave it."""
    return tiny(*RUNGS, *(change for one in calls for change in overrides(**one)))


# --- lessons kept between calls ---


def stopping(done):
    """Presses Ctrl-C, once, when so many runs are on record."""
    stops = [KeyboardInterrupt]

    def stop(standing):
        if standing.done >= done and stops:
            raise stops.pop()

    return session.Watch(standing=stop)


def broken_off(out, every, forget):
    """A sweep that is stopped every few runs, its kept lessons lost in between."""
    calls = 0
    while True:
        calls += 1
        before = len(rows(out)) if (out / "records").is_dir() else 0

        ended = inline(tiny(*RUNGS), out, watch=stopping(before + every))
        if not ended.interrupted:
            return calls
        assert (out / "states").is_dir() or forget
        if forget:
            shutil.rmtree(out / "states", ignore_errors=True)


def test_rungs_stop_some_and_the_kept_lessons_are_gone_at_the_end(whole):
    stopped = [one["stopped"] for one in found(whole)["search"]]
    assert {3, None} <= set(stopped) and found(whole)["complete"]
    assert found(whole)["saved"]["ran"] < found(whole)["saved"]["full"] == 4 * 6
    assert not (whole / "states").exists() and not (whole / "ray").exists()


@pytest.mark.parametrize("memory", [0.7, 1.5])
def test_a_small_memory_changes_no_bit(whole, tmp_path, memory):
    try:
        inline(tiny(*RUNGS, f"resources.memory={memory}"), tmp_path / "out")
    except ValueError as reason:  # this process is larger already
        assert "memory" in str(reason)
        return
    assert lasting(rows(tmp_path / "out")) == lasting(rows(whole))
    assert results(tmp_path / "out") == results(whole)


def test_without_kept_lessons_the_bits_are_the_same(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.bundle.shelf", lambda folder, limit: None)
    inline(tiny(*RUNGS), tmp_path)
    assert lasting(rows(tmp_path)) == lasting(rows(whole))
    assert results(tmp_path) == results(whole)


def test_lessons_on_disk_alone_change_no_bit(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.ledger.shelf_bytes", lambda resources: 0)
    inline(tiny(*RUNGS), tmp_path)
    assert lasting(rows(tmp_path)) == lasting(rows(whole))
    assert results(tmp_path) == results(whole) and not (tmp_path / "states").exists()


@pytest.mark.parametrize("forget", [True, False])
def test_broken_off_with_its_kept_lessons_or_without_it_comes_to_the_same_end(
    whole, tmp_path, monkeypatch, forget
):
    monkeypatch.setattr("sweep.ledger.shelf_bytes", lambda resources: 0)  # what is kept is on disk
    assert broken_off(tmp_path / "out", 5, forget) > 2
    assert lasting(rows(tmp_path / "out")) == lasting(rows(whole))
    assert results(tmp_path / "out") == results(whole)
    assert not (tmp_path / "out" / "states").exists()


def test_kept_lessons_that_are_spoilt_are_learnt_again(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.ledger.shelf_bytes", lambda resources: 0)
    out, chance = tmp_path / "out", random.Random(0)
    assert inline(tiny(*RUNGS), out, watch=stopping(6)).interrupted
    kept = sorted((out / "states").glob("*.safetensors"))
    assert kept
    for path in kept:
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1
        path.write_bytes(data)
    inline(tiny(*RUNGS), out)
    assert lasting(rows(out)) == lasting(rows(whole)) and results(out) == results(whole)


# --- confirm ---


@pytest.mark.parametrize(
    "calls",
    [
        [{"orders": 5}],
        [{"seeds": 2}],
        [{"top": 2}],
        [{"orders": 4, "seeds": 2}, {"orders": 8, "top": 2}],
        [{"until": "tail=0.3", "orders": 2}],
        [{"methods": ["nai"]}],
    ],
)
def test_more_to_confirm_runs_what_is_new_and_equals_all_of_it_at_once(copy, tmp_path, trained, calls):
    old = {row["fingerprint"] for row in rows(copy)}
    for one in calls:
        session.confirm(copy, overrides(**one), **QUIET)
    assert len(trained) == len(set(trained)) and not set(trained) & old
    assert trained or calls == [{"methods": ["nai"]}]
    inline(again(calls), tmp_path / "once")
    assert results(copy) == results(tmp_path / "once")
    assert lasting(rows(tmp_path / "once")).items() <= lasting(rows(copy)).items()
    count = len(trained)
    session.confirm(copy, **QUIET)
    inline(again(calls), copy)
    assert len(trained) == count  # all of it is on record, in both folders
    assert not (copy / "states").exists()


def test_a_sweep_that_confirmed_nothing_is_confirmed_over_all_orders_with_three_seeds(tmp_path, trained):
    text = tiny("orders.count=2", "search.suggestions=1").canonical()
    del text["confirm"]
    from sweep.space import Space

    inline(Space.model_validate(text), tmp_path / "out")
    assert found(tmp_path / "out")["table"] == [] and len(trained) == 2
    ended = session.confirm(tmp_path / "out", overrides(orders="all", seeds=1), **QUIET)
    (line,) = ended.results["table"]
    assert (line["orders"], line["seeds"], line["missing"]) == (120, 1, 0)
    assert len(trained) == len(set(trained)) == 120  # the two of the search are among them
    assert Folder.at(tmp_path / "out").space.read_text().count("[confirm") >= 1


def test_a_confirmation_of_no_sweep_and_one_with_mistakes_touch_nothing(copy, tmp_path):
    from sweep.folder import FolderError
    from sweep.space import Mistakes

    with pytest.raises(FolderError, match="holds no sweep"):
        session.confirm(tmp_path / "none", **QUIET)
    assert not (tmp_path / "none").exists()
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(Mistakes, match=r"confirm\.methods"):
        session.confirm(copy, overrides(methods=["nobody"]), **QUIET)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


# --- hunts ---


def test_a_hunt_after_a_confirmation_repeats_nothing_and_comes_to_the_same_again(copy, trained):
    session.confirm(copy, overrides(orders=6, seeds=2), **QUIET)
    best = found(copy)["best"]["suggestion"]
    hunts = (Request(best[:6], budget=14, random=3), Request(best, (4, 4), worst=False, budget=10, random=3))
    for one in hunts:
        session.worst(copy, one, **QUIET)
    assert len(trained) == len(set(trained))
    before, count = results(copy), len(trained)
    assert all(0 < one["cost"] <= one["budget"] for one in found(copy)["hunts"])
    for one in hunts:
        session.worst(copy, one, **QUIET)
    assert len(trained) == count and results(copy) == before
    for path in parts(copy)[::2]:
        path.unlink()
    session.worst(copy, hunts[0], **QUIET)
    assert results(copy) == before and len(found(copy)["hunts"]) == 2


def test_hunts_cut_short_go_on_from_what_is_on_record(copy, tmp_path):
    best = found(copy)["best"]["suggestion"]
    wanted = Request(best, (2, 2), budget=12, random=4)
    once = shutil.copytree(copy, tmp_path / "once")
    session.worst(once, wanted, **QUIET)
    start = len(rows(copy))
    ended = session.worst(copy, wanted, watch=stopping(start + 5), **QUIET)
    assert ended.interrupted
    inline(tiny(*RUNGS), copy)  # any command goes on with it
    assert results(copy) == results(once)
    assert lasting(rows(copy)) == lasting(rows(once))


def test_a_hunt_for_a_suggestion_that_was_not_confirmed(copy, trained):
    asked = {one["suggestion"] for one in found(copy)["search"]}
    other = sorted(asked - {one["suggestion"] for one in found(copy)["table"]})[0]
    ended = session.worst(copy, Request(other, budget=9, random=2), **QUIET)
    (hunt,) = ended.results["hunts"]
    assert hunt["suggestion"] == other and 0 < hunt["cost"] <= 9
    assert hunt["order"] and sorted(hunt["order"]) == [0, 1, 2, 3, 4]


# --- suggestions on file ---


def test_suggestions_that_are_lost_or_spoilt_are_made_again(whole, copy):
    files = sorted((copy / "suggestions").iterdir())
    assert len(files) == 4
    files[0].unlink()
    spoilt = files[2].rename(files[2].with_name(f"part-{files[2].stem[5:][::-1]}.json"))
    spoilt.write_bytes(spoilt.read_bytes()[:-9])  # under its own name it would have to be moved away
    for part in parts(copy)[::2]:
        part.unlink()
    notes = []
    inline(tiny(*RUNGS), copy, watch=session.Watch(note=notes.append))
    assert lasting(rows(copy)) == lasting(rows(whole)) and results(copy) == results(whole)
    assert len(notes) == 1 and spoilt.name in notes[0]
    shutil.rmtree(copy / "suggestions")
    inline(tiny(*RUNGS), copy)
    assert results(copy) == results(whole)
    assert {one.name for one in (copy / "suggestions").iterdir()} == {
        one.name for one in (whole / "suggestions").iterdir()
    }


# --- in the middle of everything ---


@pytest.mark.full
@pytest.mark.parametrize("engine", ["inline", "tune"])
def test_killed_ten_times_at_any_moment_it_comes_to_the_same_rows_and_table(tmp_path, engine):
    """Bar: sequential search with rungs, the driver killed by SIGKILL at random moments."""
    space = (*RUNGS, "training.epochs=10", "search.suggestions=6")
    inline(tiny(*space), tmp_path / "whole")
    code = f"from sweep import session; import tiny_sweeps as t; t.session.run(t.tiny(*{space!r}), 'out'"
    code += f", engine={engine!r}, track=False)"
    chance, kills, wanted = random.Random(5), 0, 10 if engine == "inline" else 1
    longest = 6.0 if engine == "inline" else 20.0
    while kills < wanted:
        child = driver(code, tmp_path)
        try:
            child.wait(chance.uniform(longest / 3, longest))
        except subprocess.TimeoutExpired:
            child.kill()
            kills += 1
        child.communicate()
        if kills < wanted and child.returncode == 0:  # it came to its end: lose some of its records
            lost = parts(tmp_path / "out")
            for path in chance.sample(lost, len(lost) // 2 + 1):
                path.unlink()
    last = driver(code, tmp_path)
    said, _ = last.communicate(timeout=300)
    assert last.returncode == 0, said
    assert lasting(rows(tmp_path / "out")) == lasting(rows(tmp_path / "whole"))
    assert results(tmp_path / "out") == results(tmp_path / "whole")
    assert json.loads(results(tmp_path / "out"))["complete"]
