"""The tables of a search space that stand alone: things by name, orders, seeds and resources."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PlainValidator, field_validator, model_validator

from nai.orders import Order, design
from sweep.space.mistakes import shown
from sweep.space.settings import Count, Number, Seed, Setting, Table, above_zero, amount

SECTIONS = ("benchmark", "model", "method", "training")


def _stack(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError(f'must be "auto" or a whole number of at least 1, not {shown(value)}')


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


class Orders(Table):
    """Which task orders are run; the designs are those of `nai.orders.design`."""

    design: Literal["all", "random", "latin", "williams", "reversed", "identity", "list", "named"]
    count: Count | None = None
    seed: Seed = 0
    orders: tuple[tuple[int, ...], ...] | None = None
    named: str | None = None

    @property
    def draws(self) -> bool:
        """Whether orders are drawn, round those that must not come out; else the design names them."""
        return self.design in ("random", "latin")

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


class Resources(Table):
    """What one run takes, and where it runs; gpus may be a share of one, memory is GB a worker may hold.

    workers: how many at once, also where a cluster must start their machines first; None for all that fit.
    patience: seconds after which a worker that brought no run is taken to hang, and is ended; None for ever.
    """

    cpus: Number = 1
    gpus: Number = 0
    memory: Number | None = None
    device: str = "auto"
    stack: Annotated[Literal["auto"] | int, PlainValidator(_stack)] = "auto"
    workers: Count | None = None
    patience: Number | None = None

    @property
    def place(self) -> str:
        """The device by name: auto is a card only for those who asked for one."""
        return "cpu" if self.device == "auto" and not self.gpus else self.device

    @field_validator("cpus", "gpus")
    @classmethod
    def _check_amount(cls, given: float) -> float:
        return amount(given)

    @field_validator("memory", "patience")
    @classmethod
    def _check_limit(cls, limit: float | None) -> float | None:
        return limit if limit is None else above_zero(limit)

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
