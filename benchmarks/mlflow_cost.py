"""What it costs to write a sweep's runs to MLflow, beside the bare client given the same content.

Both write the same runs (trials and the suggestions above them: equal tags, parameters, points) to fresh
SQLite stores, taking turns suggestion by suggestion, since a busy machine changes its pace. The bare client
is handed finished entities and calls create_run (with all tags), log_batch (with all parameters and points)
and set_terminated once a run, which is the least that makes a run with something in it. Ours starts from
record rows, so metrics, identity, data sets, figures of suggestions and the writer's thread are in its time,
and so is ending the sweep's own run. Opening a store, which makes its tables, counts for neither.
The last column is the time of the bare client's log_batch calls alone, without the runs they write to.
"""

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a clone, installed or not
from sweep.tracking import SETTINGS, Findings, Place, Tracker

TASKS, ORDERS = 5, 20
ALLOWED = 1.5


def rows(count: int) -> list[dict[str, Any]]:
    """Record rows of made-up suggestions, ORDERS orders each."""
    chance = np.random.default_rng(0)
    return [row(number, chance) for number in range(count)]


def row(number: int, chance: np.random.Generator) -> dict[str, Any]:
    """One row as the record keeps it: 15 settings, an order, two matrices."""
    valid, test = chance.random((2, TASKS + 1, TASKS)).astype(np.float32).tolist()
    settings = {
        "benchmark": {"name": "split", "dataset": "digits", "classes": 2, "valid": 0.2, "seed": 0},
        "model": {"name": "mlp", "widths": [100, 100], "activation": "relu"},
        "method": {"name": "nai", "strength": 0.1 * (number // ORDERS), "normalization": "neuron_std"},
        "training": {"epochs": 20, "batch": 32, "rate": 1e-3, "optimizer": "fresh"},
    }
    return {
        "fingerprint": f"{number:032x}",
        "suggestion": f"{number // ORDERS:012x}",
        "settings": json.dumps(settings),
        "benchmark": "split-digits",
        "scenario": "task",
        "model": "mlp",
        "method": "nai",
        "order": chance.permutation(TASKS).tolist(),
        "seed_init": 0,
        "seed_data": 0,
        "valid": valid,
        "test": test,
        "seconds": 1.0,
        "device": "cpu",
        "error": None,
        "chosen": None,
        "finished": 1.7e9 + number,
    }


def contents(uri: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the bare client is handed before its clock starts: suggestion -> its run, then its trials'."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(uri)
    out: dict[str, list[tuple[Any, ...]]] = {}
    points = logged(uri)
    experiment = client.get_experiment_by_name("ours").experiment_id
    runs = client.search_runs([experiment], "tags.`nai.kind` != 'sweep'", max_results=50000)
    for run in sorted(runs, key=lambda run: (run.data.tags["nai.kind"] != "suggestion", run.info.end_time)):
        params = [Param(*item) for item in run.data.params.items()]
        group = out.setdefault(run.data.tags["nai.suggestion"], [])
        values = [Metric(*point) for point in points.get(run.info.run_id, ())]
        group.append((run.info, dict(run.data.tags), values, params))
    return out


def logged(uri: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every point of every run: key, value, time, step; read from the database at once."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        for run, *point in database.execute("select run_uuid, key, value, timestamp, step from metrics"):
            found.setdefault(run, []).append(tuple(point))
    return found


def open_tracker(folder: Path) -> Tracker:
    """Ours, on a fresh store in the folder."""
    return Tracker(Place(f"sqlite:///{folder / 'ours.db'}", "ours", "0123456789ab", folder / "artifacts"))


def found(record: list[dict[str, Any]]) -> Findings:
    """What a sweep of these rows may have found: as many figures a suggestion as a real one has."""
    names = ("mean", "mean_low", "mean_high", *("worst", "std", "cvar", "aopd", "mopd", "forgetting"))
    figures = {"objective": 0.5, "search/mean": 0.5, "search/worst": 0.25, "search/orders": float(ORDERS)}
    figures |= {f"confirm/{name}": 0.5 for name in names}
    return Findings(
        stages={one["fingerprint"]: "search" for one in record},
        suggestions={one["suggestion"]: figures for one in record},
        labels={one["suggestion"]: f"nai {one['suggestion']}" for one in record},
    )


def wait(done: Callable[[], Any]) -> None:
    """Until the writer's thread is so far."""
    while not done():
        time.sleep(0.001)


def ours(tracker: Tracker, record: list[dict[str, Any]]) -> float:
    """Seconds from handing the rows over to the last one written."""
    started = time.perf_counter()
    tracker.submit(record, lambda row: "search")
    wait(lambda: not tracker.remaining)
    return time.perf_counter() - started


def finish(tracker: Tracker, record: list[dict[str, Any]]) -> float:
    """Seconds for the figures of suggestions and for ending what is open."""
    started = time.perf_counter()
    if problem := tracker.finish(found(record)):
        raise SystemExit(problem)
    return time.perf_counter() - started


def bare(client: Any, experiment: str, runs: list[tuple[Any, ...]]) -> tuple[float, float]:
    """Seconds for create_run, log_batch and set_terminated of every run, and those for log_batch alone."""
    batches, started = 0.0, time.perf_counter()
    for info, tags, points, params in runs:
        made = client.create_run(experiment, start_time=info.start_time, tags=tags, run_name=info.run_name)
        before = time.perf_counter()
        client.log_batch(made.info.run_id, points, params)
        batches += time.perf_counter() - before
        client.set_terminated(made.info.run_id, info.status, info.end_time)
    return time.perf_counter() - started, batches


def side_by_side(
    folder: Path, record: dict[str, list[dict[str, Any]]], runs: dict[str, list[tuple[Any, ...]]]
) -> tuple[float, float, float]:
    """Seconds of one repeat: ours, bare, and of the latter log_batch alone."""
    from mlflow import MlflowClient

    with open_tracker(folder) as tracker:
        wait(
            lambda: tracker.created or tracker.problem
        )  # the sweep's own run is the first: the store is open
        client = MlflowClient(f"sqlite:///{folder / 'bare.db'}")
        experiment = client.create_experiment("bare", artifact_location=(folder / "artifacts").as_uri())
        own, client_times = 0.0, []
        for suggestion, part in record.items():
            own += ours(tracker, part)
            client_times.append(bare(client, experiment, runs[suggestion]))
        own += finish(tracker, [row for part in record.values() for row in part])
    total, batches = (sum(column) for column in zip(*client_times, strict=True))
    return own, total, batches


def measure(count: int, repeats: int) -> list[tuple[float, float, float]]:
    """The repeats, after one turn that is not counted and from which the bare client's content is read."""
    flat = rows(count)
    record = {name: list(part) for name, part in groupby(flat, key=itemgetter("suggestion"))}
    with tempfile.TemporaryDirectory() as place:
        first = Path(place, "first")
        with open_tracker(first) as tracker:
            tracker.submit(flat, lambda row: "search")
            finish(tracker, flat)
        runs = contents(f"sqlite:///{first / 'ours.db'}")
        return [side_by_side(Path(place, str(turn)), record, runs) for turn in range(repeats)]


def main() -> int:
    """Print a table and one line of JSON; 1 when ours costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="trials to write on each side")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    times = measure(given.runs, given.repeats)
    print("repeat  ours ms/run  bare ms/run  ratio  of bare, log_batch alone")
    for turn, seconds in enumerate(times):
        own, client, batch = (1000 * each / given.runs for each in seconds)
        print(f"{turn:6d}{own:13.2f}{client:13.2f}{own / client:7.2f}{batch:26.2f}")
    ratios = [own / client for own, client, _ in times]
    middle = [1000 * statistics.median(column) / given.runs for column in zip(*times, strict=True)]
    result = {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "ms_per_run": round(middle[0], 2),
        "bare_ms_per_run": round(middle[1], 2),
        "bare_log_batch_alone_ms_per_run": round(middle[2], 2),
        "runs": given.runs,
    }
    print(json.dumps(result))
    return int(statistics.median(ratios) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
