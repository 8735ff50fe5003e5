"""A sweep from Python: run it, plan it, look at it. Every command of `nai-sweep` is a thin call of these."""

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep import analysis, parts, record, report
from sweep.agenda import Agenda, Standing
from sweep.environment import for_ray
from sweep.folder import Folder
from sweep.ledger import Ledger, inline
from sweep.space import Space, read

Row = dict[str, Any]
ENGINES = ("tune", "inline")
MANY_PARTS = 100
"""Record files from which a finished sweep puts them into one: thousands of small ones are slow to read."""


@dataclass(frozen=True)
class Watch:
    """How a caller follows a sweep: what is being done, how far it is, what was odd on the way."""

    stage: Callable[[str], None] = lambda text: None
    standing: Callable[[Standing], None] = lambda standing: None
    tracking: Callable[[int], None] = lambda left: None
    note: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Ended:
    """What a run of a sweep leaves: its folder and results; whether it was cut short."""

    folder: Folder
    results: Mapping[str, Any]
    interrupted: bool
    seconds: float


def run(
    space: Space | str | Path,
    out: str | Path | None = None,
    *,
    engine: str = "tune",
    address: str | None = None,
    watch: Watch | None = None,
    track: bool = True,
) -> Ended:
    """Run a sweep to its end; the same call again continues it, and repeats nothing that is on record.

    space: a `Space`, a path or the name of a shipped space. out: its folder, by default runs/<name>.
    engine: tune (Ray Tune, local or at an address) or inline (this process). track: keep MLflow up to date.
    Errors: `sweep.space.Mistakes`, `sweep.folder.FolderError`, ValueError for a space that cannot run.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} is unknown: known are {', '.join(ENGINES)}")
    started = time.monotonic()
    space = space if isinstance(space, Space) else read(space)
    folder = Folder.at(out or Path("runs") / space.name)
    with folder.owned():
        folder.adopt(space)
        folder.command.write_text(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) + "\n")
        results, interrupted = _run(space, folder, engine, address, watch or Watch(), track)
    return Ended(folder, results, interrupted, time.monotonic() - started)


def _run(
    space: Space, folder: Folder, engine: str, address: str | None, watch: Watch, track: bool
) -> tuple[dict[str, Any], bool]:
    from nai.trial import Named, load, network_of, place_of
    from sweep.bundle import identity

    if address is None:
        place_of(space.resources.place)  # a card that is not here fails at once; a cluster may have it
    watch.stage("loading data")
    first = space.first()
    benchmark = load(Named.of(**first["benchmark"]))
    network_of(Named.of(**first["model"]), benchmark)  # a net that does not fit its data fails here, at once
    store = record.Store(folder.records)
    store.refresh()
    for problem in store.records.problems:
        watch.note(f"{problem.path} is not read: {problem.reason}")
    for conflict in store.records.conflicts:
        watch.note(f"run {conflict.fingerprint[:12]} is on record with two results: the earlier one counts")
    parts.replace(folder.tasks, json.dumps([task.name for task in benchmark.tasks]).encode())
    agenda = Agenda(space, identity(benchmark.digest), store.records.rows)
    with _tracker(folder, space) if track else contextlib.nullcontext() as tracker:
        ledger = Ledger(store, agenda, tracker.submit if tracker else _untracked, watch.standing)
        interrupted = _work(ledger, benchmark, engine, address, watch)
        watch.stage("writing the report")
        results = publish(folder, agenda, store.records.rows)
        if tracker and not interrupted:
            watch.stage("writing MLflow")
            tracker.submit(agenda.relevant(store.records.rows))  # those of earlier calls, too
            _say(watch, tracker.finish(*_tracked(folder, results), watch.tracking))
    if not interrupted and len(parts.listed(folder.records)) > MANY_PARTS:
        record.compact(folder.records)
    return results, interrupted


def _work(ledger: Ledger, benchmark: Any, engine: str, address: str | None, watch: Watch) -> bool:
    """Run what is missing; True when the user cut it short."""
    agenda, resources = ledger.agenda, ledger.agenda.space.resources
    waiting = agenda.waiting  # which takes in what is on record
    ledger.told(agenda.standing())
    if not waiting:
        return False
    try:
        if engine == "inline":
            watch.stage("training")
            inline(ledger, benchmark, resources)
            return False
        for_ray(local=address is None)
        from sweep import run as on_ray

        watch.stage("starting Ray" if address is None else f"joining {address}")
        with on_ray.cluster(address, resources) as agenda.slots:
            watch.stage("training")
            return not on_ray.on_ray(ledger, benchmark, resources)
    except KeyboardInterrupt:
        ledger.refresh()
        return True


def publish(folder: Folder, agenda: Agenda, rows: Sequence[Row]) -> dict[str, Any]:
    """Write results.json, report.html and results.parquet from the records; gives the results."""
    wanted = agenda.relevant(rows)
    results = analysis.results(wanted, agenda.asked())
    parts.replace(folder.results, analysis.write_json(results).encode())
    report.write(folder.report, results, wanted, _facts(folder, agenda.space, wanted))
    if rows:
        record.to_parquet(rows, folder.table)
    return results


def reopened(path: str | Path) -> tuple[Folder, Agenda, record.Store]:
    """A sweep as its records have it, without its data and without running anything."""
    from sweep.bundle import identity

    folder = Folder.of_sweep(path)
    store = record.Store(folder.records)
    store.refresh()
    rows = store.records.rows
    latest = max(rows, key=lambda row: row["finished"], default=None)  # the data may have been mended since
    digest = json.loads(latest["settings"])["benchmark"]["digest"] if latest else ""
    agenda = Agenda(read(folder.space), identity(digest), rows)
    while agenda.next():  # settles what is on record, up to what is missing
        pass
    return folder, agenda, store


def status(path: str | Path) -> tuple[Standing, tuple[record.Problem, ...]]:
    """How far a sweep is, and what of its records cannot be read."""
    _, agenda, store = reopened(path)
    return agenda.standing(), store.records.problems


def render(path: str | Path) -> Ended:
    """Write a sweep's report anew from its records, complete or not."""
    folder, agenda, store = reopened(path)
    return Ended(folder, publish(folder, agenda, store.records.rows), False, 0.0)


