"""What a Ray worker does with a job: it loads what trains and records, and nothing that decides or shows."""

import contextlib
import faulthandler
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray import tune

from sweep import parts, record, releases
from sweep.jobs import Job, Means, from_plain
from sweep.redact import redacted
from sweep.storage import Direct

SAME = "install the same releases there, or take it out"


def worked(
    config: dict[str, Any],
    *,
    benchmark: Any,
    records: str,
    states: str,
    means: Means,
    storage: str | None = None,
) -> None:
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
    count, direct = 0, Direct(storage)
    try:
        for rows in bundle.bursts(_awake(trained, means.patience)):
            data = record.encoded(rows)
            with contextlib.suppress(OSError):  # the driver has the disk, and says what is wrong with it
                parts.add(Path(records), data)
            direct(data)
            count += len(rows)
            tune.report({"rows": count, "parts": [data]})
    except (OSError, ImportError) as error:  # data or a disk that this machine does not have
        text = f"{type(error).__name__} on {socket.gethostname()}: {redacted(str(error))}"
        tune.report({"rows": count, "ailing": text})
        raise
    kept.flush()  # another worker may go on from here


def _awake(rows: Iterator[dict[str, Any]], patience: float | None) -> Iterator[dict[str, Any]]:
    """The rows; a process that brings none for so many seconds hangs, and ends, whatever it hangs in."""
    if patience is None:
        yield from rows
        return
    try:
        faulthandler.dump_traceback_later(patience, exit=True)
        for row in rows:
            faulthandler.dump_traceback_later(patience, exit=True)
            yield row
    finally:
        faulthandler.cancel_dump_traceback_later()
