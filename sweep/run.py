"""The sweep on Ray Tune, the driver's side of it. Call `sweep.environment.for_ray` before importing it."""

import contextlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from sweep import parts, worker
from sweep.environment import check_address, importable
from sweep.jobs import Job, as_plain
from sweep.ledger import Ledger, means
from sweep.space import Resources


def slots(resources: Resources, total: dict[str, float]) -> int:
    """Workers that fit into a cluster of so many CPUs and GPUs.

    ValueError when not one does.
    """
    wanted = {"CPU": float(resources.cpus), "GPU": float(resources.gpus)}
    fits = [int(total.get(kind, 0) / amount) for kind, amount in wanted.items() if amount]
    if fits and min(fits) < 1:
        have = ", ".join(f"{total.get(kind, 0):g} {kind}" for kind in wanted)
        raise ValueError(
            f"a worker wants {resources.cpus:g} CPU and {resources.gpus:g} GPU, the cluster has {have}: "
            "lower resources.cpus or resources.gpus"
        )
    return min(fits, default=1)


@contextlib.contextmanager
def cluster(address: str | None, resources: Resources) -> Iterator[int]:
    """A Ray cluster: one that this program has joined already, else that of the address, else a local one.

    Gives the number of workers it has room for. A local Ray ends with this process, also when that is killed:
    within seconds, but for a worker that is just starting, which looks for its head for a minute.

    ValueError when it has room for none, ConnectionError when the address does not answer.
    """
    if ray.is_initialized():  # by the program that calls, which also ends it
        yield slots(resources, ray.cluster_resources())
        return
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    handler = signal.getsignal(signal.SIGTERM)
    if address is None:
        with importable():
            ray.init(address="local", include_dashboard=False, **quiet)
    else:
        check_address(address)
        ray.init(address=address, **quiet)
    if callable(handler) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray put its own in place, which ends the program at once
    try:
        yield slots(resources, ray.cluster_resources())
    finally:
        ray.shutdown()


def on_ray(ledger: Ledger, benchmark: Any, resources: Resources) -> bool:
    """Jobs as Ray Tune trials on a running cluster; False when it was interrupted."""
    searcher = AgendaSearcher(ledger)
    try:
        while not _ran(_tuner(searcher, benchmark, resources, ledger.scratch)):
            searcher.fell()
        if searcher.broken:
            raise searcher.broken
    finally:
        ledger.refresh()
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


def _tuner(searcher: "AgendaSearcher", benchmark: Any, resources: Resources, scratch: Path) -> tune.Tuner:
    ledger = searcher.ledger
    trainable = tune.with_resources(
        tune.with_parameters(
            worker.worked,
            benchmark=benchmark,
            records=str(ledger.store.folder),
            states=str(ledger.states),
            means=means(resources),
        ),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            max_concurrent_trials=ledger.agenda.slots,
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

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(metric="rows", mode="max")
        self.ledger = ledger
        self.jobs: dict[str, Job] = {}
        self.broken: Exception | None = None  # why rows could not be taken in, such as a full disk

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next job, None when some must come back first, FINISHED when there is none left."""
        job = None if self.broken else self.ledger.agenda.next()
        if job is None:
            return None if self.jobs and not self.broken else str(Searcher.FINISHED)
        self.jobs[trial_id] = job
        return {"works": [as_plain(work) for work in job.works]}

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
                self.ledger.died(job)
        except Exception as reason:
            self.broken = reason

    def _take_in(self, result: dict[str, Any]) -> None:
        came: list[bytes] = result.get("parts", [])
        for data in came:
            parts.add(self.ledger.store.folder, data)  # there already, unless the disk is not shared
        came.clear()  # Tune keeps this very list with its trial, and writes it into its snapshots
        self.ledger.refresh()

    def fell(self) -> None:
        """All jobs under way are lost."""
        self.ledger.refresh()
        while self.jobs:
            self.ledger.died(self.jobs.popitem()[1])

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy of its Tuner; the records are the state

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""
        Path(checkpoint_path).write_text("the records are the state\n")

    def restore(self, checkpoint_path: str) -> None:
        """Never used."""
        raise RuntimeError("a sweep is resumed by its command, not by Tuner.restore")
