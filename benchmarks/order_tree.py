"""All 120 orders of five digit tasks: the order tree in stacks, the same code one by one, a plain loop.

    python benchmarks/order_tree.py [--method finetune|nai] [--repeats 3] [--sample 12]

One thread. Each repeat times the tree over all orders, then a sample of the orders in both other ways, scaled
to all; the ratios are taken within a repeat. Every sampled order is compared with the tree's: accuracies and
final weights must be equal in every bit. The limits are what the ratios would be if nothing but matrix
products and Adam's arithmetic took time. Ends with one line of JSON.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nai.learn import World
from nai.methods import Finetune, Method, Nai
from nai.optimise import Adam, fresh
from nai.orders import Order
from nai.seeds import Seeds
from nai.training import Training
from nai.tree import Grown, Run, grow
from nai.trial import Named, load, world_of
from sweep.bundle import prepare

ORDERS = tuple(itertools.permutations(range(5)))
NODES = 325  # of the order tree: 5 + 5 x 4 + 5 x 4 x 3 + 120 + 120
METHODS: dict[str, Method] = {"finetune": Finetune(), "nai": Nai(strength=0.1)}
TRAINING = Training(epochs=20, batch=32, rate=1e-3)


def plain_loop(world: World, order: Order, strength: float | None) -> Tensor:
    """What a careful researcher writes for one order: tensors in memory, fused Adam, logits sliced by task.

    strength: of the NAI penalty, written into the loss as in the paper; None for finetuning.
    Gives accuracy [tasks + 1, tasks].
    """
    layers = [nn.Linear(64, 100), nn.Linear(100, 100), nn.Linear(100, 10)]
    net = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    past: list[tuple[Tensor, Tensor, Tensor]] = []
    rows = [accuracies(net, world)]
    for task in order:
        head = slice(2 * task, 2 * task + 2)
        inputs, labels = (
            world.source.inputs[world.train[task]],
            world.source.labels[world.train[task]] - 2 * task,
        )
        optimizer = torch.optim.Adam(net.parameters(), lr=TRAINING.rate, fused=True)
        for _ in range(TRAINING.epochs):
            for part in torch.randperm(len(inputs)).split(TRAINING.batch):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(inputs[part])[:, head], labels[part])
                if past and strength is not None:
                    loss = loss + strength / 2 * penalty(layers, past)
                loss.backward()
                optimizer.step()
        if strength is not None:
            past = remembered(layers, inputs.flatten(1), past)
        rows.append(accuracies(net, world))
    return torch.stack(rows)


def penalty(layers: Sequence[nn.Linear], past: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Sum over neurons of importance x squared distance of their incoming weights and bias to the anchor."""
    parts = [
        (omega * ((layer.weight - weight).square().sum(1) + (layer.bias - bias).square())).sum()
        for layer, (omega, weight, bias) in zip(layers, past, strict=False)
    ]
    return torch.stack(parts).sum()


