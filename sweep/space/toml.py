"""From a name to the text of a space, from TOML to plain values that know where they were written."""

import re
import tomllib
from pathlib import Path as FilePath
from typing import Any

from sweep.space.mistakes import Mistake, Mistakes, nearest
from sweep.space.places import lines

MOST_BYTES = 1_000_000


def shipped() -> dict[str, FilePath]:
    """The spaces that come with this package, by name, such as published/row19: its path without the end.

    They lie inside the package when it is installed, beside it in a clone.
    """
    inside = FilePath(__file__).parents[1] / "search_spaces"
    folder = inside if inside.is_dir() else FilePath(__file__).parents[2] / "search_spaces"
    found = sorted(folder.rglob("*.toml"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def located(path: str | FilePath) -> FilePath:
    """The file of that path, or the shipped space of that name; Mistakes when there is neither."""
    known = shipped()
    if FilePath(path).is_file() or str(path) not in known:
        return FilePath(path)
    return known[str(path)]


def text(file: FilePath, source: str) -> str:
    """The text of a file; Mistakes naming `source` when it cannot be read."""
    try:
        if file.is_dir():
            raise _failure(source, f"is a folder: name a file in it, such as {file / 'space.toml'}")
        if file.stat().st_size > MOST_BYTES:
            raise _failure(
                source, f"has {file.stat().st_size} bytes: a search space has at most {MOST_BYTES}"
            )
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = f"did you mean {found}? " if (found := nearest(file.stem, list(shipped()))) else ""
        rule = f"is no file and no shipped space; {near}`nai-sweep list spaces` names those shipped"
        raise _failure(source, rule) from None
    except UnicodeDecodeError as error:
        raise _failure(source, f"is not UTF-8 text: byte {error.start} cannot be read") from None
    except OSError as error:
        raise _failure(source, f"cannot be read: {error.strerror}") from None


def _failure(where: str, rule: str) -> Mistakes:
    return Mistakes([Mistake(where, "", rule)])


def parsed(text: str, source: str) -> dict[str, Any]:
    """TOML as plain values, lists as tuples; Mistakes with line and column where it is not TOML."""
    try:
        data: dict[str, Any] = frozen(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _failure(*_syntax(str(error), text, source)) from None
    except RecursionError:
        raise _failure(source, "is nested too deeply") from None
    if not data:
        raise _failure(source, "is empty: copy a shipped space and change it")
    return data


def _syntax(message: str, text: str, source: str) -> tuple[str, str]:
    at = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if at is None:
        return source, f"is not TOML: {message}"
    line = int(at[1] or len(text.splitlines()))
    where = f"{source}:{line}:{at[2]}" if at[2] else f"{source}:{line}"
    for path, numbers in lines(text).items():
        if line in numbers[1:]:
            return where, f"{'.'.join(path)} is written twice, first in line {numbers[0]}"
    return where, f"is not TOML: {message[: at.start()]}"


def frozen(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    if isinstance(value, dict):
        return {key: frozen(inner) for key, inner in value.items()}
    return tuple(frozen(inner) for inner in value) if isinstance(value, list) else value
