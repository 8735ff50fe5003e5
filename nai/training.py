"""How each task is trained."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from nai.augment import AUGMENTATIONS

NAMES = {
    "optimizer": ("fresh", "kept"),
    "precision": ("float32", "bfloat16"),
    "algorithm": ("adam", "sgd"),
    "boundaries": ("known", "hidden"),
    "augment": AUGMENTATIONS,
}
ADDED = ("precision", "algorithm", "momentum", "decay", "steps", "boundaries", "augment")
"""What older records do not name: it is told only where it is not the default."""


@dataclass(frozen=True)
class Training:
    """How each task is trained, with Adam or with stochastic gradient descent.

    epochs and batch: passes over a task and samples of a step. rate: learning rate.
    optimizer: its moments start afresh with each task, or are kept (then those of idle outputs restart,
    so that no output moves while it is not in use).
    precision: of the products in forward and backward passes while training; bfloat16 is faster where the
    processor has it. Weights, moments, importances and evaluation are float32 always.
    algorithm: adam, or sgd with its momentum (neither damped nor Nesterov's).
    decay: of decay / 2 x ||theta||^2, a part of the loss, so coupled; not of outputs that are not in use.
    steps: of an epoch, from one reshuffled pass over the task after the other; None: one whole pass.
    boundaries: hidden ones are told to no method, and every output is in use from the first task on.
    augment: crop_flip shifts the images of each batch by up to 4 pixels and mirrors half of them; what
    methods replay or measure importances with, and what is evaluated, is as it came.
    """

    epochs: int = 20
    batch: int = 32
    rate: float = 1e-3
    optimizer: str = "fresh"
    precision: str = "float32"
    algorithm: str = "adam"
    momentum: float = 0.0
    decay: float = 0.0
    steps: int | None = None
    boundaries: str = "known"
    augment: str = "none"

    acts_with: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
        {"momentum": ("algorithm", ("sgd",))}
    )

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "steps"):
            value = getattr(self, name)
            if (value is not None or name != "steps") and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} {value} must be a whole number of at least 1")
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"rate {self.rate} must be a finite number above 0")
        if not 0 <= self.decay < float("inf"):
            raise ValueError(f"decay {self.decay} must be a finite number of at least 0")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum {self.momentum} must be at least 0 and below 1")
        for name, known in NAMES.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} {value!r} is unknown: known are {', '.join(known)}")
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.momentum and self.algorithm != "sgd":
            raise ValueError(
                f"momentum {self.momentum} acts only with algorithm 'sgd': take that, or leave out momentum"
            )
        if self.boundaries == "hidden" and self.optimizer != "kept":
            raise ValueError(
                f"boundaries are hidden, but optimizer {self.optimizer!r} starts afresh at each of them: "
                "take optimizer 'kept'"
            )

    def settings(self) -> dict[str, Any]:
        """Its fields, but for the defaults that older records do not name."""
        fields = dataclasses.asdict(self)
        return {k: v for k, v in fields.items() if k not in ADDED or v != getattr(Training, k)}
