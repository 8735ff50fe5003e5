"""The records of a running sweep, and the engine that needs nothing else: this process."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep import record
from sweep.agenda import Agenda
from sweep.causes import Beginning
from sweep.jobs import Job, Means, halves
from sweep.space import Resources
from sweep.standing import Standing

Row = dict[str, Any]
Told = Callable[[Standing], None]
SHELF = 0.25
"""Share of a worker's memory, if that is limited, for lessons that others may go on from."""
REST = 10.0
"""After rows were taken in, so many times as long something else is done, if there is anything else to do."""
RETRIES = 2
"""Times that a single run is started again whose worker died; a job of more is cut in two each time."""


@dataclass
class Ledger:
    """The records of a running sweep, and who must know of new rows: agenda, MLflow's writer, display.

    until: when its time is up, in seconds of `time.monotonic`.
    """

    store: record.Store
    agenda: Agenda
    track: Callable[[Sequence[Row]], None]
    told: Told
    until: float = math.inf
    beginning: Beginning = field(default_factory=Beginning)
    clock: Callable[[], float] = time.monotonic
    storage: str | None = None
    """Where workers that can put their rows, too, beside reporting them."""
    due: float = field(default=0.0, init=False)
    """When taking in rows may be worth its time again."""

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.until

    def next(self) -> Job | None:
        """The agenda's next job; None when there is none now, or the time is up."""
        return None if self.over else self.agenda.next()

    @property
    def states(self) -> Path:
        """Where workers keep lessons that others may go on from; what is lost there is trained again."""
        return self.store.folder.parent / "states"

    @property
    def scratch(self) -> Path:
        """Ray Tune's own files, which nobody needs afterwards."""
        return self.store.folder.parent / "ray"

    def write(self, rows: list[Row]) -> None:
        """Make rows durable, then known."""
        if rows:
            record.write(self.store.folder, rows)
        self.refresh()

    def glance(self) -> bool:
        """Take in what has appeared, unless too much of the driver's time went into that; whether it did.

        It takes the longer the more rows there are: with hundreds of thousands of them, seconds.
        """
        if due := self.clock() >= self.due:
            self.refresh()
        return due

    def refresh(self) -> None:
        """Take in what has appeared in the records, whoever wrote it.

        `sweep.causes.AlikeError` when it and all before failed in one way.
        """
        began = self.clock()
        fresh = self.store.refresh()
        self.agenda.put(fresh)
        self.track(self.agenda.relevant(fresh))
        self.told(self.agenda.standing())
        self.beginning.add(fresh)
        ended = self.clock()
        self.due = ended + (ended - began) * REST

    def died(self, job: Job) -> None:
        """What is left of the job is done again, in two halves if its worker got nothing done.

        A worker that ran out of memory thus ends in narrower work, and a run that kills every worker is
        alone in the end, takes no other with it, and is given up.
        """
        left = self.agenda.left(job)
        idle = left.works == job.works
        deaths = 1 + (job.deaths if idle else 0)
        if len(left.cells) > 1:
            for part in reversed(halves(left)) if idle else [Job(left.works)]:  # the last is taken first
                self.agenda.retry(part)
        elif left.works and deaths <= RETRIES:
            self.agenda.retry(left._replace(deaths=deaths))
        else:
            self.agenda.give_up(left)
        self.told(self.agenda.standing())


def inline(ledger: Ledger, benchmark: Any, resources: Resources) -> None:
    """Every job in this process, one after the other; rows are recorded every few seconds.

    When the time is up what is under way is left, and all that ended is on record.
    """
    from sweep import bundle

    given = means(resources)
    bundle.prepare(given.cpus, given.gpus)
    kept = bundle.shelf(str(ledger.states), given.shelf)
    while job := ledger.next():
        trained = bundle.train(job, benchmark, device=given.device, stack=given.stack, states=kept)
        for rows in bundle.bursts(trained):
            ledger.write(rows)
            if ledger.over:
                break


def means(resources: Resources) -> Means:
    """What these resources are to a worker."""
    return Means(
        cpus=resources.cpus,
        gpus=resources.gpus,
        device=resources.place,
        stack=None if resources.stack == "auto" else resources.stack,
        shelf=shelf_bytes(resources),
        patience=resources.patience,
    )


def shelf_bytes(resources: Resources) -> int:
    """How much of its memory a worker gives to lessons that others may go on from."""
    return int(resources.memory * 1e9 * SHELF) if resources.memory else 2**30
