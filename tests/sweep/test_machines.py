"""A cluster of several machines, each its own Ray processes: some are lost, but no row is, or comes twice."""

import json
import os
import signal
import subprocess
import time

import pytest
from machines import Machines, cmdline
from tiny_sweeps import SPACE, inline, lasting, parts, results, rows, tiny

from sweep import record
from sweep.releases import release

OWN = """\
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from nai.methods import METHODS

Nai = METHODS["nai"]
HERE = Path(__file__).parent
SEEN = set()  # it is asked several times about one lesson


@dataclass(frozen=True)
class Marked(Nai):
    # slow, and says where and when it learns what; whom a file `hold` does not name waits while it is there
    late = frozenset()

    def pool(self, done, task):
        machine = Path(os.environ.get("NAI_MACHINES", "driver")).name
        lesson = self.strength, *done, task
        if lesson not in SEEN:
            SEEN.add(lesson)
            line = [machine, os.getpid(), time.time(), self.strength, [*done, task]]
            with (HERE / "trained").open("a") as file:
                file.write(json.dumps(line) + "\\n")
            time.sleep(float((HERE / "pause").read_text()))
        while (HERE / "hold").exists() and machine != (HERE / "hold").read_text():
            time.sleep(0.05)
        return super().pool(done, task)
"""
OVERRIDES = ("method.name='own_marked:Marked'", "search.suggestions=6", "search.ahead=6")
SETS = [word for change in OVERRIDES for word in ("--set", change)]
SWEEP = """
import sys
from sweep.cli import main
sys.argv = ["nai-sweep", "run", "space.toml", "--out", "out", "--no-track", *{words}]
main()
"""
SHORT = """
from sweep.environment import for_ray
for_ray(local=False)
from sweep import machines
machines.DROUGHT = 15.0
"""
"""Ahead of a sweep: it gives up when nothing had room for so many seconds, not a quarter of an hour."""
DOCTOR = """
import sys
from sweep.cli import app
sys.argv = ["nai-sweep", "doctor", "--address", "{address}", "--json"]
app()
"""
QUICK = (  # a machine that is silent for some seconds is dead
    '--system-config={"health_check_initial_delay_ms":1000,"health_check_period_ms":1000,'
    '"health_check_timeout_ms":1000,"health_check_failure_threshold":4}'
)


