"""What thousands of recorded rows cost: reading, ranking, analysis, and the commands that show a sweep.

    python benchmarks/rows.py [--rows 1000 5000 20000] [--json]

For each size a sweep is made from arithmetic, without training, and recorded as a sweep would have done it:
two methods searched over 50 of the 120 orders of five tasks, the best of each and a baseline confirmed on all
orders and three seeds. First as a sweep under way has them, in parts of 60 rows, then in a single part, as a
finished sweep leaves them. Commands run in processes of their own, as a person would start them. Seconds of
each step, and of each command the most memory that it held, in MB.
"""

import argparse
import hashlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nai.orders import sampled
from sweep import analysis, record, report
from sweep.standing import Snapshot, keep

Made = TypeVar("Made")
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
    return dict.fromkeys(record.SCHEMA.names) | {
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


def laid_out(folder: Path, rows: int) -> analysis.Asked:
    """A sweep's folder with so many rows, and the question that they answer."""
    made, asked = sweep(rows)
    for start in range(0, len(made), PART):
        record.write(folder / "records", made[start : start + PART])
    (folder / "space.toml").write_text('name = "rows"\n')  # the snapshot says what it would say
    keep(folder / "progress.json", Snapshot(asked, "confirmation", None))
    return asked


MEASURED = """
import json, resource
from pathlib import Path
from sweep.cli import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(json.dumps({"cpu": round(used.ru_utime + used.ru_stime, 2), "mb": int(peak) // 1024}))
"""
# the kernel's ru_maxrss would count the process that starts it, so a child says its own peak


def command(*words: str) -> dict[str, float]:
    """Seconds and memory of a command in a process of its own."""
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, "-c", MEASURED, *words], stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise RuntimeError(f"nai-sweep {' '.join(words)} ended with {ended.returncode}")
    return {"s": round(time.perf_counter() - started, 2)} | json.loads(ended.stdout.splitlines()[-1])


def timed(step: Callable[[], Made]) -> tuple[float, Made]:
    """Seconds of a step, and what it made."""
    started = time.perf_counter()
    made = step()
    return round(time.perf_counter() - started, 3), made


def measured(rows: int, folder: Path) -> dict[str, Any]:
    """What each step costs with so many rows."""
    found: dict[str, Any] = {}
    records = folder / "records"
    found["write"], asked = timed(lambda: laid_out(folder, rows))
    found["read_parts"], _ = timed(lambda: record.read(records))
    for name in ("status", "report"):
        found[f"{name}_parts"] = command(name, str(folder))
    found["compact"], _ = timed(lambda: record.compact(records))
    found["read"], known = timed(lambda: record.read(records).rows)
    found["rank"], _ = timed(lambda: ranked(known, asked))
    found["results"], results = timed(lambda: analysis.results(known, asked))
    found["page"], _ = timed(lambda: report.render(results, known, report.PageFacts("")))
    for name in ("status", "report"):
        found[name] = command(name, str(folder))
    return {"rows": len(known), **found}


def ranked(rows: Sequence[Row], asked: analysis.Asked) -> Any:
    """The ranking of a whole search."""
    return analysis.ranking(analysis.arms(rows), asked.search_orders, asked.search_seeds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 5000, 20000])
    parser.add_argument("--json", action="store_true", help="nothing but one line of JSON")
    given = parser.parse_args()
    found = []
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measured(rows, Path(folder)))
        if not given.json:
            print("  ".join(f"{name} {value}" for name, value in found[-1].items()), flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
