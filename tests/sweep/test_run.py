"""Ray Tune gives the rows of this process alone, whoever is killed on the way."""

import errno
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from tiny_sweeps import OWN, RUNS, driver, found, inline, lasting, parts, results, rows, tiny

from sweep import record, session
from sweep.environment import ClusterError, for_ray
from sweep.space import Resources

PATIENCE = 120.0  # seconds: far more than anything here takes, and less than the limit of a test
SWEEP = """
import faulthandler, sys
from sweep import session
from tiny_sweeps import tiny
ended = session.run(tiny("method.name='own_ray:Held'"), "out", track=False)
print("interrupted" if ended.interrupted else "done")
"""


def until(true, what):
    """Wait for something to become true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s in vain for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder with methods of a user's own; what a test leaves in it is of that test's own names."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_ray.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder


@pytest.fixture(scope="module")
def ray(own):
    """A local Ray of two CPUs for all tests of this process."""
    before = dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for_ray(local=True)
    import ray

    from sweep.environment import importable

    with importable():
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False
        )
    yield ray
    ray.shutdown()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def alone(own, tmp_path_factory):
    """The sweep of this process alone; leave it as it is."""
    out = tmp_path_factory.mktemp("alone") / "out"
    inline(tiny(), out)
    return out


def tuned(space, out, **given):
    return session.run(space, out, track=False, **given)


# --- one Ray for all ---


def test_ray_gives_the_rows_and_results_of_one_process(ray, alone, tmp_path):
    ended = tuned(tiny(), tmp_path)
    assert not ended.interrupted
    assert lasting(rows(tmp_path)) == lasting(rows(alone))
    assert results(tmp_path) == results(alone)
    assert not (tmp_path / "ray").exists()
    kept = parts(tmp_path)
    assert tuned(tiny(), tmp_path).results == ended.results
    assert parts(tmp_path) == kept


def test_ray_goes_on_from_what_one_process_left_and_the_other_way_round(ray, alone, tmp_path):
    inline(tiny("search.suggestions=2"), tmp_path)
    tuned(tiny(), tmp_path)
    assert results(tmp_path) == results(alone)
    for part in parts(tmp_path)[::2]:
        part.unlink()
    inline(tiny(), tmp_path)
    assert results(tmp_path) == results(alone)


def test_rows_arrive_from_workers_whose_disk_is_their_own(ray, alone, tmp_path, monkeypatch):
    from sweep import worker

    elsewhere = tmp_path / "elsewhere"
    plain = worker.worked

    def far_away(config, **given):
        plain(config, **given | {"records": str(elsewhere), "states": str(tmp_path / "own")})

    monkeypatch.setattr(worker, "worked", far_away)
    tuned(tiny(), tmp_path / "out")
    assert lasting(rows(tmp_path / "out")) == lasting(rows(alone))
    assert results(tmp_path / "out") == results(alone)
    assert {path.name for path in elsewhere.iterdir()} == {path.name for path in parts(tmp_path / "out")}


def test_workers_load_nothing_that_decides_or_shows(ray, tmp_path, monkeypatch):
    from sweep import worker

    plain = worker.worked

    def watched(config, **given):
        plain(config, **given)
        (tmp_path / f"loaded-{os.getpid()}").write_text(" ".join(sys.modules))

    monkeypatch.setattr(worker, "worked", watched)
    tuned(tiny("search.suggestions=1"), tmp_path / "out")
    loaded = {name for path in tmp_path.glob("loaded-*") for name in path.read_text().split()}
    assert {"torch", "sweep.bundle", "sweep.record"} <= loaded
    mine = {"sweep.run", "sweep.agenda", "sweep.session"}
    assert not loaded & {"optuna", "scipy", "mlflow", "plotly", "sklearn", *mine}


def test_rows_arrive_from_workers_that_cannot_write_at_all(ray, alone, tmp_path, monkeypatch):
    from sweep import worker

    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "records"  # not even for root
    plain = worker.worked

    def diskless(config, **given):
        plain(config, **given | {"records": str(nowhere), "states": str(nowhere)})

    monkeypatch.setattr(worker, "worked", diskless)
    tuned(tiny(), tmp_path / "out")
    assert results(tmp_path / "out") == results(alone)


def test_a_full_disk_ends_the_call_with_the_reason_and_the_next_one_goes_on(
    ray, alone, tmp_path, monkeypatch
):
    from sweep import parts as files

    plain, written = files.add, []

    def full(folder, data, **given):
        if len(written) == 4:  # two suggestions and a job of one of them
            raise OSError(errno.ENOSPC, "no space left on device", str(folder))
        written.append(plain(folder, data, **given))
        return written[-1]

    monkeypatch.setattr(files, "add", full)
    with pytest.raises(OSError, match="no space left on device"):
        tuned(tiny(), tmp_path)
    monkeypatch.undo()
    assert 0 < len(rows(tmp_path)) < RUNS
    tuned(tiny(), tmp_path)
    assert results(tmp_path) == results(alone)


def test_a_worker_that_dies_once_is_replaced(ray, own, alone, tmp_path):
    ended = tuned(tiny("method.name='own_ray:Mortal'"), tmp_path)
    assert (own / "died").exists()
    assert ended.results["complete"] and ended.results["failed"] == 0 and len(rows(tmp_path)) == RUNS
    inline(tiny("method.name='own_ray:Mortal'"), tmp_path / "again")
    assert results(tmp_path / "again") == results(tmp_path)


@pytest.mark.full
def test_what_always_kills_its_worker_is_left_and_the_rest_done_and_the_next_call_tries_again(
    ray, own, tmp_path
):
    space = tiny(
        "method={name='own_ray:Doomed', strength={choices=[0.1, 0.9, 0.2]}}",
        "search={sampler='grid', suggestions=3, ahead=3}",
    )
    ended = tuned(space, tmp_path)
    assert not ended.interrupted and not ended.results["complete"]
    assert len(rows(tmp_path)) == ended.results["done"] == ended.results["expected"] - 3 == 2 * 3 + 2 * 3
    assert ended.results["best"] is not None
    (own / "mended").touch()
    again = tuned(space, tmp_path)
    inline(space, tmp_path / "other")
    assert again.results["complete"] and results(tmp_path) == results(tmp_path / "other")


def test_methods_models_and_benchmarks_of_ones_own_reach_the_workers(ray, own, tmp_path):
    space = tiny(
        "benchmark={name='own_ray:blobs', tasks=3}",
        "model={name='own_ray:net', units={choices=[3, 5]}}",
        "method.name='own_ray:Picky'",
        "orders={design='all'}",
        "confirm.orders={design='all'}",
    )
    tuned(space, tmp_path / "ray")
    inline(space, tmp_path / "inline")
    assert lasting(rows(tmp_path / "ray")) == lasting(rows(tmp_path / "inline"))
    assert results(tmp_path / "ray") == results(tmp_path / "inline")
    errors = {row["order"][0] == 2 for row in rows(tmp_path / "ray") if row["error"]}
    assert errors == {True}


def test_more_workers_than_there_are_is_refused_before_anything_is_trained(ray, tmp_path):
    with pytest.raises(ValueError, match=r"64 CPU and 0 GPU, no machine has more than 2 CPU, 0 GPU"):
        tuned(tiny("resources.cpus=64"), tmp_path)


def test_tune_keeps_no_rows_in_memory(ray, alone, tmp_path, monkeypatch):
    from ray import tune

    grids, plain = [], tune.Tuner.fit
    monkeypatch.setattr(tune.Tuner, "fit", lambda self: grids.append(plain(self)) or grids[-1])
    tuned(tiny(), tmp_path)
    (grid,) = grids
    assert len(grid) == len(parts(tmp_path))
    assert [result.metrics["parts"] for result in grid] == [[]] * len(grid)


def test_workers_have_the_threads_that_they_pay_for(ray):
    @ray.remote(num_cpus=2)
    def threads():
        import torch

        from sweep import bundle

        found = []
        for cpus in (1, 2, 1):  # a worker that is used again by another sweep
            bundle.prepare(cpus)
            found.append(torch.get_num_threads())
        return found

    assert ray.get(threads.remote()) == [1, 2, 1]


@pytest.mark.parametrize(
    ("resources", "machines", "fit"),
    [
        ({"cpus": 1}, [{"CPU": 8.0}], 8),
        ({"cpus": 3}, [{"CPU": 8.0}], 2),
        ({"cpus": 3}, [{"CPU": 4.0}, {"CPU": 5.0}], 2),
        ({"cpus": 8}, [{"CPU": 4.0}, {"CPU": 4.0}], 0),
        ({"cpus": 0.1}, [{"CPU": 0.3}], 3),
        ({"cpus": 0.5}, [{"CPU": 2.0}], 4),
        ({"cpus": 1, "gpus": 0.25}, [{"CPU": 8.0, "GPU": 1.0}], 4),
        ({"cpus": 1, "gpus": 1}, [{"CPU": 0.0}, {"CPU": 8.0}, {"CPU": 1.0, "GPU": 2.0}], 1),
        ({"cpus": 0, "gpus": 1}, [{"CPU": 8.0, "GPU": 2.0}], 2),
        ({"cpus": 0, "gpus": 0}, [{"CPU": 8.0}], 1),
    ],
)
def test_slots_are_the_workers_that_fit_each_onto_one_machine(resources, machines, fit):
    for_ray(local=True)
    from sweep.machines import slots

    assert slots(Resources(**resources), machines) == fit


def test_room_follows_the_machines_and_gives_up_when_none_comes(monkeypatch):
    for_ray(local=True)
    from sweep import machines as cluster

    there = [cluster.Machine("a", "10.0.0.1", {"CPU": 2.0})]
    now = [0.0]
    monkeypatch.setattr(cluster, "machines", lambda: there)
    room = cluster.Room(Resources(cpus=1), clock=lambda: now[0])
    assert room() == 2
    there.append(cluster.Machine("b", "10.0.0.2", {"CPU": 3.0}))
    assert room() == 2  # a moment later it looks again
    now[0] += cluster.GLANCE + 1
    assert room() == 5
    there.clear()
    now[0] += cluster.DROUGHT - 1
    assert room() == 1  # which is asked for, and waits
    now[0] += cluster.GLANCE + 1
    with pytest.raises(ClusterError, match=r"no worker had room for 15 min: a worker wants 1 CPU and 0 GPU"):
        room()


def test_a_given_number_of_workers_is_asked_for_before_there_is_a_machine(monkeypatch):
    for_ray(local=True)
    from sweep import machines as cluster

    monkeypatch.setattr(cluster, "machines", list)
    room = cluster.Room(Resources(gpus=1, workers=6))
    room.wait(60)  # at once
    assert room() == 6
    with pytest.raises(
        ClusterError, match=r"no machine has more than 0 CPU, 0 GPU: .* give resources.workers"
    ):
        cluster.Room(Resources(gpus=1)).wait(0.1)


def test_a_ray_that_does_not_start_is_tried_again_and_then_told_with_the_way_out(monkeypatch):
    for_ray(local=True)
    from sweep import run

    tries = []

    def never(**options):
        tries.append(options["address"])
        raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(run.ray, "init", never)
    monkeypatch.setattr(run.ray, "shutdown", lambda: None)  # tests before this one may have left theirs up
    monkeypatch.setattr(run.ray, "is_initialized", lambda: False)
    with (
        pytest.raises(
            ClusterError, match=r"Ray did not start on this machine: .* timed out .*\n.*same command"
        ),
        run.cluster(None, Resources()),
    ):
        raise AssertionError("there is no Ray")
    assert tries == ["local"] * run.STARTS


# --- a Ray of each driver's own ---


def processes(folder):
    """Processes of this machine that were started with the folder in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"SWEPT={folder}".encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid() and state(pid) != "Z"]


