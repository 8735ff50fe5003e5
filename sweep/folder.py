"""A sweep's folder: what lies where, and whose it is."""

import contextlib
import json
import os
import shlex
import shutil
import socket
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sweep import parts
from sweep.redact import redacted
from sweep.space import Change, Space, read

MAY_CHANGE = (
    "benchmark.root",
    "confirm.",
    "orders.count",
    "resources.",
    "search.budgets",
    "search.suggestions",
)
"""Keys of a space that may change between two runs of a sweep: the runs on record stay what they were."""


class FolderError(Exception):
    """A folder that cannot be used as asked: locked, of another sweep, or no sweep at all."""


@dataclass(frozen=True)
class Folder:
    """Paths of one sweep, all absolute."""

    root: Path

    @classmethod
    def at(cls, path: str | Path) -> "Folder":
        """The folder, whether it exists or not."""
        return cls(Path(path).expanduser().resolve())

    @classmethod
    def of_sweep(cls, path: str | Path) -> "Folder":
        """The folder of a sweep that was started; FolderError if there is none."""
        folder = cls.at(path)
        if any(map(os.path.lexists, (folder.space, folder.imported))):  # what others link to is their own
            folder.contained()
        if not folder.space.is_file():
            if folder.imported.is_file():
                raise FolderError(f"{path} holds imported records: nothing can be run for them")
            raise FolderError(f"{path} holds no sweep: it has no space.toml; start one with `nai-sweep run`")
        return folder

    @classmethod
    def of_records(cls, path: str | Path) -> "Folder":
        """The folder of a sweep, or of imported records; FolderError for any other."""
        folder = cls.at(path)
        if not folder.imported.is_file():
            return cls.of_sweep(path)
        folder.contained()
        return folder

    @property
    def space(self) -> Path:
        """The search space that the sweep runs."""
        return self.root / "space.toml"

    @property
    def records(self) -> Path:
        """The rows: the only truth."""
        return self.root / "records"

    @property
    def suggestions(self) -> Path:
        """What was suggested, which stays so whatever release of the sampler comes."""
        return self.root / "suggestions"

    @property
    def hunts(self) -> Path:
        """Hunts for worst or best orders that were asked for."""
        return self.root / "hunts.json"

    @property
    def snapshot(self) -> Path:
        """What the sweep consisted of when its driver last looked; it can be made anew at any time."""
        return self.root / "progress.json"

    @property
    def states(self) -> Path:
        """Where workers keep lessons that others may go on from, while the sweep runs."""
        return self.root / "states"

    @property
    def results(self) -> Path:
        """The final table, machine readable."""
        return self.root / "results.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.root / "report.html"

    @property
    def static_report(self) -> Path:
        """The page for people as a small file: drawings in place of charts."""
        return self.root / "report_static.html"

    @property
    def figures(self) -> Path:
        """Figures for a paper, and what they show as CSV."""
        return self.root / "figures"

    @property
    def table(self) -> Path:
        """All rows in one Parquet file."""
        return self.root / "results.parquet"

    @property
    def command(self) -> Path:
        """The command that started the sweep last."""
        return self.root / "command.txt"

    @property
    def tasks(self) -> Path:
        """Names of the tasks by home index."""
        return self.root / "tasks.json"

    @property
    def artifacts(self) -> Path:
        """MLflow's files."""
        return self.root / "mlartifacts"

    @property
    def weights(self) -> Path:
        """The weights of the best run, once they were asked for."""
        return self.root / "weights.safetensors"

    def identity(self) -> str:
        """What tells this sweep from others of its name, for good; for the process that holds the lock."""
        path = self.root / "identity.txt"
        if not path.is_file():
            parts.replace(path, f"{uuid.uuid4().hex}\n".encode())
        return path.read_text().strip()

    @property
    def owner(self) -> Path:
        """Which process works on the sweep now; not there when none does."""
        return self.root / "sweep.lock.json"

    @property
    def storage(self) -> Path:
        """The address of the storage that the sweep is kept at, too; not there for most."""
        return self.root / "storage.txt"

    @property
    def imported(self) -> Path:
        """What is said of records of another tool; no sweep has it."""
        return self.root / "imported.json"

    @property
    def similarity(self) -> Path:
        """How alike the tasks look, by home index."""
        return self.root / "similarity.json"

    def contained(self) -> None:
        """FolderError if a link in the folder leads out of it: a sweep writes nowhere else."""
        for path in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            if path.is_symlink() and self.root not in _target(path).parents:
                raise FolderError(
                    f"{path} is a link that leads out of the sweep's folder: move it away, or put what it "
                    "leads to in its place"
                )

    def said(self, words: Sequence[str]) -> None:
        """Write down the command that runs the sweep, without the passwords of addresses in it."""
        parts.replace(self.command, f"{redacted(shlex.join(words))}\n".encode())

    def adopt(self, space: Space) -> None:
        """Make the folder this space's; FolderError when it is another's.

        What may change is how long and where the sweep runs, over how many orders, where its data lie, and
        what it confirms; all else decides the runs.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        if self.imported.is_file():
            raise FolderError(f"{self.root} holds imported records: take another --out")
        if self.space.is_file():
            changes = [c for c in read(self.space).difference(space) if not c.key.startswith(MAY_CHANGE)]
            if changes and parts.listed(self.records):
                raise FolderError(_incompatible(self.root, changes))
            if changes:  # nothing on record binds nobody, and what was suggested for another space is void
                shutil.rmtree(self.suggestions, ignore_errors=True)
                self.hunts.unlink(missing_ok=True)
        parts.replace(self.space, space.to_toml().encode())

    def there(self) -> None:
        """FolderError if the folder is no longer there: what has moved away is not begun anew."""
        if not (self.root / "sweep.lock").exists():
            raise FolderError(
                f"{self.root} is gone: it was moved or removed while the sweep ran. What was on record went "
                "with it: go on with the same command, and --out as it is called now"
            )

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the folder's lock, so that one process writes at a time; FolderError says who holds it."""
        if self.root.is_file():
            raise FolderError(f"{self.root} is a file: a sweep needs a folder, take another --out")
        self.root.mkdir(parents=True, exist_ok=True)
        self.contained()
        lock = FileLock(self.root / "sweep.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise FolderError(
                f"{self.root} is in use by {_owner(self.owner)}: wait for it, or stop it"
            ) from None
        try:
            parts.replace(self.owner, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
            yield
        finally:
            self.owner.unlink(missing_ok=True)
            lock.release()


def _target(link: Path) -> Path:
    """Where a link leads in the end; a link that goes in circles leads nowhere."""
    try:
        found = link.resolve()
    except (OSError, RuntimeError):  # Python 3.13 raises nothing, and leaves the link as it is
        return Path(link.anchor)
    return Path(link.anchor) if found.is_symlink() else found


def _owner(path: Path) -> str:
    try:
        known: dict[str, Any] = json.loads(path.read_text())
        return f"process {known['pid']} on {known['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _incompatible(root: Path, changes: list[Change]) -> str:
    lines = [f"  {c.key}: {_shown(c.before)} -> {_shown(c.after)}" for c in changes]
    return "\n".join(
        [
            f"{root} holds a sweep of another space:",
            *lines,
            "take another --out, or the space as it was",
            f"(what both run is not trained again where --out starts with a copy of {root}/records)",
        ]
    )


def _shown(value: Any) -> str:
    return "(not set)" if value is None else json.dumps(value)
