"""A sweep as its folder has it: how far it is, its report, its MLflow pages. Nothing is run."""

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sweep import parts, record
from sweep.analysis import Asked
from sweep.book import Row
from sweep.folder import Folder
from sweep.mirror import local
from sweep.sending import attached
from sweep.standing import Snapshot, Standing, kept, relevant, stages
from sweep.storage import is_address
from sweep.watch import Watch

if TYPE_CHECKING:
    from sweep import report
    from sweep.analysis import Sheet, Similarity
    from sweep.weights import Weights


PANELLED = (
    "tasks",
    "seeds",
    "components",
    "search_components",
    "agreement",
    "search_agreement",
    "predecessors",
    "tradeoff",
    "importance",
    "distances",
    "relations",
)
"""Tables of the analysis that the report draws."""


@dataclass(frozen=True)
class Ended:
    """What a run of a sweep leaves: its folder and results; whether it was cut short, and by the clock."""

    folder: Folder
    results: Mapping[str, Any]
    interrupted: bool
    seconds: float
    late: bool = False
    storage: str | None = None

    def _repr_html_(self) -> str:
        """Verdict and table, for a notebook."""
        from sweep.report import notebook

        return notebook.table(self.results, str(self.folder.report))


def status(path: str | Path) -> tuple[Standing, tuple[record.Problem, ...]]:
    """How far a sweep is, and what of its records cannot be read or is there with two results."""
    folder, store, snapshot = reopened(path)
    found = store.records
    return snapshot.standing(found.rows), (*found.problems, *_conflict(folder, found.conflicts))


def _conflict(folder: Folder, conflicts: Sequence[record.Conflict]) -> list[record.Problem]:
    """Runs with two results, in one line."""
    names = ", ".join(one.fingerprint[:12] for one in conflicts)
    said = f"two results of {names}: the earlier one counts, the other is kept"
    return [record.Problem(folder.records, said)] if conflicts else []


def render(path: str | Path, *, static: bool = False, figures: bool = False) -> Ended:
    """Write a sweep's report anew from its records, complete or not.

    static: as a small page of drawings, too. figures: as PNG, PDF and CSV, and the summary as LaTeX, too.
    """
    from sweep import report

    folder, store, snapshot = reopened(path)
    results = publish(folder, snapshot.asked, store.records.rows)
    if static or figures:
        wanted = relevant(store.records.rows, snapshot.asked)
        facts = _facts(folder, wanted, snapshot.asked)
        if static:
            report.write(folder.static_report, results, wanted, facts, static=True)
        if figures:
            report.export(folder.figures, results, wanted, facts)
    return Ended(folder, results, False, 0.0)


def compare(paths: Sequence[str | Path], out: str | Path) -> Path:
    """Write one page on several sweeps, each as its records have it now."""
    from sweep import analysis, report

    group = []
    for folder, store, snapshot in map(reopened, paths):
        rows = relevant(store.records.rows, snapshot.asked)
        results = analysis.results(rows, snapshot.asked)
        group.append(report.Compared(folder.root.name, results, rows, _facts(folder, rows, snapshot.asked)))
    path = Path(out).expanduser().resolve()
    parts.replace(path, report.compare(group).encode())
    return path


def follow(path: str | Path, watch: Watch, every: float = 2.0) -> Standing:
    """Tell how far a sweep is every so many seconds, until all its runs are on record."""
    folder, store, snapshot = reopened(path)
    watch.standing(now := snapshot.standing(store.records.rows))
    watch.stage("training")
    worked = True
    while now.done < now.expected:
        works = is_address(path) or folder.owner.is_file()
        if worked and not works:
            watch.note("no process works on this sweep now: the command that started it goes on with it")
        worked = works
        time.sleep(every)
        local(path)
        store.refresh()
        snapshot = kept(folder.snapshot) or snapshot
        watch.standing(now := snapshot.standing(store.records.rows))
    return now


def analyse(
    path: str | Path, names: Sequence[str] = (), *, stage: Literal["search", "confirm"] | None = None
) -> "tuple[Sheet, ...]":
    """The tables of a sweep from its records, complete or not; without names all of `sweep.analysis.TABLES`.

    stage: as `sweep.analysis.sheets` takes it. ValueError for a name that is no table.
    """
    from sweep.analysis import TABLES, sheets

    folder, store, snapshot = reopened(path)
    rows = relevant(store.records.rows, snapshot.asked)
    return sheets(rows, snapshot.asked, names or TABLES, stage=stage, similarity=similarity(folder))


def similarity(folder: Folder) -> "Similarity | None":
    """How alike the tasks look, [tasks, tasks]; None where that is not on record, as in older sweeps."""
    found = _listed(folder.similarity)
    return tuple(map(tuple, found)) if found and all(isinstance(line, list) for line in found) else None


def _listed(path: Path) -> list[Any]:
    """A list kept for a sweep's pages; empty where it is lost or spoilt, until `run` makes it anew."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def sync(path: str | Path, watch: Watch | None = None) -> str | None:
    """Bring MLflow up to date with a sweep's records; the problem, if there is one."""
    from sweep.tracking import sync as project

    folder = Folder.of_records(local(path))
    kept = attached(folder, str(path)) if is_address(path) else contextlib.nullcontext()
    with folder.owned(), kept:  # one writer at a time
        folder, store, snapshot = reopened(folder.root)
        asked, rows = snapshot.asked, store.records.rows
        found = tracked(folder, publish(folder, asked, rows), relevant(rows, asked), asked)
        progress = watch.tracking if watch else None
        return project(relevant(rows, asked), tracker(folder, asked.sweep), found, progress)