def agent(pid):
    """Whether it is one of Ray's helpers beside the workers, which look for a killed head for a minute."""
    try:
        return b"Agent" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


class Held:
    """A driver whose workers wait as soon as there are so many parts on record."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copy(Path(sys.modules["own_ray"].__file__), folder)

    def start(self, limit):
        self.limit = limit
        (self.folder / "new").write_text(str(limit))
        (self.folder / "new").rename(self.folder / "limit")  # workers of a killed driver may be reading it
        (self.folder / "held").unlink(missing_ok=True)
        return driver(SWEEP, self.folder, SWEPT=str(self.folder))

    def until_held(self, process):
        def held():
            assert process.poll() is None, process.communicate()[0]
            # a worker of a killed driver may say so late, of the limit before
            return (self.folder / "held").exists() and len(parts(self.out)) >= self.limit

        until(held, "workers that wait")

    @property
    def out(self):
        return self.folder / "out"


@pytest.fixture
def held(own, tmp_path):
    import own_ray  # noqa: F401

    made = Held(tmp_path)
    yield made
    for pid in processes(tmp_path):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def undisturbed(own, tmp_path_factory):
    """The held sweep, of one process and never held."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (own / "limit").write_text("1000000")
    inline(tiny("method.name='own_ray:Held'"), folder / "out")
    return folder / "out"