class Sweep:
    """A slow sweep in a folder, and what its workers say of themselves."""

    def __init__(self, folder, pause=0.4):
        self.folder, self.out = folder, folder / "out"
        (folder / "own_marked.py").write_text(OWN)
        (folder / "pause").write_text(str(pause))
        (folder / "space.toml").write_text(SPACE)

    def start(self, cluster, ahead="", **environment):
        words = ["--address", cluster.address, *SETS]
        return cluster.driver(ahead + SWEEP.format(words=words), self.folder, **environment)

    @property
    def trained(self):
        """Machine, process, time, strength and tasks of each lesson, as they were begun."""
        path = self.folder / "trained"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("]")]

    def hold(self, but):
        """Have all machines but one wait at their next lesson."""
        (self.folder / "hold").write_text(but)

    def held(self, but):
        """Have them wait, and wait for them; the lesson each is at, by machine."""
        self.hold(but)
        known = -1
        while known != (known := len(self.trained)):
            time.sleep(3)  # far longer than a lesson
        return {line[0]: line[3:] for line in self.trained}

    def freed(self):
        (self.folder / "hold").unlink()

    def trainer(self, machine):
        """The process that trains on a machine."""
        return [line[1] for line in self.trained if line[0] == machine.name][-1]

    def machines(self):
        return {line[0] for line in self.trained}

    def wholes(self, since=0.0):
        """Strength and order of the runs whose last task was begun after a moment."""
        return {(s, tuple(order)) for _, _, at, s, order in self.trained if at > since and len(order) == 5}

    def recorded(self):
        """Strength and order of what is on record."""
        return {
            (strength, tuple(row["order"]))
            for row in rows(self.out)
            if (strength := json.loads(row["settings"])["method"].get("strength")) is not None
        }


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same sweep in one process."""
    folder = tmp_path_factory.mktemp("alone")
    sweep = Sweep(folder, pause=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        inline(tiny(*OVERRIDES), sweep.out)
    return sweep.out


def assert_same(out, alone):
    found = record.read(out / "records")
    assert not found.problems and not found.conflicts
    assert lasting(found.rows) == lasting(rows(alone))
    assert results(out) == results(alone)


@pytest.mark.faults
def test_one_machine_dies_one_freezes_and_wakes_one_joins_and_all_rows_are_there_once(tmp_path, alone):
    sweep = Sweep(tmp_path)
    with Machines() as cluster:
        cluster.head(QUICK)
        dead, frozen, _ = (cluster.worker() for _ in range(3))
        driver = sweep.start(cluster)
        driver.until(lambda: len(sweep.machines()) == 3 and parts(sweep.out), "records, and lessons on all")
        under_way = sweep.held("nobody goes on")
        kept = {path.name: path.read_bytes() for path in parts(sweep.out)}
        before, moment = sweep.recorded(), time.time()
        dead.kill()
        frozen.send(signal.SIGSTOP)
        joined = cluster.worker()
        sweep.hold(joined.name)  # or the one that is left may have done everything before
        driver.until(lambda: joined.name in sweep.machines(), "lessons on the machine that joined")
        sweep.freed()
        again = [under_way[one.name] for one in (dead, frozen)]
        driver.until(
            lambda: all(any(line[3:] == one and line[2] > moment for line in sweep.trained) for one in again),
            "the lessons of those that are lost, on others",
        )
        known = set(parts(sweep.out)) if sweep.held(frozen.name) else set()
        os.kill(sweep.trainer(frozen), signal.SIGCONT)  # its raylet stays frozen: nobody stops it
        driver.until(lambda: set(parts(sweep.out)) - known, "what the machine records that Ray has given up")
        sweep.freed()
        driver.ended()
        assert_same(sweep.out, alone)
        now = {path.name: path.read_bytes() for path in parts(sweep.out)}
        assert kept.items() <= now.items()
        assert before and not before & sweep.wholes(since=moment)


def own_disk(folder):
    """A command that starts another one which sees nothing of a folder but what it puts there itself."""
    hidden = f'mount -t tmpfs none {folder} && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", hidden, "sh"]
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may give processes disks of their own")
    return words


@pytest.mark.faults
def test_machines_without_the_driver_s_disk_lose_no_row_though_one_of_them_dies(tmp_path, alone):
    sweep = Sweep(tmp_path)
    sweep.out.mkdir()
    with Machines() as cluster:
        cluster.head(QUICK)
        workers = [cluster.worker(before=own_disk(sweep.out)) for _ in range(2)]
        driver = sweep.start(cluster)
        driver.until(lambda: len(sweep.machines()) == 2 and parts(sweep.out), "records, and lessons on both")
        kept = {path.name: path.read_bytes() for path in parts(sweep.out)}
        workers[0].kill()
        driver.ended()
        assert_same(sweep.out, alone)
        assert kept.items() <= {path.name: path.read_bytes() for path in parts(sweep.out)}.items()


@pytest.mark.faults
def test_the_head_dies_and_the_same_command_goes_on_with_another_one(tmp_path, alone):
    sweep = Sweep(tmp_path)
    with Machines() as cluster:
        head = cluster.head()
        cluster.worker()
        driver = sweep.start(cluster)
        driver.until(lambda: parts(sweep.out), "a record")
        kept = {path.name: path.read_bytes() for path in parts(sweep.out)}
        (gcs,) = (pid for pid in head.pids if b"gcs_server" in cmdline(pid))
        os.kill(gcs, signal.SIGKILL)
        began = time.monotonic()
        said = driver.ended(4)
        assert time.monotonic() - began < 60
        assert (
            "has not answered for 20 s: the cluster is lost" in said
            and "go on with\n  nai-sweep run space.toml" in said
        )
        # the workers of the lost cluster are still there, and may record
        cluster.head()
        cluster.worker()
        sweep.start(cluster).ended()
        assert_same(sweep.out, alone)
        assert kept.items() <= {path.name: path.read_bytes() for path in parts(sweep.out)}.items()


@pytest.mark.faults
def test_a_cluster_without_a_machine_left_is_given_up_and_another_machine_ends_the_sweep(tmp_path, alone):
    sweep = Sweep(tmp_path)
    with Machines() as cluster:
        cluster.head(QUICK)
        only = cluster.worker()
        driver = sweep.start(cluster, SHORT)
        driver.until(lambda: parts(sweep.out), "a record")
        only.kill()
        kept = {path.name: path.read_bytes() for path in parts(sweep.out)}
        said = driver.ended(4)
        assert "no worker had room for 0.25 min: a worker wants 1 CPU and 0 GPU" in said
        cluster.worker()
        sweep.start(cluster).ended()
        assert_same(sweep.out, alone)
        assert kept.items() <= {path.name: path.read_bytes() for path in parts(sweep.out)}.items()


def test_a_machine_with_other_releases_is_named_before_anything_runs(tmp_path):
    sweep = Sweep(tmp_path)
    other = tmp_path / "other" / "torch-1.2.3.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.2.3\n")
    with Machines() as cluster:
        cluster.head(cpus=1)
        path = cluster.environment["PYTHONPATH"]
        cluster.worker(PYTHONPATH=f"{other.parent}{os.pathsep}{path}")
        said = sweep.start(cluster).ended(4)
        seen = cluster.driver(DOCTOR.format(address=cluster.address), tmp_path).ended(4)
    assert seen.count("torch 1.2.3, not") == 1 and seen.count("releases as here") == 1
    assert "machines of the cluster do not have what this program has:" in said
    assert f": torch 1.2.3, not {release('torch')}" in said
    assert not parts(sweep.out) and not sweep.trained
