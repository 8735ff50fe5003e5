"""Condition number of the neural tangent kernel at the start, for every activation.

    python examples/raf/ntk.py [--seeds 5] [--activations NAME ...] [--out DIR]

Of the residual networks of the other experiments, before any step, on 16 evenly spaced points of [-1, 1]: the
squared quotient of the largest and the least singular value of the derivatives by all weights (with 32,
rounding hides those of smooth functions). A large one means that gradient descent is slow in some directions.
Source: Liang, Lyu, Wang, Yang 2021, whose claim is that reproducing activations make it smaller.
"""

import math
from collections.abc import Sequence

import torch
from shared import BLOCKS, Field, Row, options, recorded, table

WIDTH, POINTS = 40, 16
MIXTURES = (
    "rational",
    "sine_gaussian",
    "sine_poly_gaussian",
    "sine_poly_gaussian_mild",
    "sine_poly_gaussian_image",
)


def conditions(name: str, seeds: Sequence[int]) -> list[Row]:
    """Logarithm to base 10, one a seed."""
    field = Field(name, 1, WIDTH, seeds)
    x = torch.linspace(-1, 1, POINTS, dtype=torch.float64)[:, None]
    values = field(x).value[..., 0].sum(0)  # networks share no weight, so their derivatives stay apart
    rows = []
    for value in values:
        found = torch.autograd.grad(value, field.params, retain_graph=True)
        rows.append(torch.cat([part.flatten(1) for part in found], 1))
    scales = torch.linalg.svdvals(torch.stack(rows, 1))  # [seeds, points]
    return [{"condition": 2 * math.log10(float(s[0] / s[-1]))} for s in scales]


def main() -> None:
    given = options(__doc__ or "", seeds=5, activations=[*BLOCKS, *MIXTURES])
    heading = "log10 of the condition number"
    print(table(recorded(given, "ntk", conditions), {"condition": heading}))


if __name__ == "__main__":
    main()
