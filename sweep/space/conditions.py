"""Settings that exist only with some values of others: which are searched, in which order, and when."""

import graphlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from sweep.space.settings import Choice, Range, Value, among

Settings = Mapping[str, Any]
"""Every setting of a method, its model and its training by dotted name, names of things included."""
Parameters = dict[str, Choice | Range]
"""What is searched, by dotted name; parents come before what hangs on them."""


def dotted(name: str, parent: str) -> str:
    """The full name of a setting that `name` hangs on: its own section is left out of `when`."""
    return parent if "." in parent else f"{name.partition('.')[0]}.{parent}"


def parents(name: str, setting: Choice | Range) -> dict[str, tuple[Value, ...]]:
    """The settings that this one hangs on, by dotted name, and their values with which it exists."""
    return {dotted(name, parent): values for parent, values in (setting.when or {}).items()}


def parameters(settings: Settings) -> Parameters:
    """What is searched, with conditions on what is searched alone: those on fixed values are settled here.

    Sorted but for parents, which come first: the order of keys in a file must not change a search.
    ValueError when conditions go round in a circle.
    """
    found: Parameters = {}
    for name in ordered(settings):
        setting, when = settings[name], {}
        for parent, values in parents(name, setting).items():
            fixed = parent in settings and not isinstance(settings[parent], Choice | Range)
            if fixed and among(settings[parent], values):
                continue
            when[parent] = values
        if when.keys() <= found.keys():  # else it never exists, or hangs on what never does
            found[name] = setting.model_copy(update={"when": when or None})
    return found


def ordered(settings: Settings) -> tuple[str, ...]:
    """Names of what is searched, sorted, each after those it hangs on; ValueError names a circle."""
    searched = {name: s for name, s in sorted(settings.items()) if isinstance(s, Choice | Range)}
    left = {name: [p for p in parents(name, s) if p in searched] for name, s in searched.items()}
    try:
        graphlib.TopologicalSorter(left).prepare()
    except graphlib.CycleError as error:
        raise ValueError(" hangs on ".join(reversed(error.args[1]))) from None
    out: list[str] = []
    while left:
        name = next(n for n, above in left.items() if set(above) <= set(out))
        out.append(name)
        del left[name]
    return tuple(out)


def acts(setting: Choice | Range, values: Mapping[str, Value]) -> bool:
    """Whether a searched setting exists beside these values of those before it."""
    return all(
        parent in values and among(values[parent], wanted) for parent, wanted in (setting.when or {}).items()
    )


def points(searched: Parameters) -> Iterator[dict[str, Value]]:
    """Every combination that exists of settings that can be counted, the last varied first."""
    return _points(tuple(searched.items()), {})


def _points(
    left: tuple[tuple[str, Choice | Range], ...], values: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    if not left:
        yield values
        return
    (name, setting), *rest = left
    chosen = setting.values() or () if acts(setting, values) else None
    if chosen is None:
        yield from _points(tuple(rest), values)
        return
    for value in chosen:
        yield from _points(tuple(rest), {**values, name: value})


def count(searched: Parameters, most: int) -> int:
    """How many combinations exist, counted up to `most`."""
    return sum(1 for _ in itertools.islice(points(searched), most))


def completed(searched: Parameters, values: Mapping[str, Value]) -> dict[str, Value]:
    """Values of some settings without those that do not exist beside the others, parents first."""
    out: dict[str, Value] = {}
    for name, setting in searched.items():
        above = {parent: wanted for parent, wanted in (setting.when or {}).items() if parent in values}
        exists = all(p in out and among(out[p], wanted) for p, wanted in above.items())
        if name in values and exists:
            out[name] = values[name]
    return out
