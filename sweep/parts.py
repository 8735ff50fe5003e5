"""Immutable files of a folder, each named by the digest of its bytes and there whole or not at all.

The rule of writing: a draft of its own in the same folder, flush, fsync, publish under the final name, fsync
of the folder. Drafts are never read, and what is read must give the digest in its name.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

# A hidden .nfs file is what a network disk leaves of a removed part that somebody still reads.
_DRAFT = re.compile(r"\.draft-\d+-[0-9a-f]+|\.nfs[0-9a-f]+")
_PART = re.compile(r"part-[0-9a-f]{32}\.(?:parquet|json)")


class UnsoundError(Exception):
    """A file that is not a part as it was written."""


def name_of(data: bytes, kind: str = ".parquet") -> str:
    """The name of the part that holds these bytes; kind: .parquet or .json."""
    return f"part-{hashlib.sha256(data).hexdigest()[:32]}{kind}"


def add(folder: Path, data: bytes, *, kind: str = ".parquet") -> Path:
    """Make the bytes a durable part of the folder, made where it lacks; the same bytes are the same part.

    Errors: OSError naming the part and the free space, or that the folder's own place is gone; nothing is
    published then.
    """
    part = folder / name_of(data, kind)
    _save(data, part, _claim)
    return part


def replace(path: Path, data: bytes) -> None:
    """Make the bytes the durable content of `path`, whatever it held before, in a single step.

    Errors: OSError naming the path and the free space; the old content stays then.
    """
    _save(data, path, os.replace)


def remove(folder: Path, names: set[str]) -> None:
    """Take parts away whose content is durable elsewhere; those already gone are passed by."""
    for name in sorted(names):
        (folder / name).unlink(missing_ok=True)
    _sync(folder)


def listed(folder: Path) -> list[str]:
    """Sorted names of all in the folder but drafts; none for a folder that does not exist."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if not _DRAFT.fullmatch(name))


def load(part: Path) -> bytes:
    """The bytes of a part as they were written.

    Errors: UnsoundError with the reason if it is none, FileNotFoundError if it was merged meanwhile.
    """
    if not _PART.fullmatch(part.name):
        raise UnsoundError(
            "not a record of this sweep: those are named part-<32 hex digits>.parquet (or .json for "
            "suggestions); move it away"
        )
    data = _content(part)
    if (name := name_of(data, part.suffix)) != part.name:
        again = "its suggestion is asked again" if part.suffix == ".json" else "its trials run again"
        raise UnsoundError(
            f"torn or altered: its {len(data)} bytes belong under {name}; "
            f"put a copy back, or move it away and {again}"
        )
    return data


def _content(part: Path) -> bytes:
    try:
        if not stat.S_ISREG(part.lstat().st_mode):
            raise UnsoundError("not a plain file; move it away")
        return part.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnsoundError(f"cannot be read: {error.strerror or error}") from error


def _save(data: bytes, path: Path, publish: Callable[[Path, Path], None]) -> None:
    folder = path.parent
    draft = folder / f".draft-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        if not folder.exists():
            folder.mkdir(parents=publish is not _claim, exist_ok=True)  # no parts of a sweep that moved away
            _sync(folder.parent)
        _write(draft, data)
        publish(draft, path)
        _sync(folder)
    except OSError as error:
        raise OSError(error.errno, _refusal(error, folder, len(data)), str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # A draft left behind is harmless: nobody reads it.
            draft.unlink(missing_ok=True)


def _write(draft: Path, data: bytes) -> None:
    with draft.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _claim(draft: Path, part: Path) -> None:
    """Give the draft its final name unless that name is taken, which can only be by the same bytes."""
    try:
        os.link(draft, part)
    except FileExistsError:
        if name_of(part.read_bytes(), part.suffix) != part.name:
            taken = "a damaged file has this name; move it away and run again"
            raise FileExistsError(errno.EEXIST, taken) from None
    except OSError:
        if part.exists():
            raise
        draft.rename(part)  # Some shared disks have no hard links.


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refusal(error: OSError, folder: Path, size: int) -> str:
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(standing).free / 1e6
    return (
        f"not recorded: {error.strerror or error} ({size / 1e3:.0f} kB to write, {free:.1f} MB free); "
        "rows recorded before are safe"
    )
