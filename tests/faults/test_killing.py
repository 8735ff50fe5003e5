"""Processes of a sweep killed at random, fifty times: rows and table of a run that nobody disturbed.

It takes half an hour on a quiet machine. NAI_KILLS=FOLDER keeps the sweep there, with the kills so far in
FOLDER/killed, and the same command goes on with them.
"""

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from tiny_sweeps import RUNGS, driver, inline, lasting, parts, results, rows, tiny

from sweep import record

ROUNDS = 50
LONGEST = 15.0
"""Seconds of training before something is killed, at most; each driver also has to start."""
SPACE = (*RUNGS, "training.epochs=3", "search.suggestions=10", "confirm.orders.count=6")
CODE = f"""\
import tiny_sweeps as t
t.session.run(
    t.tiny(*{SPACE!r}), "out", track=False, watch=t.session.Watch(stage=lambda text: print(text, flush=True))
)
"""
pytestmark = pytest.mark.faults


def below(pid):
    """Processes that one started, and those that they started, by their command lines."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    found, news = {}, {pid}
    while news:
        news = {child for child, parent in parents.items() if parent in news}
        found |= {child: command(child) for child in news}
    return found


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def trains(child):
    """Wait until the driver trains; False when there was nothing left to do."""
    return any(line == "training\n" for line in child.stdout)


def kill_one(child, chance):
    """The driver, or one of its workers; says which."""
    workers = [pid for pid, line in below(child.pid).items() if line.startswith("ray::")]
    if workers and chance.random() < 0.5:
        try:
            os.kill(chance.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            return ""
        return "worker"
    child.kill()
    return "driver"


def ends(child, seconds):
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.fixture
def folder(tmp_path):
    """Where the sweep is: kept from call to call where the environment names it."""
    kept = Path(os.environ.get("NAI_KILLS", tmp_path)).absolute()
    kept.mkdir(parents=True, exist_ok=True)
    return kept


@pytest.mark.timeout(5400)
def test_fifty_kills_of_driver_and_workers_cost_no_row_and_double_none(folder):
    inline(tiny(*SPACE), folder / "whole")
    log = folder / "killed"
    killed = log.read_text().split() if log.exists() else []
    chance = random.Random(13 + len(killed))
    while len(killed) < ROUNDS:
        with driver(CODE, folder) as child:
            trains(child)
            while child.poll() is None and len(killed) < ROUNDS:
                if ends(child, chance.uniform(0, LONGEST)):
                    break
                killed += filter(None, [kill_one(child, chance)])
                log.write_text("\n".join(killed))
            child.kill()
        if child.returncode == 0 and len(killed) < ROUNDS:  # it came to its end: lose some of its records
            for path in chance.sample(parts(folder / "out"), len(parts(folder / "out")) // 2 + 1):
                path.unlink()
    assert {"driver", "worker"} == set(killed)
    inline(tiny(*SPACE), folder / "out")
    recorded = record.read(folder / "out" / "records")
    assert recorded.problems == recorded.conflicts == ()
    assert lasting(recorded.rows) == lasting(rows(folder / "whole"))
    assert len(recorded.rows) == len(rows(folder / "whole"))
    assert results(folder / "out") == results(folder / "whole")
