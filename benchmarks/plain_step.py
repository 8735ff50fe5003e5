"""One training step of a heavy net with the NAI penalty on, against a bare PyTorch step without any method.

    python benchmarks/plain_step.py [--repeats 15] [--steps 60]

MLP 784-256-256-10, batch 64, fused Adam, one thread. Both sides look their batch up by index; ours is
`nai.learn` itself, with everything that it does in a step. Repeats are interleaved, the ratio is taken within
each. Ends with one line of JSON; exit code 1 when the median ratio is above 1.5.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nai.learn import Lesson, World, begin, learn
from nai.methods import Context, Memory, Nai
from nai.models import Network, Params
from nai.seeds import Seeds
from nai.tasks import Benchmark, Rows, Task
from nai.training import Training
from nai.trial import Named, world_of
from sweep.bundle import prepare

BATCH = 64
BAR = 1.5


def made(steps: int) -> World:
    """Two tasks of random images with so many batches each."""
    count, chance = steps * BATCH, np.random.default_rng(0)
    tasks, owners = [], []
    for task in range(2):
        first = task * (count + 64)
        parts = np.split(np.arange(first, first + count + 64), [count, count + 32])
        tasks.append(Task(f"task {task}", tuple(range(5 * task, 5 * task + 5)), *parts))
        owners.append(chance.integers(5 * task, 5 * task + 5, count + 64))
    inputs = chance.random((2 * (count + 64), 784), dtype=np.float32)
    benchmark = Benchmark.of("random", "task", tasks, inputs=inputs, labels=np.concatenate(owners))
    return world_of(benchmark, Named.of("mlp", widths=[256, 256]))


class Bare:
    """The step of a plain PyTorch loop."""

    def __init__(self, world: World) -> None:
        self.world = world
        layers = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
        self.net = nn.Sequential(*layers)
        self.optimizer = torch.optim.Adam(self.net.parameters(), fused=True)

    def epoch(self) -> None:
        """One pass over a task."""
        for part in self.world.train[1][torch.randperm(len(self.world.train[1]))].split(BATCH):
            self.optimizer.zero_grad()
            logits = self.net(self.world.source.inputs[part])
            F.cross_entropy(logits, self.world.source.labels[part]).backward()
            self.optimizer.step()


def ours(world: World, first: Lesson) -> None:
    """One pass of the second task with the penalty of the first, without its end: the importance pass."""
    learn(
        [first],
        [1],
        world,
        Penalised(strength=0.1),
        training=Training(epochs=1, batch=BATCH),
        seeds=[Seeds()],
    )


class Penalised(Nai):
    """NAI without what it does once a task, which is no part of a step."""

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, memory


def seconds(work: Callable[..., object], *args: object) -> float:
    """Time that a piece of work takes."""
    started = time.perf_counter()
    work(*args)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--steps", type=int, default=60)
    asked = parser.parse_args()
    prepare(1)
    world = made(asked.steps)
    bare, method = Bare(world), Nai(strength=0.1)
    training = Training(epochs=1, batch=BATCH)
    first = learn([begin(world, method, Seeds())], [0], world, method, training=training, seeds=[Seeds()])[0]
    pairs = [(seconds(bare.epoch), seconds(ours, world, first)) for _ in range(asked.repeats + 1)][1:]
    ratios = [b / a for a, b in pairs]
    figures = {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "bare_ms_per_step": round(1e3 * statistics.median(a for a, _ in pairs) / asked.steps, 3),
        "ms_per_step": round(1e3 * statistics.median(b for _, b in pairs) / asked.steps, 3),
        "bar": BAR,
    }
    print(f"bare {figures['bare_ms_per_step']} ms, with NAI {figures['ms_per_step']} ms a step")
    print(json.dumps(figures))
    return int(figures["ratio"] > BAR)


if __name__ == "__main__":
    sys.exit(main())
