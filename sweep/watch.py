"""How a caller follows a sweep."""

from collections.abc import Callable
from dataclasses import dataclass

from sweep.standing import Standing


@dataclass(frozen=True)
class Watch:
    """What is being done, how far it is, what is left to write to MLflow, and what was odd on the way.

    lost: why the cluster is gone, told from a thread of its own; the sweep cannot end in order then.
    """

    stage: Callable[[str], None] = lambda text: None
    standing: Callable[[Standing], None] = lambda standing: None
    tracking: Callable[[int], None] = lambda left: None
    note: Callable[[str], None] = lambda text: None
    lost: Callable[[str], None] = lambda why: None
