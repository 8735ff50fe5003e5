"""How each task is trained."""

from dataclasses import dataclass

POLICIES = ("fresh", "kept")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Training:
    """How each task is trained, with Adam.

    epochs and batch: passes over a task and samples of a step. rate: learning rate.
    optimizer: Adam's moments start afresh with each task, or are kept (then those of idle outputs restart,
    so that no output moves while it is not in use).
    precision: of the products in forward and backward passes while training; bfloat16 is faster where the
    processor has it. Weights, moments, importances and evaluation are float32 always.
    """

    epochs: int = 20
    batch: int = 32
    rate: float = 1e-3
    optimizer: str = "fresh"
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch", self.batch)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} {value} must be a whole number of at least 1")
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"rate {self.rate} must be a finite number above 0")
        if self.optimizer not in POLICIES:
            raise ValueError(f"optimizer {self.optimizer!r} is unknown: known are {', '.join(POLICIES)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision {self.precision!r} is unknown: known are {', '.join(PRECISIONS)}")