def sync(path: str | Path, watch: Watch | None = None) -> str | None:
    """Bring MLflow up to date with a sweep's records; the problem, if there is one."""
    from sweep.tracking import sync as project

    watch = watch or Watch()
    folder, agenda, store = reopened(path)
    rows = store.records.rows
    results = publish(folder, agenda, rows)
    summary, artifacts, note = _tracked(folder, results)
    tracker = _tracker(folder, agenda.space)
    return project(
        agenda.relevant(rows),
        tracker,
        summary=summary,
        artifacts=artifacts,
        note=note,
        progress=watch.tracking,
    )


def _tracker(folder: Folder, space: Space) -> Any:
    from sweep.tracking import Tracker, destination

    return Tracker(destination(folder.root), space.name, folder.artifacts)


def _untracked(rows: Sequence[Row]) -> None:
    """Where rows go when MLflow is switched off."""


def _tracked(folder: Folder, results: Mapping[str, Any]) -> tuple[dict[str, Any], list[Path], str]:
    """What the sweep's own MLflow run says."""
    summary: dict[str, Any] = {k: results[k] for k in ("done", "failed", "expected", "complete")}
    for one in results["table"]:
        if one["role"] == "best" and "best_mean" not in summary:
            names = ("mean", "worst", "std", "aopd", "mopd", "forgetting")
            summary |= {f"best_{name}": one[name] for name in names if one[name] is not None}
            summary |= {"best": one["label"], "best_suggestion": one["suggestion"]}
    files = [path for path in (folder.report, folder.results, folder.table, folder.space) if path.is_file()]
    return summary, files, results["verdict"]


def _say(watch: Watch, problem: str | None) -> None:
    if problem:
        watch.note(problem)


def _facts(folder: Folder, space: Space, rows: Sequence[Row]) -> report.PageFacts:
    seconds = sum(row["seconds"] for row in rows)
    versions = json.loads(rows[0]["versions"]) if rows else {}
    devices = ", ".join(sorted({row["device"] for row in rows}))
    command = folder.command.read_text().strip() if folder.command.is_file() else "(unknown)"
    return report.PageFacts(
        command=command,
        tasks=json.loads(folder.tasks.read_text()) if folder.tasks.is_file() else (),
        versions=versions | ({"device": devices} if devices else {}),
        space=space.to_toml(),
        cost={"training time, all workers together": f"{seconds:.1f} s", "runs": str(len(rows))},
    )
