"""A sweep's folder and its storage alike: what the storage has is fetched, what is new is sent."""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sweep import parts, record
from sweep.folder import Folder, FolderError
from sweep.storage import ROOMS, Storage, StorageError, at, is_address

IDENTITY = "identity.txt"
FILES = (
    IDENTITY,
    "space.toml",
    "hunts.json",
    "tasks.json",
    "similarity.json",
    "progress.json",
    "command.txt",
)
"""What a sweep consists of beside its parts; what the storage has of it counts when a driver begins."""
MADE = ("results.json", "report.html", "results.parquet")
"""What is made of the rest at the end: sent for whoever looks into the storage, never fetched."""
LINES = 8
"""Files under way at once."""
LOOKS, GLANCE = 20, 0.25
"""Times that a copy in use is asked for, and the seconds in between: others only bring it up to date, too."""
_PART = re.compile(rf"(?:{'|'.join(ROOMS)})/part-[0-9a-f]{{32}}\.(?:parquet|json)")


class Mirror:
    """A folder and a storage that hold the same sweep."""

    def __init__(self, folder: Folder, storage: Storage) -> None:
        self.folder, self.storage = folder, storage
        self.sent: set[str] = set()  # parts that the storage has as they are here
        self.merged: set[str] = set()  # parts whose rows are in another one
        self._said = {name: self._stand(name) for name in MADE}

    def fetch(self) -> tuple[record.Problem, ...]:
        """Bring what the storage has: parts that lack here, and the files of the sweep.

        Gives the parts that are not sound there, nor here. Errors: FolderError if that is another sweep,
        StorageError.
        """
        there = self.storage.listing()
        self._join(there)
        names = [name for name in there if _PART.fullmatch(name)]
        wanted = [name for name in names if self._size(name) != there[name]]
        with ThreadPoolExecutor(LINES) as pool:
            for name, data in pool.map(self._got, [name for name in FILES if name in there]):
                if data is not None:
                    parts.replace(self.folder.root / name, data)
                    self._said[name] = self._stand(name)
            found = [problem for problem in pool.map(self._fetched, wanted) if problem]
        self.sent = {name for name in names if self._size(name) == there[name]}
        return tuple(found)

    def send(self, keep: Callable[[], None]) -> None:
        """Put what is new here into the storage; keep: called in between, and may end it."""
        merged = self.merged
        found = [f"{room}/{name}" for room in ROOMS for name in parts.listed(self.folder.root / room)]
        fresh = [name for name in found if name not in self.sent and _PART.fullmatch(name)]
        with ThreadPoolExecutor(LINES) as pool:
            for start in range(0, len(fresh), LINES):
                keep()
                self.sent.update(filter(None, pool.map(self._put, fresh[start : start + LINES])))
        keep()
        for name in (*FILES, *MADE):
            if (stand := self._stand(name)) and stand != self._said.get(name):
                self.storage.put(name, (self.folder.root / name).read_bytes())
                self._said[name] = stand
        if merged and self.sent.issuperset(found):
            with contextlib.suppress(
                StorageError
            ):  # no leave to delete: the rows are there twice, and count once
                self.storage.remove(sorted(merged))
            self.merged = set()

    def compacted(self) -> None:
        """Merge the records here; the storage then holds them merged, too."""
        before = set(parts.listed(self.folder.records))
        record.compact(self.folder.records)
        gone = {f"records/{name}" for name in before - set(parts.listed(self.folder.records))}
        self.merged = gone & self.sent

    def _join(self, there: Iterable[str]) -> None:
        """FolderError if folder and storage hold different sweeps."""
        if IDENTITY in there:
            theirs = self.storage.get(IDENTITY).decode(errors="replace").strip()
            if self.folder.space.is_file() and self.folder.identity() != theirs:
                raise FolderError(
                    f"{self.folder.root} holds another sweep than {self.storage.address}: take another --out"
                )
        else:
            self.folder.identity()

    def _fetched(self, name: str) -> record.Problem | None:
        path = self.folder.root / name
        _, data = self._got(name)
        if data is None:
            return None
        if parts.name_of(data, path.suffix) == path.name:
            parts.replace(path, data)
        elif not path.exists():  # one that is sound here is sent again
            return record.Problem(
                path, f"in {self.storage.address} it is torn or altered: its trials run again"
            )
        return None

    def _got(self, name: str) -> tuple[str, bytes | None]:
        try:
            return name, self.storage.get(name)
        except FileNotFoundError:  # merged meanwhile: its rows come with the next look
            return name, None

    def _put(self, name: str) -> str | None:
        """The name, once it is in the storage; a file that is no sound part stays here alone."""
        try:
            data = parts.load(self.folder.root / name)
        except (parts.UnsoundError, FileNotFoundError):
            return None
        self.storage.put(name, data)
        return name

    def _size(self, name: str) -> int | None:
        stand = self._stand(name)
        return stand and stand[1]

    def _stand(self, name: str) -> tuple[int, int] | None:
        """When a file was last changed, and its bytes; None for one that is not here."""
        try:
            found = (self.folder.root / name).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size


def local(path: str | Path) -> Path:
    """A folder as it is; of an address a copy of the sweep there, brought up to date.

    Errors: FolderError for an address without a sweep, StorageError, and those of `sweep.storage.at`.
    """
    if not is_address(path):
        return Path(path)
    storage = at(str(path))
    try:
        identity = storage.get(IDENTITY).decode(errors="replace").strip()
    except FileNotFoundError:
        identity = ""
    if not re.fullmatch("[0-9a-f]{32}", identity):
        raise FolderError(f"{path} holds no sweep: start one with `nai-sweep run SPACE --storage {path}`")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = cache / "nai-sweep" / f"{storage.address.rpartition('/')[2]}-{identity[:12]}"
    root.mkdir(parents=True, exist_ok=True)
    folder = Folder.at(root)
    for _ in range(LOOKS):
        with contextlib.suppress(FolderError), folder.owned():  # or a driver has it, and it is up to date
            Mirror(folder, storage).fetch()
            break
        time.sleep(GLANCE)
    return root
