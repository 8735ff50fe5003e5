"""How settings are suggested, judged and stopped: the table `[search]` and the rules within it."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from sweep.space.settings import Count, Number, Plain, Seed, Table, Value

Stopping = Literal["none", "race", "asha", "median", "hyperband", "percentile", "wilcoxon"]
Protocol = Literal["whole", "first_tasks", "continual"]


class Prior(Table):
    """Settings to try first, by name; those of other sections with it: `"training.rate" = 0.001`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    method: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        """A dotted key without quotes is a table in TOML, and the same."""
        return dict(_dotted(data)) if isinstance(data, dict) else data

    @property
    def values(self) -> dict[str, Value]:
        """The values, by dotted name."""
        given = self.__pydantic_extra__
        return {key if "." in key else f"method.{key}": value for key, value in given.items()}


def _dotted(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in table.items():
        inner = value if isinstance(value, dict) else None
        flat += [(f"{key}.{k}", v) for k, v in inner.items()] if inner else [(key, value)]
    return flat


class Own(NamedTuple):
    """A key of one rule alone: the key of which the rule is a value, those that read it, its default."""

    rule: str
    owners: tuple[str, ...]
    default: Any


class Search(Table):
    """How settings are suggested; `ahead` suggestions are in flight at once.

    suggestions: of each method, unless `budgets` says otherwise. defaults: each method's published defaults
    are tried first. first: values to try before all others. rungs: numbers of orders after which `stopping`
    may end a suggestion. protocol: judged by the whole sequence of tasks (oracle tuning, since no learner
    knows the tasks to come), by its first `tasks` alone, or tuned while it learns (continual).
    """

    sampler: Literal["tpe", "random", "grid", "gp", "cmaes", "nsga2", "qmc"] = "tpe"
    suggestions: Count
    budgets: dict[str, Count] = Field(default_factory=dict)
    seed: Seed = 0
    ahead: Count = 4
    defaults: bool = False
    first: tuple[Prior, ...] = ()
    rungs: tuple[Count, ...] | None = None
    stopping: Stopping = "none"
    level: Number | None = None
    keep: Number | None = None
    eta: int | None = None
    protocol: Protocol = "whole"
    tasks: Count | None = None
    rates: tuple[Number, ...] | None = None
    decay: Number | None = None
    tolerance: Number | None = None
    attempts: Count | None = None

    OWN: ClassVar = {
        "level": Own("stopping", ("race", "wilcoxon"), 0.05),
        "keep": Own("stopping", ("percentile",), 0.25),
        "eta": Own("stopping", ("asha", "hyperband"), 3),
        "tasks": Own("protocol", ("first_tasks",), None),
        "rates": Own("protocol", ("continual",), (0.01, 0.003, 0.001, 0.0003, 0.0001)),
        "decay": Own("protocol", ("continual",), 0.5),
        "tolerance": Own("protocol", ("continual",), 0.2),
        "attempts": Own("protocol", ("continual",), 10),
    }

    @property
    def selection(self) -> dict[str, Value]:
        """How settings are chosen task by task, with protocol continual."""
        return {key: getattr(self, key) for key in ("rates", "decay", "tolerance", "attempts")}

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Rungs without a rule race; keys that belong to a rule have defaults with it alone."""
        if not isinstance(data, dict):
            return data
        rule = {"stopping": "race"} if data.get("rungs") else {}
        data = {**rule, **data}
        filled = {
            key: own.default
            for key, own in cls.OWN.items()
            if own.default is not None and data.get(own.rule) in own.owners
        }
        return {**filled, **data}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key, own in self.OWN.items():
            rule = getattr(self, own.rule)
            if getattr(self, key) is not None and rule not in own.owners:
                owners = " and ".join(f'"{owner}"' for owner in own.owners)
                raise ValueError(f'{key} belongs to {own.rule} {owners}, not "{rule}": leave it out')
        if self.rungs and self.stopping == "none":
            raise ValueError('rungs have no use with stopping "none": leave them out, or take "race"')
        if not self.rungs and self.stopping != "none":
            raise ValueError(f'stopping "{self.stopping}" needs rungs, such as rungs = [4, 12]: add them')
        return self._check_protocol()

    def _check_protocol(self) -> Self:
        if self.protocol == "first_tasks" and self.tasks is None:
            raise ValueError('protocol "first_tasks" needs tasks, how many of them: such as tasks = 2')
        if self.protocol == "continual" and self.rungs:
            raise ValueError('protocol "continual" suggests nothing that could be stopped: leave out rungs')
        return self

    @field_validator("rungs")
    @classmethod
    def _check_rungs(cls, rungs: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if rungs is not None and (not rungs or list(rungs) != sorted(set(rungs))):
            raise ValueError(f"must be one or more numbers of orders, each above the last, not {list(rungs)}")
        return rungs

    @field_validator("level", "keep", "decay")
    @classmethod
    def _check_share(cls, share: float | None) -> float | None:
        if share is not None and not 0 < share < 1:
            raise ValueError(f"must be above 0 and below 1, not {share}")
        return share

    @field_validator("tolerance")
    @classmethod
    def _check_tolerance(cls, tolerance: float | None) -> float | None:
        if tolerance is not None and not 0 <= tolerance < 1:
            raise ValueError(f"must be at least 0 and below 1, not {tolerance}")
        return tolerance

    @field_validator("eta")
    @classmethod
    def _check_eta(cls, eta: int | None) -> int | None:
        if eta is not None and eta < 2:
            raise ValueError(f"must be at least 2, since one of eta suggestions goes on, not {eta}")
        return eta

    @field_validator("rates")
    @classmethod
    def _check_rates(cls, rates: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if rates is not None and (not rates or min(rates) <= 0 or len(set(rates)) < len(rates)):
            raise ValueError(f"must be one or more numbers above 0, each once, not {list(rates)}")
        return rates
