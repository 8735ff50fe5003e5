"""Lessons per second against the size of a stack, for an MLP and a conv net, and against processes beside.

    python benchmarks/gpu_stacks.py [--device cuda] [--stacks 1 8 64 256] [--processes 1 2 4] [--json]

A lesson is one task of random data, finetuned for `--steps` steps in each precision; evaluation is left out.
`stack`: so many lessons at once in one process. `processes`: so many processes side by side, each training
`--beside` lessons at a time, on the same device. On a CPU neither of these nets stacks (nai.stack), so there
the lessons of a stack follow one another. Ways are interleaved over `--repeats` rounds, the median counts;
a stack that finds no room is null. `over_one` is the ratio to lessons one at a time in the same round.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from nai.learn import World, begin, learn
from nai.methods import Finetune
from nai.seeds import Seeds
from nai.stack import out_of_memory
from nai.tasks import Benchmark, Task
from nai.training import Training
from nai.trial import Named, place_of, world_of
from sweep.bundle import prepare

SHAPES: dict[str, tuple[int, ...]] = {"mlp": (784,), "conv": (3, 32, 32)}
OPTIONS: dict[str, dict[str, Any]] = {"mlp": {"widths": [256, 256]}, "conv": {}}
PRECISIONS = ("float32", "bfloat16")


class Case(NamedTuple):
    """What a lesson is."""

    model: str
    precision: str
    device: str
    batch: int
    steps: int


def world(case: Case) -> World:
    """One task of random inputs, 10 classes."""
    count = case.batch * case.steps
    chance = np.random.default_rng(0)
    parts = np.split(np.arange(count + 64), [count, count + 32])
    benchmark = Benchmark.of(
        "random",
        "class",
        [Task("all", tuple(range(10)), *parts)],
        inputs=chance.random((count + 64, *SHAPES[case.model]), dtype=np.float32),
        labels=np.arange(count + 64) % 10,
    )
    return world_of(benchmark, Named.of(case.model, **OPTIONS[case.model]), case.device)


def trained(where: World, case: Case, lessons: int) -> float:
    """Seconds that so many lessons take at once."""
    first = begin(where, Finetune(), Seeds())
    training = Training(epochs=1, batch=case.batch, precision=case.precision)
    _wait(where)
    began = time.perf_counter()
    learn([first] * lessons, [0] * lessons, where, Finetune(), training=training, seeds=[Seeds()] * lessons)
    _wait(where)
    return time.perf_counter() - began


def _wait(where: World) -> None:
    if where.device.type == "cuda":
        torch.cuda.synchronize(where.device)


# ------------------------------------------------------------------ one process, several processes
def stacked(case: Case, sizes: list[int], repeats: int) -> list[dict[str, Any]]:
    """Lessons per second for each size of a stack."""
    where = world(case)
    rounds = [{size: _rate(where, case, size) for size in sizes} for _ in range(repeats + 1)][1:]
    return [_row(rounds, size, sizes[0], stack=size, processes=1) for size in sizes]


def _rate(where: World, case: Case, lessons: int) -> float | None:
    try:
        return lessons / trained(where, case, lessons)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        torch.cuda.empty_cache()
        return None


def beside(case: Case, counts: list[int], lessons: int, repeats: int) -> list[dict[str, Any]]:
    """Lessons per second of so many processes together, each with stacks of so many lessons."""
    rounds = [{count: _together(case, count, lessons) for count in counts} for _ in range(repeats)]
    return [_row(rounds, count, counts[0], stack=lessons, processes=count) for count in counts]


def _together(case: Case, count: int, lessons: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(count)
    with context.Pool(count, initializer=_meet, initargs=(ready,)) as pool:
        spans = pool.starmap(_worked, [(case, lessons)] * count, chunksize=1)
    return count * lessons / (max(end for _, end in spans) - min(start for start, _ in spans))


def _meet(ready: Any) -> None:
    global barrier
    barrier = ready


def _worked(case: Case, lessons: int) -> tuple[float, float]:
    """When a warm process began and ended its lessons, by the clock that all processes share."""
    prepare(1)
    where = world(case)
    trained(where, case, lessons)
    barrier.wait()
    began = time.monotonic()
    trained(where, case, lessons)
    return began, time.monotonic()


def _row(rounds: list[dict[int, float | None]], key: int, base: int, **facts: int) -> dict[str, Any]:
    pairs = [(r[key], r[base]) for r in rounds]
    rates = [rate for rate, _ in pairs if rate is not None]
    ratios = sorted(rate / one for rate, one in pairs if rate is not None and one is not None)
    if not rates:
        return {**facts, "lessons_per_second": None, "over_one": None, "from": None, "to": None}
    return {
        **facts,
        "lessons_per_second": round(statistics.median(rates), 3),
        "over_one": round(statistics.median(ratios), 3) if ratios else None,
        "from": round(ratios[0], 3) if ratios else None,
        "to": round(ratios[-1], 3) if ratios else None,
    }


# ------------------------------------------------------------------ command line
def results(asked: argparse.Namespace, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    for model in asked.models:
        for precision in PRECISIONS:
            case = Case(model, precision, asked.device, asked.batch, asked.steps)
            rows = stacked(case, asked.stacks, asked.repeats)
            rows += beside(case, asked.processes, asked.beside, asked.repeats) if asked.processes else []
            for row in rows:
                say(f"{model} {precision} {row}")
                yield {"model": model, "precision": precision, **row}


def parsed(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--stacks", nargs="+", type=int, default=[1, 8, 64, 256])
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2, 4])
    parser.add_argument("--beside", type=int, default=1, help="lessons of each process at a time")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="nothing but one line of JSON")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    asked = parsed(given)
    prepare(1)
    place = place_of(asked.device)
    card = torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu"
    rows = list(results(asked, (lambda text: None) if asked.json else print))
    print(json.dumps({"device": card, "batch": asked.batch, "steps": asked.steps, "rows": rows}))


if __name__ == "__main__":
    main()
