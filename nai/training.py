"""How each task is trained."""

import dataclasses
import math
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
    "schedule": ("constant", "cosine"),
}
ADDED = (
    "precision", "algorithm", "momentum", "decay", "steps", "boundaries", "augment", "schedule",
    "warm_epochs", "first_epochs",
)  # fmt: skip
"""What older records do not name: it is told only where it is not the default."""
WARM_FROM, COSINE_TO = 0.02, 1e-3
"""Shares of the rate from which it rises while warm, and to which it falls along the cosine."""


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
    schedule: of the rate within each task, epoch by epoch: constant, or cosine, which falls to a thousandth.
    warm_epochs: so many at each task's begin in which the rate rises evenly from a fiftieth to its schedule.
    first_epochs: of the first task; None: as many as of all others.
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
    schedule: str = "constant"
    warm_epochs: int = 0
    first_epochs: int | None = None

    acts_with: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
        {"momentum": ("algorithm", ("sgd",))}
    )

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "steps", "first_epochs"):
            value = getattr(self, name)
            free = name in ("steps", "first_epochs") and value is None
            if not free and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} {value} must be a whole number of at least 1")
        if not isinstance(self.warm_epochs, int) or not 0 <= self.warm_epochs < self.shortest:
            raise ValueError(
                f"warm_epochs {self.warm_epochs} must be a whole number from 0 to below the epochs of "
                f"every task, here {self.shortest}"
            )
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

    @property
    def shortest(self) -> int:
        """The epochs of the task that has fewest."""
        return min(self.epochs, self.first_epochs or self.epochs)

    def after(self, depth: int) -> "Training":
        """The training of a task that so many were learnt before: `epochs` are its own."""
        if depth or self.first_epochs is None:
            return self
        return dataclasses.replace(self, epochs=self.first_epochs)

    def rate_in(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0, in a task of `epochs`."""
        if epoch >= self.warm_epochs:
            return self._scheduled(epoch)
        low, high = WARM_FROM * self.rate, self._scheduled(self.warm_epochs - 1)
        return low + (epoch + 0.5) / self.warm_epochs * (high - low)

    def _scheduled(self, epoch: int) -> float:
        if self.schedule == "constant":
            return self.rate
        low = COSINE_TO * self.rate
        return low + (self.rate - low) * (1 + math.cos(math.pi * (epoch + 1) / self.epochs)) / 2

    def settings(self) -> dict[str, Any]:
        """Its fields, but for the defaults that older records do not name."""
        fields = dataclasses.asdict(self)
        return {k: v for k, v in fields.items() if k not in ADDED or v != getattr(Training, k)}
