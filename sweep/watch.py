"""How a caller follows a sweep."""

from collections.abc import Callable
from dataclasses import dataclass

from sweep.standing import Standing


@dataclass(frozen=True)
class Watch:
    """What is being done, how far it is, what is left to write to MLflow, and what was odd on the way."""

    stage: Callable[[str], None] = lambda text: None
    standing: Callable[[Standing], None] = lambda standing: None
    tracking: Callable[[int], None] = lambda left: None
    note: Callable[[str], None] = lambda text: None
