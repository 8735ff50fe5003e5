"""What a search improves: a metric of each run, summed up over the orders of a suggestion."""

from typing import Any, ClassVar, Literal, Self

from pydantic import field_validator, model_validator

from nai.metrics import METRICS
from sweep.space.settings import Number, Table, amount

SPREADS = ("std", "aopd", "mopd")
"""Aggregates that are better small, whichever way the metric goes."""
OF_TASKS = ("aopd", "mopd", "mean_minus_aopd")
"""Aggregates that compare the final accuracy of each task over orders."""
OF_SEVERAL = (*SPREADS, "mean_minus_std", "mean_minus_aopd")
"""Aggregates that one order does not have."""


class Objective(Table):
    """A metric of each run, averaged over its seeds, and how the orders of a suggestion are summed up."""

    metric: str = "average_accuracy"
    aggregate: Literal[
        "mean", "worst", "cvar", "mean_minus_std", "mean_minus_aopd", "std", "aopd", "mopd"
    ] = "mean"
    share: Number | None = None
    weight: Number | None = None

    OPTIONS: ClassVar = {
        "share": (("cvar",), 0.1),
        "weight": (("mean_minus_std", "mean_minus_aopd"), 1.0),
    }

    @property
    def direction(self) -> int:
        """1 when more is better, -1 when less is."""
        return -1 if self.aggregate in SPREADS else METRICS[self.metric].direction

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """A share and a weight have defaults for the aggregates that read them, and no meaning elsewhere."""
        if not isinstance(data, dict):
            return data
        filled = {o: value for o, (owners, value) in cls.OPTIONS.items() if data.get("aggregate") in owners}
        return {**filled, **data}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for option, (owners, _) in self.OPTIONS.items():
            if getattr(self, option) is not None and self.aggregate not in owners:
                named = " and ".join(f'"{owner}"' for owner in owners)
                raise ValueError(
                    f'{option} belongs to aggregate {named}, not "{self.aggregate}": leave it out'
                )
        if self.aggregate in ("aopd", "mopd") and self.metric != "average_accuracy":
            raise ValueError(f'aggregate "{self.aggregate}" reads no metric: leave metric out')
        return self

    @field_validator("share")
    @classmethod
    def _check_share(cls, share: float | None) -> float | None:
        if share is not None and not 0 < share <= 1:
            raise ValueError(f"must be above 0 and at most 1, not {share}")
        return share

    @field_validator("weight")
    @classmethod
    def _check_weight(cls, weight: float | None) -> float | None:
        return weight if weight is None else amount(weight)
