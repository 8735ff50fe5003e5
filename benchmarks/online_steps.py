"""What a step of the online methods costs beside plain finetuning's, on a stream of batches of 10.

    python benchmarks/online_steps.py [--repeats 5]

Digits, MLP 64-100-100, gradient descent, boundaries hidden, consolidation every 20 steps; one lesson alone
and a stack of 32. Processor time of one thread; ratios within a repeat, where the ways follow each other.
Ends with one line of JSON: milliseconds a step of finetuning, and for each method the median ratio to it with
its range.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a clone, installed or not
from nai.learn import World, begin, learn
from nai.methods import EwcPlusPlus, Finetune, Method, OnlineMas, OnlineNai, OnlineSi
from nai.seeds import Seeds
from nai.training import Training
from nai.trial import Named, load, world_of
from sweep.bundle import prepare

STEPS, EVERY = 60, 20
METHODS: dict[str, Method] = {
    "finetune": Finetune(),
    "online_si": OnlineSi(every=EVERY),
    "online_nai": OnlineNai(every=EVERY),
    "online_mas": OnlineMas(every=EVERY),
    "ewcpp": EwcPlusPlus(every=EVERY),
}
TRAINING = Training(
    epochs=1, batch=10, steps=STEPS, algorithm="sgd", rate=0.03, optimizer="kept", boundaries="hidden"
)


def milliseconds(world: World, method: Method, lessons: int) -> float:
    """Processor time of one step of so many lessons together."""
    seeds = [Seeds(n, n) for n in range(lessons)]
    starts, tasks = [begin(world, method, s) for s in seeds], [n % 5 for n in range(lessons)]
    began = time.process_time()
    learn(starts, tasks, world, method, training=TRAINING, seeds=seeds)
    return 1e3 * (time.process_time() - began) / STEPS


def row(world: World, lessons: int, repeats: int) -> dict[str, Any]:
    """Of one width of the stack: finetuning's step, and the ratios of the others to it."""
    found = [{k: milliseconds(world, m, lessons) for k, m in METHODS.items()} for _ in range(repeats + 1)][1:]
    out: dict[str, Any] = {
        "lessons": lessons,
        "finetune_ms": round(statistics.median(f["finetune"] for f in found), 3),
    }
    for name in [k for k in METHODS if k != "finetune"]:
        ratios = sorted(f[name] / f["finetune"] for f in found)
        out[name] = round(statistics.median(ratios), 2)
        out[f"{name}_spread"] = [round(ratios[0], 2), round(ratios[-1], 2)]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    prepare(1)
    benchmark = load(Named.of("split", dataset="digits", classes=2, scenario="class"))
    world = world_of(benchmark, Named.of("mlp", widths=[100, 100]))
    rows = []
    for lessons in (1, 32):
        rows.append(row(world, lessons, asked.repeats))
        print(rows[-1], flush=True)
    print(json.dumps({"stacks": rows}))


if __name__ == "__main__":
    main()
