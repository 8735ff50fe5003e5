"""One to a thousand workers, up to a million runs: the real agenda, recorded task times, a clock of its own.

    python benchmarks/scale.py [--study docs/studies/digits_nai] [--slower 100] [--stack 32]
                               [--workers 1 8 64 1000] [--rows 1000 10000 1000000]
    python benchmarks/scale.py --search [--ahead 4 64 1000]
    python benchmarks/scale.py --check [--seconds 1.0] [--workers 1 2 4]

Nothing is trained. Workers take the jobs that the real `sweep.agenda.Agenda` hands out and take as long as
the study's records say of each task (an arm has the times of one of the study's suggestions); a worker
reports every 5 seconds, or when its job ends. The driver serves one report or request at a time: what the
agenda takes is measured as it runs, in processor time; taking in rows is measured before, on records of two
sizes; Ray Tune's part is a constant of this file. By default the runs are a confirmation (three arms over
all 120 orders, so many seeds); `--search` is a random search over ten orders, with so many suggestions ahead.

Printed are, for each number of workers and runs: efficiency (training over workers x wall time), wall time,
the driver's busy share, record files, MB of rows through the object store, hours that the one MLflow writer
needs, and GB that the head holds for its rows. `--check` runs real sweeps of sleeping trials on a local Ray,
and the simulation of the very same, side by side, with the start of this machine's workers: from the first
moment of training to the first one of a run, as the rows tell it. Ends with one line of JSON.
"""

import argparse
import gc
import heapq
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a clone, installed or not
from sweep import record
from sweep.agenda import Agenda, Past
from sweep.jobs import Identity, Job, Run
from sweep.ledger import REST
from sweep.space import loads

STUDY = Path(__file__).resolve().parent.parent / "docs" / "studies" / "digits_nai"
BURST = 5.0
"""Seconds between two reports of a worker, as in `sweep.bundle`."""
START = 3.0
"""Seconds until a new worker has imported PyTorch."""
TRIAL, REPORT = 0.015, 0.004
"""Seconds of the driver that Ray Tune takes to start and end a trial, and for each report."""
MLFLOW = 0.018
"""Seconds of a run in MLflow, by its one writer (benchmarks/mlflow_cost.py)."""
SPACE = """\
name = "scale"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
widths = [100, 100]
"""
CONFIRM = """\
[[method]]
name = "nai"
[[method]]
name = "ewc"
[orders]
design = "all"
[search]
sampler = "random"
suggestions = 1
[confirm]
baselines = ["finetune"]
[confirm.orders]
design = "all"
[confirm.seeds]
init = {seeds}
data = {seeds}
"""
SEARCH = """\
[method]
name = "nai"
strength = {{low = 0.001, high = 10.0, log = true}}
[orders]
design = "random"
count = 10
[search]
sampler = "random"
suggestions = {suggestions}
ahead = {ahead}
"""
Row = dict[str, Any]


# ------------------------------------------------------------------ what is known beforehand
class Known(NamedTuple):
    """Seconds of a task by suggestion; what a row takes: bytes sent, bytes held, seconds to be taken in."""

    tasks: list[float]
    row: Row
    sent: float
    held: float
    fixed: float
    each: float


def known(folder: Path) -> Known:
    """What a study's records tell."""
    rows = list(record.read(folder / "records").rows)
    sound = [row for row in rows if row["error"] is None]
    groups: dict[str, list[Row]] = {}
    for row in sound:
        groups.setdefault(row["suggestion"], []).append(row)
    tasks = [sum(r["seconds"] for r in some) / _nodes(some) for some in groups.values()]
    fixed, each = taking_in(sound)
    sent = len(record.encoded(sound[:50])) / len(sound[:50])
    return Known(tasks, sound[0], sent, held(sound), fixed, each)


def _nodes(rows: Sequence[Row]) -> int:
    return trainings([Run(tuple(row["order"]), (row["seed_init"], row["seed_data"])) for row in rows])


def copies(rows: Sequence[Row], count: int) -> list[Row]:
    """So many rows of different runs."""
    made = itertools.islice(itertools.cycle(rows), count)
    return [row | {"fingerprint": f"{n:064x}", "seed_init": n} for n, row in enumerate(made)]


def taking_in(rows: Sequence[Row]) -> tuple[float, float]:
    """Seconds to take in a new part: at all, and for each row that is on record already."""
    sizes, found = (2_000, 20_000), []
    for size in sizes:
        with tempfile.TemporaryDirectory() as place:
            made = copies(rows, size + 50)
            record.write(Path(place), made[:-50])
            store = record.Store(Path(place))
            store.refresh()
            record.write(Path(place), made[-50:])
            began = time.process_time()
            store.refresh()
            found.append(time.process_time() - began)
    each = max(0.0, (found[1] - found[0]) / (sizes[1] - sizes[0]))
    return max(0.0, found[0] - each * sizes[0]), each


