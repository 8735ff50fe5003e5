"""What replay costs: the second task by each method of replay against finetuning, same steps, same machine.

    python benchmarks/replay_steps.py [--repeats 5]

Random images, defaults (200 samples in the buffer, a replayed batch as large as the step's own), one thread.
Light: MLP 64-100-100, batch 32, alone and in a stack of 32. Heavy: MLP 784-400-400, batch 128, alone. A
ratio is the median over interleaved repeats. Ends with one line of JSON.
"""

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
import torch

from nai.learn import World, begin, learn
from nai.methods import METHODS
from nai.seeds import Seeds
from nai.tasks import Benchmark, Task
from nai.training import Training
from nai.trial import Named, world_of

NAMES = ("finetune", "er", "agem", "der", "derpp", "mir", "gss", "gdumb", "latent_replay")


def made(features: int, units: int, count: int) -> World:
    """Two tasks of so many random images, class-incremental, and an MLP with two hidden layers."""
    tasks, labels, chance = [], [], np.random.default_rng(0)
    for number in range(2):
        first = number * (count + 64)
        parts = np.split(np.arange(first, first + count + 64), [count, count + 32])
        tasks.append(Task(f"task {number}", (2 * number, 2 * number + 1), *parts))
        labels.append(chance.integers(2 * number, 2 * number + 2, count + 64))
    inputs = chance.random((2 * (count + 64), features), dtype=np.float32)
    benchmark = Benchmark.of("random", "class", tasks, inputs=inputs, labels=np.concatenate(labels))
    return world_of(benchmark, Named.of("mlp", widths=[units, units]))


def compare(world: World, stack: int, training: Training, repeats: int) -> dict[str, Any]:
    """Ratio of each method to finetuning, and the spread of the ratios."""
    seeds = [Seeds(0, n) for n in range(stack)]
    given = {"world": world, "training": training, "seeds": seeds}
    methods = {name: METHODS[name]() for name in NAMES}
    firsts = {
        name: learn([begin(world, m, s) for s in seeds], [0] * stack, method=m, **given)
        for name, m in methods.items()
    }
    times: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(repeats):
        for name, method in methods.items():
            begun = time.perf_counter()
            learn(firsts[name], [1] * stack, method=method, **given)
            times[name].append(time.perf_counter() - begun)
    found: dict[str, Any] = {}
    for name in NAMES[1:]:
        ratios = sorted(a / b for a, b in zip(times[name], times["finetune"], strict=True))
        found |= {name: statistics.median(ratios), f"{name}_spread": (ratios[0], ratios[-1])}
    return found


def main() -> None:
    """Prints one table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    light, heavy = made(64, 100, 256), made(784, 400, 2560)
    short = Training(epochs=4, batch=32)
    found = {
        "light, alone": compare(light, 1, short, repeats),
        "light, stack of 32": compare(light, 32, short, repeats),
        "heavy, alone": compare(heavy, 1, Training(epochs=2, batch=128), repeats),
    }
    print(f"{'method':14}" + "".join(f"{title:>20}" for title in found))
    for name in NAMES[1:]:
        print(f"{name:14}" + "".join(f"{part[name]:20.2f}" for part in found.values()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
