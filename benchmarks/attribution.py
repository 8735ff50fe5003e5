"""Attribution of hidden neurons: completeness, a net without its top neurons, and cost beside Captum's.

    python benchmarks/attribution.py [--repeats 3] [--samples 256] [--steps 32]

An MLP 64-100-100 that has learnt scikit-learn's ten digits; the true label's logit, a reference of zeros, one
thread. Completeness: sum of a layer's shares less the difference of the logit, over its mean size, test
samples, double precision. Ablation: test accuracy with the k neurons of each layer silenced that a measure
ranks highest (mean size of shares over validation samples), or k random ones (mean of 20 draws). Cost:
processor time a sample of all hidden layers together, and Captum's over it: for all layers, and for the lower
one alone; interleaved, the ratio taken within each repeat; left out without Captum (extra `attribution`).
Ends with one line of JSON; exit code 1 when a mean completeness error is above its bar.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import nai
from nai.importance.attribution import COMPLETE, MEASURES
from nai.learn import World, begin, learn
from nai.methods import Finetune
from nai.models import Params
from nai.seeds import Seeds
from nai.trial import load, world_of

BARS = {"conductance": 1e-3, "hidden_ig": 1e-3, "deeplift": 1e-6, "deeplift_reveal": 1e-6}
SILENCED = (10, 20, 40, 60, 80)
DRAWS = 20
THEIRS = {
    "conductance": "LayerConductance",
    "hidden_ig": "LayerIntegratedGradients",
    "deeplift": "LayerDeepLift",
    "grad_x_act": "LayerGradientXActivation",
}


def learnt(epochs: int = 20) -> tuple[World, Params]:
    """The digits and a net that knows them."""
    where = world_of(
        load(nai.Named.of("split", dataset="digits", classes=10)), nai.Named.of("mlp", widths=[100, 100])
    )
    lesson, seeds = begin(where, Finetune(), Seeds()), [Seeds()]
    (lesson,) = learn([lesson], [0], where, Finetune(), training=nai.Training(epochs=epochs), seeds=seeds)
    return where, lesson.params


def completeness(where: World, params: Params, steps: int) -> dict[str, dict[str, float]]:
    """Mean and maximum over samples of the worst layer's gap, over the mean difference of the logit."""
    double = {k: v.double() for k, v in params.items()}
    inputs, labels = (x[where.test[0]] for x in (where.source.inputs.double(), where.source.labels))
    found = {}
    for measure in COMPLETE:
        told = nai.attribute(where.net, inputs, labels, measure=measure, params=double, steps=steps)
        gaps = torch.stack([g.abs() for g in told.gaps().values()]).amax(0) / told.difference.abs().mean()
        found[measure] = {"mean": float(f"{gaps.mean():.1e}"), "max": float(f"{gaps.max():.1e}")}
    return found


def ranked(where: World, params: Params, steps: int) -> Iterator[tuple[str, list[list[Tensor]]]]:
    """Each measure's orders of the neurons, most important first, one [units] a layer."""
    inputs, labels = (x[where.valid[0]] for x in (where.source.inputs, where.source.labels))
    said = where.net.trace(params, inputs).units
    yield "activation", [[x.mean(0).argsort(descending=True) for x in said]]
    for measure in MEASURES:
        shares = nai.attribute(where.net, inputs, labels, measure=measure, params=params, steps=steps).shares
        yield measure, [[x.abs().mean(0).argsort(descending=True) for x in shares.values()]]
    chance = torch.Generator().manual_seed(0)
    yield "random", [[torch.randperm(x.shape[1], generator=chance) for x in said] for _ in range(DRAWS)]


def without(where: World, params: Params, orders: Sequence[Tensor], count: int) -> float:
    """Test accuracy with the first so many neurons of each layer silenced."""
    inputs, labels = (x[where.test[0]] for x in (where.source.inputs, where.source.labels))
    gates = [torch.ones(len(order)).index_fill(0, order[:count], 0.0) for order in orders]
    answers = where.net.trace(params, inputs, gates=gates).logits.argmax(1)
    return float((answers == labels).float().mean())


