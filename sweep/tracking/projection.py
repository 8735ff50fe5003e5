"""Rows and findings as runs of a store: written once, and put right where they differ."""

import math
import time
from collections.abc import Mapping
from numbers import Real

from sweep.tracking import page
from sweep.tracking.findings import Findings
from sweep.tracking.store import Run, Store
from sweep.tracking.words import (
    Point,
    Row,
    cut,
    dataset,
    key,
    run_name,
    settings_params,
    suggestion_tags,
    tag,
    trial_params,
    trial_points,
    trial_tags,
)

Name = tuple[str, str]
"""What a run is about: its kind, and which of that kind."""
SWEEP = ("sweep", "")
IDENTITY = {"sweep": "nai.kind", "suggestion": "nai.suggestion", "trial": "fingerprint"}
PARENT = "mlflow.parentRunId"


class Projection:
    """The runs of a sweep by what they are about; `rows` will hold one row of each suggestion."""

    def __init__(self, store: Store, rows: dict[str, Row]) -> None:
        self.store, self.rows = store, rows
        self.created = 0
        self.runs: dict[Name, Run] = {}
        self.told = ""
        for run in store.runs():
            self._remember(run)
        self.sweep = self.runs.get(SWEEP) or self._create(SWEEP, {}, store.place.name, milliseconds())
        store.begin(self.sweep)

    def _remember(self, run: Run) -> None:
        kind = run.tags.get("nai.kind", "")
        name = run.tags.get(IDENTITY.get(kind, ""), "")
        if not name:
            return  # somebody's own run
        about = (kind, "" if kind == "sweep" else name)
        if about in self.runs:  # a call that seemed to have failed had come through
            self.store.delete(run)
        else:
            self.runs[about] = run

    def _create(self, about: Name, tags: Mapping[str, str], name: str, start: int) -> Run:
        run = self.store.create(name, {"nai.kind": about[0], **tags}, start)
        self.runs[about] = run
        self.created += 1
        return run

    def _drop(self, about: Name) -> None:
        self.store.delete(self.runs.pop(about))

    def _parent(self, row: Row, start: int) -> Run:
        about = ("suggestion", row["suggestion"])
        run = self.runs.get(about)
        if run is None:
            run = self._create(about, suggestion_tags(row), f"{row['method']} {row['suggestion']}", start)
        if not run.described:
            self.store.uses(run, *dataset(row))
            self.store.log(run, (), start, settings_params(row["settings"]))
            run.described = True
        return run

    def write(self, row: Row, stage: str) -> None:
        """One row as a nested run, unless the store holds it; one that was left half written is replaced."""
        self.rows.setdefault(row["suggestion"], row)
        about = ("trial", row["fingerprint"])
        status, end = "FAILED" if row["error"] else "FINISHED", milliseconds(row["finished"])
        known = self.runs.get(about)
        if known and (known.status, known.end) == (status, end):
            return
        if known:
            self._drop(about)
        start = end - round(row["seconds"] * 1000)
        parent, tags = self._parent(row, start), trial_tags(row, stage)
        name = f"order {cut(tags['order'], 60)} seeds {row['seed_init']} {row['seed_data']}"
        run = self._create(about, tags | {PARENT: parent.id}, name, start)
        points = trial_points(row)
        self.store.log(run, points, end, trial_params(row))
        self.store.end(run, status, end)
        run.metrics = {point.name: point.value for point in points}

    # ---------------------------------------------------------------- how far it is, and the end of it
    def tell(self) -> None:
        """Bring the experiment's description up to date with the rows so far."""
        self._say(page.so_far([run for (kind, _), run in self.runs.items() if kind == "trial"]))

    def close(self, status: str) -> None:
        """End every suggestion, and last the sweep itself."""
        self.tell()
        for name in self._named("suggestion"):
            run = self.runs["suggestion", name]
            if run.status is None:
                self.store.end(run, "FINISHED", milliseconds())
        self.store.end(self.sweep, status, milliseconds())

    def finish(self, found: Findings) -> None:
        """Make the store say what was found, of the runs that the sweep consists of and no others."""
        for name in self._named("trial"):
            if name not in found.stages:
                self._drop(("trial", name))
        children: dict[str, list[Run]] = {}
        for name in self._named("trial"):
            run = self.runs["trial", name]
            self.store.tag(run, {"stage": found.stages[name]})
            children.setdefault(run.tags["nai.suggestion"], []).append(run)
        for name in self._named("suggestion"):
            if name in children:
                self._judge(name, children[name], found)
            else:
                self._drop(("suggestion", name))
        self._conclude(found)

    def _judge(self, name: str, children: list[Run], found: Findings) -> None:
        """A suggestion's figures; where others stand, which cannot be taken back, in a new run."""
        failed = sum(run.status == "FAILED" for run in children)
        values = {"runs": float(len(children)), "failed": float(failed), **found.suggestions.get(name, {})}
        end = max(run.end or 0 for run in children)
        run = self._renewed(("suggestion", name), values)
        if label := found.labels.get(name):
            self.store.tag(run, {"mlflow.runName": run_name(label)})
        for child in children:
            self.store.tag(child, {PARENT: run.id})
        if run.metrics != values:
            self.store.log(run, [Point(k, v, len(children)) for k, v in values.items()], end)
            run.metrics = values
        if run.end != end:
            self.store.end(run, "FINISHED", end)

    def _renewed(self, about: Name, values: Mapping[str, float]) -> Run:
        """The run, if it says nothing but these values or a part of them, else a new one in its place."""
        run = self.runs[about]
        if run.metrics.items() <= values.items():
            return run
        self._drop(about)
        if about != SWEEP:
            return self._parent(self.rows[about[1]], run.start)
        self.sweep = self._create(SWEEP, {}, self.store.place.name, run.start)
        return self.sweep

    def _conclude(self, found: Findings) -> None:
        """The sweep's own run: the numbers of its summary as metrics, the rest as tags, and its files."""
        given = {name: value for name, value in found.summary.items() if value is not None}
        reals = {k: float(v) for k, v in given.items() if isinstance(v, Real) and not isinstance(v, bool)}
        values = {key(k): v for k, v in reals.items() if math.isfinite(v)}
        end = max((run.end or 0 for (kind, _), run in self.runs.items() if kind == "trial"), default=0)
        run = self._renewed(SWEEP, values)
        texts = {key(f"nai.{k}"): tag(str(v)) for k, v in given.items() if k not in reals}
        self.store.tag(run, texts | {"mlflow.note.content": tag(found.verdict)})
        for row in list(self.rows.values())[:1]:
            self.store.uses(run, *dataset(row))
        if run.metrics != values:
            self.store.log(run, [Point(k, v, 0) for k, v in values.items()], end)
            run.metrics = values
        for path in found.files:
            self.store.upload(run, path)
        self._say(page.verdict(found, self.store.experiment, run.id, self._ids()))
        self.store.end(run, "FINISHED", milliseconds())

    # ---------------------------------------------------------------- what is there
    def _say(self, text: str) -> None:
        if text != self.told:
            self.store.describe(tag(text))
            self.told = text

    def _named(self, kind: str) -> list[str]:
        return sorted(name for each, name in self.runs if each == kind)

    def _ids(self) -> dict[str, str]:
        return {name: self.runs["suggestion", name].id for name in self._named("suggestion")}


def milliseconds(seconds: float | None = None) -> int:
    """A time in MLflow's unit; now, if none is given."""
    return round((time.time() if seconds is None else seconds) * 1000)
