"""What a setting of a search space may be: a fixed value, one of several, or a number from a range."""

import math
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, model_validator

from sweep.space.mistakes import shown

Value = Any
"""What a setting may be in the end: number, text, true or false, or a tuple of these (a list in TOML)."""


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


def amount(value: float) -> float:
    """A number of at least 0; ValueError for one below."""
    if value < 0:
        raise ValueError(f"must be at least 0, not {value}")
    return value


def above_zero(value: float) -> float:
    """A number above 0; ValueError for any other."""
    if value <= 0:
        raise ValueError(f"must be above 0, not {value}")
    return value


Number = Annotated[int | float, PlainValidator(_number)]
Plain = Annotated[Value, PlainValidator(_plain)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


def among(value: Value, values: tuple[Value, ...]) -> bool:
    """Whether a value is one of these: true and 1 are different, 1 and 1.0 are not."""
    return any(v == value and isinstance(v, bool) == isinstance(value, bool) for v in values)


class Searched(Table):
    """A setting that is searched; `when` names the values of others with which alone it exists."""

    when: dict[str, tuple[Plain, ...]] | None = None

    @model_validator(mode="after")
    def _check_when(self) -> Self:
        for parent, values in (self.when or {}).items():
            if not values:
                raise ValueError(
                    f"when names no value of {parent}, so it never acts: name one, or leave it out"
                )
        if self.when == {}:
            raise ValueError("when is empty: name a setting and its values, or leave it out")
        return self


class Choice(Searched):
    """One of several values."""

    choices: tuple[Plain, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.choices:
            raise ValueError("choices is empty, so there is nothing to choose: name at least one value")
        for i, value in enumerate(self.choices):
            if among(value, self.choices[:i]):
                raise ValueError(f"the choice {shown(value)} is there twice: name each value once")
        return self

    def values(self) -> tuple[Value, ...]:
        """Every value that can be drawn."""
        return self.choices

    def drawn(self, value: Value) -> Value:
        """The value as it would be drawn; ValueError when it never is."""
        for choice in self.choices:
            if among(value, (choice,)):
                return choice
        raise ValueError(f"{shown(value)} is none of its choices {shown(self.choices)}: add it there")


class Range(Searched):
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

    def drawn(self, value: Value) -> Value:
        """The value as it would be drawn; ValueError when it never is."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"must be a number, not {shown(value)}")
        if not self.low <= value <= self.high:
            raise ValueError(f"{value} lies outside {self.low} to {self.high}: widen the range or change it")
        if self.step is not None:
            return self._on_step(value)
        if self.whole and value != int(value):
            raise ValueError(f"{value} is no whole number: take {round(value)}")
        return int(value) if self.whole else float(value)

    def _on_step(self, value: float) -> Value:
        known = self.values() or ()
        near: Value = min(known, key=lambda v: abs(v - value))
        if abs(near - value) > 1e-9 * max(1, abs(value)):
            raise ValueError(f"{value} is not on the steps of {self.step} from {self.low}: take {near:g}")
        return near


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
