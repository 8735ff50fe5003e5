"""One experiment of an MLflow store, which belongs to one sweep. The only keeper of mlflow."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sweep.tracking.place import OWNER, Place
from sweep.tracking.words import Point, run_name

NOTHING: Mapping[str, str] = MappingProxyType({})
OPEN = ("RUNNING", "SCHEDULED")
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Which of its pages the server's UI opens: that of the runs."""


@dataclass
class Run:
    """A run of the store; status is None until it has ended; start and end in milliseconds since 1970."""

    id: str
    tags: dict[str, str]
    start: int
    status: str | None = None
    end: int | None = None
    described: bool = False
    """It has its parameters, which are written last of what describes it."""
    metrics: dict[str, float] = field(default_factory=dict)


class Store:
    """The experiment of a sweep, open; it is made where there is none, restored where it was deleted.

    answered: is called after every call to the store, and may raise to end the work.
    """

    def __init__(self, place: Place, answered: Callable[[], None] = lambda: None) -> None:
        from mlflow import MlflowClient  # takes a second, which only the writer's thread waits for

        if place.database:
            check_sqlite(place.database)
        self.place, self.answered = place, answered
        self.client = self._asked(MlflowClient, place.uri)
        self.experiment = self._own() or self._made()

    def runs(self) -> Iterator[Run]:
        """Every run that is not deleted, the ended ones first."""
        found, token = [], None
        while True:
            page = self._asked(self.client.search_runs, [self.experiment], max_results=1000, page_token=token)
            found += page
            if not (token := page.token):
                break
        return map(read, sorted(found, key=lambda run: run.info.status in OPEN))

    def create(self, name: str, tags: Mapping[str, str], start: int) -> Run:
        """A new run."""
        named = run_name(name)
        made = self._asked(
            self.client.create_run, self.experiment, start_time=start, tags=tags, run_name=named
        )
        return Run(made.info.run_id, dict(tags), start)

    def log(self, run: Run, points: Iterable[Point], at: int, params: Mapping[str, str] = NOTHING) -> None:
        """Points of metrics with this time, and parameters."""
        from mlflow.entities import Metric, Param

        values = [Metric(name, value, at, step) for name, value, step in points]
        given = [Param(name, text) for name, text in params.items()]
        if values or given:
            self._asked(self.client.log_batch, run.id, values, given)

    def tag(self, run: Run, tags: Mapping[str, str]) -> None:
        """Tags in place of older ones."""
        from mlflow.entities import RunTag

        changed = {name: text for name, text in tags.items() if run.tags.get(name) != text}
        if changed:
            self._asked(self.client.log_batch, run.id, tags=[RunTag(*each) for each in changed.items()])
            run.tags |= changed

    def end(self, run: Run, status: str, at: int | None = None) -> None:
        """A run is over."""
        self._asked(self.client.set_terminated, run.id, status, at)
        run.status, run.end = status, at

    def begin(self, run: Run) -> None:
        """A run that had ended goes on."""
        if run.status:
            self._asked(self.client.update_run, run.id, "RUNNING")
            run.status = None

    def delete(self, run: Run) -> None:
        """Put a run where MLflow keeps what is deleted."""
        self._asked(self.client.delete_run, run.id)

    def uses(self, run: Run, name: str, digest: str, source: Mapping[str, str]) -> None:
        """The data set of a run, by name, digest of its content and what it is made of."""
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import Dataset, DatasetInput

        data = MetaDataset(CodeDatasetSource(dict(source)), name=name, digest=digest)
        said = Dataset(**json.loads(data.to_json()))
        self._asked(self.client.log_inputs, run.id, [DatasetInput(said)])

    def upload(self, run: Run, path: Path) -> None:
        """A file of a run, in place of an older one of its name."""
        self._asked(self.client.log_artifact, run.id, str(path))

    def describe(self, text: str) -> None:
        """What the experiment's page says on top."""
        self._asked(self.client.set_experiment_tag, self.experiment, "mlflow.note.content", text)

    def _own(self) -> str | None:
        """The experiment that bears the sweep's identity, whatever its name is by now."""
        wanted = f"tags.`{OWNER}` = '{self.place.identity}'"
        found = self._asked(self.client.search_experiments, 3, filter_string=wanted)  # deleted ones, too
        if not found:
            return None
        if found[0].lifecycle_stage != "active":
            self._asked(self.client.restore_experiment, found[0].experiment_id)
        return str(found[0].experiment_id)

    def _made(self) -> str:
        """A new experiment, by a name that nobody has."""
        free = (n for n in self.place.names if not self._asked(self.client.get_experiment_by_name, n))
        tags = {OWNER: self.place.identity, **KIND}
        made = self._asked(self.client.create_experiment, next(free), self.place.root, tags)
        return str(made)

    def _asked(self, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        found = call(*args, **named)
        self.answered()
        return found


def read(run: Any) -> Run:
    """A run as the client gives it."""
    info, data = run.info, run.data
    ended = info.status not in OPEN
    status, end = (str(info.status), info.end_time) if ended else (None, None)
    return Run(
        info.run_id, dict(data.tags), info.start_time, status, end, bool(data.params), dict(data.metrics)
    )


def check_sqlite(path: Path) -> None:
    """Refuse at once a file that is no database: the client would try it again for minutes."""
    if path.exists():
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
