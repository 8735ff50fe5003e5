"""The sweep on Ray Tune, the driver's side of it. Call `sweep.environment.for_ray` before importing it."""

import contextlib
import math
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from sweep import parts, releases, worker
from sweep.causes import MACHINE
from sweep.environment import ClusterError, importable
from sweep.jobs import Job, as_plain
from sweep.ledger import Ledger, means
from sweep.machines import PATIENCE, Room, check_alike, join, watched
from sweep.space import Resources

MOST = 10_000
"""Workers that Ray Tune may ever ask for."""
FALLS = 12
"""Times in a row that Ray Tune may give up on all its trials without one row in between."""
STARTS = 3
"""Times that a local Ray is started before it is said not to come up."""
AILING = 3
"""Times in a row that a worker may say that its machine is at fault, without one row in between."""


@contextlib.contextmanager
def cluster(
    address: str | None, resources: Resources, lost: Callable[[str], None] = lambda why: None
) -> Iterator[Room]:
    """A Ray cluster: one that this program has joined already, else that of the address, else a local one.

    Gives the workers it has room for. A local Ray ends with this process, also when that is killed:
    within seconds, but for a worker that is just starting, which looks for its head for a minute.
    lost: hears, from a thread, that the head answers no more; Ray ends this process some time later.

    ValueError when it has room for no worker, ConnectionError when the address does not answer, ClusterError
    when its machines have other releases than this program.
    """
    if ray.is_initialized():  # by the program that calls, which also ends it
        yield _room(resources, None)
        return
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    handler = signal.getsignal(signal.SIGTERM)
    if address is None:
        with importable():
            _start(**quiet)
    else:
        join(address, **quiet)
    if callable(handler) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray put its own in place, which ends the program at once
    try:
        if address is not None:
            check_alike()
        with watched(lost):
            yield _room(resources, address)
    finally:
        ray.shutdown()


def _start(**quiet: Any) -> None:
    """A local Ray; ClusterError when it does not come up, as on a machine that is far too busy.

    Ray waits for half a minute for its own processes, and no longer whatever it is told.
    """
    for left in reversed(range(STARTS)):
        try:
            ray.init(address="local", include_dashboard=False, **quiet)
            return
        except Exception as error:  # Ray raises nothing narrower
            ray.shutdown()
            if left:
                continue
            raise ClusterError(
                f"Ray did not start on this machine: {str(error).partition(chr(10))[0]}\n"
                "it may be too busy or short of memory: run the same command again, or with --engine inline"
            ) from error


def _room(resources: Resources, address: str | None) -> Room:
    """The room for workers; a cluster that is just starting has a minute to have some."""
    room = Room(resources)
    if not room.fits and address is None and resources.workers is None:
        raise ValueError(room.refusal)
    room.wait(PATIENCE)
    return room


def on_ray(ledger: Ledger, benchmark: Any, room: Room) -> bool:
    """Jobs as Ray Tune trials on a running cluster; False when it was interrupted, or its time was up."""
    searcher = AgendaSearcher(ledger, room)
    try:
        while not _ran(_tuner(searcher, benchmark, ledger.scratch)):
            time.sleep(min(0.1 * 2 ** searcher.fell(), 30))
    except Exception:
        if not searcher.broken:
            raise
    finally:
        ledger.refresh()
    if searcher.broken:
        raise searcher.broken
    return ledger.agenda.finished


def _ran(tuner: tune.Tuner) -> bool:
    """Run it; False when Tune gave up on all its trials, as it does when Ray kills one for its memory."""
    try:
        tuner.fit()
    except RuntimeError as error:
        if not isinstance(error.__cause__, ray.exceptions.RayError):
            raise
        return False
    return True


def _left(ledger: Ledger) -> float | None:
    """Seconds until the time is up; None where there is no end to it."""
    return max(0.1, ledger.until - time.monotonic()) if math.isfinite(ledger.until) else None


