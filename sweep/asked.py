"""Suggestions on record: one immutable JSON file each, named by the digest of its bytes.

A search is rebuilt from them without fitting any model again, and what was once suggested stays so, even if
the results that it was drawn from change or another release of Optuna would draw something else.
"""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sweep import parts

Values = dict[str, Any]


class Suggestion(NamedTuple):
    """A number, counted from 0; a value for each setting that exists, by dotted name; the sampler's notes."""

    number: int
    values: Values
    attrs: Mapping[str, Any] = {}


class Problem(NamedTuple):
    """A file that is not read, and why; it stays where it is, and its suggestion is asked again."""

    path: Path
    reason: str


class Found(NamedTuple):
    """What a folder holds: suggestions by method and number, and the files that are not read."""

    suggestions: dict[str, dict[int, Suggestion]]
    problems: tuple[Problem, ...]


def write(folder: Path, method: str, suggestion: Suggestion) -> Path:
    """Record a suggestion for a method as a durable file; the same suggestion is the same file.

    Errors: ValueError for what JSON cannot hold, OSError if the disk refuses (nothing is then published).
    """
    return parts.add(Path(folder), encoded(method, suggestion), kind=".json")


def encoded(method: str, suggestion: Suggestion) -> bytes:
    """The bytes of a suggestion's file; ValueError for what JSON cannot hold."""
    content = {"method": method, **suggestion._asdict(), "optuna": importlib.metadata.version("optuna")}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def read(folder: Path) -> Found:
    """Every sound suggestion of the folder; a folder that does not exist yet holds none.

    Where two files differ about one number, the first by name counts and the other is a problem.
    Errors: OSError if the folder cannot be listed.
    """
    found: dict[str, dict[int, Suggestion]] = {}
    problems: list[Problem] = []
    for name in parts.listed(Path(folder)):
        try:
            method, suggestion = decoded(parts.load(Path(folder, name)))
            if found.setdefault(method, {}).setdefault(suggestion.number, suggestion) != suggestion:
                raise parts.UnsoundError(f"another file has suggestion {suggestion.number} of {method}")
        except (parts.UnsoundError, FileNotFoundError) as reason:
            problems.append(Problem(Path(folder, name), str(reason)))
    return Found(found, tuple(problems))


def decoded(data: bytes) -> tuple[str, Suggestion]:
    """The method and the suggestion that these bytes hold; UnsoundError for any others."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise parts.UnsoundError(f"not a suggestion of a sweep: {error}") from error
    match content:
        case {
            "method": str(method),
            "number": int(number),
            "values": dict(values),
            "attrs": dict(attrs),
            "optuna": str(),
        } if number >= 0 and len(content) == 5:
            return method, Suggestion(number, {name: _listed(v) for name, v in values.items()}, attrs)
    raise parts.UnsoundError("not a suggestion of a sweep: it has other fields; move it away")


def _listed(value: Any) -> Any:
    """JSON knows lists alone; a list in a search space is a tuple."""
    return tuple(map(_listed, value)) if isinstance(value, list) else value
