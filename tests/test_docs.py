"""Search spaces in the documentation are spaces: each block of TOML is read and checked."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from sweep.space import loads

ROOT = Path(__file__).resolve().parent.parent
PART = "# part of a space"
"""The first line of a block that is to be read as a change of quickstart."""
WHOLE = ("benchmark", "method", "objective", "orders")
"""Tables that a part replaces; of all others it changes keys."""


def blocks() -> dict[str, str]:
    """Every block of TOML, by file and line."""
    found = {}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```toml\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
            line = text[: match.start()].count("\n") + 2
            found[f"{path.name}:{line}"] = match[1]
    return found


def completed(text: str) -> str:
    """A whole space: the text itself, or the quickstart with the part that the text is."""
    if not text.startswith(PART):
        return text
    space = tomllib.loads((ROOT / "search_spaces" / "quickstart.toml").read_text(encoding="utf-8"))
    part: dict[str, Any] = tomllib.loads(text)
    for key, value in part.items():
        space[key] = value if key in WHOLE or not isinstance(value, dict) else space.get(key, {}) | value
    return tomli_w.dumps(space)


@pytest.mark.parametrize("place", blocks())
def test_a_space_in_the_documentation_can_be_read(place):
    text = blocks()[place]
    space = loads(completed(text), place)
    assert set(tomllib.loads(text)) <= set(space.canonical())


def test_there_are_blocks_and_one_with_a_mistake_is_told():
    assert len(blocks()) >= 5
    with pytest.raises(Exception, match="unknown key; did you mean rungs"):
        loads(completed(f"{PART}\n[search]\nrung = [5]\n"))
