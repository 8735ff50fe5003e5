"""What is run after the search, on test data and on orders that it has not seen: the table `[confirm]`."""

from typing import Annotated, NamedTuple, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sweep.space.settings import Count, Number, Plain, Table
from sweep.space.tables import Orders, Seeds

MOST_LISTED = 5
"""Tasks of which all orders are run unless something else is asked for: 5! = 120."""
TAIL = 0.05
"""Beyond, as many orders as show the worst of this share, unless something else is asked for."""
START = 30
"""Orders drawn before anyone asks how many are needed."""


class Fixed(Table):
    """A method whose settings are all fixed."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    name: str


def named(value: object) -> object:
    """A method as a table, also when only its name was given."""
    return {"name": value} if isinstance(value, str) else value


Baseline = Annotated[Fixed, BeforeValidator(named)]


class Until(Table):
    """When orders are enough: the mean is known to this half width, or an order of the worst tail is seen.

    half_width: of the 95 % interval of the mean, accuracy 0..1. tail: a share of all orders.
    """

    half_width: Number | None = None
    tail: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.half_width is None) == (self.tail is None):
            raise ValueError("needs half_width or tail, one of them: such as {tail = 0.05}")
        return self

    @field_validator("half_width", "tail")
    @classmethod
    def _check_share(cls, share: float | None) -> float | None:
        if share is not None and not 0 < share < 1:
            raise ValueError(f"must be above 0 and below 1, not {share}")
        return share


class Design(NamedTuple):
    """The orders to confirm on, and what says that they are enough (None: they are, however it comes out)."""

    orders: Orders
    until: Until | None


class Confirm(Table):
    """The best `top` suggestions of each of `methods` (all without it) and the baselines, on test data.

    orders: without them all for up to 5 tasks, else random ones with until = {tail = 0.05}. until: more
    random orders are drawn until they are enough; `orders.count` is where it starts. nets: so many seeds with
    which everything confirmed also learns each task alone, in a net of its own: the noise floor of OPD.
    """

    baselines: tuple[Baseline, ...] = ()
    top: Count = 1
    methods: tuple[str, ...] | None = None
    orders: Orders | None = None
    seeds: Seeds = Seeds(init=(0, 1, 2), data=(0, 1, 2))
    until: Until | None = None
    nets: Annotated[int, Field(ge=2)] | None = None

    def design(self, tasks: int) -> Design:
        """The orders of so many tasks to begin with, and until when more are drawn."""
        if self.orders:
            return Design(self.orders, self.until)
        if tasks <= MOST_LISTED and not self.until:
            return Design(Orders(design="all"), None)
        return Design(Orders(design="random", count=START), self.until or Until(tail=TAIL))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.until and self.orders and self.orders.design != "random":
            raise ValueError(
                f'until draws more orders, so design "{self.orders.design}" has no use for it: '
                'take design "random", or leave out until'
            )
        return self

    @field_validator("baselines")
    @classmethod
    def _check_baselines(cls, baselines: tuple[Fixed, ...]) -> tuple[Fixed, ...]:
        for i, one in enumerate(baselines):
            if one in baselines[:i]:
                raise ValueError(f"the baseline {one.name} is there twice: name each once")
        return baselines

    @field_validator("methods")
    @classmethod
    def _check_methods(cls, methods: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if methods == ():
            raise ValueError("names no method: name one, or leave it out for all")
        if methods and len(set(methods)) < len(methods):
            raise ValueError("names a method twice: name each once")
        return methods
