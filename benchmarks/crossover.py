"""Where stacks stop paying on a CPU: what a lesson's step costs in a stack and plain, by size of net.

    python benchmarks/crossover.py [--repeats 5]

One thread, finetuning with batch 32 on random data. `nai.stack.LIGHT` is set from it, by hand: the path must
be a constant, since it decides bits. Ends with one line of JSON: milliseconds a lesson and step, their ratio.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np

from nai import stack
from nai.learn import World, begin, learn
from nai.methods import Finetune
from nai.seeds import Seeds
from nai.tasks import Benchmark, Task
from nai.training import Training
from nai.trial import Named, world_of
from sweep.bundle import prepare

SIZES = (
    (64, 100, 100),
    (64, 200, 200),
    (196, 100, 100),
    (196, 200, 200),
    (784, 64, 64),
    (784, 100, 100),
    (784, 256, 256),
)
BATCH, STEPS, WIDTH = 32, 20, 32


def made(features: int, widths: Sequence[int]) -> World:
    """One task of random inputs, 10 classes."""
    count = BATCH * STEPS
    chance = np.random.default_rng(0)
    parts = np.split(np.arange(count + 64), [count, count + 32])
    benchmark = Benchmark.of(
        "random",
        "class",
        [Task("all", tuple(range(10)), *parts)],
        inputs=chance.random((count + 64, features), dtype=np.float32),
        labels=np.arange(count + 64) % 10,
    )
    return world_of(benchmark, Named.of("mlp", widths=list(widths)))


def milliseconds(world: World, lessons: int, light: int) -> float:
    """Of one lesson's step, when nets up to `light` parameters stack."""
    first = begin(world, Finetune(), Seeds())
    some, tasks, seeds = [first] * lessons, [0] * lessons, [Seeds()] * lessons
    started = time.perf_counter()
    with mock.patch.object(stack, "LIGHT", light):
        learn(some, tasks, world, Finetune(), training=Training(epochs=1, batch=BATCH), seeds=seeds)
    return 1e3 * (time.perf_counter() - started) / STEPS / lessons


def row(features: int, widths: Sequence[int], repeats: int) -> dict[str, Any]:
    """Medians over interleaved repeats for one net."""
    world = made(features, widths)
    pairs = [(milliseconds(world, WIDTH, 10**9), milliseconds(world, 4, 0)) for _ in range(repeats + 1)][1:]
    together, plain = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    numbers = sum(s.numel() for s in world.net.shapes().values())
    ratio = statistics.median(a / b for a, b in pairs)
    return {
        "net": "-".join(map(str, (features, *widths, 10))),
        "parameters": numbers,
        "stacked_ms": round(together, 4),
        "plain_ms": round(plain, 4),
        "stacked_over_plain": round(ratio, 3),
        "stacks_now": numbers <= stack.LIGHT,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    prepare(1)
    rows = []
    for features, *widths in SIZES:
        rows.append(row(features, widths, asked.repeats))
        print(rows[-1], flush=True)
    print(json.dumps({"width": WIDTH, "light": stack.LIGHT, "nets": rows}))


if __name__ == "__main__":
    main()
