"""Runs a sweep: the same agenda on Ray Tune, or inline in this process. The only keeper of ray."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep import parts, record
from sweep.agenda import LOST, Agenda, Job, Run, Standing
from sweep.space import Resources

Row = dict[str, Any]
Told = Callable[[Standing], None]
RETRIES = 2
"""Times that a bundle whose worker died is started again."""
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results are rows; Tune's own files would repeat them
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass
class Ledger:
    """The records of a running sweep, with those who must know of new rows: agenda, MLflow's writer, display."""

    store: record.Store
    agenda: Agenda
    track: Callable[[Sequence[Row]], None]
    told: Told
    lost: dict[tuple[Run, ...], int] = field(default_factory=dict)

    def write(self, rows: list[Row]) -> None:
        """Make rows durable, then known."""
        if rows:
            record.write(self.store.folder, rows)
        self.refresh()

    def refresh(self) -> None:
        """Take in what has appeared in the records, whoever wrote it."""
        fresh = self.store.refresh()
        self.agenda.put(fresh)
        self.track(self.agenda.relevant(fresh))
        self.told(self.agenda.standing())

    def died(self, job: Job) -> Job | None:
        """The job again, unless its workers have died too often: then its runs are lost for this time."""
        tries = self.lost[job.runs] = self.lost.get(job.runs, 0) + 1
        if tries <= RETRIES:
            return job
        self.agenda.give_up(job)
        self.told(self.agenda.standing())
        return None


def inline(ledger: Ledger, benchmark: Any, resources: Resources, *, seconds: float = 5.0) -> None:
    """Every job in this process, one after the other; rows are recorded every few seconds."""
    from sweep import bundle

    bundle.prepare(resources.cpus)
    while job := ledger.agenda.next():
        for rows in _bursts(bundle.train(job, benchmark, **_options(resources)), seconds):
            ledger.write(rows)


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
    """A Ray cluster, local unless an address is given; gives the number of workers it has room for.

    ValueError when it has room for none, ConnectionError when the address does not answer.
    """
    os.environ.update({k: v for k, v in RAY_ENVIRONMENT.items() if k not in os.environ})
    if address is None:
        # a token of this process alone: nothing is written to the home folder, nobody else can submit
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address is None:
        ray.init(address="local", include_dashboard=False, **quiet)
    else:
        ray.init(address=address, **quiet)
    try:
        yield slots(resources, ray.cluster_resources())
    finally:
        ray.shutdown()


def on_ray(ledger: Ledger, benchmark: Any, resources: Resources) -> bool:
    """Jobs as Ray Tune trials on a running cluster; False when it was interrupted."""
    from ray import tune

    scratch = ledger.store.folder.parent / "ray"
    trainable = tune.with_resources(
        tune.with_parameters(
            _trainable, benchmark=benchmark, records=str(ledger.store.folder), resources=resources.model_dump()
        ),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=_searcher(ledger),
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
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        ledger.refresh()
    return ledger.agenda.finished


def _searcher(ledger: Ledger) -> Any:
    """Ray Tune's view of the agenda: a trial is a job, its result the rows that it leaves."""
    from ray.tune.search import Searcher

    class AgendaSearcher(Searcher):
        def __init__(self) -> None:
            super().__init__(metric="rows", mode="max")
            self.jobs: dict[str, Job] = {}
            self.again: list[Job] = []

        def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
            job = self.again.pop() if self.again else ledger.agenda.next()
            if job is None:
                done = ledger.agenda.finished and not self.jobs
                return str(Searcher.FINISHED) if done or not self.jobs else None
            self.jobs[trial_id] = job
            return {"settings": job.settings, "runs": [[list(r.order), list(r.seeds)] for r in job.runs]}

        def on_trial_complete(
            self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
        ) -> None:
            job = self.jobs.pop(trial_id)
            for data in (result or {}).get("parts", ()):
                parts.add(ledger.store.folder, data)  # there already, unless the disk is not shared
            ledger.refresh()
            if error or not result:
                self.again += [job] if ledger.died(job) else []

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            pass

        def save(self, checkpoint_path: str) -> None:
            Path(checkpoint_path).write_text("the records are the state\n")

        def restore(self, checkpoint_path: str) -> None:
            raise RuntimeError("a sweep is resumed by its command, not by Tuner.restore")

    return AgendaSearcher()


def _trainable(config: dict[str, Any], *, benchmark: Any, records: str, resources: dict[str, Any]) -> None:
    """One job on a worker: rows are durable before they are reported, and travel with the report."""
    from ray import tune

    from sweep import bundle

    limits = Resources.model_validate(resources)
    bundle.prepare(limits.cpus)
    runs = tuple(Run(tuple(order), (seeds[0], seeds[1])) for order, seeds in config["runs"])
    job = Job(config["settings"], runs)
    written, count = [], 0
    for rows in _bursts(bundle.train(job, benchmark, **_options(limits)), seconds=30.0):
        written.append(record.write(Path(records), rows).read_bytes())
        count += len(rows)
    tune.report({"rows": count, "parts": written})


def _options(resources: Resources) -> dict[str, Any]:
    return {"device": resources.device, "stack": None if resources.stack == "auto" else resources.stack}


def _bursts(rows: Iterator[Row], seconds: float) -> Iterator[list[Row]]:
    """Rows in lists, a new one at the latest when the last is so many seconds old."""
    some: list[Row] = []
    since = time.monotonic()
    for row in rows:
        some.append(row)
        if time.monotonic() - since > seconds:
            yield some
            some, since = [], time.monotonic()
    if some:
        yield some


__all__ = ["LOST", "Ledger", "cluster", "inline", "on_ray", "slots"]
