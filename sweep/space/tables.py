"""The tables of a search space: their keys, types and the rules that need nothing but the table itself."""

import math
import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    field_validator,
    model_validator,
)

from nai.orders import Order, design
from sweep.space.mistakes import shown

Value = Any
"""What a setting may be in the end: number, text, true or false, or a tuple of these (a list in TOML)."""
SECTIONS = ("benchmark", "model", "method", "training")


class Table(BaseModel):
    """A table of the space: its keys, no others, of exactly these types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {shown(value)}")
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, not {value}")
    return value


def _plain(value: object) -> Value:
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    raise ValueError(f"must be a number, text, true or false, or a list of these, not {shown(value)}")


def _amount(value: float) -> float:
    if value < 0:
        raise ValueError(f"must be at least 0, not {value}")
    return value


def _stack(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError(f'must be "auto" or a whole number of at least 1, not {shown(value)}')


Number = Annotated[int | float, PlainValidator(_number)]
Plain = Annotated[Value, PlainValidator(_plain)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


class Choice(Table):
    """One of several values."""

    choices: tuple[Plain, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.choices:
            raise ValueError("choices is empty, so there is nothing to choose: name at least one value")
        for i, value in enumerate(self.choices):
            # true and 1 are different choices, 1 and 1.0 are not
            if any(v == value and isinstance(v, bool) == isinstance(value, bool) for v in self.choices[:i]):
                raise ValueError(f"the choice {shown(value)} is there twice: name each value once")
        return self

    def values(self) -> tuple[Value, ...]:
        """Every value that can be drawn."""
        return self.choices


class Range(Table):
    """A number from low to high, both included: whole if both ends and the step are, real otherwise."""

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(
                f"a log range starts above 0, not at low {self.low}: take low = {self.high / 1000}"
            )
        if self.step is not None:
            self._check_step(self.step)
        return self

    def _check_step(self, step: float) -> None:
        if step <= 0:
            raise ValueError(f"step {step} must be above 0")
        if self.log:
            raise ValueError("a log range has no step: leave out log or step, or name the values as choices")
        steps = (self.high - self.low) / step
        if abs(steps - round(steps)) > 1e-9 * max(1, steps):
            last = self.low + math.floor(steps) * step
            raise ValueError(
                f"high {self.high} is no whole number of steps of {step} from low {self.low}: take {last:g}"
            )

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return all(isinstance(n, int) for n in (self.low, self.high, self.step) if n is not None)

    def values(self) -> tuple[Value, ...] | None:
        """Every value that can be drawn, from low to high; None without a step."""
        if self.step is None:
            return None
        steps = round((self.high - self.low) / self.step)
        return (*(self.low + i * self.step for i in range(steps)), self.high)


def _kind(value: object) -> str:
    if isinstance(value, Choice) or (isinstance(value, dict) and "choices" in value):
        return "<choice>"
    return "<range>" if isinstance(value, Range | dict) else "<value>"


Setting = Annotated[
    Annotated[Choice, Tag("<choice>")] | Annotated[Range, Tag("<range>")] | Annotated[Plain, Tag("<value>")],
    Discriminator(_kind),
]


def tried(setting: Any) -> tuple[Any, ...]:
    """The values by which a setting is checked: the fixed one, every choice, or both ends of a range."""
    if isinstance(setting, Choice):
        return setting.choices
    return (setting.low, setting.high) if isinstance(setting, Range) else (setting,)


class Training(Table):
    """How each task is trained; every key is a setting."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Setting] = Field(init=False)

    @property
    def options(self) -> dict[str, Any]:
        """The settings, fixed and searched, without the name."""
        return dict(self.__pydantic_extra__)


class Section(Training):
    """A benchmark, model or method: its name, which is fixed, and its settings."""

    name: str


