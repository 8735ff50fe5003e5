"""MLflow as a server in a process of its own: what it holds in the end is the same, whatever befell it."""

import contextlib
import sqlite3
import threading
import time
from dataclasses import replace

import mlflow_server
import pytest
from tracked_rows import FOUND, ROWS, contents_of, found_in, place, points_of, row, searching

from sweep.tracking import Findings, Tracker, sync

pytest.importorskip("mlflow")
# the server's own process closes what the client keeps open
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with mlflow_server.running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """A sweep that was synced in peace, and where."""
    at = place(tmp_path_factory.mktemp("whole"), server.uri)
    assert sync(ROWS, Tracker(at), FOUND) is None
    return at


def told(at):
    """All that an experiment holds."""
    return contents_of(at), points_of(at)


def test_a_server_killed_while_rows_come_has_the_same_in_the_end(server, whole, tmp_path, monkeypatch):
    """Killed in the middle of a call, dead for a while, started again, synced twice."""
    from sweep.tracking.store import Store

    monkeypatch.setattr("sweep.tracking.writer.RETRY", 0.1)
    at, log, calls, back = (
        place(tmp_path, server.uri, "killed"),
        Store.log,
        iter(range(100)),
        threading.Event(),
    )

    def log_of_a_dying_server(self, run, *args):
        number = next(calls)
        if number == 4:
            server.kill()
        log(self, run, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "log", log_of_a_dying_server)
        with Tracker(at) as one:
            one.submit(ROWS, searching)
            back.wait(2.0)
            problem = one.finish(FOUND)
    assert problem is not None and "nai-sweep sync" in problem and not server.answers()
    server.start()
    assert sync(ROWS, Tracker(at), FOUND) is None
    first = told(at)
    again = Tracker(at)
    assert sync(ROWS, again, FOUND) is None
    assert (again.created, told(at)) == (0, first)
    assert first == told(whole)


@pytest.mark.full
def test_a_server_that_comes_back_gets_the_rest_without_anybody_asking(server, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.tracking.writer.RETRY", 0.1)
    at = place(tmp_path, server.uri, "back")
    with Tracker(at) as one:
        one.submit(ROWS[:4], searching)
        server.kill()
        server.start()
        one.submit(ROWS[4:], searching)
        assert one.finish(FOUND) is None
    assert told(at) == told(whole)


def test_an_answer_that_comes_too_late_leaves_no_run_twice(server, whole, tmp_path, monkeypatch):
    """The server has made the run; the client has given up on the answer."""
    from mlflow import MlflowClient

    monkeypatch.setattr("sweep.tracking.writer.RETRY", 0.1)
    create, calls = MlflowClient.create_run, iter(range(100))

    def late(self, *args, **kwargs):
        made = create(self, *args, **kwargs)
        if next(calls) in (0, 1, 4):
            raise TimeoutError("too late")
        return made

    monkeypatch.setattr(MlflowClient, "create_run", late)
    at = place(tmp_path, server.uri, "late")
    with Tracker(at) as one:
        one.submit(ROWS, searching)
        end = time.monotonic() + 100
        while one.remaining and time.monotonic() < end:
            time.sleep(0.05)
        assert one.finish(FOUND) is None
    assert told(at) == told(whole)


def test_two_sweeps_of_one_name_share_no_run(server, whole, tmp_path):
    """Not even where they consist of the same runs; and each finds its own again."""
    other = place(tmp_path, server.uri, "feedface00")
    rows = [*ROWS[:3], row("cccccccccccc", (0, 1, 2))]
    before = told(whole)
    assert sync(rows, Tracker(other), found_in(rows)) is None
    assert told(whole) == before
    names = [name for name, *_ in contents_of(other)]
    assert len(names) == len(rows) + 2 + 1
    again = Tracker(other)
    assert sync(rows, again, found_in(rows)) is None
    assert again.created == 0


def test_synced_half_way_and_gone_on_is_the_same_as_at_once(server, whole, tmp_path):
    """Figures of half the orders cannot be taken back: the suggestion gets another run, with all orders."""
    at = place(tmp_path, server.uri, "half")
    half = replace(found_in(ROWS[:5]), suggestions={"aaaaaaaaaaaa": {"objective": 0.25}}, summary={"done": 5})
    assert sync(ROWS[:5], Tracker(at), half) is None
    assert sync(ROWS, Tracker(at), FOUND) is None
    assert told(at) == told(whole)


def test_what_is_no_longer_of_the_sweep_goes_and_a_failed_run_may_succeed(server, whole, tmp_path):
    at = place(tmp_path, server.uri, "mended")
    stray = row("dddddddddddd", (0, 1, 2))
    broken = {**ROWS[0], "error": "diverged", "valid": None, "test": None, "finished": 1.6e9}
    rows = [broken, *ROWS[1:], stray]
    assert sync(rows, Tracker(at), found_in(rows)) is None
    assert sync(ROWS, Tracker(at), FOUND) is None
    assert told(at) == told(whole)


def test_an_experiment_that_was_deleted_comes_back(server, whole, tmp_path):
    from mlflow import MlflowClient

    at = place(tmp_path, server.uri, "deleted")
    assert sync(ROWS[:3], Tracker(at), found_in(ROWS[:3])) is None
    client = MlflowClient(server.uri)
    (found,) = client.search_experiments(filter_string="tags.`nai.sweep` = 'deleted'")
    client.delete_experiment(found.experiment_id)
    assert sync(ROWS, Tracker(at), FOUND) is None
    assert told(at) == told(whole)


def test_a_locked_database_is_a_problem_told_and_later_caught_up(tmp_path, monkeypatch):
    at = place(tmp_path)
    assert sync(ROWS[:2], Tracker(at), found_in(ROWS[:2])) is None
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as lock:
        lock.execute("begin exclusive")
        with Tracker(at, patience=1.0) as one:
            one.submit(ROWS, searching)
            problem = one.finish(FOUND)
        lock.rollback()
    assert problem is not None and "nai-sweep sync" in problem
    assert sync(ROWS, Tracker(at), FOUND) is None
    assert {name for name, *_ in contents_of(at)} >= {"nai 0.5", "nai 0.7"}


def test_a_server_that_never_answers_is_left_behind_in_moments(tmp_path):
    with mlflow_server.silent() as uri, Tracker(place(tmp_path, uri), patience=0.5) as one:
        one.submit(ROWS, searching)
        problem = one.finish(Findings(stages={}))
    assert problem is not None and "behind by 8 runs" in problem and "no answer" in problem
