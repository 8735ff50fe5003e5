"""What the experiments share: networks of coordinates, one a seed side by side, training, the record."""

import argparse
import csv
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from nai.activations import Activation, activation
from nai.models import Mlp
from nai.models.network import siren_weight
from nai.seeds import generator

BASELINES = ("relu", "relu3", "tanh", "siren")
RECORD = Path(__file__).resolve().parent.parent.parent / "docs" / "studies" / "raf"
BLOCKS = ("poly", "poly_relu3", "poly_sin", "poly_sin_gaussian")
"""What the experiments with differential equations compare with the baselines."""
WIDTH, BATCH = 40, 300
QUIET = 2.0
"""Seconds after which progress is shown."""

Row = dict[str, str | int | float]


# ---------------------------------------------------------------- networks of coordinates
class Jet(NamedTuple):
    """A function of coordinates at some points."""

    value: Tensor  # [seeds, points, units]
    slopes: Tensor  # [coordinates, seeds, points, units]: by each coordinate
    laplacian: Tensor  # [seeds, points, units]: sum of the second derivatives

    def times(self, other: "Jet") -> "Jet":
        """The product of two functions."""
        mixed = (self.slopes * other.slopes).sum(0)
        return Jet(
            self.value * other.value,
            self.slopes * other.value + self.value * other.slopes,
            self.laplacian * other.value + 2 * mixed + self.value * other.laplacian,
        )


def points(x: Tensor) -> Jet:
    """The coordinates themselves; x: [points, coordinates]."""
    count = x.shape[1]
    slopes = torch.eye(count, dtype=x.dtype)[:, None, None].expand(count, 1, *x.shape)
    return Jet(x[None], slopes, torch.zeros_like(x[None]))


def bubble(x: Tensor) -> Jet:
    """x (1 - x) y (1 - y), which is 0 on the boundary of the unit square; x: [points, 2]."""
    p, q = (v * (1 - v) for v in x.split(1, 1))
    dp, dq = (1 - 2 * v for v in x.split(1, 1))
    return Jet((p * q)[None], torch.stack([dp * q, p * dq])[:, None], -2 * (p + q)[None])


def grid(count: int) -> Tensor:
    """Points of the unit square, [count^2, 2]."""
    line = torch.linspace(0, 1, count, dtype=torch.float64)
    return torch.cartesian_prod(line, line)


class Field:
    """Residual networks of coordinates, one a seed: two blocks of two layers and a linear output.

    Source: the ResNet of the authors' scripts for differential equations. Initial weights are PyTorch's own
    for linear layers, or SIREN's; double precision.
    """

    def __init__(self, name: str, coordinates: int, width: int, seeds: Sequence[int]) -> None:
        self.rule, self.width = activation(name), width
        sizes = [(coordinates, width), *[(width, width)] * 3, (width, 1)]
        drawn = [self._drawn(sizes, generator("raf", seed)) for seed in seeds]
        self.params = [torch.stack(parts).requires_grad_() for parts in zip(*drawn, strict=True)]
        each = 2 + len(self.rule.starts)
        self.layers = [self.params[at : at + each] for at in range(0, len(self.params), each)]

    def _drawn(self, sizes: Sequence[tuple[int, int]], chance: torch.Generator) -> list[Tensor]:
        """Of one network, layer by layer: weight [in, out], bias [1, out], coefficients [1, out]."""
        found = []
        for i, (fan_in, units) in enumerate(sizes):
            reach = fan_in**-0.5
            bias, weight = ((torch.rand(n, units, generator=chance) * 2 - 1) * reach for n in (1, fan_in))
            if self.rule.siren:
                weight = siren_weight(torch.Size([units, fan_in]), chance, first=i == 0).T
            found += [weight, bias]
            if i < len(sizes) - 1:
                found += [start(units, chance)[None] for start in self.rule.starts.values()]
        return [part.double() for part in found]

    def __call__(self, x: Tensor) -> Jet:
        """The networks at [points, coordinates], with their derivatives, [seeds, points, 1] each."""
        inputs = points(x)
        jet = self._layer(1, self._layer(0, inputs))
        jet = _sum(jet, _widened(inputs, self.width))
        jet = _sum(self._layer(3, self._layer(2, jet)), jet)
        return _linear(jet, *self.layers[4])

    def _layer(self, index: int, jet: Jet) -> Jet:
        weight, bias, *own = self.layers[index]
        return _activated(_linear(jet, weight, bias), self.rule, own)


