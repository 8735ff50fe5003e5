"""From a file to a checked space: what is wrong with form and meaning is gathered, then said at once."""

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from sweep.space import crossing, meaning, official, ranges, toml
from sweep.space.confirm import Confirm, Until
from sweep.space.mistakes import Finding, Mistakes, Path, translated
from sweep.space.objective import Objective
from sweep.space.overrides import overridden
from sweep.space.plan import Space
from sweep.space.search import Search
from sweep.space.settings import Choice, Range, Table
from sweep.space.tables import Orders, Resources, Seeds

KEYS: dict[Path, type[Table]] = {
    (): Space,
    ("orders",): Orders,
    ("seeds",): Seeds,
    ("objective",): Objective,
    ("search",): Search,
    ("confirm",): Confirm,
    ("confirm", "orders"): Orders,
    ("confirm", "seeds"): Seeds,
    ("confirm", "until"): Until,
    ("resources",): Resources,
    ("<choice>",): Choice,
    ("<range>",): Range,
}
"""Which model knows the keys of a table."""


def shipped() -> dict[str, FilePath]:
    """The search spaces that come with this package, by name."""
    return toml.shipped()


def read(path: str | FilePath, overrides: Sequence[str] = ()) -> Space:
    """The space in a file, or the shipped space of that name, with overrides such as `method.strength=0.5`.

    Mistakes: all that is wrong with the file and the overrides.
    """
    file = toml.located(path)
    source = str(path) if FilePath(path) == file else file.name
    return loads(toml.text(file, source), source, overrides)


def loads(text: str, source: str = "<string>", overrides: Sequence[str] = ()) -> Space:
    """The space in a TOML text; `source` is what mistakes call it. Mistakes: all that is wrong with it."""
    data, places, wrong = overridden(toml.parsed(text, source), text, source, overrides=overrides)
    data, unsearched = ranges.written_out(data)
    data, unread = official.written_out(data)
    misshapen = _misshapen(data)
    findings = [*unsearched, *unread, *misshapen, *meaning.findings(data, misshapen)]
    if not misshapen:
        findings += crossing.findings(Space.model_validate(data), meaning.methods(data), findings)
    if wrong or findings:
        raise Mistakes([*wrong, *places.mistakes(findings)])
    return Space.model_validate(meaning.with_reals(data))


def schema() -> dict[str, Any]:
    """The JSON schema of a space, for editors."""
    return Space.model_json_schema()


def _misshapen(data: dict[str, Any]) -> list[Finding]:
    try:
        Space.model_validate(data)
    except ValidationError as error:
        return [_finding(e) for e in error.errors(include_url=False)]
    return []


def _finding(error: Any) -> Finding:
    path = tuple(f"[{part}]" if isinstance(part, int) else part for part in error["loc"])
    plain = tuple(part for part in path if not part.startswith("<"))
    owner = tuple(part for part in plain[:-1] if not part.startswith("["))
    table = path[-2:-1] if path[-2:-1] in KEYS else owner
    return translated(error, plain, KEYS[table].model_fields if table in KEYS else ())
