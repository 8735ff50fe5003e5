"""The search space itself: a value that says what is fixed, what is searched, over which orders and seeds."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import tomli_w
from pydantic import Field

from nai.orders import Order
from sweep.space import conditions, shapes
from sweep.space.confirm import Confirm, Design
from sweep.space.objective import Objective
from sweep.space.published import published
from sweep.space.search import Search
from sweep.space.settings import Choice, Range, Table, Value, tried
from sweep.space.several import Methods, Objectives
from sweep.space.tables import SECTIONS, Orders, Resources, Section, Seeds, Training


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
    method: Methods
    training: Training = Training()
    orders: Orders
    seeds: Seeds = Seeds()
    objective: Objectives = Objective()
    search: Search
    confirm: Confirm | None = None
    resources: Resources = Resources()

    # ------------------------------------------------------------------ what is searched
    @property
    def methods(self) -> tuple[Section, ...]:
        """The methods in the order of the file, each with its own settings and its own search."""
        return self.method if isinstance(self.method, tuple) else (self.method,)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the search improves: one number, or two of which neither may be given up for the other."""
        return self.objective if isinstance(self.objective, tuple) else (self.objective,)

    @property
    def directions(self) -> tuple[int, ...]:
        """For each objective 1 when more is better, -1 when less is."""
        return tuple(one.direction for one in self.objectives)

    def section(self, method: str | None = None) -> Section:
        """The method of that name, or the only one; ValueError when there is none such."""
        known = {one.name: one for one in self.methods}
        if method is None and len(known) == 1:
            return self.methods[0]
        if method not in known:
            raise ValueError(f"method {method!r} is not in the space: name one of {', '.join(known)}")
        return known[method]

    def parameters(self, method: str | None = None) -> conditions.Parameters:
        """What is searched with a method, by dotted name; parents come before what hangs on them.

        Their `when` names parents in full, and none but searched ones. Otherwise sorted: the order of keys in
        a file must not change a search.
        """
        return conditions.parameters(self.flat(method))

    def flat(self, method: str | None = None) -> dict[str, Any]:
        """Every setting of a method, fixed or searched, by dotted name, and the names of things."""
        tables = self._tables(method)
        return {f"{section}.{key}": s for section, table in tables.items() for key, s in table.items()}

    def settings(self, method: str | None, values: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
        """Benchmark, model, method and training with the searched values filled in, by dotted name.

        A setting that does not exist beside the others is left out, so that the code's default holds.
        ValueError unless the values are those that exist beside each other, no fewer and no more.
        """
        searched = self.parameters(method)
        existing = {name for name, setting in searched.items() if conditions.acts(setting, values)}
        if set(values) != existing:
            raise ValueError(f"values for {sorted(values)} given, but {sorted(existing)} are searched")
        out: dict[str, dict[str, Value]] = {}
        for section, table in self._tables(method).items():
            filled = {key: values.get(f"{section}.{key}", setting) for key, setting in table.items()}
            out[section] = {k: v for k, v in filled.items() if not isinstance(v, Choice | Range)}
        if self.search.protocol == "continual":
            out["selection"] = self.search.selection
        return out

    def first(self, method: str | None = None) -> dict[str, dict[str, Value]]:
        """The settings with the first choice, or the low end, of whatever is searched."""
        values: dict[str, Value] = {}
        for name, setting in self.parameters(method).items():
            if conditions.acts(setting, values):
                values[name] = tried(setting)[0]
        return self.settings(method, values)

    def suggestions(self, method: str | None = None) -> int:
        """How many suggestions a method is worth: its budget, but a grid ends, and so does nothing to search.

        Some of them may come from `priors`, but for a grid.
        """
        name, searched = self.section(method).name, self.parameters(method)
        budget = self.search.budgets.get(name, self.search.suggestions)
        if searched and self.search.sampler != "grid":
            return budget
        return conditions.count(searched, budget)

    def grid(self, method: str | None = None) -> Iterator[dict[str, Value]]:
        """Every combination of values that exists, in order, if all that is searched can be counted."""
        return conditions.points(self.parameters(method))

    def priors(self, method: str | None = None) -> tuple[dict[str, Value], ...]:
        """Values to try first, by dotted name: those of `search.first`, then the published ones if asked for.

        What they leave open is drawn. Settings that are not searched, or do not exist beside the others, are
        left out. ValueError for a value that is never drawn.
        """
        name, searched = self.section(method).name, self.parameters(method)
        asked = [prior.values for prior in self.search.first if prior.method in (None, name)]
        if self.search.defaults:
            asked.append(published(name, self.benchmark.model_dump(), self.training.options))
        drawn = (
            {k: setting.drawn(values[k]) for k, setting in searched.items() if k in values}
            for values in asked
        )
        tried_first = [conditions.completed(searched, values) for values in drawn]
        return tuple(p for i, p in enumerate(tried_first) if p and p not in tried_first[:i])

    def baselines(self) -> tuple[dict[str, Value], ...]:
        """The methods run beside the best suggestions to confirm: name and fixed settings of each."""
        return tuple(b.model_dump() for b in self.confirm.baselines) if self.confirm else ()

    def _tables(self, method: str | None) -> dict[str, dict[str, Any]]:
        """Settings by section, names of things among them."""
        sections = {s: self.section(method) if s == "method" else getattr(self, s) for s in SECTIONS}
        named = {s: {"name": t.name} if isinstance(t, Section) else {} for s, t in sections.items()}
        return {s: named[s] | table.options for s, table in sections.items()}

    # ------------------------------------------------------------------ orders and seeds
    def tasks(self) -> int:
        """The number of tasks; no data are read, but a benchmark that is a `module:attribute` is made."""
        first = {key: tried(setting)[0] for key, setting in self.benchmark.options.items()}
        return shapes.shape(self.benchmark.name, first).tasks

    def search_orders(self, tasks: int) -> tuple[Order, ...]:
        """The orders that every suggestion is judged by."""
        return self.orders.drawn(tasks)

    def spent(self, tasks: int) -> tuple[Order, ...]:
        """The orders that settings are chosen by; none where no setting is searched."""
        searched = any(self.parameters(method.name) for method in self.methods)
        return self.search_orders(tasks) if searched else ()

    def rungs(self, tasks: int) -> tuple[int, ...]:
        """Numbers of orders, increasing, after each of which a suggestion may be stopped; the last is all."""
        return (*(self.search.rungs or ()), len(self.search_orders(tasks)))

    def confirm_design(self, tasks: int) -> Design | None:
        """The orders to confirm on, and what says that they are enough; None when nothing is confirmed.

        Unless the space says otherwise these are all orders of up to 5 tasks (6 on request, by design "all");
        beyond, random ones until one of the worst twentieth is among them.
        """
        if not self.confirm:
            return None
        design = self.confirm.design(tasks)
        if self.confirm.orders or design.orders.count is None:
            return design
        left = math.factorial(tasks) - len(self.search_orders(tasks))
        count = max(1, min(design.orders.count, left))
        return design._replace(orders=design.orders.model_copy(update={"count": count}))

    def confirm_orders(self, tasks: int, count: int | None = None) -> tuple[Order, ...]:
        """The orders to confirm on: none of the search's, unless the design is all.

        Where nothing is searched, a design that names its orders may name those, too.

        count: so many of the same draw, which begins with those of a smaller count. ValueError when there are
        not so many.
        """
        design = self.confirm_design(tasks)
        if design is None:
            return ()
        orders = design.orders if count is None else design.orders.model_copy(update={"count": count})
        return orders.drawn(tasks, self.search_orders(tasks) if orders.draws else self.spent(tasks))

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Seeds (init, data) of the search."""
        return self.seeds.pairs

    @property
    def confirm_pairs(self) -> tuple[tuple[int, int], ...]:
        """Seeds (init, data) to confirm with."""
        return self.confirm.seeds.pairs if self.confirm else ()

    @property
    def net_pairs(self) -> tuple[tuple[int, int], ...]:
        """Seeds (init, data) with which each task is also learnt alone; none unless the space asks for it."""
        nets = self.confirm.nets if self.confirm else None
        return tuple((seed, seed) for seed in range(nets or 0))

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
        """The keys in which another space differs from this one, dotted, sorted; several methods by name."""
        before, after = dict(_leaves(self.canonical())), dict(_leaves(other.canonical()))
        keys = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
        return tuple(Change(k, before.get(k), after.get(k)) for k in keys)


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and not {"choices", "low"} & value.keys():
            yield from _leaves(value, f"{prefix}{key}.")
        elif key == "method" and isinstance(value, tuple):
            yield from itertools.chain(*(_leaves(one, f"{prefix}{key}.{one['name']}.") for one in value))
        else:
            yield prefix + key, value