def _linear(jet: Jet, weight: Tensor, bias: Tensor) -> Jet:
    return Jet(jet.value @ weight + bias, jet.slopes @ weight, jet.laplacian @ weight)


def _activated(jet: Jet, rule: Activation, coefficients: Sequence[Tensor]) -> Jet:
    x = jet.value
    said = rule(x, *coefficients)
    first, _ = rule.back(torch.ones_like(x), x, said, *coefficients)
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), x, create_graph=True, materialize_grads=True)
    else:  # straight pieces
        second = torch.zeros_like(x)
    squares = (jet.slopes * jet.slopes).sum(0)
    return Jet(said, first * jet.slopes, first * jet.laplacian + second * squares)


def _sum(a: Jet, b: Jet) -> Jet:
    return Jet(*(x + y for x, y in zip(a, b, strict=True)))


def _widened(jet: Jet, width: int) -> Jet:
    return Jet(*(torch.nn.functional.pad(x, (0, width - x.shape[-1])) for x in jet))


# ---------------------------------------------------------------- training
def minimised(field: Field, loss: Callable[[int], Tensor], *, steps: int, rate: float, what: str) -> None:
    """Adam, the rate times 0.8 every 5 % of the steps; loss: of a step, [seeds]."""
    optimizer = torch.optim.Adam(field.params, lr=rate)
    often = max(1, steps // 20)
    for step in watched(steps, what):
        optimizer.param_groups[0]["lr"] = rate * 0.8 ** (step // often)
        optimizer.zero_grad()
        loss(step).sum().backward()
        optimizer.step()


def regressed(
    net: Mlp, data: tuple[Tensor, Tensor], *, seeds: Sequence[int], steps: int, what: str
) -> dict[str, Tensor]:
    """Weights [seeds, ...] of networks that have learnt values [points, outputs] of [points, coordinates].

    The whole data each step, mean squared error, Adam with a cosine to 0 from 1e-4 on SIREN's weights (the
    authors' rate), from 1e-3 on others.
    """
    x, y = (part.expand(len(seeds), *part.shape) for part in data)
    drawn = {k: [net.draw(k, generator("raf", seed, k)) for seed in seeds] for k in net.shapes()}
    params = {k: torch.stack(parts) for k, parts in drawn.items()}
    rate = 1e-4 if activation(net.activation).siren else 1e-3
    optimizer = torch.optim.Adam(params.values(), lr=rate)
    for step in watched(steps, what):
        optimizer.param_groups[0]["lr"] = rate / 2 * (1 + math.cos(math.pi * step / steps))
        found = net.gradients(params, x, {}, lambda out: 2 * (out - y) / y[0].numel())
        for name, value in params.items():
            value.grad = found[name]
        optimizer.step()
    return params


def watched(steps: int, what: str) -> Iterator[int]:
    """The steps; from two seconds on a line on standard error says how far it is and how long it takes."""
    began = shown = time.monotonic()
    often = 1 if sys.stderr.isatty() else 30
    for step in range(steps):
        yield step
        now = time.monotonic()
        if now - began > QUIET and now - shown > often:
            shown, left = now, (now - began) / (step + 1) * (steps - step - 1)
            print(
                f"\r{what}: step {step + 1} of {steps}, {left:.0f} s left ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    if shown > began:
        print(file=sys.stderr)


def solved(
    name: str,
    seeds: Sequence[int],
    residual: Callable[[Jet, Tensor], Tensor],
    *,
    steps: int,
    exact: Callable[[Tensor], Tensor],
) -> list[Row]:
    """Relative L2 errors, one a seed, of networks whose squared residual on the unit square was minimised.

    residual: of u and its derivatives at points [points, 2], [seeds, points, 1]. exact: the solution, which
    is 0 on the boundary, at points, [points, 1]. 300 fresh points a step, the same for every network.
    """
    field = Field(name, 2, WIDTH, seeds)
    chance = generator("raf", "points")

    def loss(step: int) -> Tensor:
        x = torch.rand(BATCH, 2, dtype=torch.float64, generator=chance)
        return residual(bubble(x).times(field(x)), x).square().mean((1, 2))

    minimised(field, loss, steps=steps, rate=1e-3, what=name)
    x = grid(101)
    away = bubble(x).value * field(x).value.detach() - exact(x)
    errors = away.square().sum((1, 2)).sqrt() / exact(x).square().sum().sqrt()
    return [{"error": float(error)} for error in errors]


# ---------------------------------------------------------------- the record
def options(about: str, *, steps: int = 0, seeds: int, activations: Sequence[str]) -> argparse.Namespace:
    """The options of every experiment: out (a folder), steps (if it trains), seeds, activations."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=RECORD, help="folder of the record (default: docs/studies/raf)"
    )
    parser.set_defaults(steps=0)
    if steps:
        parser.add_argument("--steps", type=int, default=steps, help=f"training steps (default {steps})")
    parser.add_argument(
        "--seeds", type=int, default=seeds, help=f"seeds of initial weights (default {seeds})"
    )
    parser.add_argument("--activations", nargs="+", default=[*BASELINES, *activations], metavar="NAME")
    given = parser.parse_args()
    if given.seeds < 1 or given.steps < min(1, steps):
        parser.error("--steps and --seeds must be at least 1")
    for name in given.activations:
        try:
            activation(name)
        except ValueError as error:
            parser.error(str(error))
    return given


def recorded(
    given: argparse.Namespace, experiment: str, run: Callable[[str, Sequence[int]], Sequence[Row]]
) -> list[Row]:
    """Rows of all activations, one a seed: those on record, and those that `run` adds to it.

    run: an activation and seeds in, what was measured for each seed out.
    """
    torch.set_num_threads(1)
    path = given.out / f"{experiment}.csv"
    rows = read(path)
    for name in given.activations:
        known = {int(r["seed"]) for r in rows if r["activation"] == name and int(r["steps"]) == given.steps}
        if seeds := [s for s in range(given.seeds) if s not in known]:
            began = time.process_time()
            found = run(name, seeds)
            spent = 1e3 * (time.process_time() - began) / max(1, given.steps) / len(seeds)
            same = {"activation": name, "steps": given.steps, "milliseconds": round(spent, 2)}
            rows += [{**same, "seed": s, **row} for s, row in zip(seeds, found, strict=True)]
            write(path, rows)
    place = {name: i for i, name in enumerate(given.activations)}
    asked = [r for r in rows if r["activation"] in place and int(r["steps"]) == given.steps]
    return sorted(asked, key=lambda r: (place[str(r["activation"])], int(r["seed"])))


def read(path: Path) -> list[Row]:
    """A record's rows, none where there is none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[Row]) -> None:
    """Rows as CSV, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def table(rows: Sequence[Row], measures: dict[str, str]) -> str:
    """Markdown: a line for each activation, of each measure the median over seeds and the range.

    measures: column of the record to heading of the table.
    """
    names = list(dict.fromkeys(str(row["activation"]) for row in rows))
    lines = [f"| activation | {' | '.join(measures.values())} |", "|---|" + "---|" * len(measures)]
    for name in names:
        own = [row for row in rows if row["activation"] == name]
        cells = [spread([float(row[column]) for row in own]) for column in measures]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Median and range, in three digits."""
    if not all(map(math.isfinite, values)):
        return f"diverged with {sum(not math.isfinite(v) for v in values)} of {len(values)} seeds"
    middle = statistics.median(values)
    return f"{middle:.3g} ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else f"{middle:.3g}"