def _tuner(searcher: "AgendaSearcher", benchmark: Any, scratch: Path) -> tune.Tuner:
    ledger, resources = searcher.ledger, searcher.room.resources
    trainable = tune.with_resources(
        tune.with_parameters(
            worker.worked,
            benchmark=benchmark,
            records=str(ledger.store.folder),
            states=str(ledger.states),
            storage=ledger.storage,
            means=means(resources)._replace(releases=releases.here()),
        ),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            max_concurrent_trials=MOST,  # the searcher itself holds back what has no room
            time_budget_s=_left(ledger),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"run-{os.getpid()}-{secrets.token_hex(4)}",
            storage_path=str(scratch),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )


class AgendaSearcher(Searcher):
    """Ray Tune's view of the agenda: a trial is a job, its results the rows that it brings."""

    def __init__(self, ledger: Ledger, room: Room) -> None:
        super().__init__(metric="rows", mode="max")
        self.ledger, self.room = ledger, room
        self.jobs: dict[str, Job] = {}
        self.behind = False  # rows came in that the agenda does not know of
        self.broken: Exception | None = None  # why rows could not be taken in, such as a full disk
        self.falls = self.ailing = 0  # in a row, without a row of the sweep's in between

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next job, None when some must come back first, FINISHED when there is none left."""
        if self.broken or self.ledger.over:
            return str(Searcher.FINISHED)
        agenda = self.ledger.agenda
        agenda.slots = self._workers()
        if len(self.jobs) >= agenda.slots:
            return None
        job = self.ledger.next() or self._found()
        if job is None:
            return None if self.jobs else str(Searcher.FINISHED)
        self.jobs[trial_id] = job
        return {"works": [as_plain(work) for work in job.works]}

    def _found(self) -> Job | None:
        """A job that the rows which were not yet taken in may make known."""
        if not self.behind:
            return None
        try:
            self.ledger.refresh()
        except Exception as reason:  # as in `on_trial_result`
            self.broken = reason
            return None
        self.behind = False
        return self.ledger.next()

    def _workers(self) -> int:
        try:
            return self.room()
        except ClusterError as reason:  # what waits would wait for ever
            self.broken = reason
            raise

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take in rows while their job goes on: they are safe, and the sweep's progress is seen."""
        try:
            self._take_in(result)
        except Exception as reason:  # which Tune would take for a failure of the trial
            self.broken = reason

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take in the last rows of a job; one whose worker died is done again."""
        job = self.jobs.pop(trial_id)
        try:
            self._take_in(result or {})
            if error or not result:
                self.ledger.refresh()
                self.ledger.died(job)
        except Exception as reason:
            self.broken = reason

    def _take_in(self, result: dict[str, Any]) -> None:
        if unfit := result.get("unfit"):
            raise ClusterError(unfit)
        came: list[bytes] = result.get("parts", [])
        self._endured(result.get("ailing"), bool(came))
        for data in came:
            parts.add(self.ledger.store.folder, data)  # there already, unless the disk is not shared
        if came:
            self.behind = not self.ledger.glance()
        came.clear()  # Tune keeps this very list with its trial, and writes it into its snapshots

    def _endured(self, ailing: str | None, came: bool) -> None:
        """Count what machines are at fault for; OSError when it is all that one hears of."""
        if came:
            self.falls = self.ailing = 0
        if ailing is None:
            return
        self.ailing += 1
        if self.ailing >= AILING:
            lacking = ailing.startswith(("FileNotFound", "Import", "ModuleNotFound"))  # data, or a package
            kind = FileNotFoundError if lacking else OSError
            raise kind(f"workers cannot work: {ailing}\n{MACHINE.hint}")

    def fell(self) -> int:
        """All jobs under way are lost; how many times in a row that was so. ClusterError if too many."""
        self.falls += 1
        if self.falls > FALLS:
            raise ClusterError(
                f"Ray gave up {self.falls} times in a row without one run done; see what it says in "
                "/tmp/ray/session_latest/logs, and run the same command again"
            )
        self.ledger.refresh()
        while self.jobs:
            self.ledger.died(self.jobs.popitem()[1])
        return self.falls

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy of its Tuner; the records are the state

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""
        Path(checkpoint_path).write_text("the records are the state\n")

    def restore(self, checkpoint_path: str) -> None:
        """Never used."""
        raise RuntimeError("a sweep is resumed by its command, not by Tuner.restore")
