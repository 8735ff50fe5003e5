"""A sweep from Python: run, confirm, hunt. Each command of `nai-sweep` is a thin call of these."""

import contextlib
import dataclasses
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sweep import asked, parts, record, standing
from sweep.agenda import Agenda
from sweep.book import cell_of
from sweep.causes import AlikeError, Beginning
from sweep.confirming import settled
from sweep.environment import PlaceError, for_ray
from sweep.folder import Folder
from sweep.hunting import Request
from sweep.ledger import Ledger, inline
from sweep.look import Ended, publish, render, reopened, status, sync, tracked, tracker, weights
from sweep.mirror import local
from sweep.past import past, request
from sweep.sending import HASTE, Sender, attached
from sweep.space import Resources, Space, loads, read
from sweep.standing import Standing
from sweep.storage import at, is_address
from sweep.watch import Watch

__all__ = ["ENGINES", "Ended", "Watch", "confirm", "render", "reopened", "run", "status", "sync"]
__all__ += ["weights", "worst"]
Row = dict[str, Any]
ENGINES = ("tune", "inline")
STAGES = {"search": "search", "confirm": "confirm", "hunt": "worst"}
"""Phases of the agenda as MLflow's runs say them."""
MANY_PARTS = 100
"""Record files from which a finished sweep puts them into one: thousands of small ones are slow to read."""
GLANCE = 2.0
"""Seconds between two snapshots of a running sweep."""


@dataclasses.dataclass(frozen=True)
class Way:
    """How a sweep is carried out.

    engine: tune (Ray Tune, local or at an address) or inline (this process). track: keep MLflow up to date.
    max_time: seconds after which no work is begun, and what is under way is left for the next call.
    storage: where it is kept beside its folder, see `sweep.storage.at`. takeover: from a driver that is dead,
    without waiting until its lease runs out.
    """

    engine: str = "tune"
    address: str | None = None
    track: bool = True
    max_time: float = math.inf
    storage: str | None = None
    takeover: bool = False

    def __post_init__(self) -> None:
        if not self.max_time > 0:
            raise ValueError(f"max_time {self.max_time} must be above 0 seconds")
        if self.engine not in ENGINES:
            raise ValueError(f"engine {self.engine!r} is unknown: known are {', '.join(ENGINES)}")
        if self.storage is not None:
            at(self.storage)  # which fails for what is none

    def of(self, path: str | Path) -> "tuple[Folder, Way]":
        """The folder of a sweep that was started, and the way to go on with it; path: or its address."""
        if not is_address(path):
            return Folder.of_sweep(path), self
        if self.storage:
            raise ValueError(f"{path} is a storage itself: leave --storage out, or name a folder")
        return Folder.of_sweep(local(path)), dataclasses.replace(self, storage=str(path))


def run(
    space: Space | str | Path, out: str | Path | None = None, *, watch: Watch | None = None, **way: Any
) -> Ended:
    """Run a sweep to its end; the same call again continues it, and repeats nothing that is on record.

    space: a `Space`, a path or the name of a shipped space. out: its folder, by default runs/<name>.
    way: the fields of `Way`, such as engine="inline".
    Errors: `sweep.space.Mistakes`, `sweep.folder.FolderError`, ValueError for a space that cannot run.
    """
    chosen = Way(**way)
    space = space if isinstance(space, Space) else read(space)
    folder = Folder.at(out or Path("runs") / space.name)
    return _carried_out(folder, lambda: folder.adopt(space), watch or Watch(), chosen)


def confirm(path: str | Path, wanted: Sequence[str] = (), *, watch: Watch | None = None, **way: Any) -> Ended:
    """Run the best of each method on more orders and seeds; what is on record is not run again.

    wanted: changes of the space's `[confirm]`, which `sweep.confirming.overrides` makes; without that table
    and without changes it is all orders of up to five tasks, with three seeds. Errors: as `run`.
    """
    folder, chosen = Way(**way).of(path)
    before = read(folder.space)
    changes = list(wanted) if wanted or before.confirm else ["confirm.top=1"]
    space = loads(settled(before, changes).to_toml(), str(folder.space), changes)
    return _carried_out(folder, lambda: folder.adopt(space), watch or Watch(), chosen)