def held(rows: Sequence[Row], count: int = 20_000) -> float:
    """Bytes that the driver holds for each row, as the records give it."""
    with tempfile.TemporaryDirectory() as place:
        record.write(Path(place), copies(rows, count))
        gc.collect()
        before = resident()
        store = record.Store(Path(place))
        store.refresh()
        return max(0.0, resident() - before) / count


def resident() -> float:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096.0


# ------------------------------------------------------------------ the simulation
@dataclass
class Driver:
    """Serves one at a time; `busy` is what it has worked, `free` when it has time again."""

    known: Known
    agenda: Agenda
    free: float = 0.0
    busy: float = 0.0
    due: float = 0.0
    rows: int = 0
    waiting: list[Row] = field(default_factory=list)

    def serve(self, at: float, cost: float) -> float:
        """When something that arrives now is done."""
        self.free = max(at, self.free) + cost
        self.busy += cost
        return self.free

    def timed(self, at: float, work: Callable[[], Any], extra: float = 0.0) -> tuple[Any, float]:
        """What real work gives, and when it and so many seconds beside it are done."""
        began = time.process_time()
        given = work()
        return given, self.serve(at, time.process_time() - began + extra)

    def report(self, at: float, rows: list[Row]) -> None:
        """Rows come in; they are taken in now or later, as `sweep.ledger.Ledger.glance` does it."""
        self.waiting += rows
        self.serve(at, REPORT)
        if self.free >= self.due:
            self.take_in()

    def take_in(self) -> None:
        some, self.waiting = self.waiting, []
        self.rows += len(some)
        before = self.free
        cost = self.known.fixed + self.known.each * self.rows
        _, ended = self.timed(self.free, lambda: self.agenda.put(some), cost)
        self.due = ended + REST * (ended - before)

    def next(self, at: float) -> tuple[Job | None, float]:
        """The next job for a worker, None when there is none now."""
        job, ended = self.timed(at, self.agenda.next)
        if job is None and self.waiting:
            self.take_in()
            job, ended = self.timed(self.free, self.agenda.next)
        return job, self.serve(ended, TRIAL) if job else ended


class Figures(NamedTuple):
    """What a simulated sweep took."""

    workers: int
    rows: int
    efficiency: float
    wall: float
    driver: float
    files: int
    megabytes: float
    mlflow_hours: float
    head_gb: float


def simulated(
    agenda: Agenda, given: Known, workers: int, *, seconds: Callable[[Job], float], start: float = START
) -> Figures:
    """Run the agenda dry on so many workers, each of which takes so many seconds to start."""
    agenda.slots = workers
    driver = Driver(given, agenda)
    events: list[tuple[float, int, int, list[Row], bool]] = []
    numbers, idle = itertools.count(), [(start, n) for n in range(workers)]
    trained, files = 0.0, 0
    while idle or events:
        idle.sort(reverse=True)
        while idle:
            at, worker = idle[-1]
            job, begins = driver.next(at)
            if job is None:
                break
            idle.pop()
            length = seconds(job)
            trained += length
            for when, rows, last in reports(job, length, given.row):
                heapq.heappush(events, (begins + when, next(numbers), worker, rows, last))
                files += 1
        if not events:
            break
        at, _, worker, rows, last = heapq.heappop(events)
        driver.report(at, rows)
        if last:
            idle.append((driver.free, worker))
    if driver.waiting:
        driver.take_in()
    if not agenda.finished:
        raise RuntimeError(f"{len(agenda.pool.away)} jobs never came back")
    return Figures(
        workers=workers,
        rows=driver.rows,
        efficiency=trained / workers / driver.free,
        wall=driver.free,
        driver=driver.busy / driver.free,
        files=files,
        megabytes=driver.rows * given.sent / 1e6,
        mlflow_hours=driver.rows * MLFLOW / 3600,
        head_gb=driver.rows * given.held / 1e9,
    )


