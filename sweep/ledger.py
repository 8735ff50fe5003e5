"""The records of a running sweep, and the engine that needs nothing else: this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep import record
from sweep.agenda import Agenda, Job, Run, Standing
from sweep.space import Resources

Row = dict[str, Any]
Told = Callable[[Standing], None]
RETRIES = 2
"""Times that a bundle whose worker died is started again."""


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
        for rows in bursts(bundle.train(job, benchmark, **options(resources)), seconds):
            ledger.write(rows)


def options(resources: Resources) -> dict[str, Any]:
    """How `bundle.train` is to run on these resources."""
    return {"device": resources.device, "stack": None if resources.stack == "auto" else resources.stack}


def bursts(rows: Iterator[Row], seconds: float) -> Iterator[list[Row]]:
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
