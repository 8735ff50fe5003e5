"""Several Ray machines on this one: each its own processes, all of them ended with the test."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tiny_sweeps import ROOT

PATIENCE = 150.0
"""Seconds for what takes a few on a quiet machine, and at most a minute by Ray's own rules."""
MARK = "NAI_MACHINES"
START = "from ray.scripts.scripts import main; main()"


def until(true, what, seconds=PATIENCE):
    """Wait for something to become true, and give it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.1)
    return found


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def told(pid, what):
    """A file of the kernel's about a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def cmdline(pid):
    return told(pid, "cmdline")


def alive(pid):
    return told(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"])


class Machine:
    """One raylet, with its workers and, on the head, the head's services; a home folder of its own.

    before: words of a command that starts it, such as one that gives it disks of its own.
    """

    def __init__(self, cluster, name, *words, cpus=1, before=(), **environment):
        self.cluster, self.name = cluster, name
        self.home = cluster.folder / name
        self.home.mkdir()
        self.log = self.home / "log"
        options = [
            "--block",
            "--disable-usage-stats",
            "--node-ip-address=127.0.0.1",
            "--object-store-memory=80000000",
            f"--num-cpus={cpus}",
            "--dashboard-agent-listen-port=0",
            *words,
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-c", START, "start", *options],
                cwd=self.home,
                env=cluster.environment | {"HOME": str(self.home), MARK: self.mark} | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def mark(self):
        return f"{self.cluster.folder}/{self.name}"

    @property
    def pids(self):
        """All its processes: Ray hands its environment on to each."""
        mark = f"{MARK}={self.mark}\0".encode()
        pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        return [pid for pid in pids if mark in told(pid, "environ") and alive(pid)]

    def send(self, number):
        for pid in self.pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def kill(self):
        """As a power cut would end it; what starts meanwhile is ended as well."""
        while self.pids:
            self.send(signal.SIGKILL)
        self.process.wait()


class Driver:
    """A program that was started, and what it says."""

    def __init__(self, code, cwd, environment):
        self.log = Path(cwd) / f"said-{secrets.token_hex(4)}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def until(self, true, what):
        """Wait for something to become true while the program runs."""

        def going_on():
            assert self.process.poll() is None, f"ended before {what}:\n{self.log.read_text()}"
            return true()

        return until(going_on, what)

    def ended(self, code=0):
        """What it said, when it has ended with this code."""
        self.process.wait(timeout=PATIENCE)
        said = self.log.read_text()
        assert self.process.returncode == code, said
        return said

    def kill(self):
        self.process.kill()
        self.process.wait()


class Machines:
    """A Ray cluster of a head that trains nothing, and workers that come and go."""

    def __init__(self, **environment):
        self.folder = Path(tempfile.mkdtemp(prefix="nai-", dir="/tmp"))  # sockets have short names
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_raylet_start_wait_time_s": "120",
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        self.all = []
        self.drivers = []

    def head(self, *words, cpus=0, **environment):
        self.port = free_port()
        temporary = self.folder / f"t{self.port}"
        options = [
            "--head",
            f"--port={self.port}",
            f"--temp-dir={temporary}",
            "--include-dashboard=false",
            *words,
        ]
        found = self._add(f"h{len(self.all)}", *options, cpus=cpus, **environment)
        until(lambda: self._running(found) and answers(self.port), "the head")
        return found

    def worker(self, *words, **given):
        found = self._add(f"w{len(self.all)}", f"--address={self.address}", *words, **given)
        until(lambda: self._running(found) and b"runtime started" in found.log.read_bytes(), "a machine")
        return found

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _add(self, name, *words, cpus=1, **given):
        self.all.append(Machine(self, name, *words, cpus=cpus, **given))
        return self.all[-1]

    def _running(self, machine):
        assert machine.process.poll() is None, machine.log.read_text()
        return True

    def driver(self, code, cwd, **environment):
        """A Python program beside the cluster, with its token; what it says is in a file."""
        self.drivers.append(Driver(code, cwd, self.environment | environment))
        return self.drivers[-1]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for one in (*self.drivers, *reversed(self.all)):
            one.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
