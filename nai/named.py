"""A name and its settings as a value: how benchmarks and models are asked for."""

from collections.abc import Hashable
from typing import Any, NamedTuple


class Named(NamedTuple):
    """A name and its keyword settings, such as a model's."""

    name: str
    options: tuple[tuple[str, Hashable], ...] = ()

    @classmethod
    def of(cls, name: str, **options: Any) -> "Named":
        """Settings in any order; lists count as tuples."""
        return cls(name, tuple(sorted((k, frozen(v)) for k, v in options.items())))

    def settings(self) -> dict[str, Any]:
        """A plain dict: name and options."""
        return {"name": self.name, **{k: thawed(v) for k, v in self.options}}


def frozen(value: Any) -> Hashable:
    """Lists as tuples, which have a hash."""
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def thawed(value: Any) -> Any:
    """Tuples as lists, as in JSON."""
    return list(map(thawed, value)) if isinstance(value, tuple) else value
