"""MLflow is a view of the rows: same rows, same runs, whatever happened on the way."""

import contextlib
import json
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tracked_rows import FOUND, ORDERS, ROWS, contents_of, found_in, place, points_of, row, runs_of, searching

from nai.metrics import METRICS
from sweep.redact import redacted
from sweep.tracking import Tracker, destination, sync
from sweep.tracking.words import digest, flat, key, trial_points, trial_tags

pytest.importorskip("mlflow")


def tracker(folder: Path) -> Tracker:
    return Tracker(place(folder))


def runs(folder: Path) -> list:
    return runs_of(place(folder, f"sqlite:///{folder / 'mlflow.db'}"))


def contents(folder: Path) -> list:
    return contents_of(place(folder, f"sqlite:///{folder / 'mlflow.db'}"))


def points(folder: Path) -> list:
    return points_of(place(folder, f"sqlite:///{folder / 'mlflow.db'}"))


def of_kind(folder: Path, kind: str) -> list:
    return [run for run in runs(folder) if run.data.tags["nai.kind"] == kind]


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def synced(tmp_path_factory):
    """A finished sweep in a folder with an awkward name."""
    folder = tmp_path_factory.mktemp("a sweep #1 é")
    report = folder / "report.html"
    report.write_text("<h1>NAI</h1>")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        problem = sync(ROWS, tracker(folder), replace(FOUND, files=[report]))
    assert problem is None
    return folder


def test_one_run_a_row_below_one_run_a_suggestion_beside_one_run_for_the_sweep(synced):
    trials, suggestions = of_kind(synced, "trial"), of_kind(synced, "suggestion")
    parents = {run.info.run_id: run.data.tags["nai.suggestion"] for run in suggestions}
    assert (len(trials), sorted(parents.values())) == (len(ROWS), ["aaaaaaaaaaaa", "bbbbbbbbbbbb"])
    for run in trials:
        assert parents[run.data.tags["mlflow.parentRunId"]] == run.data.tags["nai.suggestion"]
    assert {run.info.status for run in suggestions} == {"FINISHED"}
    assert len(of_kind(synced, "sweep")) == 1


