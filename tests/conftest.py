"""What every test may count on: an empty home folder, no network, one torch thread."""

import atexit
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(tempfile.mkdtemp(prefix="nai-home-"))
# Matplotlib's font list takes seconds to make, so it stays in the clone from one run to the next.
FONTS = ROOT / ".pytest_cache" / "matplotlib"


def environment() -> dict[str, str]:
    """What the tests and every process that they start see in place of the developer's own settings."""
    return {
        "HOME": str(HOME),
        "MPLCONFIGDIR": str(FONTS),
        "TORCHINDUCTOR_CACHE_DIR": str(FONTS.parent / "inductor"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(FONTS.parent / "hypothesis"),
        "RAY_AUTH_TOKEN": secrets.token_hex(32),  # or Ray writes one into the home folder
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


# Ahead of every test module: some packages read these once, when they are imported.
for name in [name for name in os.environ if name.startswith(("RAY_", "MLFLOW_", "OPTUNA_", "XDG_", "AWS_"))]:
    del os.environ[name]
os.environ.update(environment())
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a script's job in the background, and so its children
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under nohup; a test closes a terminal, to see it end
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def written(home: Path) -> list[str]:
    """Paths of the files and folders inside a home folder that should be empty."""
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


@pytest.fixture(autouse=True)
def empty_home() -> Iterator[None]:
    """Fails the test that writes into the home folder, and empties it for the next one."""
    yield
    if found := written(HOME):
        shutil.rmtree(HOME)
        HOME.mkdir()
        pytest.fail(f"the home folder must stay empty, but this test left {found} there")


def _local(family: int, address: Any) -> bool:
    """Whether a socket address stays on this machine."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = str(address[0])
    return host in ("localhost", "::1", "0.0.0.0", "") or host.startswith("127.")


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Fails the test that opens a connection to another machine.

    Datagram sockets are let through: Ray connects one to learn this machine's address, which sends nothing.
    """
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(plain: Any) -> Any:
        def call(self: socket.socket, address: Any) -> Any:
            if self.type & socket.SOCK_STREAM and not _local(self.family, address):
                pytest.fail(f"tests use no network, but this one connects to {address}")
            return plain(self, address)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(connect))
        patch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
        yield


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two torch threads beside other work are many times slower than one; torch is not imported for this."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser for the tests marked `browser`; they are skipped where there is none."""
    import browser

    if browser.program() is None:
        pytest.skip("no Chromium on the path: " + ", ".join(browser.NAMES))
    with browser.running(tmp_path_factory.mktemp("chromium")) as running:
        yield running
