"""An S3 server on this machine, a process of its own, and a way to it that can be cut or slow."""

import contextlib
import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

PATIENCE = 60.0
"""Seconds that a server may take to answer first, on a machine that is busy with other things."""
SECRET = "c4n4ry-of-the-s3-server"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Door:
    """The way to a server: passes connections on, unless it is shut; each waits before its answer."""

    def __init__(self, to: int) -> None:
        self.to, self.wait, self.shut = to, 0.0, False
        self.port = free_port()
        self._server: socket.socket | None = None
        self._held: list[socket.socket] = []
        self.open()

    def open(self) -> None:
        """Let connections in."""
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections, and cut those that there are."""
        if self._server:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
        self._server = None
        for one in self._held:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._held = []

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = server.accept()[0]
                threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self.to)) as far:
            self._held += [near, far]
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is far and self.wait:
                        time.sleep(self.wait)
                    (far if ready is near else near).sendall(data)


class Server:
    """An S3 server with one empty bucket, named `bucket`; it forgets everything when it is killed."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()
        self.door = Door(self.port)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.door.port}",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it, wait until it answers, and make the bucket."""
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.ask("PUT", "")
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the S3 server does not answer") from None
                time.sleep(0.1)

    def ask(self, verb: str, name: str, body: bytes = b"") -> None:
        """Do something to an object past the client, and past the door."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(verb, f"/bucket/{name}", body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, (verb, name, answer.status)

    def kill(self) -> None:
        """End it at once; what it held is lost."""
        if self.process:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server that answers."""
    server = Server()
    try:
        yield server
    finally:
        server.door.close()
        server.kill()