def weights(path: str | Path, run: str | None = None, watch: Watch | None = None) -> "Weights":
    """Write weights.safetensors of the best run, or of that whose fingerprint begins so: it is trained again.

    Errors: ValueError for a sweep without such a run.
    """
    from nai.trial import Named, load
    from sweep import analysis
    from sweep import weights as made
    from sweep.space import read

    folder, store, snapshot = reopened(path)
    Folder.of_sweep(folder.root)  # imported records cannot be run again
    rows = relevant(store.records.rows, snapshot.asked)
    row = made.run_named(run, rows) if run else made.best_run(rows, analysis.results(rows, snapshot.asked))
    if watch:
        watch.stage("training one run again")
    space = read(folder.space)
    benchmark = load(Named.of(**space.first(space.methods[0].name)["benchmark"]))
    return made.write(folder.weights, row, benchmark, space.resources.place)


def preset(path: str | Path, methods: Sequence[str] = (), name: str | None = None) -> str:
    """The best settings of a sweep as the TOML text of a space: see `sweep.preset.preset`."""
    from sweep import analysis
    from sweep.preset import preset as written
    from sweep.space import read

    folder, store, snapshot = reopened(path)
    Folder.of_sweep(folder.root)  # imported records have no space
    results = analysis.results(relevant(store.records.rows, snapshot.asked), snapshot.asked)
    return written(read(folder.space), results, methods, name)


def reopened(path: str | Path) -> tuple[Folder, record.Store, Snapshot]:
    """A sweep's folder, or one of imported records, its rows, and what it consists of.

    path: or the address of a storage.
    """
    folder = Folder.of_records(local(path))
    store = record.Store(folder.records)
    store.refresh()
    if folder.imported.is_file():
        from sweep.imported import asked

        return folder, store, Snapshot(asked(folder, store.records.rows), "confirm", None)
    return folder, store, kept(folder.snapshot) or _rebuilt(folder, store.records.rows)


def _rebuilt(folder: Folder, rows: Sequence[Row]) -> Snapshot:
    """What a sweep consists of, worked out from its space and records alone."""
    from sweep.agenda import Agenda
    from sweep.bundle import identity
    from sweep.past import past
    from sweep.space import read

    latest = max(rows, key=lambda row: row["finished"], default=None)  # the data may have been mended since
    digest = json.loads(latest["settings"])["benchmark"]["digest"] if latest else ""
    agenda = Agenda(read(folder.space), identity(digest), past(folder, rows)[0])
    while agenda.next():  # settles what is on record, up to what is missing
        pass
    return agenda.snapshot()


def publish(folder: Folder, asked: Asked, rows: Sequence[Row]) -> dict[str, Any]:
    """Write results.json, report.html and results.parquet from the records; gives the results."""
    from sweep import analysis, report  # which draw, and take their time to import

    wanted = relevant(rows, asked)
    results = analysis.results(wanted, asked)
    parts.replace(folder.results, analysis.write_json(results).encode())
    report.write(folder.report, results, wanted, _facts(folder, wanted, asked))
    if rows:
        record.to_parquet(rows, folder.table)
    return results


def tracker(folder: Folder, name: str) -> Any:
    """MLflow's writer for a sweep of this name."""
    from sweep.tracking import Place, Tracker, destination

    return Tracker(Place(destination(folder.root), name, folder.identity(), folder.artifacts))


def tracked(folder: Folder, results: Mapping[str, Any], rows: Sequence[Row], asked: Asked) -> Any:
    """What MLflow says of a sweep that consists of these rows, with its files."""
    from sweep.tracking import Findings

    files = (folder.report, folder.results, folder.table, folder.space, folder.weights)
    return Findings.of(results, stages(rows, asked), [path for path in files if path.is_file()])


def _facts(folder: Folder, rows: Sequence[Row], asked: Asked) -> "report.PageFacts":
    from sweep import report

    seconds = sum(row["seconds"] for row in rows)
    versions = json.loads(rows[0]["versions"]) if rows else {}
    devices = ", ".join(sorted({row["device"] for row in rows}))
    return report.PageFacts(
        command=_command(folder),
        tasks=tuple(map(str, _listed(folder.tasks))),
        versions=versions | ({"device": devices} if devices else {}),
        space=folder.space.read_text() if folder.space.is_file() else "",
        tables=_tables(rows, asked, similarity(folder)),
        cost={"training time, all workers together": f"{seconds:.1f} s", "runs": str(len(rows))},
    )


def _command(folder: Folder) -> str:
    """The command that started a sweep; nothing for imported records, which nothing here can run."""
    if folder.command.is_file():
        return folder.command.read_text(errors="replace").strip()
    return "nai-sweep run space.toml" if folder.space.is_file() else ""


def _tables(
    rows: Sequence[Row], asked: Asked, alike: "Similarity | None"
) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The tables that panels are made of, with what is kept for what is learned by all settings tried."""
    from sweep import analysis

    found = {sheet.name: sheet.lines for sheet in analysis.sheets(rows, asked, PANELLED, similarity=alike)}
    (tried,) = analysis.sheets(rows, asked, ["tradeoff"], stage="search")
    return found | {"search_tradeoff": tried.lines}
