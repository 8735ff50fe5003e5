"""What is not said as it is: passwords in addresses, secrets of the environment, what steers a terminal."""

import os
import re

SECRET = r"(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|credentials?)"
_ADDRESS = re.compile(r"://[^\s/]*@")
_GIVEN = re.compile(rf"(?i)([\w-]*{SECRET}\w*[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]+")
_NAME = re.compile(rf"(?i){SECRET}")
SHORTEST = 8
"""Characters of a value that is taken for a secret: shorter ones may be words of the text."""


def redacted(text: str) -> str:
    """The text without passwords: those of addresses, those said to be some, those of the environment."""
    for value in _secrets():
        text = text.replace(value, "***")
    return _GIVEN.sub(r"\1***", _ADDRESS.sub("://***@", text))


def printable(text: str) -> str:
    """The text with line breaks, and whatever else would steer a terminal, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _secrets() -> list[str]:
    """Values of environment variables that are named as secrets, the longest first."""
    named = {value for name, value in os.environ.items() if _NAME.search(name) and len(value) >= SHORTEST}
    return sorted(named, key=len, reverse=True)
