"""What thousands of recorded rows cost to read, to rank, to analyse and to put on a page.

    python benchmarks/rows.py [--rows 1000 5000 20000] [--json]

For each size a sweep is made from arithmetic, without training, and recorded as a sweep would have done it:
two methods searched over 50 of the 120 orders of five tasks, the best of each and a baseline confirmed on all
orders and three seeds, in parts of 60 rows, and once more in a single part as a finished sweep leaves them.
Each size runs in a process of its own. Seconds by step, and the most memory the process ever held, in MB.
"""

import argparse
import hashlib
import itertools
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nai.orders import sampled
from sweep import analysis, record, report

ORDERS = tuple(itertools.permutations(range(5)))
SEARCHED = sampled(5, 50, 0)
SEEDS = ((0, 0), (1, 1), (2, 2))
ARMS = 3
"""Confirmed: the best of each of two methods, and a baseline."""
PART = 60
Row = dict[str, Any]


def settings(method: str, strength: float) -> Row:
    """What a suggestion is."""
    return {
        "benchmark": {"name": "split", "dataset": "digits", "digest": "0" * 64},
        "model": {"name": "mlp", "widths": [100, 100]},
        "method": {"name": method, "strength": strength},
        "training": {"epochs": 20, "batch": 32, "rate": 0.001},
    }


def digest(value: object) -> str:
    """A name for a value, as the sweep would give it."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def row(chosen: Row, order: tuple[int, ...], seeds: tuple[int, int], loss: float) -> Row:
    """A run that forgets `loss` of each task with each task after it, and some noise."""
    noise = np.random.default_rng([*seeds, *order, int(1e6 * loss)])
    matrix = np.full((6, 5), 0.5)
    for place, task in enumerate(order):
        matrix[place + 1 :, task] = 0.98 - loss * np.arange(5 - place) - noise.uniform(0, 0.02)
    accuracy = np.clip(matrix, 0, 1).tolist()
    return {
        "fingerprint": digest([chosen, order, seeds]),
        "suggestion": digest(chosen)[:12],
        "settings": json.dumps(chosen, sort_keys=True),
        **{name: chosen[name]["name"] for name in ("benchmark", "model", "method")},
        "scenario": "task",
        "order": list(order),
        "seed_init": seeds[0],
        "seed_data": seeds[1],
        "valid": accuracy,
        "test": accuracy,
        "effective_strength": [chosen["method"]["strength"]] * 5,
        "seconds": 0.3,
        "device": "cpu",
        "width": 32,
        "versions": '{"torch": "2.15.0"}',
        "error": None,
        "finished": 1e9 + noise.uniform(0, 1e4),
    }


def sweep(rows: int) -> tuple[list[Row], analysis.Asked]:
    """So many rows, and the question that they answer."""
    confirmed = ORDERS if rows >= 5000 else ORDERS[:20]
    count = (rows - ARMS * len(confirmed) * len(SEEDS)) // (2 * len(SEARCHED))
    strengths = np.geomspace(1e-3, 10, count)
    losses = {float(one): 0.02 + 0.02 * abs(float(np.log10(one))) for one in strengths}
    best = float(strengths[np.argmin(np.abs(np.log10(strengths)))])
    made = [
        row(settings(method, one), order, SEEDS[0], loss)
        for method in ("nai", "ewc")
        for one, loss in losses.items()
        for order in SEARCHED
    ]
    arms = [settings("nai", best), settings("ewc", best), settings("finetune", 0.0)]
    made += [row(arm, order, seeds, 0.03) for arm in arms for order in confirmed for seeds in SEEDS]
    contests = tuple(
        analysis.Contest(
            method,
            tuple(digest(settings(method, one))[:12] for one in losses),
            top=(digest(settings(method, best))[:12],),
        )
        for method in ("nai", "ewc")
    )
    distinct = {one["fingerprint"]: one for one in made}
    return list(distinct.values()), analysis.Asked(
        "rows", SEARCHED, SEEDS[:1], confirmed, SEEDS, len(distinct), contests, (digest(arms[2])[:12],)
    )


def steps(rows: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is done with a sweep of so many rows, step by step; what a step gives is kept for the next."""
    made, asked = sweep(rows)
    parts = [made[start : start + PART] for start in range(0, len(made), PART)]
    kept: dict[str, Any] = {}

    def keep(name: str, value: Any) -> Any:
        kept[name] = value
        return value

    yield "write_parts", lambda: [record.write(folder, part) for part in parts]
    yield "read_parts", lambda: record.read(folder)
    yield "compact", lambda: record.compact(folder)
    made.clear()
    parts.clear()
    yield "read", lambda: keep("rows", record.read(folder).rows)
    yield "rank", lambda: _ranked(kept["rows"], asked)
    yield "results", lambda: keep("results", analysis.results(kept["rows"], asked))
    yield (
        "report",
        lambda: report.write(
            folder / "report.html", kept["results"], kept["rows"], report.PageFacts("nai-sweep report")
        ),
    )
    yield "table", lambda: record.to_parquet(kept["rows"], folder / "results.parquet")


def _ranked(rows: list[Row], asked: analysis.Asked) -> Any:
    """The ranking of a search, as it stands after each suggestion."""
    return analysis.ranking(analysis.arms(rows), asked.search_orders, asked.search_seeds)


def measured(rows: int) -> dict[str, Any]:
    """Seconds of each step, and memory."""
    found: dict[str, Any] = {"rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        for name, step in steps(rows, Path(folder)):
            started = time.perf_counter()
            step()
            found[name] = round(time.perf_counter() - started, 3)
    found["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 5000, 20000])
    parser.add_argument("--json", action="store_true", help="nothing but one line of JSON")
    given = parser.parse_args()
    fresh = multiprocessing.get_context("spawn")
    found = []
    for rows in given.rows:
        with fresh.Pool(1) as pool:
            found.append(pool.apply(measured, (rows,)))
        if not given.json:
            print("  ".join(f"{name} {value}" for name, value in found[-1].items()), flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
