"""The settings that a thing declares, their types, and whether a value has the type."""

import inspect
import types
from collections import abc
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from sweep.space.mistakes import shown, with_nearest
from sweep.space.names import Thing, found


class Wanted(NamedTuple):
    """A setting as the code declares it: its type hint, and whether it must be given."""

    hint: Any
    required: bool


def wanted(section: str, name: str, thing: Thing) -> dict[str, Wanted] | None:
    """The settings that a thing takes, by name; None when it takes whatever comes."""
    parameters = list(inspect.signature(thing).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    hints = get_type_hints(thing.__init__ if inspect.isclass(thing) else thing)
    built_in = section == "benchmark" and ":" not in name
    handed = ("features", "outputs") if section == "model" else ("source",) if built_in else ()
    own = [p for p in parameters if p.name not in handed]
    declared = {p.name: Wanted(hints.get(p.name, Any), p.default is p.empty) for p in own}
    return {"dataset": Wanted(str, True), **declared, **_of_data()} if built_in else declared


def _of_data() -> dict[str, Wanted]:
    """Settings of a benchmark that are read by its data set, or by a frozen network behind it."""
    from nai.backbones import Frozen
    from nai.datasets import DATASETS, options_of

    own: dict[str, Any] = {"root": str} | get_type_hints(Frozen)
    for dataset, maker in DATASETS.items():
        hints = get_type_hints(maker)
        own |= {key: own[key] | hints[key] if key in own else hints[key] for key in options_of(dataset)}
    return {key: Wanted(hint, False) for key, hint in own.items()}


def fits(value: object, hint: Any) -> bool:
    """Whether a value has the type that a hint names: numbers are never true or false, lists are tuples."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, h) for h in inner)
    if origin is Literal:
        return value in inner
    if origin in (tuple, list, abc.Sequence):
        return isinstance(value, tuple) and all(fits(v, inner[0]) for v in value)
    if hint in (tuple, list):
        return isinstance(value, tuple)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def rule(value: object, hint: Any) -> str:
    if get_origin(hint) is Literal and isinstance(value, str):
        return with_nearest(f"{value!r} is unknown: known are {', '.join(get_args(hint))}")
    return f"must be {_phrase(hint)}, not {shown(value)}"


def _phrase(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_phrase(h) for h in inner if h is not type(None)))
    if origin is Literal:
        return f"one of {', '.join(inner)}"
    if origin in (tuple, list, abc.Sequence):
        return f"a list, each {_phrase(inner[0])}"
    plain = {float: "a number", int: "a whole number", bool: "true or false", str: "text in quotes"}
    return plain.get(hint, f"a {getattr(hint, '__name__', hint)}")


def reals(section: str, name: str) -> set[str]:
    """The settings that are real numbers."""
    declared = wanted(section, name, found(section, name)) or {}
    return {k for k, w in declared.items() if {float} == {float, int} & {w.hint, *get_args(w.hint)}}


def real(raw: Any) -> Any:
    """A real setting, fixed or searched, with 1 written as 1.0: equal values must have equal fingerprints."""
    if isinstance(raw, dict):
        return {key: value if key == "when" else real(value) for key, value in raw.items()}
    if isinstance(raw, tuple):
        return tuple(real(value) for value in raw)
    return float(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
