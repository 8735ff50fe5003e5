"""The search space itself: a value that says what is fixed, what is searched, over which orders and seeds."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

import tomli_w
from pydantic import Field

from nai.orders import Order
from sweep.space import checks
from sweep.space.tables import (
    SECTIONS,
    Choice,
    Objective,
    Orders,
    Range,
    Report,
    Resources,
    Search,
    Section,
    Seeds,
    Table,
    Training,
    Value,
    tried,
)


class Change(NamedTuple):
    """A key that differs between two spaces; None where it is absent."""

    key: str
    before: Any
    after: Any


class Space(Table):
    """What a sweep runs: all of it, and nothing else, is in these tables."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    benchmark: Section
    model: Section
    method: Section
    training: Training = Training()
    orders: Orders
    seeds: Seeds = Seeds()
    objective: Objective = Objective()
    search: Search
    report: Report | None = None
    resources: Resources = Resources()

    # ------------------------------------------------------------------ what is searched
    def parameters(self) -> dict[str, Choice | Range]:
        """What is searched, by dotted name, sorted: the order of keys in a file must not change a search."""
        searched = {
            f"{section}.{key}": setting
            for section in SECTIONS
            for key, setting in getattr(self, section).options.items()
            if isinstance(setting, Choice | Range)
        }
        return dict(sorted(searched.items()))

    @property
    def suggestions(self) -> int:
        """How many suggestions are worth making: a grid ends, and so does a space with nothing to search."""
        parameters = self.parameters().values()
        if parameters and self.search.sampler != "grid":
            return self.search.suggestions
        return min(self.search.suggestions, math.prod(len(p.values() or ()) for p in parameters))

    def settings(self, values: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
        """Benchmark, model, method and training with the searched values filled in, by dotted name.

        ValueError unless the values are those of `parameters`, no fewer and no more.
        """
        searched = self.parameters()
        if set(values) != set(searched):
            raise ValueError(f"values for {sorted(values)} given, but {sorted(searched)} are searched")
        out = {}
        for section in SECTIONS:
            table = getattr(self, section)
            name = {"name": table.name} if isinstance(table, Section) else {}
            chosen = {k: values.get(f"{section}.{k}", setting) for k, setting in table.options.items()}
            out[section] = {**name, **chosen}
        return out

    def first(self) -> dict[str, dict[str, Value]]:
        """The settings with the first choice, or the low end, of whatever is searched."""
        return self.settings({name: tried(setting)[0] for name, setting in self.parameters().items()})

    def baselines(self) -> tuple[dict[str, Value], ...]:
        """The methods of the report beside the best suggestions: name and fixed settings of each."""
        return tuple(b.model_dump() for b in self.report.baselines) if self.report else ()

    # ------------------------------------------------------------------ orders and seeds
    def tasks(self) -> int:
        """The number of tasks; no data are read, but a benchmark that is a `module:attribute` is made."""
        first = {key: tried(setting)[0] for key, setting in self.benchmark.options.items()}
        return checks.shape(self.benchmark.name, first).tasks

    def search_orders(self, tasks: int) -> tuple[Order, ...]:
        """The orders that every suggestion is judged by."""
        return self.orders.drawn(tasks)

    def report_orders(self, tasks: int) -> tuple[Order, ...]:
        """The orders of the report: none of the search's, unless the report takes all."""
        return self.report.orders.drawn(tasks, self.search_orders(tasks)) if self.report else ()

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Seeds (init, data) of the search."""
        return self.seeds.pairs

    @property
    def report_pairs(self) -> tuple[tuple[int, int], ...]:
        """Seeds (init, data) of the report."""
        return self.report.seeds.pairs if self.report else ()

    # ------------------------------------------------------------------ as a value
    def canonical(self) -> dict[str, Any]:
        """The whole space as plain values, defaults included."""
        return self.model_dump(exclude_none=True)

    @property
    def digest(self) -> str:
        """12 hex digits that name this space."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_toml(self) -> str:
        """The space as TOML; reading it gives an equal space."""
        return tomli_w.dumps(self.canonical())

    def difference(self, other: "Space") -> tuple[Change, ...]:
        """The keys in which another space differs from this one, dotted, sorted."""
        before, after = dict(_leaves(self.canonical())), dict(_leaves(other.canonical()))
        keys = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
        return tuple(Change(k, before.get(k), after.get(k)) for k in keys)


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and not {"choices", "low"} & value.keys():
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
