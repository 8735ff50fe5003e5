"""A whole order study, searched and confirmed, against its own runs one by one by the same code.

    python benchmarks/order_study.py [--workers 2] [--sample 48] [--suggestions 20] [--engine tune|inline]

Five digit tasks, MLP 64-100-100, NAI: suggestions are judged on all 120 orders in rungs, then the best and
finetuning run on all 120 orders with three seeds. Two random samples of the runs on record are then timed one
by one by the same code, on as many processes as the study had workers. Wall time of the study is that of the
whole call, with the start of Ray and the report. Ends with one line of JSON.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a clone, installed or not
from sweep import record
from sweep.space import loads

SPACE = """\
name = "order_study_cost"
[benchmark]
name = "split"
dataset = "digits"
classes = 2
[model]
name = "mlp"
widths = [100, 100]
[method]
name = "nai"
strength = {{low = 1e-3, high = 1.0, log = true}}
normalization = {{choices = ["neuron_std", "layer_mean", "layer_max"]}}
[training]
epochs = {epochs}
batch = 32
rate = 1e-3
[orders]
design = "all"
[search]
sampler = "tpe"
suggestions = {suggestions}
ahead = {ahead}
rungs = [5, 10, 20, 40]
stopping = "race"
level = 0.05
[confirm]
baselines = ["finetune"]
[confirm.orders]
design = "all"
[confirm.seeds]
init = [0, 1, 2]
data = [0, 1, 2]
"""


def alone(rows: Sequence[dict[str, Any]]) -> float:
    """Seconds of these runs one after the other in this process, each as if there were no other."""
    from nai import trial
    from sweep import bundle
    from sweep.jobs import Run

    bundle.prepare(1)
    settings = json.loads(rows[0]["settings"])
    settings["benchmark"].pop("digest")
    benchmark = trial.load(trial.Named.of(**settings["benchmark"]))
    trials = []
    for row in rows:
        chosen = json.loads(row["settings"])
        chosen["benchmark"].pop("digest")
        run = Run(tuple(row["order"]), (row["seed_init"], row["seed_data"]))
        trials.append(bundle.trial_of(chosen, run))
    trial.run(trials[0], benchmark=benchmark)  # warms up
    began = time.perf_counter()
    for one in trials:
        trial.run(one, benchmark=benchmark)
    return time.perf_counter() - began


def one_by_one(rows: Sequence[dict[str, Any]], workers: int) -> float:
    """Wall seconds a run, of so many processes side by side that each take their share of the runs."""
    parts = [rows[n::workers] for n in range(workers)]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        seconds = list(pool.map(alone, parts))
    return max(seconds) / len(rows)


def study(args: argparse.Namespace, out: Path) -> tuple[float, dict[str, Any]]:
    """Wall seconds of the study, and its results."""
    import os

    from sweep.session import run

    os.environ["OMP_NUM_THREADS"] = "1"
    space = loads(SPACE.format(epochs=args.epochs, suggestions=args.suggestions, ahead=args.ahead))
    began = time.perf_counter()
    ended = run(space, out, engine=args.engine, track=False)
    return time.perf_counter() - began, dict(ended.results)


def main() -> None:
    """Prints the study's cost beside that of its runs one by one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=48)
    parser.add_argument("--suggestions", type=int, default=20)
    parser.add_argument("--ahead", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--engine", choices=("tune", "inline"), default="tune")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wall, found = study(args, Path(folder) / "out")
        rows = [row for row in record.read(Path(folder) / "out" / "records").rows if row["error"] is None]
    samples = [random.Random(n).sample(rows, args.sample) for n in range(2)]
    times = [one_by_one(some, args.workers) for some in samples]
    each = statistics.mean(times)
    result = {
        "runs": len(rows),
        "wall_s": round(wall, 1),
        "training_s": round(sum(row["seconds"] for row in rows), 1),
        "one_by_one_s": round(each * len(rows), 1),
        "ratio": round(each * len(rows) / wall, 2),
        "from": round(min(times) * len(rows) / wall, 2),
        "to": round(max(times) * len(rows) / wall, 2),
        "saved_by_rungs": round(found["saved"]["share"], 3),
        "ratio_to_full_grid": round(
            each * (len(rows) + found["saved"]["full"] - found["saved"]["ran"]) / wall, 2
        ),
        "workers": args.workers,
    }
    said = f"{len(rows)} runs in {wall:.1f} s, one by one {each * len(rows):.0f} s: {result['ratio']} times"
    print(f"{said}; the rungs saved {100 * result['saved_by_rungs']:.0f} % of the search")
    print(f"against the full grid one by one: {result['ratio_to_full_grid']} times")
    print(json.dumps(result))
    if args.json:
        args.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
