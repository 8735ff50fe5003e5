"""What is wrong with a search space, in words: one line a mistake, all of them at once."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sweep.redact import printable

Path = tuple[str, ...]


class Finding(NamedTuple):
    """A broken rule and the key that breaks it, before anyone knows the line."""

    path: Path
    rule: str

    @property
    def key(self) -> str:
        """The key with dots, places in lists in brackets: `orders.orders[3]`; empty for the whole space."""
        return "".join(part if part.startswith("[") else f".{part}" for part in self.path).removeprefix(".")


@dataclass(frozen=True)
class Mistake:
    """One thing to mend: where it stands, the dotted key, the rule and the way out."""

    where: str
    key: str
    rule: str

    def __str__(self) -> str:
        """One line, whatever characters keys and values have."""
        return printable(
            f"{self.where}  {self.key}: {self.rule}" if self.key else f"{self.where}  {self.rule}"
        )


class Mistakes(Exception):  # noqa: N818 (it is several)
    """Everything that is wrong with a search space, one line a mistake."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like the one given, if any looks like it."""
    lowered = {k.lower(): k for k in sorted(known)}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """The way out of an unknown name: the nearest known one, else all of them."""
    known = list(known)
    near = nearest(name, known)
    if near:
        return f"did you mean {near}?"
    return f"known: {', '.join(known)}" if known else "it takes no settings"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The rule broken by a name that nobody knows: `unknown method naii; did you mean nai?`."""
    return f"unknown {kind} {name}; {suggestion(name, known)}"


def shown(value: object) -> str:
    """A value as TOML would have it, cut to a readable length."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def with_nearest(rule: str) -> str:
    """A message about an unknown name, with the nearest of the names that it says are known."""
    unknown_name = re.search(r"'([^']*)' is (?:unknown|not known): (?:known are|choose one of) (.+)$", rule)
    near = nearest(unknown_name[1], unknown_name[2].split(", ")) if unknown_name else None
    return f"{rule}; did you mean {near}?" if near else rule


def translated(error: Mapping[str, Any], path: Path, fields: Iterable[str]) -> Finding:
    """One complaint of pydantic in our words; `fields` are the keys that its table knows."""
    context = error.get("ctx", {})
    value = shown(error["input"])
    match error["type"]:
        case "extra_forbidden":
            rule = f"unknown key; {_RENAMED.get(path, suggestion(path[-1], fields))}"
        case "missing":
            rule = "is missing"
        case "value_error":
            rule = str(context["error"])
        case "literal_error":
            rule = _literal(error["input"], context["expected"])
        case "string_pattern_mismatch":
            rule = f"{value} must be 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"
        case "greater_than_equal":
            rule = f"must be at least {context['ge']}, not {value}"
        case "model_type" | "model_attributes_type" | "dict_type":
            rule = f"must be a table, not {value}"
        case kind:
            rule = f"must be {_KINDS.get(kind, error['msg'])}, not {value}"
    return Finding(path, rule)


_RENAMED: dict[Path, str] = {
    ("report",): "it is called confirm now: rename it, and report.orders and report.seeds with it"
}
_KINDS = {
    "int_type": "a whole number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list",
}


def _literal(value: object, expected: str) -> str:
    known = re.findall(r"'([^']*)'", expected)
    if not isinstance(value, str):
        return f"must be one of {', '.join(known)}, not {shown(value)}"
    near = nearest(value, known)
    return f"{shown(value)} is not one of {', '.join(known)}" + (f"; did you mean {near}?" if near else "")