@torch.no_grad()
def remembered(
    layers: Sequence[nn.Linear], x: Tensor, past: Sequence[tuple[Tensor, Tensor, Tensor]]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Importance (mean over deviation, scaled to mean 1, summed), weight and bias of each layer."""
    found = []
    for layer in layers[:-1]:
        x = layer(x).relu()
        mean = x.mean(0)
        found.append(torch.where(mean > 0, mean / (x.std(0, correction=0) + 1e-6), 0.0))
    scale = torch.cat(found).mean()
    old = [omega for omega, _, _ in past] or [torch.zeros_like(f) for f in found]
    return [
        (o + f / scale, layer.weight.clone(), layer.bias.clone())
        for o, f, layer in zip(old, found, layers, strict=False)
    ]


@torch.no_grad()
def accuracies(net: nn.Module, world: World) -> Tensor:
    """Test accuracy on every task, [tasks]."""
    found = []
    for task, rows in enumerate(world.test):
        logits = net(world.source.inputs[rows])[:, 2 * task : 2 * task + 2]
        found.append((logits.argmax(1) + 2 * task == world.source.labels[rows]).float().mean())
    return torch.stack(found)


def arithmetic(world: World, width: int = 27) -> float:
    """Seconds that products and Adam's arithmetic alone take for all 325 trainings: the limit of any code."""
    shapes = [s for s in world.net.shapes().values() if len(s) > 1]
    weights = [torch.rand(width, *s) for s in shapes]
    read = [torch.rand(width, TRAINING.batch, s[1]) for s in shapes]
    said = [torch.rand(width, TRAINING.batch, s[0]) for s in shapes]
    buffer, twin = (torch.rand(width, 17_616) for _ in range(2))
    optimizer = Adam(buffer, twin, fresh(buffer), TRAINING.rate)

    def step() -> None:
        for i, weight in enumerate(weights):
            torch.bmm(read[i], weight.mT)
            torch.bmm(said[i].mT, read[i])
            if i:
                torch.bmm(said[i], weight)
        optimizer.step([True] * width)

    times = [seconds(step)[0] for _ in range(200)]
    batches = -(-max(map(len, world.train)) // TRAINING.batch)
    return statistics.median(times) / width * NODES * batches * TRAINING.epochs


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Time that a piece of work takes, and what it gives."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def differing(alone: Grown, tree: Grown) -> bool:
    """Whether two results of one order differ in any bit of accuracies, weights, memory or moments."""
    if alone.lesson is None or tree.lesson is None or alone.test is None or tree.test is None:
        return True
    parts = [(alone.test, tree.test), (alone.valid, tree.valid)]
    for name in ("params", "memory", "optimizer"):
        one, other = getattr(alone.lesson, name), getattr(tree.lesson, name)
        parts += [(one[k], other[k]) for k in one]
    return any(a is None or b is None or not torch.equal(a, b) for a, b in parts)


def repeat(world: World, name: str, sample: Sequence[Order]) -> dict[str, float]:
    """One repeat: seconds of all orders in each way, and how many sampled orders differ from the tree."""
    method, seeds = METHODS[name], Seeds(0, 0)
    runs = [Run(method, seeds, order) for order in ORDERS]
    strength = method.strength if isinstance(method, Nai) else None
    tree_time, found = seconds(lambda: list(grow(runs, world, TRAINING)))
    results = {r.order: r for r in found}
    plain_time, plain = seconds(lambda: [plain_loop(world, order, strength) for order in sample])
    alone_time, alone = seconds(
        lambda: [next(grow([Run(method, seeds, order)], world, TRAINING, width=1)) for order in sample]
    )
    scale = len(ORDERS) / len(sample)
    return {
        "tree": tree_time,
        "one_by_one": alone_time * scale,
        "plain": plain_time * scale,
        "arithmetic": arithmetic(world),
        "different": sum(differing(r, results[r.order]) for r in alone),
        "accuracy": statistics.mean(float(r.test[-1].mean()) for r in found if r.test is not None),
        "accuracy_plain": statistics.mean(float(m[-1].mean()) for m in plain),
    }


def spread(values: Sequence[float]) -> list[float]:
    """Smallest and largest."""
    return [round(min(values), 3), round(max(values), 3)]


def summary(repeats: Sequence[dict[str, float]], name: str) -> dict[str, Any]:
    """Medians over the repeats, ratios within each."""
    ratios = {
        "speedup": [r["one_by_one"] / r["tree"] for r in repeats],
        "speedup_over_plain_loop": [r["plain"] / r["tree"] for r in repeats],
        "speedup_limit": [r["one_by_one"] / r["arithmetic"] for r in repeats],
        "speedup_over_plain_loop_limit": [r["plain"] / r["arithmetic"] for r in repeats],
        "seconds_per_order": [r["tree"] / len(ORDERS) for r in repeats],
        "seconds_per_order_plain_loop": [r["plain"] / len(ORDERS) for r in repeats],
    }
    figures: dict[str, Any] = {"method": name, "repeats": len(repeats)}
    for key, values in ratios.items():
        figures[key] = round(statistics.median(values), 4)
        figures[f"{key}_spread"] = spread(values)
    figures["orders_that_differ_in_any_bit"] = int(sum(r["different"] for r in repeats))
    figures["accuracy"] = round(statistics.mean(r["accuracy"] for r in repeats), 4)
    figures["accuracy_plain_loop"] = round(statistics.mean(r["accuracy_plain"] for r in repeats), 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", choices=METHODS, default="nai")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--sample", type=int, default=12, help="orders timed one by one and in the plain loop"
    )
    asked = parser.parse_args()
    prepare(1)
    torch.manual_seed(0)
    benchmark = load(Named.of("split", dataset="digits", classes=2, scenario="task"))
    world = world_of(benchmark, Named.of("mlp", widths=[100, 100]))
    sample = ORDERS[:: max(1, len(ORDERS) // asked.sample)][: asked.sample]
    repeat(world, asked.method, sample[:1])  # warm up
    repeats = []
    for number in range(asked.repeats):
        repeats.append(repeat(world, asked.method, sample))
        times = {k: round(v, 2) for k, v in repeats[-1].items()}
        print(f"repeat {number + 1}: seconds of all {len(ORDERS)} orders {times}", flush=True)
    print(json.dumps(summary(repeats, asked.method)))


if __name__ == "__main__":
    main()
