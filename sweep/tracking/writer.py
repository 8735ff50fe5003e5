"""The one writer of a sweep's MLflow runs: a thread of the driver. Training hands rows over and goes on."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from sweep.redact import redacted
from sweep.tracking.findings import Findings
from sweep.tracking.place import SETTINGS, Place
from sweep.tracking.projection import Projection
from sweep.tracking.store import Store
from sweep.tracking.words import Row, cut

PAUSE = 5.0
"""Seconds between two tellings of how far the sweep is."""
RETRY = 30.0
"""Seconds a failing store is left alone; the writer waits, training does not."""
GRACE = 10.0
"""Seconds that the end of a sweep waits at least for a store that has not answered for long."""


class LeftError(Exception):
    """Nobody waits for the writer any more."""


class Tracker:
    """The writer of a sweep's MLflow runs: rows go in at once, its thread writes them, nothing is raised.

    The records on disk are its spool: what it has not written when it ends, `nai-sweep sync` writes. Use it
    as a context. The thread opens the store too, since a fresh database takes seconds. `patience`: after so
    many seconds without an answer, `finish` no longer waits for the store; a database is given more
    than a server, as it is this machine that makes it answer.
    """

    def __init__(self, place: Place, *, patience: float | None = None) -> None:
        self._place = place
        self._patience = patience if patience is not None else 300.0 if place.database else 60.0
        self._rows: deque[tuple[Row, str]] = deque()
        self._wake = threading.Condition()
        self._closing = self._leaving = self._left = self._failed = False
        self._ending: Callable[[Projection], None] = lambda projection: projection.close("KILLED")
        self._heard = time.monotonic()
        self._error: str | None = None
        self._made = 0
        self._projection: Projection | None = None
        self._known: dict[str, Row] = {}
        # A daemon, so that a store that never answers cannot hold the process; `finish` is the clean end.
        self._thread = threading.Thread(target=self._work, name="mlflow writer", daemon=True)

    @property
    def remaining(self) -> int:
        """Rows handed over and not yet in MLflow."""
        return len(self._rows)

    @property
    def created(self) -> int:
        """Runs that were new to MLflow."""
        return self._made + (self._projection.created if self._projection else 0)

    @property
    def problem(self) -> str | None:
        """Why MLflow is behind the records and what to do about it, or None."""
        if self._error is None:
            return None
        waiting = len({row["fingerprint"] for row, _ in tuple(self._rows)})  # the last are handed over twice
        behind = f"MLflow at {self._place.uri} is behind by {waiting} runs ({self._error})"
        return (
            f"{redacted(behind)}; the records are safe: run `nai-sweep sync {self._place.artifacts.parent}`"
        )

    def submit(self, rows: Iterable[Row], stage: Callable[[Row], str]) -> None:
        """Hand rows over and return at once; rows that MLflow holds already cost nothing.

        stage: that of the sweep which asked for a row first; search, confirm or worst.
        """
        with self._wake:
            self._rows.extend((row, stage(row)) for row in rows)
            self._wake.notify_all()

    def finish(self, found: Findings, progress: Callable[[int], None] | None = None) -> str | None:
        """Wait until every row is written, then write what was found; the problem if there is one.

        `progress` is told the remaining rows a few times a second.
        """
        self._ending = lambda projection: projection.finish(found)
        self._close(progress)
        return self.problem

    def __enter__(self) -> Self:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = kind is not None
        self._close(None)

    # ---------------------------------------------------------------- the caller's thread
    def _close(self, progress: Callable[[int], None] | None) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        least = time.monotonic() + min(self._patience, GRACE)
        while self._thread.is_alive() and not self._left:
            self._thread.join(0.1)
            if progress:
                progress(self.remaining)
            if time.monotonic() > max(self._heard + self._patience, least):
                self._error = self._error or f"no answer for {time.monotonic() - self._heard:.1f} s"
                self._left = True

    # ---------------------------------------------------------------- the writer's thread
    def _answered(self) -> None:
        if self._left:
            raise LeftError
        self._heard = time.monotonic()

    def _work(self) -> None:
        last_words = 2  # a row that the store refuses goes to the end of the queue: the others get theirs
        while last_words:
            try:
                self._drain(self._opened())
                self._end()
                return
            except LeftError:
                return
            except Exception as error:  # whatever happens to a view must not reach the sweep
                self._error = cut(redacted(" ".join(f"{type(error).__name__}: {error}".split())), 300)
            self._forget()
            with self._wake:
                self._rows.rotate(-1)
                last_words -= self._closing
                self._wake.wait_for(lambda: self._closing, RETRY)

    def _opened(self) -> Projection:
        self._projection = self._projection or Projection(Store(self._place, self._answered), self._known)
        return self._projection

    def _forget(self) -> None:
        """What the store holds is read again: a call that failed here may have come through there."""
        self._made, self._projection, self._failed = self.created, None, True

    def _end(self) -> None:
        if self._failed:
            self._forget()
        projection = self._opened()
        if self._rows:
            projection.close("KILLED")
            self._error = "stopped before the end"
        else:
            self._ending(projection)
            self._error = None

    def _drain(self, projection: Projection) -> None:
        told = time.monotonic()
        while not self._leaving and not (self._closing and not self._rows):
            with self._wake:
                self._wake.wait_for(lambda: self._rows or self._closing, PAUSE)
            if self._rows:
                projection.write(*self._rows[0])
                self._rows.popleft()
                self._error = None
            if time.monotonic() - told > PAUSE:
                projection.tell()
                told = time.monotonic()


def sync(
    rows: Iterable[Row], tracker: Tracker, found: Findings, progress: Callable[[int], None] | None = None
) -> str | None:
    """Bring MLflow up to date with a sweep's rows; a second call creates nothing. The problem, if any."""
    with tracker:
        tracker.submit(rows, lambda row: found.stages[row["fingerprint"]])
        return tracker.finish(found, progress)
