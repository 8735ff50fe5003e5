"""Where a sweep is kept beside its own folder, so that any machine can go on with it."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from sweep import parts
from sweep.environment import PlaceError
from sweep.folder import Folder

KINDS = ("s3", "gs", "az")
"""Schemes of object storage: S3 and what speaks like it, Google Cloud Storage, Azure."""
ROOMS = ("records", "suggestions")
"""Folders of parts, which never change."""
_ADDRESS = re.compile(rf"(?:{'|'.join(KINDS)})://[\w.-]+(?:/[\w.=-]+)*/?", re.ASCII)


class StorageError(OSError):
    """A storage that does not answer, lets nobody in, or cannot do what a sweep needs of it."""


class Storage(Protocol):
    """Files by name, such as records/part-….parquet. Each is there whole or not at all, and safe once put.

    Errors: StorageError, and FileNotFoundError for a name that is not there.
    """

    address: str

    def listing(self) -> dict[str, int]:
        """Names of all there is, with their bytes."""
        ...

    def get(self, name: str) -> bytes:
        """The content of a file."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Make the bytes the content of a file, whatever it held before."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Take files away; those already gone are passed by."""
        ...

    def held(self, takeover: bool) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Be the one driver; FolderError says who else is.

        Gives what must be called every now and then: FolderError once another has taken its place.
        """
        ...


def is_address(text: str | Path) -> bool:
    """Whether it names object storage, and no folder."""
    return "://" in str(text)


def at(address: str, *, hasty: bool = False) -> Storage:
    """The storage of an address: s3://bucket/name and the like, or a folder that other machines see, too.

    hasty: give up soon, and do not try again.
    Errors: ValueError for what is neither, PlaceError where the extra is missing; nothing is asked of it yet.
    """
    if not is_address(address):
        return Shared(Path(address).expanduser().resolve())
    if not _ADDRESS.fullmatch(address) or ".." in address.split("/"):
        known = ", ".join(f"{kind}://bucket/name" for kind in KINDS)
        raise ValueError(
            f"{address} is no storage: known are {known}, or a folder; "
            "keys and passwords come from the environment, never from the address"
        )
    try:
        from sweep.objects import Bucket
    except ModuleNotFoundError:
        raise PlaceError(
            f"{address} needs the extra storage: pip install 'nai-sweep[sweep,storage]'"
        ) from None
    return Bucket(address.rstrip("/"), hasty=hasty)


class Shared:
    """A folder that several machines see, such as one of NFS; the kernel's lock tells its one driver."""

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, str(root)

    def listing(self) -> dict[str, int]:
        """Names of all there is, with their bytes."""
        names = [*parts.listed(self.root)]
        names += [f"{room}/{name}" for room in ROOMS for name in parts.listed(self.root / room)]
        sizes: dict[str, int] = {}
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # merged meanwhile
                if (self.root / name).is_file():
                    sizes[name] = (self.root / name).stat().st_size
        return sizes

    def get(self, name: str) -> bytes:
        """The content of a file."""
        return (self.root / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        """Make the bytes the content of a file, whatever it held before."""
        parts.replace(self.root / name, data)

    def remove(self, names: Iterable[str]) -> None:
        """Take files away; those already gone are passed by."""
        for name in names:
            (self.root / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def held(self, takeover: bool) -> Iterator[Callable[[], None]]:
        """Be the one driver: a lock of the kernel is free once its holder is dead, so none is taken over."""
        with Folder(self.root).owned():
            yield lambda: None


class Direct:
    """Parts put into the storage by the worker that made them, if it can; one refusal, and it tries no more.

    The driver sends what it does not find, so that a worker without access, or a slow storage, costs nothing.
    """

    def __init__(self, address: str | None) -> None:
        self.storage: Storage | None = None
        with contextlib.suppress(PlaceError, OSError):
            self.storage = at(address, hasty=True) if address else None

    def __call__(self, data: bytes) -> None:
        """Put the part of these bytes among the records."""
        if self.storage:
            try:
                self.storage.put(f"records/{parts.name_of(data)}", data)
            except OSError:
                self.storage = None
