"""Ray Tune giving up on everything, as it does when Ray kills one worker for its memory."""

from pathlib import Path

import pytest
from tiny_sweeps import OWN, driver, inline, lasting, results, rows, tiny

from sweep import record, session
from sweep.environment import ClusterError

SMALL = ("search.suggestions=2", "orders.count=2", "confirm.orders.count=1")


class Giving:
    """A tuner that gives up so many times with jobs under way, and then runs them in this process."""

    def __init__(self, times):
        self.times, self.sizes = times, []

    def __call__(self, searcher, benchmark, scratch):
        self.searcher, self.benchmark = searcher, benchmark
        return self

    def fit(self):
        from ray.exceptions import OutOfMemoryError

        if self.times:
            self.times -= 1
            self.searcher.suggest("lost")
            self.sizes += [len(self.searcher.jobs["lost"].cells)]
            raise RuntimeError("Caught unexpected exception") from OutOfMemoryError("killed")
        while isinstance(self.searcher.suggest("kept"), dict):
            self.carry_out()

    def carry_out(self):
        from sweep import bundle

        job = self.searcher.jobs["kept"]
        data = [record.encoded([row]) for row in bundle.train(job, self.benchmark)]
        self.searcher.on_trial_complete("kept", {"rows": len(data), "parts": data})


class Place:
    """Room for one worker."""

    resources = None

    def __call__(self):
        return 1


@pytest.fixture
def on_one(monkeypatch):
    """Sweeps whose Ray is the tuner given, and no Ray."""
    import contextlib

    from sweep import run

    def sweep(tuner, out):
        monkeypatch.setattr(run, "_tuner", tuner)
        monkeypatch.setattr(run, "cluster", lambda *given: contextlib.nullcontext(Place()))
        monkeypatch.setattr(run.time, "sleep", lambda seconds: None)
        return session.run(tiny(*SMALL), out, track=False)

    return sweep


def test_a_worker_that_ray_kills_for_its_memory_takes_no_other_run_with_it(on_one, tmp_path):
    """The work that was under way comes back in halves, and every row is that of an undisturbed sweep."""
    tuner = Giving(3)
    assert on_one(tuner, tmp_path / "out").results["complete"]
    assert tuner.sizes == sorted(tuner.sizes, reverse=True) and tuner.sizes[-1] < tuner.sizes[0]
    inline(tiny(*SMALL), tmp_path / "whole")
    assert lasting(rows(tmp_path / "out")) == lasting(rows(tmp_path / "whole"))
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_a_ray_that_always_gives_up_is_not_asked_for_ever(on_one, tmp_path):
    with pytest.raises(ClusterError, match="gave up 13 times in a row without one run done"):
        on_one(Endless(), tmp_path / "out")


class Endless(Giving):
    """Gives up whether there is work or not."""

    def __init__(self):
        super().__init__(10**9)

    def fit(self):
        from ray.exceptions import OutOfMemoryError

        raise RuntimeError("Caught unexpected exception") from OutOfMemoryError("killed")


@pytest.mark.parametrize(
    ("ailing", "kind"), [("OSError on m: disk", OSError), ("FileNotFoundError on m: x", FileNotFoundError)]
)
def test_a_machine_at_fault_stops_the_sweep_with_what_to_do(on_one, tmp_path, ailing, kind):
    class Ailing(Giving):
        def carry_out(self):
            self.searcher.on_trial_result("kept", {"rows": 0, "ailing": ailing})
            self.searcher.on_trial_complete("kept", None, error=True)

    with pytest.raises(kind, match=r"workers cannot work: .* on m: .*\nmend it and run the same command"):
        on_one(Ailing(0), tmp_path / "out")
    assert on_one(Giving(0), tmp_path / "out").results["complete"]


