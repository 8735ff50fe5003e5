"""A sweep of a second or two, its files as values, and methods of a user's own that misbehave."""

import json
import os
import subprocess
import sys
from pathlib import Path

from sweep import record, session
from sweep.space import loads

ROOT = Path(__file__).resolve().parent.parent
SPACE = """\
name = "tiny"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
widths = [8]
[method]
name = "nai"
strength = {low = 0.01, high = 10.0, log = true}
[training]
epochs = 1
[orders]
design = "random"
count = 3
[search]
suggestions = 4
ahead = 2
[confirm]
baselines = ["finetune"]
[confirm.orders]
design = "random"
count = 3
seed = 1
[confirm.seeds]
init = [0]
data = [0]
"""
RUNS = 4 * 3 + 2 * 3
RUNGS = ("orders.count=6", "search.rungs=[3, 4]", "search.level=0.4", "search.ahead=1")
"""Overrides with which some suggestions are stopped."""
OWN = """\
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nai.methods import METHODS
from nai.models import MODELS
from nai.tasks import Benchmark, Task

Nai = METHODS["nai"]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Plain(Nai):
    pass


@dataclass(frozen=True)
class Broken(Nai):
    def after_task(self, *given, **named):
        assert False, "this cannot work"


@dataclass(frozen=True)
class Picky(Nai):
    def pool(self, done, task):
        if not done and task == 2:
            raise KeyError("task 2 comes first")
        return super().pool(done, task)


@dataclass(frozen=True)
class Unlucky(Nai):
    def pool(self, done, task):
        raise OSError("the disk is on fire")


@dataclass(frozen=True)
class Mortal(Nai):
    # the worker dies on its first lesson
    def pool(self, done, task):
        try:
            (HERE / "died").touch(exist_ok=False)
        except FileExistsError:
            return super().pool(done, task)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Doomed(Nai):
    # strong neurons kill their worker until somebody mends it; `pool` reads the strength, so it is not late
    late = frozenset()

    def pool(self, done, task):
        if self.strength > 0.5 and not (HERE / "mended").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().pool(done, task)


@dataclass(frozen=True)
class Held(Nai):
    # no lesson begins while there are as many records as the file `limit` says
    def pool(self, done, task):
        while len(list((HERE / "out" / "records").glob("part-*"))) >= int((HERE / "limit").read_text()):
            (HERE / "held").touch()
            time.sleep(0.02)
        return super().pool(done, task)


def net(features, outputs, units=4):
    return MODELS["mlp"](features=features, outputs=outputs, widths=(units,))


def blobs(tasks=3):
    chance = np.random.default_rng(0)
    labels = np.arange(tasks * 2).repeat(30)
    inputs = (chance.normal(size=(tasks * 2, 6))[labels] + chance.normal(size=(len(labels), 6)))
    made = []
    for n in range(tasks):
        members = chance.permutation(np.arange(n * 60, n * 60 + 60))
        made.append(Task(f"task {n}", (2 * n, 2 * n + 1), *np.split(members, [40, 50])))
    return Benchmark.of("blobs", "task", made, inputs=inputs.astype(np.float32), labels=labels)
"""


def tiny(*overrides):
    return loads(SPACE, overrides=overrides)


def inline(space, out, **given):
    return session.run(space, out, engine="inline", track=False, **given)


def rows(folder):
    return record.read(Path(folder) / "records").rows


def lasting(some):
    """What of rows must not depend on circumstances, by fingerprint."""
    names = sorted(set(record.SCHEMA.names) - record.CIRCUMSTANCE)
    return {row["fingerprint"]: repr([row[name] for name in names]) for row in some}


def parts(folder):
    return sorted((Path(folder) / "records").glob("part-*.parquet"))


def results(folder):
    return (Path(folder) / "results.json").read_bytes()


def found(folder):
    return json.loads(results(folder))


def driver(code, cwd, **environment):
    """Another Python in a folder, which finds the package, this module and what lies in that folder."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