def worst(path: str | Path, one: Request, *, watch: Watch | None = None, **way: Any) -> Ended:
    """Hunt the worst (or best) order of a suggestion in a sweep's folder; see `sweep.hunting.Request`.

    Errors: as `run`; ValueError for a suggestion that is none of the sweep's.
    """
    folder, chosen = Way(**way).of(path)
    tasks = read(folder.space).tasks()
    one.hunt(tasks, {})  # what cannot be carried out is not asked for
    _, store, snapshot = reopened(folder.root)
    name = standing.named(one.suggestion, snapshot.asked)
    known = sorted(
        cell.order
        for cell in map(cell_of, store.records.rows)
        if (cell.suggestion, cell.seeds) == (name, one.seeds) and len(cell.order) == tasks
    )
    wanted = dataclasses.replace(one, suggestion=name, known=tuple(known))
    return _carried_out(folder, lambda: request(folder, wanted), watch or Watch(), chosen)


def _carried_out(folder: Folder, prepare: Callable[[], None], watch: Watch, way: Way) -> Ended:
    started = time.monotonic()
    if way.storage:
        watch.stage(f"reading {way.storage}")
    kept = attached(folder, way.storage, note=watch.note, takeover=way.takeover)
    with folder.owned(), kept as sender:
        prepare()
        folder.said([Path(sys.argv[0]).name, *sys.argv[1:]])
        results, interrupted = _run(read(folder.space), folder, watch, way, sender)
        if sender:
            watch.stage(f"sending to {way.storage}")
            if interrupted:
                sender.patience = HASTE
    seconds = time.monotonic() - started
    return Ended(folder, results, interrupted, seconds, interrupted and seconds >= way.max_time, way.storage)


def _run(
    space: Space, folder: Folder, watch: Watch, way: Way, sender: Sender | None
) -> tuple[dict[str, Any], bool]:
    from nai.tasks import similarity

    benchmark, grain = _loaded(space, watch, way)
    parts.replace(folder.tasks, json.dumps([task.name for task in benchmark.tasks]).encode())
    parts.replace(folder.similarity, json.dumps(similarity(benchmark).round(6).tolist()).encode())
    store = record.Store(folder.records)
    agenda = _agenda(space, folder, store, watch=watch, benchmark=benchmark, grain=grain)
    with tracker(folder, space.name) if way.track else contextlib.nullcontext() as writer:
        tracks = _tracks(writer, agenda) if writer else _untracked
        ledger = Ledger(store, agenda, tracks, _told(agenda, folder, watch, sender))
        ledger.storage = way.storage
        sound = any(row["error"] is None for row in store.records.rows)
        ledger.until, ledger.beginning = time.monotonic() + way.max_time, Beginning(sound)
        try:
            interrupted = _work(
                ledger, benchmark, _limited(space, benchmark, grain, way), watch=watch, way=way
            )
        except OSError:
            folder.there()
            raise
        except AlikeError:
            standing.keep(folder.snapshot, agenda.snapshot())
            publish(folder, agenda.asked(), store.records.rows)
            raise
        shutil.rmtree(ledger.scratch, ignore_errors=True)  # that of drivers which were killed, too
        for name in [] if interrupted else agenda.strays:
            watch.note(f"{name} was hunted for and is no longer part of this sweep: its hunt is left out")
        watch.stage("writing the report")
        standing.keep(folder.snapshot, agenda.snapshot())
        results = publish(folder, agenda.asked(), store.records.rows)
        if writer and not interrupted:
            watch.stage("writing MLflow")
            whole = agenda.asked()
            rows = standing.relevant(store.records.rows, whole)  # those of earlier calls, too
            found = tracked(folder, results, rows, whole)
            writer.submit(rows, lambda row: found.stages[row["fingerprint"]])
            _say(watch, writer.finish(found, watch.tracking))
    if not interrupted:
        shutil.rmtree(folder.states, ignore_errors=True)
        if len(parts.listed(folder.records)) > MANY_PARTS:
            sender.compacted() if sender else record.compact(folder.records)
    return results, interrupted


