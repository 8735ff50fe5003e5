"""One driver a storage: an object that says who holds it, renewed while that process lives.

Ages are measured by the storage's clock alone, so that clocks of machines may differ as they like: the
object's own time is compared with that of another object, written just then.
"""

import contextlib
import json
import os
import secrets
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sweep.folder import FolderError
from sweep.objects import Bucket, MovedError, Tag
from sweep.storage import StorageError

NAME, CLOCK = "lease.json", "lease.clock"
BEAT, TERM = 15.0, 120.0
"""Seconds between two signs of life, and after how many without one its holder is taken for dead."""


class Holder(NamedTuple):
    """Who a lease says has it; machine: where its process number means something."""

    token: str
    host: str
    pid: int
    machine: str
    free: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether it gave the lease back, or was a process of this very machine that is no more."""
        return self.free or (self.machine == _machine() and not Path(f"/proc/{self.pid}").exists())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease:
    """This process's hold on a storage."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.holder = Holder(secrets.token_hex(16), socket.gethostname(), os.getpid(), _machine())
        self.tag = Tag(None, None)
        self.beats = 0
        self.said = -BEAT

    def take(self, takeover: bool = False) -> None:
        """Become the holder; FolderError while another process is.

        takeover: even if that gave a sign of life not long ago.
        Errors: StorageError where conditions are not heeded, so that there may be two holders.
        """
        now = _clock()
        try:
            self.tag = self.bucket.create(NAME, self._content())
        except MovedError:
            self._succeed(takeover)
        self.said = now
        self._check_heeded()

    def keep(self) -> None:
        """Give a sign of life, if it is time; FolderError once another process has the lease."""
        now = _clock()
        if now - self.said < BEAT:
            return
        self.beats += 1
        self._renew(self._content())
        self.said = now

    def free(self) -> None:
        """Give the lease back, if it is still held; left to run out where the storage does not answer."""
        self.holder = self.holder._replace(free=True)
        with contextlib.suppress(FolderError, StorageError):
            self._renew(self._content())

    def _succeed(self, takeover: bool) -> None:
        """Follow a holder who gave the lease back or is dead."""
        found = self.bucket.seen(NAME)
        last = _holder(found.data)
        if last and last.token == self.holder.token:  # made, and the answer lost on its way
            self.tag = found.tag
            return
        if last and not (takeover or last.is_gone):
            self.bucket.put(CLOCK, b"now\n")
            age = (self.bucket.seen(CLOCK).modified - found.modified).total_seconds()
            if age < TERM:
                raise FolderError(
                    f"{self.bucket.address} is in use by {last}, which gave a sign of life {age:.0f} s ago: "
                    f"wait for it, or stop it\nif it is dead, the storage is free in {TERM - age:.0f} s, or "
                    "at once with --takeover"
                )
        try:
            self.tag = self.bucket.swap(NAME, self._content(), found.tag)
        except MovedError:
            raise FolderError(f"{self.bucket.address} was just taken by another process") from None

    def _check_heeded(self) -> None:
        """StorageError unless a second holder, and one that is late, are refused."""
        late = Tag('"late"', "1")
        for ask in (partial(self.bucket.create, NAME, b""), partial(self.bucket.swap, NAME, b"", late)):
            with contextlib.suppress(MovedError):
                ask()
                raise StorageError(
                    f"{self.bucket.address} does not heed conditions (If-None-Match, If-Match), so that two "
                    "drivers could not be told apart\nway out: a storage that heeds them, or a folder"
                )

    def _renew(self, content: bytes) -> None:
        try:
            self.tag = self.bucket.swap(NAME, content, self.tag)
        except (MovedError, FileNotFoundError):
            found = self._found()
            if found is None or found[0].token != self.holder.token:
                by = f"taken over by {found[0]}" if found else "taken away"
                raise FolderError(
                    f"{self.bucket.address} was {by}: this process ends, what it did stays"
                ) from None
            self.tag = found[1]  # said before, and the answer lost on its way

    def _found(self) -> tuple[Holder, Tag] | None:
        try:
            found = self.bucket.seen(NAME)
        except FileNotFoundError:
            return None
        holder = _holder(found.data)
        return holder and (holder, found.tag)

    def _content(self) -> bytes:
        """Never the same twice, or two contents would have one tag."""
        return json.dumps(self.holder._asdict() | {"beats": self.beats}).encode()


def _holder(data: bytes) -> Holder | None:
    """Who the object names; None for one that no lease wrote, which binds nobody."""
    try:
        told: dict[str, Any] = json.loads(data)
        found = Holder(*(kind(told[name]) for name, kind in _FIELDS.items()))
        return found if found.host.isprintable() else None
    except (ValueError, TypeError, KeyError):
        return None


_FIELDS = {"token": str, "host": str, "pid": int, "machine": str, "free": bool}


def _machine() -> str:
    """This boot of this machine and, in a container, its own count of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _clock() -> float:
    """Seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
