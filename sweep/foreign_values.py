"""Single values of another tool's table: read, or refused with their line, their column and the way out."""

import math
import re
from typing import Any

from sweep.analysis.arms import Order, Seed
from sweep.record_foreign import Line


def fault(line: Line, column: str, rule: str) -> ValueError:
    """What is wrong with a value, and where."""
    return ValueError(f"{line.where}, column {column}: {rule}")


def order(line: Line) -> Order:
    """The order of a line: tasks by their home index, text or a list."""
    given = line.values.get("order")
    if isinstance(given, list | tuple):
        items = list(map(str, given))
    else:
        items = re.split(r"[\s\-]+", str(given if given is not None else "").strip())
    if not all(re.fullmatch(r"\d+", item) for item in items) or len(set(map(int, items))) != len(items):
        rule = f"{given!r} is no order: name each task once by its number from 0, such as 2 0 1"
        raise fault(line, "order", rule)
    return tuple(map(int, items))


def seeds(line: Line) -> Seed:
    """Seeds of initial weights and data; one column `seed` is both."""
    if line.values.get("seed") is not None:
        seed = whole(line, "seed")
        return seed, seed
    return whole(line, "seed_init"), whole(line, "seed_data")


def whole(line: Line, column: str) -> int:
    """A whole number of at least 0."""
    given = line.values.get(column)
    text = "" if given is None else str(given)
    if not re.fullmatch(r"\d+(\.0)?", text):
        raise fault(line, column, f"{given!r} is no whole number of at least 0")
    return int(float(text)) if "." in text else int(text)


def number(line: Line, column: str, *, high: float) -> float:
    """A number of 0..high."""
    given = line.values.get(column)
    try:
        number = float(str(given))
    except ValueError:
        raise fault(line, column, f"{given!r} is no number") from None
    if not 0 <= number <= high:
        way = ": divide per cent by 100" if 1 < number <= 100 and high == 1 else ""
        raise fault(line, column, f"{given} is not in 0..{high:g}{way}")
    return number


def text(line: Line, column: str) -> str | None:
    """The text of a column, None where there is none."""
    given = line.values.get(column)
    return None if given is None else str(given)


def plain(value: Any) -> Any:
    """A setting as a number where it reads as one."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        return number if math.isfinite(number) else value
    return value