GREEDY = f"""{OWN}

@dataclass(frozen=True)
class Greedy(Nai):
    # the first worker takes five gigabytes, and keeps them longer than Ray takes to see it
    def pool(self, done, task):
        try:
            (HERE / "greedy").touch(exist_ok=False)
        except FileExistsError:
            return super().pool(done, task)
        held = np.ones(5 * 2**27)
        time.sleep(120)
        (HERE / "spared").write_text(str(held.nbytes))
        return super().pool(done, task)
"""


def used():
    """The share of this machine's memory that is in use, and the share that a gigabyte is."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    sizes = {name.rstrip(":"): float(kilobytes) for name, kilobytes, *_ in lines}
    return 1 - sizes["MemAvailable"] / sizes["MemTotal"], 1e6 / sizes["MemTotal"]


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_worker_that_takes_too_much_memory_is_killed_by_ray_itself_and_every_row_comes(tmp_path):
    """Ray's own watch is set three gigabytes above what is in use: the sweep itself takes more than one."""
    now, gigabyte = used()
    if now + 6 * gigabyte > 0.95:
        pytest.skip("too little memory is free to waste five gigabytes")
    (tmp_path / "own_memory.py").write_text(GREEDY)
    space = (*SMALL, "method.name='own_memory:Greedy'", "resources.workers=1")
    code = f"import tiny_sweeps as t; t.session.run(t.tiny(*{space!r}), 'out', track=False)"
    limits = {"RAY_memory_usage_threshold": str(now + 3 * gigabyte), "RAY_memory_monitor_refresh_ms": "200"}
    with driver(code, tmp_path, **limits) as child:
        try:
            said, _ = child.communicate(timeout=800)
        finally:
            child.kill()
    assert child.returncode == 0, said
    assert (tmp_path / "greedy").exists() and not (tmp_path / "spared").exists()
    assert len(rows(tmp_path / "out")) == 2 * 2 + 2
    assert all(row["error"] is None for row in rows(tmp_path / "out"))


SCARCE = """
import hashlib
import resource
from pathlib import Path

import numpy as np
import torch

from nai.methods import Finetune
from nai.seeds import Seeds
from nai.tasks import Benchmark, Task
from nai.training import Training
from nai.tree import Run, grow
from nai.trial import Named, world_of

torch.set_num_threads(1)
parts = [np.split(np.arange(8 * n, 8 * n + 8), [4, 6]) for n in range(2)]
tasks = [Task(f"task {n}", (2 * n, 2 * n + 1), *parts[n]) for n in range(2)]
labels = np.array([2 * (n // 8) + n % 2 for n in range(16)])
inputs = np.random.default_rng(0).random((16, 16), dtype=np.float32)
benchmark = Benchmark.of("small", "class", tasks, inputs=inputs, labels=labels)
world = world_of(benchmark, Named.of("mlp", widths=[256, 224]))  # 0.25 MB of weights a run


def learnt():
    widths, weights = set(), {}
    runs = [Run(Finetune(), Seeds(s, s), (0, 1)) for s in range(256)]
    for one in grow(runs, world, Training(epochs=1), width=256):
        assert one.error is None, one.error
        widths.add(one.width)
        digest = hashlib.sha256()
        for name in sorted(one.lesson.params):
            digest.update(one.lesson.params[name].numpy().tobytes())
        weights[one.seeds.init] = digest.hexdigest()
    return widths, weights


pages = int(Path("/proc/self/statm").read_text().split()[0])
_, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 120_000_000, most))
narrow, scarce = learnt()
resource.setrlimit(resource.RLIMIT_AS, (most, most))
wide, plenty = learnt()
assert max(narrow) < 256 and wide == {256}, (narrow, wide)
assert scarce == plenty and len(plenty) == 256
"""


def test_a_process_that_is_refused_memory_halves_its_stacks_and_no_bit_changes(tmp_path):
    """A stack of 256 wants some 400 MB, and 120 are left to it; what is learnt makes room for what is not."""
    with driver(SCARCE, tmp_path) as child:
        said, _ = child.communicate(timeout=200)
    assert child.returncode == 0, said
