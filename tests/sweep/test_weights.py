"""The weights that are written are those of the run on record: the file alone gives its accuracies."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny_sweeps import inline, rows, tiny
from typer.testing import CliRunner

from nai.evaluate import evaluate
from nai.learn import Lesson
from nai.trial import load, world_of
from sweep import session
from sweep.bundle import trial_of
from sweep.cli import app
from sweep.jobs import Run
from sweep.standing import stages
from sweep.weights import MEMORY, best_run, run_named


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "out"
    inline(tiny(), folder)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def accuracies(path, row):
    """Validation and test accuracy on each task, by the weights of a file."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert about["fingerprint"] == row["fingerprint"]
    assert json.loads(about["order"]) == row["order"]
    settings = json.loads(about["settings"])
    del settings["benchmark"]["digest"]
    trial = trial_of(settings, Run(tuple(row["order"]), (row["seed_init"], row["seed_data"])))
    held = {k.removeprefix(MEMORY): v for k, v in tensors.items() if k.startswith(MEMORY)}
    params = {k: v for k, v in tensors.items() if not k.startswith(MEMORY)}
    world = world_of(load(trial.benchmark), trial.model)
    (found,) = evaluate([Lesson(trial.order, params, held, {})], world, trial.method)
    return found


def test_the_file_gives_the_accuracies_on_record(copy):
    made = session.weights(copy)
    assert (made.path, made.off) == (copy / "weights.safetensors", 0.0)
    found = accuracies(made.path, made.row)
    assert torch.equal(found.valid, torch.tensor(made.row["valid"][-1]))
    assert torch.equal(found.test, torch.tensor(made.row["test"][-1]))


def test_it_is_the_run_of_the_best_suggestion_that_is_best_on_validation_data(copy):
    best = session.render(copy).results["best"]["suggestion"]
    known = [row for row in rows(copy) if row["suggestion"] == best]
    top = max(np.mean(row["valid"][-1]) for row in known)
    row = session.weights(copy).row
    assert row["suggestion"] == best and np.mean(row["valid"][-1]) == top


def test_any_run_can_be_asked_for(copy):
    one = rows(copy)[3]
    made = session.weights(copy, one["fingerprint"][:10])
    assert (made.row["fingerprint"], made.off) == (one["fingerprint"], 0.0)


def test_the_command_writes_the_file_and_says_where_it_is_and_what_comes_next(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    told = CliRunner().invoke(app, ["weights", "copy"])
    assert told.exit_code == 0, told.output
    assert told.stdout.strip() == "copy/weights.safetensors"
    assert "sync copy puts them into MLflow" in told.stderr
    with safe_open(copy / "weights.safetensors", framework="pt") as file:
        best = file.metadata()["fingerprint"]
    one = next(row["fingerprint"] for row in rows(copy) if row["fingerprint"] != best)
    assert CliRunner().invoke(app, ["weights", "copy", "--run", one[:12]]).exit_code == 0
    assert accuracies(copy / "weights.safetensors", next(r for r in rows(copy) if r["fingerprint"] == one))
    wrong = CliRunner().invoke(app, ["weights", "copy", "--run", "zz"])
    assert wrong.exit_code == 2 and "zz" in wrong.stderr and "Traceback" not in wrong.output


def test_masks_that_predictions_need_are_in_the_file(tmp_path):
    packed = tiny(
        "method={name='packnet', share=0.5}",
        "training.epochs=2",
        "confirm.baselines=[]",
        "search.suggestions=1",
    )
    inline(packed, tmp_path / "out")
    made = session.weights(tmp_path / "out")
    found = accuracies(made.path, made.row)
    assert torch.equal(found.test, torch.tensor(made.row["test"][-1]))


def test_a_run_that_is_none_or_failed_is_refused():
    rows = [{"fingerprint": "aa1", "error": None}, {"fingerprint": "ab2", "error": "diverged"}]
    with pytest.raises(ValueError, match="beginning of 2 fingerprints"):
        run_named("a", rows)
    with pytest.raises(ValueError, match=r"failed \(diverged\)"):
        run_named("ab", rows)
    with pytest.raises(ValueError, match="no run of a best suggestion"):
        best_run([], {"best": None, "table": []})


def test_each_run_belongs_to_the_stage_that_asked_for_it_first(finished):
    _, store, snapshot = session.reopened(finished)
    asked = snapshot.asked
    found = stages(store.records.rows, asked)
    for row in store.records.rows:
        search = tuple(row["order"]) in asked.search_orders and row["method"] == "nai"
        assert found[row["fingerprint"]] == ("search" if search else "confirm")
    assert stages(store.records.rows, replace(asked, contests=(), baselines=())) == {}
