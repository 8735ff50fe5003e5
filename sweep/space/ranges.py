"""What `search = true` in a method's table stands for: the ranges that the method itself ships."""

from collections.abc import Mapping
from typing import Any

from sweep.space.mistakes import Finding, Path, shown, suggestion
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
        raise ValueError(f"{name} ships no ranges: write them, such as strength = {{low = 0.1, high = 10.0}}")
    keys = _acting(own, thing, shipped) if asked is True else _listed(own, name, shipped, asked)
    return {key: _setting(key, own, thing, among={k: shipped[k] for k in keys}) for key in keys}


def _listed(own: Data, name: str, shipped: Data, asked: tuple[str, ...]) -> tuple[str, ...]:
    for key in asked:
        if key not in shipped:
            known = f"{name} ships ranges of {', '.join(shipped)}"
            raise ValueError(
                f"{key} has no range; {suggestion(key, shipped)} {known}, others are to be written"
            )
        if key in own:
            raise ValueError(f"{key} is given in this table as well: leave it out here or there")
    return asked


def _acting(own: Data, thing: Any, shipped: Data) -> tuple[str, ...]:
    """Settings that the table does not give, and that something reads."""
    left = {key: shipped[key] for key in shipped if key not in own}
    owners = {key: thing.acts_with[key] for key in left if key in thing.acts_with}
    idle = {
        key for key, (owner, values) in owners.items() if not _values(owner, own, thing, left) & set(values)
    }
    return tuple(key for key in left if key not in idle)


def _values(owner: str, own: Data, thing: Any, searched: Mapping[str, Any]) -> set[Any]:
    """The values that a setting may take: those searched, those written, or its default."""
    if owner in searched:
        return set(searched[owner])
    written = own.get(owner, getattr(thing, owner, None))
    return set(written.get("choices", ())) if isinstance(written, dict) else {written}


def _setting(key: str, own: Data, thing: Any, *, among: Mapping[str, Any]) -> Data:
    """A shipped range as a space would have it, with the condition that it hangs on."""
    span = among[key]
    plain = hasattr(span, "low")
    setting = {"low": span.low, "high": span.high, **({"log": True} if span.log else {})} if plain else {}
    setting = setting or {"choices": tuple(span)}
    owner, fitting = thing.acts_with.get(key, (None, ()))
    chosen = _values(owner, own, thing, among) if owner else set()
    if chosen - set(fitting):
        setting["when"] = {owner: tuple(value for value in fitting if value in chosen)}
    return setting
