"""The storage of a running sweep: what is new is sent as it comes, from a thread that also keeps the hold."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from sweep import parts
from sweep.folder import Folder, FolderError
from sweep.mirror import Mirror
from sweep.storage import StorageError, at

TICK, REST = 1.0, 10.0
"""Seconds between two looks for what is new; longer, so many times as long as the look itself took."""
PATIENCE, HASTE = 60.0, 10.0
"""Seconds that a storage has at the end of a sweep to take what is left; and of one that was stopped."""


class Sender:
    """Sends what is new, and keeps the hold on the storage, from a thread of its own."""

    def __init__(self, mirror: Mirror, keep: Callable[[], None], note: Callable[[str], None]) -> None:
        self.mirror, self.patience = mirror, PATIENCE
        self._keep, self._note = keep, note
        self._over, self._until = threading.Event(), 0.0
        self._trouble: OSError | None = None
        self._fenced: FolderError | None = None
        self._noted = self._done = False
        self._thread = threading.Thread(target=self._run, name="storage", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Say, once, that the storage takes nothing; FolderError when another driver has taken over."""
        if self._fenced:
            raise self._fenced
        if self._trouble and not self._noted:
            self._noted = True
            root = self.mirror.folder.root
            self._note(
                f"{self._trouble}\nrows are kept in {root}, and sent as soon as the storage takes them"
            )

    def compacted(self) -> None:
        """Merge the records, here and in the storage."""
        self.mirror.compacted()

    def end(self, patience: float) -> None:
        """Send what is left. StorageError if the storage does not take it in so many seconds."""
        self._until = time.monotonic() + patience
        self._over.set()
        self._thread.join(patience + HASTE)
        if self._fenced:
            raise self._fenced
        if not self._done:
            why = self._trouble or "it does not answer"
            raise StorageError(
                f"not all is in the storage: {why}\nevery row is safe in {self.mirror.folder.root}; the same "
                "command sends what is left, and runs nothing twice"
            )

    def close(self) -> None:
        """Send what can be sent soon, where the sweep itself came to no end."""
        if not self._over.is_set():
            with contextlib.suppress(StorageError, FolderError):
                self.end(HASTE)

    def _run(self) -> None:
        rest = TICK
        while not self._done and not self._fenced:
            ending = self._over.wait(rest)
            began = time.monotonic()
            self._pass()
            self._done = ending and not self._trouble
            if ending and not self._done:
                if time.monotonic() > self._until:
                    return
                time.sleep(TICK)
            rest = max(TICK, REST * (time.monotonic() - began))

    def _pass(self) -> None:
        try:
            self._keep()
            self.mirror.send(self._keep)
        except FolderError as error:
            self._fenced = error
        except OSError as error:
            self._trouble = error
        else:
            self._trouble = None


@contextlib.contextmanager
def attached(
    folder: Folder,
    address: str | None,
    *,
    note: Callable[[str], None] = lambda text: None,
    takeover: bool = False,
) -> Iterator[Sender | None]:
    """Drive a sweep that is kept at an address, too: fetched at first, sent as it grows; None for no address.

    Errors: FolderError while another process drives it, or for the copy of a storage that is not named;
    StorageError.
    """
    if address is None:
        _check_alone(folder)
        yield None
        return
    storage = at(address)
    with storage.held(takeover) as keep:
        mirror = Mirror(folder, storage)
        for problem in mirror.fetch():
            note(f"{problem.path} is not read: {problem.reason}")
        parts.replace(folder.storage, f"{storage.address}\n".encode())
        sender = Sender(mirror, keep, note)
        try:
            yield sender
            sender.end(sender.patience)
        finally:
            sender.close()


def _check_alone(folder: Folder) -> None:
    """FolderError for the copy of a storage: its other drivers would not know of this one."""
    if folder.storage.is_file():
        address = folder.storage.read_text().strip()
        raise FolderError(
            f"{folder.root} is the copy here of {address}: give --storage {address},\n"
            "or name that in its place"
        )
