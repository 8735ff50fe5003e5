"""What every machine of a cluster must have alike, for rows to be the same wherever they are made."""

import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PACKAGES = ("ray", "torch", "numpy", "nai-sweep")
CODE = "code of nai"
UNKNOWN = "none"


@cache
def here() -> Mapping[str, str]:
    """Releases on this machine, and a digest of the source that trains; torch is asked for, not imported."""
    code = {CODE: source_digest()}
    return {"python": platform.python_version(), **{name: release(name) for name in PACKAGES}, **code}


def release(package: str) -> str:
    """A package's release, without the name of its build: cards and processors have their own of torch."""
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN


def source_digest() -> str:
    """The first digits of the SHA-256 of nai's source, by which a clone is found that is not up to date."""
    found = importlib.util.find_spec("nai")
    if found is None or found.origin is None:
        return UNKNOWN
    total = hashlib.sha256()
    folder = Path(found.origin).parent
    for path in sorted(folder.rglob("*.py")):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:8]


def odds(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Where their releases are not ours, in words: "torch 2.12.0, not 2.13.0"; nothing where all agree."""
    return [
        f"{name} {theirs.get(name, UNKNOWN)}, not {wanted}"
        for name, wanted in ours.items()
        if theirs.get(name, UNKNOWN) != wanted
    ]
