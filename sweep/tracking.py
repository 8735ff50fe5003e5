"""MLflow as a view of the records: a run for the sweep, one a suggestion, below that one an order and seeds.

The records are the truth and MLflow is derived from them, so writing it is a projection: a run is known by
its tags, the same rows written twice change nothing, and what a crash left half written is completed. One
thread of the driver does it; training hands rows over and goes on. The only keeper of mlflow.
"""

import contextlib
import math
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from sweep.redact import redacted
from sweep.tracked import (
    Point,
    Row,
    Score,
    aggregates,
    cut,
    key,
    run_name,
    score,
    settings_params,
    suggestion_tags,
    tag,
    trial_params,
    trial_points,
    trial_tags,
)

NOTHING: Mapping[str, str] = MappingProxyType({})
OPEN = ("RUNNING", "SCHEDULED")
PAUSE = 5.0  # seconds between two writings of a suggestion's aggregates while its orders come in
RETRY = 30.0  # seconds a failing store is left alone; the writer waits, training does not

# Two retries of 10 s, since the client's own seven hold a call for four minutes when a server is down.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def destination(folder: Path) -> str:
    """The tracking URI of a sweep: MLFLOW_TRACKING_URI where it is set, else SQLite in the sweep's folder."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"sqlite:///{folder.resolve() / 'mlflow.db'}"


@dataclass
class Run:
    """A run as far as this process knows it; status is None until it has ended, described: has parameters."""

    id: str
    status: str | None = None
    described: bool = False
    metrics: dict[str, float] = field(default_factory=dict)


class Projection:
    """One experiment, open: its runs by identity, the scores of each suggestion, what is still to write."""

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        from mlflow import MlflowClient  # takes a second, which only the writer's thread waits for

        check_sqlite(uri)
        self.client = MlflowClient(uri)
        found = self.client.get_experiment_by_name(experiment)
        # A server chooses where artifacts go; a mere database would put them where the process runs.
        place = None if uri.startswith(("http", "databricks")) else artifacts.resolve().as_uri()
        self.experiment = found.experiment_id if found else self.client.create_experiment(experiment, place)
        self.runs: dict[tuple[str, str], Run] = {}
        self.scores: dict[str, dict[str, Score]] = {}
        self.stale: set[str] = set()
        self.created = 0
        self._read()
        self.sweep = self._open(("sweep", ""), {"nai.kind": "sweep"}, experiment, int(time.time() * 1000))
        if self.sweep.status:
            self.client.update_run(self.sweep.id, "RUNNING")

    def _read(self) -> None:
        page = self.client.search_runs([self.experiment], max_results=1000)
        runs = list(page)
        while page.token:
            page = self.client.search_runs([self.experiment], max_results=1000, page_token=page.token)
            runs += page
        for run in sorted(runs, key=lambda run: run.info.status in OPEN):
            self._remember(run)

    def _remember(self, run: Any) -> None:
        tags, info = run.data.tags, run.info
        kind = tags.get("nai.kind", "")
        name = tags.get({"trial": "nai.fingerprint", "suggestion": "nai.suggestion"}.get(kind, ""), "")
        if kind == "" or (kind != "sweep" and not name):
            return
        if (kind, name) in self.runs:  # the client sent a request again whose answer came too late
            self.client.delete_run(info.run_id)
            return
        status = None if info.status in OPEN else str(info.status)
        self.runs[kind, name] = Run(info.run_id, status, bool(run.data.params), dict(run.data.metrics))
        if kind == "trial" and status:
            scores = self.scores.setdefault(tags["nai.suggestion"], {})
            scores[name] = score(run.data.metrics, tags, info.end_time or 0)

    def _open(self, identity: tuple[str, str], tags: dict[str, str], name: str, start: int) -> Run:
        if identity not in self.runs:
            made = self.client.create_run(
                self.experiment, start_time=start, tags=tags, run_name=run_name(name)
            )
            self.runs[identity] = Run(made.info.run_id)
            self.created += 1
        return self.runs[identity]

    def _log(self, run: Run, points: Iterable[Point], at: int, params: Mapping[str, str] = NOTHING) -> None:
        from mlflow.entities import Metric, Param

        values = [Metric(name, value, at, step) for name, value, step in points]
        self.client.log_batch(run.id, values, [Param(name, text) for name, text in params.items()])

    def _suggestion(self, row: Row, start: int) -> Run:
        name = f"{row['method']} {row['suggestion']}"
        run = self._open(("suggestion", row["suggestion"]), suggestion_tags(row), name, start)
        if not run.described:
            self._log(run, (), start, settings_params(row["settings"]))
            run.described = True
        return run

    def write(self, row: Row) -> None:
        """One row as a nested run, unless the experiment holds it; a run left half written is completed."""
        status = "FAILED" if row["error"] else "FINISHED"
        known = self.runs.get(("trial", row["fingerprint"]))
        if known and known.status == status:
            return
        end = round(row["finished"] * 1000)
        start = end - round(row["seconds"] * 1000)
        parent, tags, points = self._suggestion(row, start), trial_tags(row), trial_points(row)
        name = f"order {cut(tags['order'], 60)} seeds {row['seed_init']} {row['seed_data']}"
        run = self._open(("trial", row["fingerprint"]), tags | {"mlflow.parentRunId": parent.id}, name, start)
        self._log(run, points, end, trial_params(row))
        if known and known.status == "FAILED":
            self.client.delete_tag(run.id, "nai.error")
        self.client.set_terminated(run.id, status, end)
        run.status, parent.status = status, None
        values = {point.name: point.value for point in points}
        self.scores.setdefault(row["suggestion"], {})[row["fingerprint"]] = score(values, tags, end)
        self.stale.add(row["suggestion"])

    def flush(self) -> None:
        """The aggregates of the suggestions that got rows since the last time."""
        while self.stale:
            name = min(self.stale)
            self._aggregate(name, self.runs["suggestion", name])
            self.stale.discard(name)

    def _aggregate(self, name: str, run: Run) -> int:
        scores = self.scores.get(name, {}).values()
        ended, values = max((each.ended for each in scores), default=0), aggregates(scores)
        changed = [Point(k, v, len(scores)) for k, v in values.items() if run.metrics.get(k) != v]
        if changed:
            self._log(run, changed, ended)
            run.metrics |= values
        return ended

    def close(self, status: str) -> None:
        """End every suggestion, its aggregates up to date, and last the sweep itself."""
        for (kind, name), run in self.runs.items():
            if kind == "suggestion" and run.status is None:
                self.client.set_terminated(run.id, "FINISHED", self._aggregate(name, run) or None)
                run.status = "FINISHED"
        self.stale.clear()
        self.client.set_terminated(self.sweep.id, status)

    def finish(self, summary: Mapping[str, Any], artifacts: Sequence[Path], note: str) -> None:
        """The sweep's own run: the numbers of its summary as metrics, the rest as tags, and its files."""
        from mlflow.entities import RunTag

        given = {name: value for name, value in summary.items() if value is not None}
        reals = {k: float(v) for k, v in given.items() if isinstance(v, Real) and not isinstance(v, bool)}
        values = {key(k): v for k, v in reals.items() if math.isfinite(v)}
        changed = [Point(k, v, 0) for k, v in values.items() if self.sweep.metrics.get(k) != v]
        self._log(self.sweep, changed, int(time.time() * 1000))
        texts = {f"nai.{k}": str(v) for k, v in given.items() if k not in reals}
        texts["mlflow.note.content"] = note
        self.client.log_batch(self.sweep.id, tags=[RunTag(key(k), tag(v)) for k, v in texts.items()])
        for path in artifacts:
            self.client.log_artifact(self.sweep.id, str(path))
        self.close("FINISHED")