def test_a_driver_killed_twice_loses_nothing_and_repeats_nothing(held, undisturbed):
    kept = {}
    for limit in (1, 4):
        process = held.start(limit)
        held.until_held(process)
        process.kill()
        process.communicate()
        now = {path.name: path.read_bytes() for path in parts(held.out)}
        assert len(now) >= limit and kept.items() <= now.items() and len(rows(held.out)) < RUNS
        kept = now
    # at once, although workers of the killed drivers may still be there and write
    process = held.start(1000000)
    assert process.communicate(timeout=PATIENCE)[0].endswith("done\n") and process.returncode == 0
    assert kept.items() < {path.name: path.read_bytes() for path in parts(held.out)}.items()
    recorded = record.read(held.out / "records")
    assert not recorded.problems and not recorded.conflicts
    assert lasting(recorded.rows) == lasting(rows(undisturbed))
    assert results(held.out) == results(undisturbed)
    assert not (held.out / "ray").exists()
    until(lambda: all(agent(pid) for pid in processes(held.folder)), "the end of Ray")


@pytest.mark.full
def test_ctrl_c_ends_the_driver_in_order_and_the_next_one_goes_on(held, undisturbed):
    process = held.start(2)
    held.until_held(process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE)[0]
    assert said.endswith("interrupted\n") and process.returncode == 0
    assert 0 < len(rows(held.out)) < RUNS and not found(held.out)["complete"]
    assert not (held.out / "ray").exists()
    until(lambda: not processes(held.folder), "the end of Ray")
    kept = parts(held.out)
    (held.folder / "limit").write_text("1000000")
    inline(tiny("method.name='own_ray:Held'"), held.out)
    assert set(kept) < set(parts(held.out))
    assert results(held.out) == results(undisturbed)
