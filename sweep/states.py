"""States of runs in memory, and what does not fit there in files; all of it can be learnt again."""

import hashlib
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, uint8

from nai.learn import Lesson
from nai.nodes import Choice, Settled
from nai.states import Shelf, State

ENDING = ".safetensors"
UNFINISHED = ".part"
PARTS = ("params", "memory", "optimizer")
BROKEN = (OSError, SafetensorError, ValueError, KeyError, RecursionError)
"""What reading finds in a file that is not whole, or not a state; it counts as absent."""


class Disk:
    """A shelf in memory whose overflow goes to files named by key, which several processes may share.

    limit_bytes: of memory. disk_bytes: of the folder; files not used for the longest go first. A file is
    renamed into place when it is whole, is believed only if its content has the digest it names, and needs
    no flush to the device: what a crash loses is learnt again. Nothing in it is ever run.
    """

    def __init__(self, folder: Path, limit_bytes: int, *, disk_bytes: int = 2**33) -> None:
        if disk_bytes < 0:
            raise ValueError(f"disk_bytes {disk_bytes} must be at least 0")
        self.folder, self.disk_bytes = folder, disk_bytes
        self.shelf = Shelf(limit_bytes)

    def get(self, key: str) -> State | None:
        """From memory, else from its file, which thereby counts as used; None if it is in neither."""
        held = self.shelf.get(key)
        if held is not None:
            return held
        try:
            state = read(self._file(key), key)
            os.utime(self._file(key))
        except BROKEN:
            self._forget(key)
            return None
        self._spill(self.shelf.put(key, state), key)
        return state

    def put(self, key: str, state: State) -> None:
        """Keeps a state in memory; what has no room there any more goes to its file."""
        self._forget(key)
        self._spill(self.shelf.put(key, state))

    def flush(self) -> None:
        """Writes what memory alone has, so that another process finds it."""
        self._spill(self.shelf.items())

    def __contains__(self, key: str) -> bool:
        return key in self.shelf or self._file(key).exists()

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}{ENDING}"

    def _forget(self, key: str) -> None:
        with suppress(OSError):
            self._file(key).unlink(missing_ok=True)

    def _spill(self, gone: list[tuple[str, State]], but: str = "") -> None:
        for key, state in gone:
            if key != but and not self._file(key).exists():
                # a disk that is full costs time, no result
                with suppress(OSError, SafetensorError):
                    self.folder.mkdir(parents=True, exist_ok=True)
                    write(self._file(key), key, state)
        if gone:
            self._make_room()

    def _make_room(self) -> None:
        """Removes the files that were not used for the longest, those of broken writes among them."""
        found = []
        for path in self.folder.glob("*"):
            with suppress(FileNotFoundError):  # another process was quicker
                if path.name.endswith((ENDING, UNFINISHED)):
                    found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        over = sum(size for _, size, _ in found) - self.disk_bytes
        for _, size, path in sorted(found):
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= size


def write(path: Path, key: str, state: State) -> None:
    """A state as a file, whole or not at all."""
    tensors = {f"{part}.{k}": v for part in PARTS for k, v in getattr(state.lesson, part).items()}
    tensors |= {"valid": state.valid, "test": state.test}
    tensors = {k: v.contiguous() for k, v in tensors.items()}
    # the format sorts names, and their order is that of the optimiser's moments
    about = {"key": key, "done": state.lesson.done, "importances": state.importances, "names": list(tensors)}
    said = json.dumps(about | {"settled": state.settled})
    unfinished = path.with_name(f"{uuid.uuid4().hex}{UNFINISHED}")
    try:
        save_file(tensors, unfinished, {"state": said, "digest": digest(said, tensors)})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read(path: Path, key: str) -> State:
    """The state of a file; ValueError, KeyError or SafetensorError if it is not what was written there."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    said = about["state"]
    told = json.loads(said)
    if about["digest"] != digest(said, tensors) or told["key"] != key:
        raise ValueError(f"{path} is not the state that was written under {key}")
    parts = {
        part: {k.removeprefix(f"{part}."): tensors[k] for k in told["names"] if k.startswith(f"{part}.")}
        for part in PARTS
    }
    lesson = Lesson(tuple(told["done"]), **parts)
    settled = tuple(Settled(Choice(*choice), onward) for choice, onward in told["settled"])
    return State(lesson, tensors["valid"], tensors["test"], tuple(told["importances"]), settled)


def digest(said: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of what is said about a state, and of every number in it."""
    total = hashlib.sha256(said.encode())
    for name in sorted(tensors):
        value = tensors[name]
        total.update(f"|{name} {value.dtype} {tuple(value.shape)}|".encode())
        total.update(value.reshape(-1).view(uint8).numpy().data)
    return total.hexdigest()