def check_sqlite(uri: str) -> None:
    """Refuse at once a file that is no database: the client would try it again for minutes."""
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and path.exists():
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()


class Tracker:
    """The writer of a sweep's MLflow runs: rows go in at once, its thread writes them, nothing is raised.

    Use it as a context; what still waits when an exception leaves it is left for `nai-sweep sync`. The thread
    opens the store too, since a fresh database takes seconds. `patience`: after so many seconds without any
    progress, `finish` no longer waits for the store.
    """

    def __init__(self, uri: str, experiment: str, artifacts: Path, *, patience: float = 60.0) -> None:
        self._place = (uri, experiment, artifacts)
        self._patience = patience
        self._rows: deque[Row] = deque()
        self._wake = threading.Condition()
        self._closing = self._leaving = False
        self._ending: Callable[[Projection], None] = lambda projection: projection.close("KILLED")
        self._beats = 0
        self._error: str | None = None
        self._projection: Projection | None = None
        # A daemon, so that a store that never answers cannot hold the process; `finish` is the clean end.
        self._thread = threading.Thread(target=self._work, name="mlflow writer", daemon=True)

    @property
    def remaining(self) -> int:
        """Rows handed over and not yet in MLflow."""
        return len(self._rows)

    @property
    def created(self) -> int:
        """Runs that were new to MLflow."""
        return self._projection.created if self._projection else 0

    @property
    def problem(self) -> str | None:
        """Why MLflow is behind the records and what to do about it, or None."""
        if self._error is None:
            return None
        uri, _, artifacts = self._place
        behind = f"MLflow at {uri} is behind by {self.remaining} runs ({self._error})"
        return f"{redacted(behind)}; the records are safe: run `nai-sweep sync {artifacts.parent}`"

    def submit(self, rows: Iterable[Row]) -> None:
        """Hand rows over and return at once; rows that MLflow holds already cost nothing."""
        with self._wake:
            self._rows.extend(rows)
            self._wake.notify_all()

    def finish(
        self,
        summary: Mapping[str, Any],
        artifacts: Sequence[Path] = (),
        note: str = "",
        progress: Callable[[int], None] | None = None,
    ) -> str | None:
        """Wait until every row is written, then write the sweep's own run; the problem if there is one.

        `progress` is told the remaining rows a few times a second.
        """
        self._ending = lambda projection: projection.finish(summary, artifacts, note)
        self._close(self._patience, progress)
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
        self._close(self._patience if kind is None else min(self._patience, 10.0), None)

    def _close(self, patience: float, progress: Callable[[int], None] | None) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        beats, since = self._beats, time.monotonic()
        while self._thread.is_alive():
            self._thread.join(0.1)
            if progress:
                progress(self.remaining)
            if beats != self._beats:
                beats, since = self._beats, time.monotonic()
            elif time.monotonic() - since > patience:
                self._error = self._error or f"no answer for {patience:g} s"
                self._leaving, self._patience = True, 0.0
                return

    def _work(self) -> None:
        last_words = (
            2  # a row that the store refuses goes to the end of the queue, so that the others get theirs
        )
        while last_words:
            try:
                self._projection = self._projection or Projection(*self._place)
                self._drain(self._projection)
                self._end(self._projection)
                return
            except Exception as error:  # whatever happens to a view must not reach the sweep
                self._error = cut(redacted(" ".join(f"{type(error).__name__}: {error}".split())), 300)
            with self._wake:
                self._rows.rotate(-1)
                last_words -= self._closing
                self._wake.wait_for(lambda: self._closing, RETRY)

    def _end(self, projection: Projection) -> None:
        if self._rows:
            projection.close("KILLED")
            self._error = "stopped before the end"
        else:
            self._ending(projection)
            self._error = None

    def _drain(self, projection: Projection) -> None:
        flushed = time.monotonic()
        while not self._leaving and not (self._closing and not self._rows):
            with self._wake:
                self._wake.wait_for(lambda: self._rows or self._closing, PAUSE)
            if self._rows:
                projection.write(self._rows[0])
                self._rows.popleft()
                self._error = None
                self._beats += 1
            if time.monotonic() - flushed > PAUSE:
                projection.flush()
                flushed = time.monotonic()


def sync(
    rows: Iterable[Row],
    tracker: Tracker,
    *,
    summary: Mapping[str, Any],
    artifacts: Sequence[Path] = (),
    note: str = "",
    progress: Callable[[int], None] | None = None,
) -> str | None:
    """Bring MLflow up to date with a sweep's rows; a second call creates nothing. The problem, if any."""
    with tracker:
        tracker.submit(rows)
        return tracker.finish(summary, artifacts, note, progress)
