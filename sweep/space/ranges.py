"""What `search = true` in a method's table stands for: the ranges that the method itself ships."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sweep.space.mistakes import Finding, Path, shown
from sweep.space.names import found

Data = dict[str, Any]
KEY = "search"


def written_out(data: Data) -> tuple[Data, list[Finding]]:
    """The values with shipped ranges in place of `search`, and what is wrong with that.

    A space thus holds all that it searches, whatever later releases ship.
    """
    given, wrong = data.get("method"), list[Finding]()
    if isinstance(given, tuple):
        tables = tuple(_one(("method", f"[{i}]", KEY), table, wrong) for i, table in enumerate(given))
        return {**data, "method": tables}, wrong
    return ({**data, "method": _one(("method", KEY), given, wrong)}, wrong) if given else (data, wrong)


def _one(path: Path, table: Any, wrong: list[Finding]) -> Any:
    if not isinstance(table, dict) or KEY not in table:
        return table
    own = {key: value for key, value in table.items() if key != KEY}
    try:
        return {**own, **_searched(own, table[KEY])}
    except ValueError as error:
        wrong.append(Finding(path, str(error)))
        return own


def _searched(own: Data, asked: Any) -> Data:
    """The ranges of the settings asked for; ValueError where there is none."""
    listed = isinstance(asked, tuple) and bool(asked) and all(isinstance(key, str) for key in asked)
    if not listed and not isinstance(asked, bool):
        raise ValueError(f'must be true, or a list of settings such as ["strength"], not {shown(asked)}')
    name = own.get("name")
    if asked is False or not isinstance(name, str):  # a name that is missing is told by itself
        return {}
    try:
        thing = found("method", name)
    except ValueError:  # as is a name that nobody knows
        return {}
    shipped: dict[str, Any] = dict(getattr(thing, "ranges", {}))
    if not shipped:
        raise ValueError(f"{name} {_nothing_shipped(thing)}")
    keys = _acting(own, thing, shipped) if asked is True else _listed(own, name, shipped, asked)
    return {key: _setting(key, own, thing, among={k: shipped[k] for k in keys}) for key in keys}


def _nothing_shipped(thing: Any) -> str:
    """What is so of a method without ranges, and the way out, in terms of its own settings."""
    settings = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    if not settings:
        return "has no settings, so nothing to search: leave search out"
    names = ", ".join(field.name for field in settings)
    return f"ships no ranges: write one out, such as {{low = 0.1, high = 10.0}}, of {names}"


def _listed(own: Data, name: str, shipped: Data, asked: tuple[str, ...]) -> tuple[str, ...]:
    for key in asked:
        if key not in shipped:
            raise ValueError(f"{name} ships no range of {key}, but of {', '.join(shipped)}: write one out")
        if key in own:
            raise ValueError(f"{key} is given in this table as well: leave it out here or there")
    return asked


def _acting(own: Data, thing: Any, shipped: Data) -> tuple[str, ...]:
    """Settings that the table does not give, and that something reads."""
    left = {key: shipped[key] for key in shipped if key not in own}
    owners = {key: owned for key, owned in _owners(thing).items() if key in left}
    idle = {key for key, (o, values) in owners.items() if not _values(o, own, thing, left) & set(values)}
    return tuple(key for key in left if key not in idle)


def _owners(thing: Any) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Settings that are read with some values of another alone."""
    return getattr(thing, "acts_with", {})


def _values(owner: str, own: Data, thing: Any, searched: Mapping[str, Any]) -> set[Any]:
    """The values that a setting may take: those searched, those written, or its default."""
    if owner in searched:
        return set(searched[owner])
    written = own.get(owner, getattr(thing, owner, None))
    given = written.get("choices") if isinstance(written, dict) else (written,)
    # whatever else is there is a mistake, and told as that
    return {value for value in given if isinstance(value, str)} if isinstance(given, tuple) else set()


def _setting(key: str, own: Data, thing: Any, *, among: Mapping[str, Any]) -> Data:
    """A shipped range as a space would have it, with the condition that it hangs on."""
    span = among[key]
    if hasattr(span, "low"):
        setting: Data = {"low": span.low, "high": span.high, **({"log": True} if span.log else {})}
    else:
        setting = {"choices": tuple(span)}
    owner, fitting = _owners(thing).get(key, ("", ()))
    chosen = _values(owner, own, thing, among) if owner else set()
    if set(fitting) & chosen < chosen and set(fitting) & chosen:
        setting["when"] = {owner: tuple(value for value in fitting if value in chosen)}
    return setting
