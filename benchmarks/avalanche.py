"""Our runs and order studies beside Avalanche's, and single runs beside a bare PyTorch loop, in one sitting.

    python benchmarks/avalanche.py --python ENV/bin/python [--part run study digits] [--data FOLDER] [--quick]

avalanche-lib is no dependency of this project: `--python` names the interpreter of an environment that has
it (`pip install avalanche-lib==0.6.0`); by default it is this one.

run: Split MNIST, 5 tasks of 2 classes, MLP 784-256-256, batch 64, Adam 1e-3 afresh for each task, 1 epoch;
Avalanche, ours and the bare loop (benchmarks/bare.py) take turns. All three evaluate all five test sets
before the first task and after each. study: 24 orders x 2 strengths of EWC on two processes a side.
digits: all 120 orders of scikit-learn's digits, MLP 64-100-100, 20 epochs, batch 32. Of the two studies
Avalanche runs a sample of `--sample` runs, scaled to all; ours run whole.

A run has one thread, so its seconds are of processor time, which other programs on the machine hardly
change; those of `study` are of wall time, and its ratio is given by processor time as well. Avalanche gets
what suits it: tensors in memory, accuracy as the only metric, no logger. `--fused` gives it fused Adam as
well, which the other two have. With `--data` (or NAI_DATA) the images are the real MNIST, else made up in its
shape. Strengths are those that did well on MNIST, in each tool's own convention. Ends with one line of JSON;
exit code 1 when a median misses its bar. `--quick`: a sixth of the images, one repeat, no study.
"""

import argparse
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a clone, installed or not
import bare
import numpy as np
import torch
from avalanche_client import Avalanche
from images import TASKS, Arrays, arrays_of, benchmark_of, made_up, mnist, saved

from nai import datasets
from nai.evaluate import evaluate
from nai.learn import World, begin, learn
from nai.methods import Ewc, Finetune, Mas, Method, Si
from nai.orders import Order
from nai.seeds import Seeds
from nai.tasks import Benchmark
from nai.training import Training
from nai.trial import Named, Trial, run_many, world_of
from sweep.bundle import prepare

IMAGES = Training(epochs=1, batch=64, rate=1e-3)
DIGITS = Training(epochs=20, batch=32, rate=1e-3)
METHODS: dict[str, tuple[Method, float]] = {  # ours, and Avalanche's strength
    "finetune": (Finetune(), 0.0),
    "ewc": (Ewc(strength=300.0), 1e4),
    "si": (Si(strength=1000.0), 1e3),
    "mas": (Mas(strength=0.5), 1.0),
}
STRENGTHS = ((100.0, 3e3), (300.0, 1e4))  # of EWC in the study: ours, and Avalanche's
BARS = {"finetune": 2.5, "ewc": 2.5, "si": 3.0, "mas": 2.5, "study": 3.5}
BARS |= {"digits_finetune": 30.0, "digits_ewc": 30.0}
BARE = 1.25
ALL = list(itertools.permutations(range(TASKS)))
DRAWN = random.Random(0).sample(ALL, 24)

Figures = defaultdict[str, list[float]]


def note(figures: Figures, name: str, **values: float) -> None:
    """Add one repeat's figures and show them."""
    print(name, {k: round(v, 4) for k, v in values.items()}, flush=True)
    for key, value in values.items():
        figures[f"{name}_{key}"].append(value)


