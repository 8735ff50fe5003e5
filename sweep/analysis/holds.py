"""What a number is expected to hold for beyond the runs that it is from, and how many runs these are."""

import math
from typing import Any, Literal

from sweep.analysis.arms import Crossing

Holds = Literal["orders and seeds", "seeds", "orders", "neither"]
"""What a number is expected to hold for beyond the runs that it is from.

Seeds alone, where all the orders there are were run: it is exact over orders. Neither: these runs alone, as
for everything extreme, such as the worst order and ranges, which other orders can only make larger.
"""


def whole(runs: Crossing) -> bool:
    """Whether these are all the orders that there are of their tasks."""
    return len(runs.orders) == math.factorial(len(runs.orders[0]))


def mean_holds(runs: Crossing) -> Holds:
    """What a mean over these runs is expected to hold for."""
    if len(runs.orders) > 1 and not whole(runs):
        return "orders and seeds" if len(runs.seeds) > 1 else "orders"
    return "seeds" if len(runs.seeds) > 1 else "neither"


def counts(runs: Crossing) -> dict[str, Any]:
    """What every line of a table says of the runs behind it."""
    return {
        "orders": len(runs.orders),
        "seeds": len(runs.seeds),
        "missing": runs.missing,
        "failed": runs.failed,
    }
