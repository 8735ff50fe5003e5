"""What must not be written down: users and passwords in addresses."""

import re


def redacted(text: str) -> str:
    """The text with the user and password of every address in it hidden."""
    return re.sub(r"://[^\s/]*@", "://***@", text)