def reports(job: Job, length: float, row: Row) -> Iterator[tuple[float, list[Row], bool]]:
    """When a job's rows are reported, and which; its runs end one after the other."""
    cells = job.cells
    count = max(1, min(len(cells), int(length // BURST)))
    for n in range(count):
        some = cells[n * len(cells) // count : (n + 1) * len(cells) // count]
        yield length * (n + 1) / count, [_row(row, cell) for cell in some], n == count - 1


def _row(row: Row, cell: Any) -> Row:
    given = {"suggestion": cell.suggestion, "order": cell.order, "seed_init": cell.seeds[0]}
    return row | given | {"seed_data": cell.seeds[1], "fingerprint": str(hash(cell))}


def by_record(given: Known) -> Callable[[Job], float]:
    """Seconds of a job: its task trainings, each arm's as long as those of a recorded suggestion."""
    times: dict[str, float] = {}
    each = itertools.cycle(random.Random(0).sample(given.tasks, len(given.tasks)))

    def seconds(job: Job) -> float:
        for work in job.works:
            if work.arm.suggestion not in times:
                times[work.arm.suggestion] = next(each)
        return sum(trainings(work.runs) * times[work.arm.suggestion] for work in job.works)

    return seconds


def trainings(runs: Sequence[Any]) -> int:
    """Task trainings of the order trees of a work."""
    return len({(run.seeds, run.order[:k]) for run in runs for k in range(1, len(run.order) + 1)})


# ------------------------------------------------------------------ spaces
def agenda_of(text: str, stack: int = 1) -> Agenda:
    """The agenda of a space for stacks of so many lessons, with names of settings that need no benchmark."""

    def name(settings: Any) -> str:
        return json.dumps(settings["method"], sort_keys=True, default=str)

    identity = Identity(suggestion=name, family=lambda settings: settings["method"]["name"])
    return Agenda(loads(text), identity, Past(), grain=stack)


def confirmation(rows: int) -> str:
    """A space of about so many runs: few suggestions, all orders, many seeds."""
    seeds = max(1, round(rows / 360))
    return SPACE + CONFIRM.format(seeds=list(range(seeds)))


# ------------------------------------------------------------------ against real sweeps
def check(seconds: float, runs: int, workers: Sequence[int]) -> list[dict[str, float]]:
    """Real sweeps of sleeping trials beside the simulation of the same."""
    import ray_overhead

    from sweep import session
    from sweep.environment import for_ray

    for_ray(local=True)
    import ray

    out = []
    path = ":".join(one for one in sys.path if one)
    ray.init(
        num_cpus=max(workers),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    for count in workers:
        text = ray_overhead.SPACE.format(seconds=seconds, kind="sleep", trials=runs, ahead=2 * count)
        space = loads(text, overrides=[f"resources.workers={count}"])
        stages: dict[str, tuple[float, float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            watch = session.Watch(
                stage=lambda t, into=stages: into.setdefault(t, (time.perf_counter(), time.time()))
            )
            ended = session.run(space, folder, engine="tune", watch=watch, track=False)
            rows = record.read(ended.folder.records).rows
        wall = stages["writing the report"][0] - stages["training"][0]
        took = statistics.fmean(row["seconds"] for row in rows)
        start = min(row["finished"] - row["seconds"] for row in rows) - stages["training"][1]
        given = Known([took / 5], rows[0], 0.0, 0.0, 0.002, 0.0)
        found = simulated(agenda_of(text), given, count, seconds=by_record(given), start=start)
        real = len(rows) * took / count / wall
        out.append(
            {
                "workers": count,
                "start": start,
                "real_wall": wall,
                "simulated_wall": found.wall,
                "real": real,
                "simulated": found.efficiency,
            }
        )
        print(
            f"{count} workers: {wall:.1f} s real, {found.wall:.1f} s simulated, "
            f"{start:.1f} s of each until the first run begins; "
            f"efficiency {real:.2f}, {found.efficiency:.2f}",
            flush=True,
        )
    ray.shutdown()
    return out


def shown(found: Figures) -> str:
    """A line of the table."""
    return (
        f"| {found.workers} | {found.rows:,} | {100 * found.efficiency:.0f} % | {found.wall / 3600:.2f} | "
        f"{100 * found.driver:.0f} % | {found.files:,} | {found.megabytes:,.0f} | {found.mlflow_hours:.2f} | "
        f"{found.head_gb:.2f} |"
    )


def main() -> None:
    """Print the table and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64, 1000])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument(
        "--slower", type=float, default=1.0, help="task times are so many times those on record"
    )
    parser.add_argument(
        "--stack", type=int, default=1, help="lessons of a stack: jobs are not cut below that"
    )
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--ahead", type=int, nargs="+", default=[4, 64, 1000])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a trial of --check")
    parser.add_argument("--runs", type=int, default=40, help="of --check")
    asked = parser.parse_args()
    if asked.check:
        print(json.dumps({"check": check(asked.seconds, asked.runs, asked.workers)}))
        return
    given = known(asked.study)
    given = given._replace(tasks=[asked.slower * one for one in given.tasks])
    print(
        f"a task {statistics.fmean(given.tasks):.3f} s; a row {given.sent:.0f} bytes sent, {given.held:.0f} "
        f"held; to take rows in {1e3 * given.fixed:.1f} ms and {1e6 * given.each:.1f} µs for each on record"
    )
    print("| workers | runs | efficiency | hours | driver | files | MB sent | MLflow hours | head GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    table = []
    for rows, workers in itertools.product(asked.rows, asked.workers):
        for ahead in asked.ahead if asked.search else (0,):
            text = (
                SPACE + SEARCH.format(suggestions=rows // 10, ahead=ahead)
                if asked.search
                else confirmation(rows)
            )
            found = simulated(agenda_of(text, asked.stack), given, workers, seconds=by_record(given))
            print((f"ahead {ahead} " if ahead else "") + shown(found), flush=True)
            table.append(found._asdict() | {"ahead": ahead})
    print(
        json.dumps({"study": asked.study.name, "slower": asked.slower, "stack": asked.stack, "table": table})
    )


if __name__ == "__main__":
    main()
