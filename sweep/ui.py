"""MLflow's own pages of a sweep, served to this machine alone."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

from sweep.folder import Folder, FolderError
from sweep.tracking import OWNER, SETTINGS, TRAINING

HOST = "127.0.0.1"
ENVIRONMENT = {**SETTINGS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Nothing is sent home, and no processes are kept for jobs that no sweep has."""


def server(path: str | Path, port: int = 5000) -> list[str]:
    """The command that serves a sweep's MLflow pages at http://127.0.0.1:port.

    Errors: FolderError for a folder without such pages, ValueError for a port in use.
    """
    folder = Folder.of_records(path)
    database = folder.root / "mlflow.db"
    if not database.is_file():
        raise FolderError(f"{path} has no mlflow.db{_elsewhere(path)}")
    _check_port(port)
    hosts = ",".join(f"{name}:{port}" for name in ("localhost", HOST))
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{database}"),
        *("--artifacts-destination", str(folder.artifacts)),
        *("--host", HOST, "--port", str(port), "--workers", "1", "--allowed-hosts", hosts),
    ]


def address(path: str | Path, port: int = 5000) -> str:
    """Where the runs of the sweep will be, or MLflow's first page if its database does not name them."""
    folder, page = Folder.of_records(path), f"http://{HOST}:{port}"
    asked = "select experiment_id from experiment_tags where key = ? and value = ?"
    try:
        with contextlib.closing(sqlite3.connect(folder.root / "mlflow.db")) as database:
            found = database.execute(asked, (OWNER, folder.identity())).fetchone()
    except sqlite3.Error:
        found = None
    return f"{page}/#/experiments/{found[0]}/runs{TRAINING}" if found else page


def serve(path: str | Path, port: int = 5000) -> int:
    """Serve until Ctrl-C or SIGTERM; the server's exit code."""
    folder = Folder.of_records(path)
    with subprocess.Popen(server(path, port), cwd=folder.root, env={**os.environ, **ENVIRONMENT}) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            return 0


def _elsewhere(path: str | Path) -> str:
    if os.environ.get("MLFLOW_TRACKING_URI", "").strip():
        return ": MLFLOW_TRACKING_URI names the server that has its runs, open that one"
    return f" yet: make it with `nai-sweep sync {path}`"


def _check_port(port: int) -> None:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError as error:
            raise ValueError(f"port {port} cannot be used ({error.strerror}): take another --port") from None
