"""The least eigenvalue of a Schrödinger operator by its Rayleigh quotient, for every activation.

    python examples/raf/eigenvalue.py [--steps 800] [--seeds 3] [--activations NAME ...] [--out DIR]

-Laplacian + |x|^2 on the square [-4, 4]^2 with 0 on its boundary: two harmonic oscillators, least eigenvalue
2 (the boundary adds less than 1e-5). The quotient energy of u / size of u, where u is 0 on the boundary, is
least for the eigenfunction; both integrals by Gauss's rule with 14 x 14 points while it trains, 64 x 64 for
the error of the eigenvalue. The network sees the square as [0, 1]^2.
Source: the variational form of Liang, Lyu, Wang, Yang 2021; their eigenvalue scripts are not public.
"""

from collections.abc import Sequence

import numpy as np
import torch
from shared import BLOCKS, Field, Row, bubble, minimised, options, recorded, table
from torch import Tensor

SIDE, LEAST, WIDTH = 8.0, 2.0, 24


def gauss(count: int) -> tuple[Tensor, Tensor]:
    """Points of the unit square [count^2, 2] and their weights [count^2, 1]."""
    places, weights = (torch.tensor(part / 2) for part in np.polynomial.legendre.leggauss(count))
    return torch.cartesian_prod(places + 0.5, places + 0.5), torch.outer(weights, weights).view(-1, 1)


def quotient(field: Field, x: Tensor, weights: Tensor) -> Tensor:
    """Energy over size, [seeds]."""
    u = bubble(x).times(field(x))
    place = SIDE * (x - 0.5)
    motion = u.slopes.square().sum(0) / SIDE**2
    size = u.value.square()
    energy = motion + place.square().sum(1, keepdim=True) * size
    return (energy * weights).sum((1, 2)) / (size * weights).sum((1, 2))


def main() -> None:
    given = options(__doc__ or "", steps=800, seeds=3, activations=BLOCKS)

    def run(name: str, seeds: Sequence[int]) -> list[Row]:
        field, rule = Field(name, 2, WIDTH, seeds), gauss(14)
        minimised(field, lambda step: quotient(field, *rule), steps=given.steps, rate=3e-3, what=name)
        return [
            {"error": abs(float(value) - LEAST) / LEAST} for value in quotient(field, *gauss(64)).detach()
        ]

    print(table(recorded(given, "eigenvalue", run), {"error": "relative error of the eigenvalue"}))


if __name__ == "__main__":
    main()
