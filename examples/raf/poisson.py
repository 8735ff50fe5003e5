"""Poisson's equation on the unit square by residual minimisation, with every activation on the same budget.

    python examples/raf/poisson.py [--steps 1000] [--seeds 3] [--activations NAME ...] [--out DIR]

-Laplacian u = f and u = 0 on the boundary, where u = x^2 (1 - x) y^2 (1 - y); the network is N in the ansatz
u = x (1 - x) y (1 - y) N(x, y). Relative L2 error on 101 x 101 points. What is on record is not run again.
Source: Liang, Lyu, Wang, Yang 2021, the regular solution.
"""

from collections.abc import Sequence

from shared import BLOCKS, Jet, Row, options, recorded, solved, table
from torch import Tensor


def exact(x: Tensor) -> Tensor:
    """The solution at points [points, 2], [points, 1]."""
    a, b = x.split(1, 1)
    return a**2 * (1 - a) * b**2 * (1 - b)


def residual(u: Jet, x: Tensor) -> Tensor:
    """Laplacian u + f, [seeds, points, 1]."""
    a, b = x.split(1, 1)
    return u.laplacian - (2 - 6 * a) * b**2 * (1 - b) - a**2 * (1 - a) * (2 - 6 * b)


def main() -> None:
    given = options(__doc__ or "", steps=1000, seeds=3, activations=BLOCKS)

    def run(name: str, seeds: Sequence[int]) -> list[Row]:
        return solved(name, seeds, residual, steps=given.steps, exact=exact)

    print(table(recorded(given, "poisson", run), {"error": "relative L2 error"}))


if __name__ == "__main__":
    main()