def _loaded(space: Space, watch: Watch, way: Way) -> tuple[Any, int]:
    """The benchmark, and the lessons of a stack; whatever cannot work here fails at once."""
    from nai.stack import width
    from nai.trial import Named, load, network_of

    wanted = space.resources.place
    place = _place(wanted) if way.address is None or wanted == "cpu" else None  # a cluster may have the card
    if way.engine == "inline" and space.resources.gpus and place and place.type == "cpu":
        raise PlaceError(
            f"resources.gpus is {space.resources.gpus:g}, and torch finds no CUDA device here: set it to 0"
        )
    watch.stage("loading data")
    first = space.first(space.methods[0].name)
    benchmark = load(Named.of(**first["benchmark"]))
    net = network_of(Named.of(**first["model"]), benchmark)
    stack = space.resources.stack
    return benchmark, width(net, place, None if stack == "auto" else int(stack)) if place else 1


def _place(device: str) -> Any:
    from nai.trial import place_of

    try:
        return place_of(device)
    except ValueError as error:
        raise PlaceError(str(error)) from None


def _agenda(
    space: Space, folder: Folder, store: record.Store, *, watch: Watch, benchmark: Any, grain: int
) -> Agenda:
    """What there is to do beyond what the folder holds; what of it cannot be read is said."""
    from sweep.bundle import identity

    store.refresh()
    known, odd = past(folder, current(store.records.rows))
    for path, reason in (*store.records.problems, *odd):
        watch.note(f"{path} is not read: {reason}")
    for conflict in store.records.conflicts:
        watch.note(f"run {conflict.fingerprint[:12]} is on record with two results: the earlier one counts")

    def noted(method: str, suggestion: asked.Suggestion) -> None:
        if suggestion.number not in known.suggestions.get(method, {}):
            asked.write(folder.suggestions, method, suggestion)

    return Agenda(space, identity(benchmark.digest), known, grain=grain, noted=noted)


def current(rows: Sequence[Row]) -> list[Row]:
    """Rows that this release would give again; others are as if not on record.

    What cannot be made any more, such as a method that is not here, is left as it is.
    """
    from sweep.bundle import Fingerprints

    names = Fingerprints()
    return [row for row in rows if names.of(row) in (None, row["fingerprint"])]


def _told(agenda: Agenda, folder: Folder, watch: Watch, sender: Sender | None) -> Callable[[Standing], None]:
    """Keeps a snapshot for others to look at, every now and then, and passes on how far the sweep is."""
    last = -GLANCE

    def told(now: Standing) -> None:
        nonlocal last
        if sender:
            sender.check()
        folder.there()
        if time.monotonic() - last > GLANCE:
            standing.keep(folder.snapshot, agenda.snapshot())
            last = time.monotonic()
        watch.standing(now)

    return told


def _limited(space: Space, benchmark: Any, grain: int, way: Way) -> Resources:
    """What a worker may take; its stacks are as wide as its memory allows, if that is limited."""
    from nai.trial import place_of
    from sweep.limit import lessons

    wanted = space.resources
    if wanted.memory is None:
        return wanted
    # a worker of a cluster that wants a card is put where one is
    card = wanted.place != "cpu" if way.address else place_of(wanted.place).type != "cpu"
    stack = lessons(space, benchmark, grain, card=card)
    return wanted if stack is None else wanted.model_copy(update={"stack": stack})


def _work(ledger: Ledger, benchmark: Any, resources: Resources, *, watch: Watch, way: Way) -> bool:
    """Run what is missing; True when the user cut it short."""
    agenda = ledger.agenda
    waiting = agenda.waiting  # which takes in what is on record
    ledger.told(agenda.standing())
    if not waiting:
        return False
    try:
        if way.engine == "inline":
            watch.stage("training")
            inline(ledger, benchmark, resources)
            return ledger.over and not agenda.finished
        for_ray(local=way.address is None)
        from sweep import run as on_ray

        watch.stage("starting Ray" if way.address is None else f"joining {way.address}")
        with on_ray.cluster(way.address, resources, watch.lost) as room:
            watch.stage("training")
            return not on_ray.on_ray(ledger, benchmark, room)
    except KeyboardInterrupt:
        ledger.refresh()
        return True


def _tracks(writer: Any, agenda: Agenda) -> Callable[[Sequence[Row]], None]:
    """Hands rows to MLflow's writer, with the stage that the sweep is at."""
    return lambda rows: writer.submit(rows, lambda row: STAGES[agenda.phase])


def _untracked(rows: Sequence[Row]) -> None:
    """Where rows go when MLflow is switched off."""


def _say(watch: Watch, problem: str | None) -> None:
    if problem:
        watch.note(problem)
