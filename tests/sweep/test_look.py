"""A sweep as its folder has it: the same with its snapshot and without, and read in a moment."""

import json
import shutil
import subprocess
import sys

import pytest
from tiny_sweeps import ROOT, RUNGS, inline, lasting, results, rows, tiny

from sweep import look, session, standing
from sweep.folder import Folder, FolderError
from sweep.hunting import Request
from sweep.past import request, requests


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep with rungs and a hunt; leave it as it is."""
    out = tmp_path_factory.mktemp("swept") / "out"
    best = inline(tiny(*RUNGS), out).results["best"]["suggestion"]
    session.worst(out, Request(best, (1, 0), budget=8, random=2), engine="inline", track=False)
    return out


@pytest.fixture
def copy(swept, tmp_path):
    return shutil.copytree(swept, tmp_path / "copy")


def seen(out):
    """What status, report and MLflow take from a folder."""
    now, problems = look.status(out)
    ended = look.render(out)
    return now, problems, json.dumps(ended.results, sort_keys=True), results(out)


def test_without_its_snapshot_a_sweep_looks_the_same(swept, copy):
    with_it = seen(swept)
    (copy / "progress.json").unlink()
    assert seen(copy) == with_it
    assert with_it[0].phase == "hunt" and with_it[0].done == with_it[0].expected


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"{",
        b"[]",
        b'{"asked": {}, "phase": "search", "best": null}',
        b"\xff\xfe",
        b'{"asked": 3, "phase": "search"}',
    ],
)
def test_a_snapshot_that_is_torn_or_of_another_shape_is_made_anew(swept, copy, spoilt):
    (copy / "progress.json").write_bytes(spoilt)
    assert standing.kept(copy / "progress.json") is None
    assert seen(copy) == seen(swept)


def test_a_snapshot_cut_short_anywhere_is_made_anew(swept, copy):
    data = (copy / "progress.json").read_bytes()
    for count in range(0, len(data) - 1, len(data) // 7):
        (copy / "progress.json").write_bytes(data[:count])
        assert standing.kept(copy / "progress.json") is None
    assert look.status(copy) == look.status(swept)


def test_the_snapshot_on_disk_is_what_the_records_say(swept):
    folder, store, kept = look.reopened(swept)
    assert look._rebuilt(folder, store.records.rows) == kept
    assert lasting(standing.relevant(store.records.rows, kept.asked)) == lasting(rows(swept))


def test_rows_that_came_after_the_snapshot_count(copy):
    folder, _, kept = look.reopened(copy)
    for part in sorted(folder.records.glob("part-*"))[:2]:
        part.unlink()
    less = look.status(copy)[0]
    assert less.done == len(rows(copy)) < less.expected == kept.asked.expected


def test_a_folder_that_was_only_adopted_has_everything_before_it(tmp_path):
    folder = Folder.at(tmp_path / "out")
    folder.adopt(tiny(*RUNGS))
    now, problems = look.status(tmp_path / "out")
    assert (now.done, now.failed, now.phase, now.best, problems) == (0, 0, "search", None, ())
    assert now.expected > 0
    assert look.render(tmp_path / "out").results["best"] is None


@pytest.mark.parametrize("command", ["status", "status --json"])
def test_status_of_a_sweep_with_a_snapshot_needs_nothing_heavy(swept, command):
    code = (
        f"import sys; sys.argv = ['nai-sweep', *{command.split()!r}, {str(swept)!r}]\n"
        "from sweep.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'sklearn', 'plotly'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "on record" in done.stdout or json.loads(done.stdout)["phase"] == "hunt"


# --- hunts on file ---


def test_a_hunt_is_asked_for_once_and_the_order_of_asking_stays(tmp_path):
    folder = Folder.at(tmp_path)
    some = [Request("b", (1, 2)), Request("a", worst=False, budget=9), Request("b", (1, 2), strategy="tree")]
    for one in [*some, some[1], some[0]]:
        request(folder, one)
    assert requests(folder) == tuple(some)


@pytest.mark.parametrize("text", ["", "{}", '[{"seeds": [0, 0]}]', '[{"suggestion": "a", "seeds": "x"}]'])
def test_a_file_of_hunts_that_is_none_says_how_to_go_on(copy, text):
    (copy / "hunts.json").write_text(text)
    with pytest.raises(FolderError, match="is no list of hunts: move it away"):
        inline(tiny(*RUNGS), copy)
    (copy / "hunts.json").unlink()
    assert inline(tiny(*RUNGS), copy).results["hunts"] == []


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (Request("beef"), "'beef' is no suggestion of this sweep"),
        (Request("", budget=20), "'' fits several suggestions of this sweep"),
        (Request("{best}", strategy="luck"), "strategy 'luck' is unknown: choose from surrogate, tree"),
        (Request("{best}", budget=1), "budget 1 is not a whole number of at least 5"),
        (Request("{best}", random=-1), "random"),
        (Request("{best}", (-1, 0)), "seeds"),
    ],
)
def test_a_hunt_that_cannot_be_carried_out_leaves_no_trace(swept, copy, one, said):
    best = json.loads(results(swept))["best"]["suggestion"]
    wanted = Request(**{**vars(one), "suggestion": one.suggestion.format(best=best)})
    before = (copy / "hunts.json").read_bytes()
    with pytest.raises(ValueError, match=said):
        session.worst(copy, wanted, engine="inline", track=False)
    assert (copy / "hunts.json").read_bytes() == before
    assert seen(copy) == seen(swept)
