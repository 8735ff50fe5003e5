"""What a Ray worker does with a job: it loads what trains and records, and nothing that decides or shows."""

import contextlib
import socket
from pathlib import Path
from typing import Any

from ray import tune

from sweep import parts, record, releases
from sweep.jobs import Job, Means, from_plain

SAME = "install the same releases there, or take it out"


def worked(config: dict[str, Any], *, benchmark: Any, records: str, states: str, means: Means) -> None:
    """One job on a worker: rows are recorded before they are reported, and travel with the report."""
    if odd := releases.odds(means.releases, releases.here()):  # a machine that joined late, and differs
        tune.report(
            {"rows": 0, "unfit": f"{socket.gethostname()} joined the cluster with {'; '.join(odd)}: {SAME}"}
        )
        return
    from sweep import bundle

    bundle.prepare(means.cpus, means.gpus)
    job = Job(tuple(map(from_plain, config["works"])))
    kept = bundle.shelf(states, means.shelf)
    trained = bundle.train(job, benchmark, device=means.device, stack=means.stack, states=kept)
    count = 0
    for rows in bundle.bursts(trained):
        data = record.encoded(rows)
        with contextlib.suppress(OSError):  # the driver has the disk, and says what is wrong with it
            parts.add(Path(records), data)
        count += len(rows)
        tune.report({"rows": count, "parts": [data]})
    kept.flush()  # another worker may go on from here