class Fixed(Table):
    """A method of the report whose settings are all fixed."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    name: str


def named(value: object) -> object:
    """A method of the report as a table, also when only its name was given."""
    return {"name": value} if isinstance(value, str) else value


Baseline = Annotated[Fixed, BeforeValidator(named)]


class Orders(Table):
    """Which task orders are run; the designs are those of `nai.orders.design`."""

    design: Literal["all", "random", "latin", "williams", "reversed", "identity", "list", "named"]
    count: Count | None = None
    seed: Seed = 0
    orders: tuple[tuple[int, ...], ...] | None = None
    named: str | None = None

    def drawn(self, tasks: int, exclude: tuple[Order, ...] = ()) -> tuple[Order, ...]:
        """The orders themselves; ValueError when the design cannot give them."""
        return design(
            self.design, tasks, self.count, self.seed, orders=self.orders, named=self.named, exclude=exclude
        )


class Seeds(Table):
    """Seeds of initial weights and of the data, used in pairs."""

    init: tuple[Seed, ...] = (0,)
    data: tuple[Seed, ...] = (0,)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.init) != len(self.data):
            raise ValueError(
                f"init has {len(self.init)} seeds and data {len(self.data)}: they are used in pairs"
            )
        if not self.init:
            raise ValueError("there are no seeds, so nothing to run: name at least one pair")
        for i, pair in enumerate(self.pairs):
            if pair in self.pairs[:i]:
                raise ValueError(
                    f"the pair init {pair[0]}, data {pair[1]} is there twice: name each pair once"
                )
        return self

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs (init, data)."""
        return tuple(zip(self.init, self.data, strict=True))


class Objective(Table):
    """What the search improves: a metric of each run, and how the orders of a suggestion are summed up."""

    metric: str = "average_accuracy"
    aggregate: Literal["mean", "worst", "cvar", "mean_minus_std"] = "mean"
    share: Number | None = None
    weight: Number | None = None

    OPTIONS: ClassVar = {"share": ("cvar", 0.1), "weight": ("mean_minus_std", 1.0)}

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """The share of cvar and the weight of mean_minus_std have defaults, and no meaning elsewhere."""
        if not isinstance(data, dict):
            return data
        filled = {o: value for o, (owner, value) in cls.OPTIONS.items() if data.get("aggregate") == owner}
        return {**filled, **data}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for option, (owner, _) in self.OPTIONS.items():
            if getattr(self, option) is not None and self.aggregate != owner:
                raise ValueError(
                    f'{option} belongs to aggregate "{owner}", not "{self.aggregate}": leave it out'
                )
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
        return weight if weight is None else _amount(weight)


class Search(Table):
    """How settings are suggested; `ahead` suggestions are in flight at once."""

    sampler: Literal["tpe", "random", "grid", "gp"] = "tpe"
    suggestions: Count
    seed: Seed = 0
    ahead: Count = 4


class Report(Table):
    """What is run after the search, on test data: the best `top` suggestions and the baselines."""

    baselines: tuple[Baseline, ...] = ()
    top: Count = 1
    orders: Orders
    seeds: Seeds = Seeds()

    @field_validator("baselines")
    @classmethod
    def _check_baselines(cls, baselines: tuple[Fixed, ...]) -> tuple[Fixed, ...]:
        for i, one in enumerate(baselines):
            if one in baselines[:i]:
                raise ValueError(f"the baseline {one.name} is there twice: name each once")
        return baselines


class Resources(Table):
    """What one run takes, and where it runs; gpus may be a share of one."""

    cpus: Number = 1
    gpus: Number = 0
    device: str = "auto"
    stack: Annotated[Literal["auto"] | int, PlainValidator(_stack)] = "auto"

    @property
    def place(self) -> str:
        """The device by name: auto is a card only for those who asked for one."""
        return "cpu" if self.device == "auto" and not self.gpus else self.device

    @field_validator("cpus", "gpus")
    @classmethod
    def _check_amount(cls, amount: float) -> float:
        return _amount(amount)

    @field_validator("gpus")
    @classmethod
    def _check_share(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"must be a share of one or a whole number, not {gpus}: only one is shared")
        return gpus

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError(f"{shown(device)} is not auto, cpu, cuda or the number of a card such as cuda:0")
        return device

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.gpus and self.device == "cpu":
            raise ValueError(f'device "cpu" leaves gpus {self.gpus} idle: leave out one of them')
        if self.gpus and ":" in self.device:
            raise ValueError(
                f'with gpus {self.gpus} Ray chooses the card: take device "cuda", or leave out gpus'
            )
        return self
