"""A picture as a function of its coordinates: half of the pixels are learnt, the other half are asked for.

    python examples/raf/image.py [--steps 200] [--seeds 3] [--activations NAME ...] [--out DIR]

A grey picture of 40 x 40 pixels made here (rings that grow finer, a disc, stripes, a soft light): an MLP of
three hidden layers of 64 learns the pixels of one colour of a chessboard. Peak signal-to-noise ratios in
decibels, of the learnt pixels and of the held-out ones: what is published is of learnt ones alone.
"""

import math
from collections.abc import Sequence

import torch
from shared import Row, options, recorded, regressed, table
from torch import Tensor

from nai.models import Mlp

SIDE = 40
RAF = ("poly_sin", "sine_poly_gaussian_mild", "sine_poly_gaussian_image")


def picture() -> tuple[Tensor, Tensor]:
    """Coordinates [pixels, 2] and grey values [pixels, 1], both within -1..1."""
    line = torch.linspace(-1, 1, SIDE)
    where = torch.cartesian_prod(line, line)
    y, x = where.split(1, 1)
    rings = 0.5 * torch.cos(5 * ((x + 0.3) ** 2 + (y + 0.2) ** 2))
    stripes = 0.6 * torch.sin(9 * (x - y)).sign()
    light = torch.exp(-4 * ((x - 0.6) ** 2 + (y + 0.6) ** 2))
    grey = torch.where((x - 0.4) ** 2 + (y - 0.4) ** 2 < 0.1, 0.9, rings)
    grey = torch.where((x < -0.2) & (y > 0.4), stripes, grey)
    return where, (grey + 0.5 * light).clamp(-1, 1)


def decibels(away: Tensor) -> float:
    """Peak signal-to-noise ratio of differences of values within -1..1."""
    return 10 * math.log10(4 / max(float(away.square().mean()), 1e-30))


def main() -> None:
    given = options(__doc__ or "", steps=200, seeds=3, activations=RAF)
    where, grey = picture()
    learnt = torch.arange(SIDE**2).view(SIDE, SIDE)
    learnt = ((learnt // SIDE + learnt % SIDE) % 2 == 0).flatten()

    def run(name: str, seeds: Sequence[int]) -> list[Row]:
        net = Mlp((2,), 1, widths=(64,) * 3, activation=name)
        data = where[learnt], grey[learnt]
        params = regressed(net, data, seeds=seeds, steps=given.steps, what=name)
        away = net.trace(params, where.expand(len(seeds), -1, -1)).logits - grey
        return [{"learnt": decibels(a[learnt]), "held_out": decibels(a[~learnt])} for a in away]

    headings = {"learnt": "learnt pixels, dB", "held_out": "held-out pixels, dB"}
    print(table(recorded(given, "image", run), headings))


if __name__ == "__main__":
    main()