def test_a_trial_can_be_filtered_by_method_order_and_seed(synced):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{synced / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("quick start").experiment_id
    text = "tags.method = 'nai' and tags.order = '0-1-2' and tags.seed_init = '1'"
    (run,) = client.search_runs([experiment], text)
    assert run.data.tags["fingerprint"] == ROWS[6]["fingerprint"]
    assert run.data.params["method.strength"] == "0.5"
    assert run.data.params["model.widths"] == "[100, 100]"
    assert run.data.params["seed_data"] == "2"
    assert (run.info.end_time, run.info.end_time - run.info.start_time) == (1_700_000_001_000, 2000)


def test_the_metrics_of_a_run_are_those_of_the_row(synced):
    from mlflow import MlflowClient

    by_name = {run.data.tags["fingerprint"]: run for run in of_kind(synced, "trial")}
    client, one = MlflowClient(f"sqlite:///{synced / 'mlflow.db'}"), ROWS[1]
    run = by_name[one["fingerprint"]]
    for split in ("valid", "test"):
        for name, metric in METRICS.items():
            assert run.data.metrics[f"{split}/{name}"] == metric(one[split], tuple(one["order"]))
    curve = client.get_metric_history(run.info.run_id, "test/task_2")
    assert [(point.step, point.value) for point in curve] == [(n, one["test"][n][2]) for n in range(4)]
    seen = client.get_metric_history(run.info.run_id, "test/seen_average")
    assert seen[1].value == pytest.approx((one["test"][2][2] + one["test"][2][0]) / 2)


def test_a_failed_trial_is_a_failed_run_with_its_error_and_no_accuracy(synced):
    (run,) = [run for run in of_kind(synced, "trial") if "nai.error" in run.data.tags]
    assert (run.info.status, run.data.tags["nai.error"]) == ("FAILED", "diverged: épuisé")
    assert run.data.metrics == {"seconds": 2.0}


def test_a_suggestion_has_its_figures_settings_and_data_set(synced):
    (run,) = [r for r in of_kind(synced, "suggestion") if r.data.tags["nai.suggestion"] == "bbbbbbbbbbbb"]
    assert run.data.metrics == {"runs": 4, "failed": 1, "objective": 0.625, "search/worst": 0.5}
    assert run.data.params == {
        "method.name": "nai", "method.strength": "0.5", "model.widths": "[100, 100]",
        "benchmark.name": "digits", "benchmark.digest": "abc123"}  # fmt: skip
    (data,) = [each.dataset for each in run.inputs.dataset_inputs]
    assert (data.name, data.digest, data.source_type) == ("split", "abc123", "code")
    assert json.loads(data.source) == {"tags": {"name": "digits"}}


def test_the_sweeps_own_run_has_verdict_numbers_and_report(synced):
    from mlflow import MlflowClient

    (run,) = of_kind(synced, "sweep")
    assert run.data.metrics == {"test/average_accuracy_mean": 0.75}
    assert run.data.tags["mlflow.note.content"] == "NAI *wins* <b>"
    assert run.data.tags["nai.best"] == "aaaaaaaaaaaa"
    client = MlflowClient(f"sqlite:///{synced / 'mlflow.db'}")
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["report.html"]
    assert list((synced / "mlartifacts").rglob("report.html"))


def test_a_second_sync_creates_nothing_and_changes_nothing(synced):
    before, again = contents(synced), tracker(synced)
    assert sync(ROWS, again, replace(FOUND, files=[synced / "report.html"])) is None
    assert (again.created, contents(synced)) == (0, before)


@pytest.mark.parametrize("survived", [0, 5])  # the suggestion's own settings are lost, or a trial's
def test_killed_half_way_and_synced_is_the_same_as_never_killed(survived, synced, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    log, calls = MlflowClient.log_batch, iter(range(100))

    def dies(self, *args, **kwargs):
        if next(calls) >= survived:
            raise OSError("killed")
        return log(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", dies)
        problem = sync(ROWS, tracker(tmp_path), FOUND)
    assert problem is not None
    assert "killed" in problem and f"nai-sweep sync {tmp_path}" in problem
    assert {run.info.status for run in runs(tmp_path)} >= {"RUNNING"}
    assert sync(ROWS, tracker(tmp_path), FOUND) is None
    assert contents(tmp_path) == contents(synced)
    assert points(tmp_path) == points(synced)


def test_rows_that_come_one_by_one_end_as_rows_that_come_at_once(synced, tmp_path):
    rows = list(reversed(ROWS))
    with tracker(tmp_path) as first:
        first.submit(rows[:3], searching)
    with tracker(tmp_path) as second:
        for each in rows[2:]:
            second.submit([each], searching)
        assert second.finish(FOUND) is None
    assert contents(tmp_path) == contents(synced)
    assert points(tmp_path) == points(synced)


def test_a_store_that_is_no_database_is_a_problem_told_and_nothing_raised(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, and long enough to be read as one" * 100)
    with tracker(tmp_path) as one:
        started = time.monotonic()
        one.submit(ROWS, searching)
        assert time.monotonic() - started < 0.1
        one.submit(ROWS, searching)  # as a sweep does at its end
        problem = one.finish(FOUND)
    assert problem is not None
    assert "behind by 8 runs" in problem and "not a database" in problem and "nai-sweep sync" in problem


def test_a_store_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.tracking.writer.Store", lambda *place: time.sleep(3))
    with Tracker(place(tmp_path, "http://user:canary@host:1"), patience=0.3) as one:
        one.submit(ROWS, searching)
        problem = one.finish(FOUND)
    assert problem is not None
    assert "no answer for 0." in problem and "canary" not in problem


def test_a_sweep_that_raises_leaves_its_runs_for_later(tmp_path):
    with pytest.raises(KeyboardInterrupt), tracker(tmp_path) as one:
        one.submit(ROWS, searching)
        raise KeyboardInterrupt
    assert one.problem is not None and "stopped" in one.problem
    assert [run.info.status for run in of_kind(tmp_path, "sweep")] == ["KILLED"]


def test_the_store_is_the_users_where_the_user_says_so(tmp_path, monkeypatch):
    assert destination(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    other = tmp_path / "elsewhere.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    assert destination(tmp_path) == f"sqlite:///{other}"
    assert sync(ROWS[:1], tracker(tmp_path), found_in(ROWS[:1])) is None
    with contextlib.closing(sqlite3.connect(other)) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (3,)
    assert not (tmp_path / "mlflow.db").exists()


def test_passwords_in_addresses_are_hidden():
    text = redacted("no https://me:s/e@host/a and postgresql://u:p@w@host:5/db?x=1, but sqlite:////a@b.db")
    assert "p@w" not in text and "u:" not in text
    assert "://***@host:5/db?x=1" in text
    assert "sqlite:////a@b.db" in text


def test_nothing_that_is_not_finite_becomes_a_point():
    matrix = np.full((4, 3), np.nan)
    points = trial_points(row("a", ORDERS[0]) | {"valid": matrix, "test": None})
    assert [point.name for point in points] == ["seconds"]


def test_a_long_order_is_cut_and_its_digest_tells_it_from_others():
    long = tuple(range(3000))
    orders = (long, (*long[:-2], 2999, 2998))
    one, other = (trial_tags(row("a", order, error="no matrix"), "search") for order in orders)
    assert len(one["order"]) <= 5000 and one["order"].startswith("0-1-2-")
    assert one["order"] != other["order"] and one["order_id"] != other["order_id"]


def test_names_become_keys_that_stay_apart():
    assert key("method.strength") == "method.strength"
    assert key("méthode") == f"m_thode-{digest('méthode')}"
    assert key("é") != key("è")
    assert len(key("x" * 1000)) <= 250
    assert flat({"a": {"b": 1.0, "c": [1, 2]}, "d": "x", "e": None}) == {
        "a.b": "1.0", "a.c": "[1, 2]", "d": "x", "e": "null"}  # fmt: skip
