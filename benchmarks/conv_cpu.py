"""What layout and precision do for convolutions on a CPU: time of a step, and accuracy on real images.

    python benchmarks/conv_cpu.py [--repeats 7] [--accuracy 8] [--data FOLDER]

One thread. Times: forward and backward of one batch of 32 x 32 images, all ways interleaved, as ratios to
float32 channels-first in the same round. Accuracy (so many seeds; 0 leaves it out): the conv net on subsets
of split CIFAR-10 as it is in this project (channels-last) in both precisions, and channels-first; paired by
seed, with a 95 % interval of the mean difference from float32 channels-first. Ends with one line of JSON.
"""

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from nai.evaluate import evaluate
from nai.learn import World, begin, learn
from nai.methods import Finetune
from nai.models import MODELS, Network
from nai.models.conv import channels_last
from nai.seeds import Seeds, generator
from nai.training import Training
from nai.trial import Named, load, world_of
from sweep.bundle import prepare

NETS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("conv", {}, 64),
    ("conv", {}, 256),
    ("resnet18", {"width": 16}, 64),
    ("resnet18", {"width": 64}, 32),
)
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {"first": lambda x: x, "last": channels_last}
WAYS = [(precision, layout) for precision in ("float32", "bfloat16") for layout in LAYOUTS]
BASE = WAYS[0]
TRAIN, HELD_OUT, EPOCHS, BATCH = 400, 500, 4, 64


# ------------------------------------------------------------------ time
def step(net: Network, weights: dict[str, Tensor], images: Tensor, labels: Tensor, precision: str) -> float:
    """Milliseconds of one forward and backward pass."""
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False):
        loss = F.cross_entropy(net.trace(weights, images).logits, labels)
    torch.autograd.grad(loss, list(weights.values()))
    return 1e3 * (time.perf_counter() - began)


def timed(name: str, options: dict[str, Any], batch: int, repeats: int) -> dict[str, Any]:
    """Medians and ratios of one net, with the smallest and largest ratio seen."""
    net = MODELS[name]((3, 32, 32), 10, **options)
    weights = {k: net.draw(k, generator(0, k)).requires_grad_() for k in net.shapes()}
    images, labels = torch.randn(batch, 3, 32, 32), torch.arange(batch) % 10
    rounds = []
    with mock.patch("nai.models.conv.channels_last", lambda x: x):
        for _ in range(repeats + 1):
            rounds.append({w: step(net, weights, LAYOUTS[w[1]](images), labels, w[0]) for w in WAYS})
    rows = {}
    for way in WAYS:
        ratios = sorted(r[way] / r[BASE] for r in rounds[1:])
        rows[" ".join(way)] = {
            "ms": round(statistics.median(r[way] for r in rounds[1:]), 2),
            "ratio": round(statistics.median(ratios), 3),
            "from": round(ratios[0], 3),
            "to": round(ratios[-1], 3),
        }
    return {"net": name, **options, "batch": batch, "ways": rows}


# ------------------------------------------------------------------ accuracy
def images(root: str | None) -> World:
    """Split CIFAR-10 with a few samples of each task."""
    place = {"root": root} if root else {}
    world = world_of(load(Named.of("split", dataset="cifar10", classes=2, **place)), Named.of("conv"))
    train, test = (tuple(t[:n] for t in part) for part, n in ((world.train, TRAIN), (world.test, HELD_OUT)))
    return world._replace(train=train, valid=tuple(t[:1] for t in world.valid), test=test)


def accuracy(world: World, precision: str, layout: str, seed: int) -> float:
    """Mean over tasks after all of them, finetuned in order."""
    training = Training(epochs=EPOCHS, batch=BATCH, precision=precision)
    seeds, method = Seeds(seed, seed), Finetune()
    with mock.patch("nai.models.conv.channels_last", LAYOUTS[layout]):
        lessons = [begin(world, method, seeds)]
        for task in range(len(world.train)):
            lessons = learn(lessons, [task], world, method, training=training, seeds=[seeds])
        return float(evaluate(lessons, world, method)[0].test.mean())


def compared(world: World, seeds: int) -> dict[str, Any]:
    """Each way against float32 channels-first, paired by seed."""
    ways = [w for w in WAYS if w != ("bfloat16", "first")]
    found = {way: [accuracy(world, *way, seed) for seed in range(seeds)] for way in ways}
    return {" ".join(way): _paired(found[way], found[BASE]) for way in ways}


def _paired(some: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    from scipy.stats import t

    apart = [a - b for a, b in zip(some, base, strict=True)]
    spread = statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
    half = float(t.ppf(0.975, len(apart) - 1)) * spread if len(apart) > 1 else math.nan
    mean, difference = statistics.mean(some), statistics.mean(apart)
    return {"accuracy": round(mean, 4), "difference": round(difference, 4), "half_width": round(half, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--accuracy", type=int, default=8, metavar="SEEDS")
    parser.add_argument("--data", default=os.environ.get("NAI_DATA"), metavar="FOLDER")
    asked = parser.parse_args()
    prepare(1)
    times = []
    for net in NETS:
        times.append(timed(*net, asked.repeats))
        print(times[-1], flush=True)
    marks = compared(images(asked.data), asked.accuracy) if asked.accuracy else {}
    print(marks, flush=True)
    print(json.dumps({"times": times, "accuracy": marks, "seeds": asked.accuracy}))


if __name__ == "__main__":
    main()