def ablation(where: World, params: Params, steps: int) -> dict[str, list[float]]:
    """Test accuracy in per cent by measure, for each number of SILENCED."""
    return {
        name: [
            round(100 * statistics.mean(without(where, params, one, count) for one in orders), 1)
            for count in SILENCED
        ]
        for name, orders in ranked(where, params, steps)
    }


def plain(params: Params) -> nn.Sequential:
    """The same net as a module, for Captum."""
    values, parts = list(params.values()), []
    for weight, bias in zip(values[::2], values[1::2], strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data.copy_(weight)
        layer.bias.data.copy_(bias)
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def spent(work: Callable[[], object]) -> float:
    """Processor time of a piece of work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def their_work(
    measure: str, model: nn.Sequential, inputs: Tensor, labels: Tensor, steps: int
) -> Callable[[Sequence[nn.Module]], object]:
    """Captum's attribution of some layers, as a function of these."""
    from captum import attr

    kind = getattr(attr, THEIRS[measure])
    steps_of = {"n_steps": steps} if measure in ("conductance", "hidden_ig") else {}
    start = {} if measure == "grad_x_act" else {"baselines": torch.zeros_like(inputs)}
    return lambda layers: [
        kind(model, layer).attribute(inputs, target=labels, **start, **steps_of) for layer in layers
    ]


def cost(where: World, params: Params, asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Microseconds a sample of each measure, and Captum's over ours where it has it."""
    inputs, labels = (x[where.train[0]][: asked.samples] for x in (where.source.inputs, where.source.labels))
    flat, model = inputs.flatten(1), plain(params)
    known = importlib.util.find_spec("captum") is not None
    if not known:
        print("Captum is not here to compare with: pip install 'nai-sweep[attribution]'")
    for measure in MEASURES:
        work = partial(nai.attribute, model, flat, labels, measure=measure, steps=asked.steps)
        theirs = (
            their_work(measure, model, flat, labels, asked.steps) if known and measure in THEIRS else None
        )
        rounds = [timed(work, theirs, model) for _ in range(asked.repeats + 1)]
        yield summary(measure, rounds[1:], asked.samples, bool(theirs))


def timed(
    ours: Callable[[], object], theirs: Callable[[Sequence[nn.Module]], object] | None, model: nn.Sequential
) -> tuple[float, float, float]:
    """Our seconds, and Captum's over them for all layers and for the lower one."""
    own = spent(ours)
    if theirs is None:
        return own, 0.0, 0.0
    return own, spent(partial(theirs, list(model[1::2]))) / own, spent(partial(theirs, [model[1]])) / own


def summary(measure: str, rounds: Sequence[Sequence[float]], samples: int, compared: bool) -> dict[str, Any]:
    """Medians and spreads of some repeats."""
    own, both, one = zip(*rounds, strict=True)
    found: dict[str, Any] = {
        "measure": measure,
        "microseconds": round(1e6 * statistics.median(own) / samples, 1),
    }
    for name, ratios in {"captum_all_layers": both, "captum_one_layer": one}.items() if compared else ():
        found[name] = round(statistics.median(ratios), 2)
        found[f"{name}_spread"] = [round(min(ratios), 2), round(max(ratios), 2)]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--steps", type=int, default=32)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="captum")  # of its own hooks
    where, params = learnt()
    complete = completeness(where, params, asked.steps)
    for name, own in complete.items():
        print(f"{name}: completeness error {own['mean']:.1e} on average, {own['max']:.1e} at most")
    accuracies = {"all": round(100 * without(where, params, [torch.arange(100)] * 2, 0), 1)}
    curves = ablation(where, params, asked.steps)
    print(f"accuracy {accuracies['all']} %; without {', '.join(map(str, SILENCED))} neurons of each layer:")
    for name, curve in curves.items():
        print(f"  {name:16}" + "".join(f"{value:7.1f}" for value in curve))
    costs = list(cost(where, params, asked))
    for own in costs:
        print("  " + ", ".join(f"{k} {v}" for k, v in own.items()))
    print(
        json.dumps(
            {"complete": complete, "silenced": SILENCED, **accuracies, "curves": curves, "costs": costs}
        )
    )
    return int(any(complete[name]["mean"] > bar for name, bar in BARS.items()))


if __name__ == "__main__":
    sys.exit(main())
