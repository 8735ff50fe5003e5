"""Is this machine fit for a sweep? Each finding says what there is and, where that is wrong, the way out."""

import contextlib
import importlib
import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from sweep import releases
from sweep.space import Space

Area = Literal["cluster", "data", "storage"]
NEEDED = ("ray", "torch", "numpy", "optuna", "mlflow", "pyarrow", "safetensors", "scipy", "plotly", "jinja2")
LITTLE, TIGHT = 2e9, 2e8
"""Bytes of a disk below which it is remarked on, and below which a sweep cannot run."""
FILES = 4096
"""Open files that Ray's processes and a worker for each processor may need."""
SKEW = 2.0
"""Seconds between two clocks from which it is remarked on: rows say when they were made."""
STALE = 0.95
"""Share of a disk from which Ray writes nothing there any more."""


class Finding(NamedTuple):
    """What was looked at and found; area: what is wrong, None while nothing is. way: out of it."""

    what: str
    text: str
    area: Area | None = None
    way: str = ""

    @property
    def state(self) -> str:
        """ok, odd (a sweep runs, but) or bad (none does)."""
        return "bad" if self.area else "odd" if self.way else "ok"


def here(space: Space | None = None, out: str | Path = "runs", *, cluster: bool = False) -> Iterator[Finding]:
    """What is to be said of this machine, for any sweep or for that of a space in a folder.

    cluster: it need not train itself, so that it may be without a card.
    """
    yield from _versions()
    yield from _data(space)
    yield from _cards(None if cluster else space)
    yield from _disks(Path(out))
    yield from _ports()
    yield _token()


# ------------------------------------------------------------------ what is installed
def _versions() -> Iterator[Finding]:
    for name, found in releases.here().items():
        yield Finding(
            name, "run from its clone" if (name, found) == ("nai-sweep", releases.UNKNOWN) else found
        )
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:
            yield Finding(name, " ".join(str(error).split()), "cluster", "pip install 'nai-sweep[sweep]'")


def _cards(space: Space | None) -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            text = f"{torch.cuda.get_device_name(number)}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
            yield Finding("GPU", text)
        return
    if space is not None and (space.resources.gpus or space.resources.place != "cpu"):
        way = "install the driver and a CUDA build of torch, take another machine, or resources.gpus = 0"
        yield Finding(
            "GPU", f"none that torch {torch.__version__} can use, and the space wants one", "cluster", way
        )
    elif shutil.which("nvidia-smi"):
        yield Finding(
            "GPU", f"there, but not for torch {torch.__version__}", way="install a CUDA build of torch"
        )
    else:
        yield Finding("GPU", "none: resources.gpus stays 0")


# ------------------------------------------------------------------ what it works on
def _data(space: Space | None) -> Iterator[Finding]:
    set_by_user = os.environ.get("NAI_DATA")
    folder = Path(set_by_user or Path.home() / ".cache" / "nai")
    if set_by_user and not folder.is_dir():
        yield Finding(
            "data", f"NAI_DATA names {folder}, which is no folder", "data", "make it, or unset NAI_DATA"
        )
        return
    held = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    yield Finding(
        "data", f"{folder}: {', '.join(held) or 'nothing yet, data sets are fetched when first used'}"
    )
    if space is not None:
        yield _benchmark(space)


def _benchmark(space: Space) -> Finding:
    """Loaded as a sweep would, fetched where it is missing."""
    from nai.trial import Named, load

    named = Named.of(**space.first(space.methods[0].name)["benchmark"])
    try:
        found = load(named)
    except (OSError, ImportError, ValueError) as error:
        way = "put the files there, or give benchmark.root"
        return Finding("benchmark", " ".join(str(error).split()), "data", way)
    return Finding("benchmark", f"{found.name}: {len(found.tasks)} tasks")


def _disks(out: Path) -> Iterator[Finding]:
    folder = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    yield from _written(folder)
    temporary = Path(os.environ.get("RAY_TMPDIR") or "/tmp")
    used = shutil.disk_usage(temporary)
    if used.used / used.total > STALE:
        way = "make room, or let RAY_TMPDIR name another disk"
        yield Finding("Ray's files", f"{temporary} is {used.used / used.total:.0%} full", way=way)
    shared = Path("/dev/shm")
    if shared.is_dir() and (free := shutil.disk_usage(shared).free) < TIGHT:
        way = "give the container more, such as --shm-size=2g"
        yield Finding("shared memory", f"{free / 1e6:.0f} MB free in {shared}", way=way)


def _written(folder: Path) -> Iterator[Finding]:
    """A file is written beside where the records will be: that says more than any mode of the folder."""
    free = shutil.disk_usage(folder).free
    way = "make room, or give another --out"
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"fit")
            os.fsync(file.fileno())
            skew = Path(file.name).stat().st_mtime - time.time()
    except OSError as error:
        text = f"{folder} cannot be written to: {error.strerror or error}"
        yield Finding("disk", text, "storage", "give another --out, or leave to write")
        return
    text = f"{folder}: {free / 1e9:.1f} GB free"
    yield Finding("disk", text, "storage" if free < TIGHT else None, way if free < LITTLE else "")
    away = abs(skew) > SKEW
    text = f"the disk of {folder} is {skew:+.0f} s away" if away else time.strftime("%Y-%m-%d %H:%M:%S %Z")
    yield Finding("clock", text, way="set both clocks by NTP" if away else "")


# ------------------------------------------------------------------ what Ray needs
def _ports() -> Iterator[Finding]:
    address = own_address()
    try:
        with socket.create_server((address, 0)) as server:
            socket.create_connection(server.getsockname()[:2], timeout=5).close()
    except OSError as error:
        text = f"processes of this machine do not reach each other at {address}: {error}"
        yield Finding("ports", text, "cluster", "mend the firewall or the VPN: Ray's processes talk that way")
    else:
        yield Finding("ports", f"open on {address}")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < FILES:
        yield Finding("open files", f"at most {limit}", way="ulimit -n 65536")


def own_address() -> str:
    """The address that Ray takes for this machine, that of its way out or the loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial, contextlib.suppress(OSError):
        trial.connect(("192.0.2.1", 9))
        return str(trial.getsockname()[0])
    return "127.0.0.1"


def _token() -> Finding:
    """How a driver would show that it may join a cluster; a local Ray makes a token of its own."""
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    mode = os.environ.get("RAY_AUTH_MODE", "not set")
    if mode == "disabled":
        text = "RAY_AUTH_MODE=disabled: whoever reaches the ports can run code here"
        return Finding("token", text, way="unset it, or RAY_AUTH_MODE=token")
    given = bool(os.environ.get("RAY_AUTH_TOKEN"))
    if not given and not file.is_file():
        return Finding("token", f"RAY_AUTH_MODE {mode}, no token: a local Ray makes its own")
    if not given and file.stat().st_mode & 0o077:
        return Finding("token", f"{file} can be read by others", way=f"chmod 600 {file}")
    return Finding("token", f"RAY_AUTH_MODE {mode}, token in {'RAY_AUTH_TOKEN' if given else file}")
