"""Overrides such as `method.strength=0.5`, put into the values of a space."""

import contextlib
import re
import tomllib
from collections.abc import Sequence
from typing import Any

from sweep.space.mistakes import Mistake, Path, shown
from sweep.space.places import Places, lines
from sweep.space.toml import frozen

_BARE = re.compile(r"[A-Za-z_][\w.:/-]*")
Names = tuple[str, ...]


def overridden(
    data: dict[str, Any], text: str, source: str, *, overrides: Sequence[str]
) -> tuple[dict[str, Any], Places, list[Mistake]]:
    """The values with overrides such as `method.strength=0.5` put in, their places, and what is wrong.

    What follows = is TOML; a bare word is text. A method may be called by its name, one of several
    must be: `method.ewc.strength=10.0`. An override that cannot be read or put in is left out.
    """
    given: dict[Path, str] = {}
    wrong: list[Mistake] = []
    for override in overrides:
        try:
            path, value = _split(override)
            data, path = _put(data, path, value)
            given[path] = override
        except ValueError as error:
            wrong.append(Mistake(f"override {override}", "", str(error)))
    return data, Places(source, lines(text), given, _names(data.get("method"))), wrong


def _names(tables: Any) -> Names:
    """The names of several tables, empty where there is none; the place of those without one."""
    if not isinstance(tables, tuple) or not all(isinstance(one, dict) for one in tables):
        return ()
    return tuple(str(one.get("name", f"[{i}]")) for i, one in enumerate(tables))


def _split(override: str) -> tuple[Path, Any]:
    key, equals, written = override.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ValueError("must be a dotted key, = and a value, such as method.strength=0.5")
    return path, _value(written.strip())


def _value(written: str) -> Any:
    with contextlib.suppress(tomllib.TOMLDecodeError, RecursionError):
        read = tomllib.loads(f"value = {written}")
        if read.keys() == {"value"}:
            return frozen(read["value"])
    if _BARE.fullmatch(written):
        return written
    raise ValueError(f"{shown(written)} is no TOML value: put text in quotes, lists in brackets")


def _put(data: Any, path: Path, value: Any, above: str = "") -> tuple[Any, Path]:
    """The data with the value put in, and the path to it, places in lists in brackets."""
    if not path:
        return value, ()
    if above == "method" and isinstance(data, dict):
        path = _unnamed(data, path)
    if isinstance(data, tuple) and (names := _names(data)):
        return _put_among(data, path, value, names=names, above=above)
    if not isinstance(data, dict):
        raise ValueError(f"{above} is {shown(data)}, not a table, so it has no {path[0]}")
    head, *rest = path
    inner, inside = _put(data.get(head, {}), tuple(rest), value, head)
    return {**data, head: inner}, (head, *inside)


def _unnamed(table: dict[str, Any], path: Path) -> Path:
    """The path to a setting of the only method, which may be called by its name as one of several is."""
    words = tuple(str(table.get("name")).split("."))
    return path[len(words) :] if path[: len(words)] == words and len(path) > len(words) else path


def _put_among(
    tables: tuple[Any, ...], path: Path, value: Any, *, names: Names, above: str
) -> tuple[Any, Path]:
    """The tables with the value put into the one that the path begins with: its name may hold dots."""
    for i, name in enumerate(names):
        words = tuple(name.split("."))
        if path[: len(words)] in (words, (str(i),)) and len(path) > len(words):
            one, inside = _put(tables[i], path[len(words) :], value, name)
            return (*tables[:i], one, *tables[i + 1 :]), (f"[{i}]", *inside)
    known = [str(i) if name.startswith("[") else name for i, name in enumerate(names)]
    raise ValueError(
        f"{above} has {len(known)} tables, {', '.join(known)}: say which, as in {above}.{known[0]}"
    )
