"""A real MLflow server for tests, with SQLite or another database: a process to be killed and begun again."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 120.0
"""Seconds that a server may take to answer first, on a machine that is busy with other things."""
DATABASE = "NAI_TEST_DATABASE"
"""The environment variable with another database for the server, empty at first: postgresql+psycopg2://..."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


class Server:
    """A server at a port of its own, whose database and files are in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.database = os.environ.get(DATABASE, f"sqlite:///{folder / 'server.db'}")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        hosts = ",".join(f"{name}:{self.port}" for name in ("localhost", "127.0.0.1"))
        words = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", self.database, "--workers", "1"),
            *("--artifacts-destination", str(self.folder / "files"), "--allowed-hosts", hosts),
        ]
        self.process = subprocess.Popen(
            words,
            cwd=self.folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the MLflow server in {self.folder} does not answer")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once, with all its processes."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server that answers, in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def silent() -> Iterator[str]:
    """The address of a server that accepts every connection and never answers."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            try:
                while True:
                    held.append(door.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        door.shutdown(socket.SHUT_RDWR)
        for each in held:
            each.close()
