"""An equation with an oscillating solution by residual minimisation, with every activation on one budget.

    python examples/raf/oscillation.py [--steps 1200] [--seeds 3] [--activations NAME ...] [--out DIR]

-Laplacian u - (u - 1)^3 + (u + 2)^2 = f on the unit square and u = 0 on its boundary, where
u = sin(2 pi x) sin(2 pi y); ansatz, error and record as in poisson.py.
Source: Liang, Lyu, Wang, Yang 2021, the oscillating solution, with frequency k = 1.
"""

import math
from collections.abc import Sequence

from shared import BLOCKS, Jet, Row, options, recorded, solved, table
from torch import Tensor

FREQUENCY = 2 * math.pi


def exact(x: Tensor) -> Tensor:
    """The solution at points [points, 2], [points, 1]."""
    return (FREQUENCY * x).sin().prod(1, keepdim=True)


def residual(u: Jet, x: Tensor) -> Tensor:
    """-Laplacian u - (u - 1)^3 + (u + 2)^2 - f, [seeds, points, 1]."""
    v = exact(x)
    f = 2 * FREQUENCY**2 * v - (v - 1) ** 3 + (v + 2) ** 2
    return -u.laplacian - (u.value - 1) ** 3 + (u.value + 2) ** 2 - f


def main() -> None:
    given = options(__doc__ or "", steps=1200, seeds=3, activations=BLOCKS)

    def run(name: str, seeds: Sequence[int]) -> list[Row]:
        return solved(name, seeds, residual, steps=given.steps, exact=exact)

    print(table(recorded(given, "oscillation", run), {"error": "relative L2 error"}))


if __name__ == "__main__":
    main()
