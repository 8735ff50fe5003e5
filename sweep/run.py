"""The sweep on Ray Tune: the only keeper of ray. Call `sweep.environment.for_ray` before importing it."""

import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from sweep import parts, record
from sweep.agenda import Job, Run
from sweep.ledger import Ledger, bursts, options
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
    """A Ray cluster, local unless an address is given; gives the number of workers it has room for.

    ValueError when it has room for none, ConnectionError when the address does not answer.
    """
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    handler = signal.getsignal(signal.SIGTERM)
    if address is None:
        ray.init(address="local", include_dashboard=False, **quiet)
    else:
        ray.init(address=address, **quiet)
    if callable(handler):
        signal.signal(signal.SIGTERM, handler)  # Ray put its own in place, which ends the program at once
    try:
        yield slots(resources, ray.cluster_resources())
    finally:
        ray.shutdown()


def on_ray(ledger: Ledger, benchmark: Any, resources: Resources) -> bool:
    """Jobs as Ray Tune trials on a running cluster; False when it was interrupted."""
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
            search_alg=AgendaSearcher(ledger),
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


class AgendaSearcher(Searcher):
    """Ray Tune's view of the agenda: a trial is a job, its result the rows that it leaves."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(metric="rows", mode="max")
        self.ledger = ledger
        self.jobs: dict[str, Job] = {}
        self.again: list[Job] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next job, None when some must come back first, FINISHED when there is none left."""
        job = self.again.pop() if self.again else self.ledger.agenda.next()
        if job is None:
            return None if self.jobs else str(Searcher.FINISHED)
        self.jobs[trial_id] = job
        return {"settings": job.settings, "runs": [[list(r.order), list(r.seeds)] for r in job.runs]}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take in a job's rows; one whose worker died goes back to the front."""
        job = self.jobs.pop(trial_id)
        for data in (result or {}).get("parts", ()):
            parts.add(self.ledger.store.folder, data)  # there already, unless the disk is not shared
        self.ledger.refresh()
        if error or not result:
            self.again += [job] if self.ledger.died(job) else []

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Rows come with the end of a job."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy of its Tuner; the records are the state

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""
        Path(checkpoint_path).write_text("the records are the state\n")

    def restore(self, checkpoint_path: str) -> None:
        """Never used."""
        raise RuntimeError("a sweep is resumed by its command, not by Tuner.restore")


def _trainable(config: dict[str, Any], *, benchmark: Any, records: str, resources: dict[str, Any]) -> None:
    """One job on a worker: rows are durable before they are reported, and travel with the report."""
    from sweep import bundle

    limits = Resources.model_validate(resources)
    bundle.prepare(limits.cpus)
    runs = tuple(Run(tuple(order), (seeds[0], seeds[1])) for order, seeds in config["runs"])
    job = Job(config["settings"], runs)
    written, count = [], 0
    for rows in bursts(bundle.train(job, benchmark, **options(limits)), seconds=30.0):
        written.append(record.write(Path(records), rows).read_bytes())
        count += len(rows)
    tune.report({"rows": count, "parts": written})
