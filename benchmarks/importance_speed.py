"""Importance of 10,000 samples by the algebra of linear layers, against PyTorch's `vmap(grad)`.

    python benchmarks/importance_speed.py [--repeats 5] [--samples 10000] [--kept]

Fisher information of the true labels, and MAS, of an MLP 784-256-256-10; one thread. The other side is
PyTorch's recipe for per-sample gradients, in chunks of the size that was fastest in a first trial. Repeats
are interleaved, the ratio, of processor time, is taken within each. Before that, both are compared with one
backward pass a sample: the largest difference, over the largest value of each tensor. `--kept` keeps freed
memory, as workers of a sweep do, which helps the other side most. Ends with one line of JSON; exit code 1
when a median ratio is below 15, or a difference above 1e-5.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from nai.feed import pad
from nai.importance.gradients import Power, Score, likelihood, output_norm, per_sample, size, square
from nai.learn import World, begin
from nai.methods import Finetune
from nai.models import Params
from nai.seeds import Seeds
from nai.tasks import Batch, Benchmark, Task
from nai.trial import Named, world_of
from sweep.bundle import prepare

BAR, CLOSE = 15, 1e-5
CHUNKS = (8, 16, 32, 128, 512)
COMPARED = 128
"""Samples of the comparison with single backward passes."""


def made(samples: int) -> World:
    """One task of random images with ten classes."""
    count, chance = samples + 20, np.random.default_rng(0)
    parts = np.split(np.arange(count), [samples, samples + 10])
    inputs = chance.random((count, 784), dtype=np.float32)
    task = Task("random", tuple(range(10)), *parts)
    benchmark = Benchmark.of("random", "class", [task], inputs=inputs, labels=chance.integers(0, 10, count))
    return world_of(benchmark, Named.of("mlp", widths=[256, 256]))


class Side:
    """One importance by each way, mean over the first samples."""

    def __init__(self, world: World, score: Score, power: Power, value: Callable[..., Tensor]) -> None:
        self.world, self.score, self.power = world, score, power
        self.params = begin(world, Finetune(), Seeds()).params
        self.net = nn.Sequential(
            nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        )
        self.plain = dict(zip(dict(self.net.named_parameters()), self.params.values(), strict=True))
        self.slope = grad(lambda p, x, y: value(functional_call(self.net, p, (x[None],)), y[None]))
        self.inputs, self.labels = world.source.inputs, world.source.labels

    def ours(self, samples: int) -> list[Tensor]:
        """By `nai.importance`."""
        rows = pad(self.world.train[0][:samples], samples)
        found = per_sample(
            self.world.net, self.params, rows, self.world.source, score=self.score, power=self.power
        )
        return [found[k] for k in self.params]

    def vmapped(self, samples: int, chunk: int) -> list[Tensor]:
        """By `vmap(grad)`."""
        each = vmap(self.slope, in_dims=(None, 0, 0))
        total = [torch.zeros_like(v) for v in self.params.values()]
        for at in range(0, samples, chunk):
            part = slice(at, min(at + chunk, samples))
            self._add(total, each(self.plain, self.inputs[part], self.labels[part]), samples)
        return total

    def looped(self, samples: int) -> list[Tensor]:
        """By one backward pass a sample."""
        total = [torch.zeros_like(v) for v in self.params.values()]
        for x, y in zip(self.inputs[:samples], self.labels[:samples], strict=True):
            one = {k: g[None] for k, g in self.slope(self.plain, x, y).items()}
            self._add(total, one, samples)
        return total

    def _add(self, total: list[Tensor], grads: Params, samples: int) -> None:
        for sum_, g in zip(total, grads.values(), strict=True):
            sum_ += self.power(g).sum(0) / samples


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest difference, over the largest value of each tensor."""
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


def seconds(work: Callable[..., object], *args: object, times: int = 1) -> float:
    """Processor time of a piece of work, mean over some times."""
    started = time.process_time()
    for _ in range(times):
        work(*args)
    return (time.process_time() - started) / times


def measured(side: Side, samples: int, repeats: int) -> dict[str, Any]:
    """Figures of one importance."""
    trial = max(CHUNKS) * 2
    chunk = min(CHUNKS, key=lambda c: min(seconds(side.vmapped, trial, c) for _ in range(2)))
    looped = side.looped(COMPARED)
    found = (side.ours(COMPARED), side.vmapped(COMPARED, chunk))
    pairs = [
        (seconds(side.vmapped, samples, chunk), seconds(side.ours, samples, times=5))
        for _ in range(repeats + 1)
    ][1:]
    ratios = [a / b for a, b in pairs]
    return {
        "speedup": round(statistics.median(ratios), 1),
        "speedup_spread": [round(min(ratios), 1), round(max(ratios), 1)],
        "vmap_seconds": round(statistics.median(a for a, _ in pairs), 2),
        "seconds": round(statistics.median(b for _, b in pairs), 3),
        "chunk": chunk,
        "off_the_loop": float(f"{difference(found[0], looped):.1e}"),
        "vmap_off_the_loop": float(f"{difference(found[1], looped):.1e}"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--kept", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.kept:
        prepare(1)
    world = made(asked.samples)

    def mask(batch: Batch) -> Tensor:
        return world.heads[batch.tasks]

    sides = {
        "fisher": Side(world, likelihood(mask), square, F.cross_entropy),
        "mas": Side(world, output_norm(mask), size, lambda logits, _: logits.square().sum()),
    }
    figures: dict[str, Any] = {k: measured(side, asked.samples, asked.repeats) for k, side in sides.items()}
    for name, own in figures.items():
        print(
            f"{name}: {own['seconds']} s, vmap(grad) {own['vmap_seconds']} s in chunks of {own['chunk']}; "
            f"{own['off_the_loop']:.0e} off the loop"
        )
    print(json.dumps(figures | {"bar": BAR}))
    return int(any(f["speedup"] < BAR or f["off_the_loop"] > CLOSE for f in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
