"""Machines with a network of their own on this one: each with address, processes and home, reached by `ssh`.

Linux lets its superuser have them: a network and a table of processes each (`unshare`). What stands for ssh
and rsync hands commands and files to a small server on each machine, by a socket that all of them see.
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from machines import alive, until
from tiny_sweeps import ROOT

SERVER = """
import json, os, socket, struct, subprocess, sys, tempfile, threading, time

def serve(link):
    with link, tempfile.TemporaryFile() as said, link.makefile("rb") as lines:
        words = json.loads(lines.readline())
        child = subprocess.Popen(["bash", "-c", words], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        sent, ended = 0, False
        while not ended:  # what it leaves running may hold its output open
            ended = child.poll() is not None
            text = os.pread(said.fileno(), 65536, sent)
            link.sendall(struct.pack("!I", len(text)) + text if text else b"")
            sent, ended = sent + len(text), ended and not text
            time.sleep(0 if text else 0.05)
        link.sendall(struct.pack("!II", 0, child.returncode % 256))

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()
"""
SSH = """#!{python}
import json, socket, struct, sys
words = sys.argv[1:]
while words and words[0].startswith("-"):
    del words[: 2 if words[0] in ("-o", "-i", "-L") else 1]
link = socket.socket(socket.AF_UNIX)
try:
    link.connect("{folder}/" + words[0].rpartition("@")[2] + "/ssh")
except OSError as error:
    sys.exit(255)
link.sendall((json.dumps(" ".join(words[1:])) + chr(10)).encode())
with link.makefile("rb") as found:
    while size := struct.unpack("!I", found.read(4))[0]:
        sys.stdout.buffer.write(found.read(size))
        sys.stdout.buffer.flush()
    sys.exit(struct.unpack("!I", found.read(4))[0])
"""
RSYNC = """#!{python}
import shutil, sys
from pathlib import Path

def place(text):
    machine, colon, path = text.partition(":")
    home = Path("{folder}") / machine.rpartition("@")[2]
    return home / path.removeprefix("~/").removeprefix("/root/") if colon else Path(text).expanduser()

words = sys.argv[1:]
source, target = map(place, words[-2:])
if source.is_dir():
    ignored = shutil.ignore_patterns(".*", "__pycache__", "docs", "runs", "build", "dist", "tests")
    shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
else:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
"""
PROGRAMS = {  # of the environment that the set-up commands would make, which wants a network
    "python": 'exec {python} "$@"',
    "ray": 'exec {python} -c "from ray.scripts.scripts import main; main()" "$@"',
    "nai-sweep": 'exec {python} -m sweep.cli "$@"',
    "pip": 'echo "$@" >> ~/pip',
}


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Network:
    """Machines 10.77.0.10 and so on, each a folder that is its home, and one more at which a user sits."""

    def __init__(self, *addresses):
        self.folder = Path(tempfile.mkdtemp(prefix="nai-", dir="/var/tmp"))  # sockets have short names
        (self.folder / "t").mkdir()
        self.addresses, self.processes = addresses, {}

    def __enter__(self):
        try:
            self.switch = self._apart("switch", "sleep", "1000000")
            self._ip("link", "add", "hub", "type", "bridge")
            self._ip("link", "set", "hub", "up")
            for number, address in enumerate(self.addresses):
                self._machine(number, address)
            self._home("user")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        for process in self.processes.values():
            process.kill()  # the first of its table: all others of it end
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words, cwd, code=0):
        """What a command of the user said."""
        found = subprocess.run(
            words, cwd=cwd, env=self._environment("user"), capture_output=True, text=True, timeout=280
        )
        said = found.stdout + found.stderr
        assert found.returncode == code, said
        return said

    def pids(self, address):
        """Processes of a machine, as this one numbers them."""
        table = _table(self.first(address))
        numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        return [pid for pid in numbers if _table(pid) == table]

    def first(self, name):
        """The first process of a machine."""
        starter = self.processes[name].pid
        text = Path(f"/proc/{starter}/task/{starter}/children").read_text()
        return int(text.split()[0])

    def _machine(self, number, address):
        self._home(address)
        server = [sys.executable, "-c", SERVER, str(self.folder / address / "ssh")]
        first = self._apart(address, *server)
        self._ip("link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", str(first))
        self._ip("link", "set", f"v{number}", "master", "hub", "up")
        for words in (["link", "set", "lo", "up"], ["addr", "add", f"{address}/24", "dev", "eth0"]):
            self._ip(*words, pid=first)
        self._ip("link", "set", "eth0", "up", pid=first)
        self._ip("route", "add", "default", "dev", "eth0", pid=first)
        until((self.folder / address / "ssh").exists, f"{address}")

    def _home(self, name):
        """A home folder with what is installed there."""
        home, given = self.folder / name, {"python": sys.executable, "folder": self.folder}
        for tool, text in PROGRAMS.items():
            program(home / "nai-venv" / "bin" / tool, f"#!/bin/bash\n{text.format(**given)}\n")
        for tool, text in (("ssh", SSH), ("rsync", RSYNC)):
            program(home / "tools" / tool, text.format(**given))
        (home / ".bashrc").write_text(f"export PATH={home / 'tools'}:$PATH\n")  # a login shell forgets it

    def _environment(self, name):
        home = self.folder / name
        path = f"{home / 'tools'}:{home / 'nai-venv' / 'bin'}:{os.environ['PATH']}"
        code = str(ROOT if name == "user" else home / "nai-sweep")  # what was brought there, and no other
        limits = {"OMP_NUM_THREADS": "1", "RAY_raylet_start_wait_time_s": "120"}
        kept = {key: os.environ[key] for key in ("LANG", "TERM", "USER", "LOGNAME") if key in os.environ}
        return (
            kept
            | limits
            | {"HOME": str(home), "PATH": path, "PYTHONPATH": code, "RAY_TMPDIR": str(self.folder / "t")}
        )

    def _apart(self, name, *words):
        """A process with a network and a table of processes of its own; its number here."""
        own = self.folder / name / "t"
        own.mkdir(parents=True, exist_ok=True)
        apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        # a worker keeps its files where the head has them, so that each needs the same place for itself
        start = f'mount --bind {own} {self.folder / "t"} && "$@"; exit'
        with (self.folder / name / "log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*apart, "bash", "-c", start, "-", *words],
                cwd=self.folder / name,
                env=self._environment(name),
                stdout=log,
                stderr=log,
            )
        until(lambda: self._started(name), name)
        return self.first(name)

    def _started(self, name):
        try:
            return self.first(name)
        except (OSError, IndexError):
            return None

    def _ip(self, *words, pid=None):
        subprocess.run(["nsenter", "-t", str(pid or self.switch), "-n", "ip", *words], check=True)


def _table(pid):
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink()) if alive(pid) else ""
    except OSError:
        return ""


def possible():
    """Whether this user may have machines of their own here."""
    if os.geteuid() or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return False
    return not subprocess.run(["unshare", "--net", "--pid", "--fork", "true"], capture_output=True).returncode
