"""Tables that may be written once or several times: methods and objectives."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Discriminator, Tag

from sweep.space.objective import Objective
from sweep.space.tables import Section

Kind = TypeVar("Kind")


def _form(value: object) -> str:
    return "<several>" if isinstance(value, tuple) else "<one>"


def _methods(value: Section | tuple[Section, ...]) -> Section | tuple[Section, ...]:
    """One method, or several of different names."""
    names = [one.name for one in value] if isinstance(value, tuple) else []
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"the method {name} is there twice: search each once, or make it a baseline")
    return _one_or_more(value)


def _pair(value: Objective | tuple[Objective, ...]) -> Objective | tuple[Objective, ...]:
    """One objective, or two that differ."""
    if isinstance(value, tuple) and len(value) > 2:
        raise ValueError(f"there are {len(value)} objectives: give one, or two")
    if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        raise ValueError("both objectives are the same: leave one out, or let them differ")
    return _one_or_more(value)


def _one_or_more(value: Kind | tuple[Kind, ...]) -> Kind | tuple[Kind, ...]:
    """A list of one is that one."""
    if value == ():
        raise ValueError("is an empty list: give at least one")
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


Methods = Annotated[
    Annotated[Section, Tag("<one>")] | Annotated[tuple[Section, ...], Tag("<several>")],
    Discriminator(_form),
    AfterValidator(_methods),
]
Objectives = Annotated[
    Annotated[Objective, Tag("<one>")] | Annotated[tuple[Objective, ...], Tag("<several>")],
    Discriminator(_form),
    AfterValidator(_pair),
]
