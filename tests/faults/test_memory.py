"""Ray Tune giving up on everything, as it does when Ray kills one worker for its memory."""

import pytest
from tiny_sweeps import inline, lasting, results, rows, tiny

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