def timed(work: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> tuple[float, Any]:
    """Seconds that a piece of work takes, and what it gives."""
    started = clock()
    result = work()
    return clock() - started, result


def ours(world: World, method: Method, order: Order, seed: int) -> torch.Tensor:
    """Test accuracy of one run alone, [tasks + 1, tasks]."""
    seeds = [Seeds(seed, seed)]
    lessons = [begin(world, method, seeds[0])]
    rows = evaluate(lessons, world, method)
    for task in order:
        lessons = learn(lessons, [task], world, method, training=IMAGES, seeds=seeds)
        rows += evaluate(lessons, world, method)
    return torch.stack([row.test for row in rows])


# ------------------------------------------------------------------ one run
def single(data: Arrays, asked: argparse.Namespace, folder: Path, figures: Figures) -> None:
    """Part run: Avalanche, ours and the bare loop in turn."""
    world = world_of(benchmark_of(data), Named.of("mlp", widths=[256, 256]))
    file = saved(folder / "images.npz", data)
    with Avalanche(asked.python, file, [256, 256], fused=asked.fused) as side:
        side.run("finetune", 0.0, ALL[0], IMAGES)  # warm up
        ours(world, Finetune(), ALL[0], 0)
        for seed in range(asked.repeats):
            for name in METHODS:
                turn(side, world, name, seed, figures)
        idle_si(side, figures)


def turn(side: Avalanche, world: World, name: str, seed: int, figures: Figures) -> None:
    """One method, once on each side."""
    (method, their_strength), order = METHODS[name], ALL[0]
    strength = float(getattr(method, "strength", 0.0))
    theirs = side.run(name, their_strength, order, IMAGES, seed=seed)
    own, accuracy = timed(lambda: ours(world, method, order, seed))
    plain, plain_accuracy = timed(
        lambda: bare.run(world, order, IMAGES, method=name, strength=strength, seed=seed)
    )
    note(
        figures,
        name,
        avalanche_over_ours=theirs["seconds"] / own,
        ours_over_bare=own / plain,
        seconds=own,
        accuracy=float(accuracy[-1].mean()),
        accuracy_avalanche=statistics.mean(theirs["accuracy"][-1]),
        accuracy_bare=float(plain_accuracy[-1].mean()),
    )


def idle_si(side: Avalanche, figures: Figures) -> None:
    """Whether Avalanche's SI feels its strength: final weights at 0 and 1000, as published and repaired."""
    for name in ("si", "si_repaired"):
        idle, harsh = (side.run(name, strength, ALL[0], IMAGES) for strength in (0.0, 1e3))
        differ, accuracy = idle["weights"] != harsh["weights"], statistics.mean(harsh["accuracy"][-1])
        note(figures, f"avalanche_{name}", feels_its_strength=differ, accuracy=accuracy)


# ------------------------------------------------------------------ studies
HELD: list[Benchmark] = []  # the data of this process, where it serves a study


def ready(file: str) -> None:
    """What a process of a study has before the clock starts: data and imports."""
    prepare(1)
    with np.load(file) as data:
        HELD[:] = [benchmark_of(dict(data))]


def half(orders: Sequence[Order], strengths: Sequence[float]) -> tuple[float, float]:
    """Mean final accuracy of EWC over orders and strengths, one process's share; its processor time."""
    name, model = Named.of("images"), Named.of("mlp", widths=[256, 256])
    trials = [Trial(name, model, Ewc(strength=s), IMAGES, order) for s in strengths for order in orders]
    seconds, outcomes = timed(lambda: list(run_many(trials, benchmark=HELD[0])))
    return statistics.mean(float(o.result.test[-1].mean()) for o in outcomes), seconds


def halves(orders: Sequence[Order]) -> tuple[list[Order], list[Order]]:
    """Orders in two parts of task trainings as equal in number as a cut through their sorted list allows."""
    whole = sorted(orders)
    parts = [(whole[:cut], whole[cut:]) for cut in range(1, len(whole))]
    return min(
        parts, key=lambda pair: max(len({o[:d] for o in p for d in range(1, TASKS + 1)}) for p in pair)
    )


def study(data: Arrays, asked: argparse.Namespace, folder: Path, figures: Figures) -> None:
    """Part study: 24 orders x 2 strengths, ours whole, Avalanche a sample with as many of each strength."""
    file, sample = saved(folder / "images.npz", data), DRAWN[: asked.sample // 2]
    with ExitStack() as stack:
        sides = [
            stack.enter_context(Avalanche(asked.python, file, [256, 256], fused=asked.fused)) for _ in "ab"
        ]
        threads = stack.enter_context(ThreadPoolExecutor(2))
        pool = stack.enter_context(ProcessPoolExecutor(2, get_context("spawn"), ready, (str(file),)))

        def mine() -> list[tuple[float, float]]:
            return list(pool.map(half, halves(DRAWN), [[own for own, _ in STRENGTHS]] * 2))

        def their_half(side: Avalanche, strength: float) -> list[dict[str, Any]]:
            return [side.run("ewc", strength, order, IMAGES) for order in sample]

        def theirs() -> list[dict[str, Any]]:
            parts = threads.map(their_half, sides, [their for _, their in STRENGTHS])
            return [run for part in parts for run in part]

        list(pool.map(half, [DRAWN[:1]] * 2, [[1.0]] * 2))  # imports and data are not counted
        for side in sides:
            side.run("finetune", 0.0, DRAWN[0], IMAGES)
        for _ in range(asked.study_repeats):
            their_time, runs = timed(theirs, time.perf_counter)
            own_time, parts = timed(mine, time.perf_counter)
            whole = statistics.mean(r["seconds"] for r in runs) * len(DRAWN) * len(STRENGTHS)
            note(
                figures,
                "study",
                avalanche_over_ours=their_time * len(DRAWN) / len(sample) / own_time,
                avalanche_over_ours_processor=whole / sum(seconds for _, seconds in parts),
                seconds=own_time,
                accuracy=statistics.mean(mark for mark, _ in parts),
                accuracy_avalanche=float(np.mean([r["accuracy"][-1] for r in runs])),
            )


def digits(asked: argparse.Namespace, folder: Path, figures: Figures) -> None:
    """Part digits: 120 orders of finetuning and of EWC, ours whole, Avalanche a sample."""
    name, model = Named.of("split", dataset="digits", classes=2), Named.of("mlp", widths=[100, 100])
    benchmark = datasets.benchmark("split", dataset="digits", classes=2)
    file = saved(folder / "digits.npz", arrays_of(benchmark))
    with Avalanche(asked.python, file, [100, 100], fused=asked.fused) as side:
        side.run("finetune", 0.0, ALL[0], DIGITS)  # warm up
        for repeat, method in itertools.product(range(asked.repeats), ("finetune", "ewc")):
            own, strength = METHODS[method]
            trials = [Trial(name, model, own, DIGITS, order) for order in ALL]
            sample = ALL[repeat :: len(ALL) // asked.sample][: asked.sample]
            runs = [side.run(method, strength, order, DIGITS) for order in sample]
            seconds, outcomes = timed(lambda t=trials: list(run_many(t, benchmark=benchmark)))
            marks = {o.trial.order: float(o.result.test[-1].mean()) for o in outcomes}
            note(
                figures,
                f"digits_{method}",
                avalanche_over_ours=statistics.mean(r["seconds"] for r in runs) * len(ALL) / seconds,
                seconds=seconds,
                accuracy=statistics.mean(marks[order] for order in sample),
                accuracy_avalanche=float(np.mean([r["accuracy"][-1] for r in runs])),
            )


# ------------------------------------------------------------------ all
def summary(figures: Figures) -> dict[str, Any]:
    """Medians, and the spread of what is not the same in every repeat."""
    out: dict[str, Any] = {}
    for key, values in figures.items():
        out[key] = round(statistics.median(values), 4)
        if "_over_" in key:
            out[f"{key}_spread"] = [round(min(values), 3), round(max(values), 3)]
    return out


def missed(found: dict[str, Any]) -> list[str]:
    """Bars that a median misses."""
    ratios = {name: found.get(f"{name}_avalanche_over_ours") for name in BARS}
    slow = [f"{name} {v} < {BARS[name]}" for name, v in ratios.items() if v is not None and v < BARS[name]]
    over = {key: v for key, v in found.items() if key.endswith("ours_over_bare")}
    return slow + [f"{key} {v} > {BARE}" for key, v in over.items() if v > BARE]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter that has avalanche-lib")
    parser.add_argument("--part", nargs="+", choices=("run", "study", "digits"))
    parser.add_argument("--data", default=os.environ.get("NAI_DATA"), help="folder that holds MNIST")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--study-repeats", type=int, default=1)
    parser.add_argument("--sample", type=int, default=6, help="runs of Avalanche in a study")
    parser.add_argument("--fused", action="store_true", help="fused Adam for Avalanche too")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    prepare(1)
    thin, parts = 1, asked.part or ["run", "study", "digits"]
    if asked.quick:
        thin, asked.repeats, asked.sample, parts = 6, 1, 2, asked.part or ["run", "digits"]
    data = mnist(asked.data, thin) if asked.data else made_up(thin)
    figures: Figures = defaultdict(list)
    with tempfile.TemporaryDirectory() as place:
        if "run" in parts:
            single(data, asked, Path(place), figures)
        if "study" in parts:
            study(data, asked, Path(place), figures)
        if "digits" in parts:
            digits(asked, Path(place), figures)
    found = summary(figures) | {"images": "mnist" if asked.data else "made up", "fused": asked.fused}
    found["missed"] = missed(found)
    print(json.dumps(found))
    return int(bool(found["missed"]))


if __name__ == "__main__":
    sys.exit(main())
