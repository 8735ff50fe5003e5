"""MLflow's store silent, locked, or of no use: training never waits for it, and `sync` makes up for it."""

import contextlib
import http.server
import shutil
import socket
import sqlite3
import threading
import time

import pytest
from tiny_sweeps import inline, lasting, rows, tiny

from sweep import session
from sweep.folder import Folder
from sweep.look import tracker
from sweep.tracking import Findings

SMALL = ("search.suggestions=1", "orders.count=1", "confirm.orders.count=1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    inline(tiny(*SMALL), out)
    return out


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def told(folder, patience):
    """What the writer says once it was given rows, and the seconds until then."""
    started = time.monotonic()
    one, done = tracker(Folder.at(folder), "tiny"), rows(folder)
    one._patience = patience
    with one:
        one.submit(done, lambda row: "search")
        problem = one.finish(Findings({row["fingerprint"]: "search" for row in done}))
    return problem, time.monotonic() - started


def test_a_server_that_accepts_and_is_silent_is_given_up_and_the_records_are_safe(copy, monkeypatch):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        before = lasting(rows(copy))
        problem, seconds = told(copy, 0.5)
    assert problem is not None and "nai-sweep sync" in problem
    assert seconds < 8
    assert lasting(rows(copy)) == before


def test_a_database_that_another_holds_is_told_and_written_later(copy):
    assert session.sync(copy) is None
    with contextlib.closing(sqlite3.connect(copy / "mlflow.db")) as holder:
        before = holder.execute("select count(*) from runs").fetchone()
        holder.execute("begin exclusive")
        problem, seconds = told(copy, 0.5)
        holder.rollback()
    assert problem is not None and "nai-sweep sync" in problem
    assert seconds < 8
    assert session.sync(copy) is None
    with contextlib.closing(sqlite3.connect(copy / "mlflow.db")) as holder:
        assert holder.execute("select count(*) from runs").fetchone() == before


class OneAnswer(http.server.BaseHTTPRequestHandler):
    """Answers as MLflow does, once, and the server is gone."""

    def do_GET(self):
        body = b'{"experiment": {"experiment_id": "1", "name": "tiny", "lifecycle_stage": "active"}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.socket.close()

    def log_message(self, *words):
        """Nothing: the answer itself is what counts."""


def test_a_server_that_is_gone_in_the_middle_costs_no_row_and_sync_makes_up_for_it(copy, monkeypatch):
    before = lasting(rows(copy))
    with http.server.HTTPServer(("127.0.0.1", 0), OneAnswer) as server, monkeypatch.context() as patch:
        server.timeout = 10  # seconds
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        problem, _ = told(copy, 0.5)
        thread.join()
    assert problem is not None and "nai-sweep sync" in problem
    assert lasting(rows(copy)) == before
    assert session.sync(copy) is None
    with contextlib.closing(sqlite3.connect(copy / "mlflow.db")) as made:
        assert made.execute("select count(*) from runs").fetchone()[0] >= len(before)
