"""Where each key of a search space stands: in which line of its file, or in which override."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sweep.space.mistakes import Finding, Mistake, Path

_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")


def lines(text: str) -> dict[Path, list[int]]:
    """The line numbers, from 1, at which each key and each table of a TOML text stands.

    Python's reader does not tell. Keys of inline tables have the line of the table. Tables of an array have
    their places in it, `("method", "[1]")`, as have the tables below them.
    """
    found: dict[Path, list[int]] = {}
    table: Path = ()
    last: dict[Path, int] = {}  # place of the newest table of each array
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _placed(_path(header[2]), last)
            if header[1] == "[[":
                found.setdefault(table, [number])
                last[table] = last.get(table, -1) + 1
                table = (*table, f"[{last[table]}]")
            found.setdefault(table, []).append(number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_path(key[1])), []).append(number)
    return found


def _placed(path: Path, last: Mapping[Path, int]) -> Path:
    """A header's path with the place of the newest table after every array on the way."""
    out: Path = ()
    for word in path:
        newest = (f"[{last[out]}]",) if out in last else ()
        out = (*out, *newest, word)
    return out


def _path(dotted: str) -> Path:
    return tuple(word.strip("\"'") for word in re.findall(_WORD, dotted))


@dataclass(frozen=True)
class Places:
    """Says where a key of a space was written: in the file, or in an override given with it.

    methods: names of several methods, by which their keys are called.
    """

    source: str
    lines: Mapping[Path, list[int]]
    overrides: Mapping[Path, str]
    methods: Sequence[str] = ()

    def mistakes(self, findings: Iterable[Finding]) -> list[Mistake]:
        """The findings as mistakes, in the order of the file."""
        found = sorted(dict.fromkeys(findings), key=lambda f: (self._line(f.path), f.path))
        return [Mistake(self._where(f.path), self._key(f), f.rule) for f in found]

    def _key(self, finding: Finding) -> str:
        first, second, *rest = (*finding.path, "", "")
        named = {f"[{i}]": name for i, name in enumerate(self.methods)}
        if first != "method" or second not in named:
            return finding.key
        return Finding(("method", named[second], *filter(None, rest)), finding.rule).key

    def _line(self, path: Path) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines[path][0] if path else 0

    def _where(self, path: Path) -> str:
        for key, text in self.overrides.items():
            if path and (path[: len(key)] == key or key[: len(path)] == path):
                return f"override {text}"
        line = self._line(path)
        return f"{self.source}:{line}" if line else self.source
