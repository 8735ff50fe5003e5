"""What goes wrong, in words and as an exit code: one screen, no traceback unless it is asked for."""

import contextlib
import errno
import os
import select
import shlex
import signal
import stat
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from sweep.redact import printable, redacted

DONE, INTERNAL, INPUT, FAILED, CLUSTER, FOLDER, DATA, STORAGE = range(8)
"""Exit codes; 128 + the number of a signal, 130 or 143, when one stopped it."""
CODES = """\
Exit codes: 0 done, 1 internal error, 2 wrong input, 3 done with failed runs, 4 cluster gone or not alike,
5 folder in use or of another sweep, 6 data missing, 7 cannot write, 130, 143, 129 and 141 stopped
(Ctrl-C, SIGTERM, terminal closed, reader gone)."""
UNREAD = 128 + signal.SIGPIPE
"""The exit code when who read the output went away, as a shell expects it."""
FULL = {errno.ENOSPC, errno.EDQUOT}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_PLACE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


class Failure(NamedTuple):
    """What to say, and the exit code."""

    code: int
    text: str


class Stop:
    """Which signal stopped the program: SIGTERM and SIGHUP are taken as Ctrl-C is, and remembered."""

    def __init__(self) -> None:
        self.number = int(signal.SIGINT)

    def __call__(self, number: int, frame: Any) -> None:
        self.number = number
        if number == signal.SIGHUP:
            _mute()
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # a shell starts what runs in the background deaf to Ctrl-C
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    @property
    def code(self) -> int:
        """The exit code that a shell expects."""
        return 128 + self.number


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """SIGTERM, and a terminal that is closed, stop what runs inside as Ctrl-C does; with nohup it goes on."""
    stop = Stop()
    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _mute(unread: bool = False) -> None:
    """Send what is still said to nowhere where it went to a terminal that is gone, or to pipes, too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        if unread or stat.S_ISCHR(os.fstat(output).st_mode):
            os.dup2(nowhere, output)
    os.close(nowhere)


def _unread() -> bool:
    """Whether who read the output is gone: other pipes break, too."""
    look = select.poll()
    for output in (1, 2):
        look.register(output, 0)
    return any(event & select.POLLERR for _, event in look.poll(0))


@contextlib.contextmanager
def explained(verbose: bool = False, stopped: str = "stopped") -> Iterator[Stop]:
    """Turn every exception into words on stderr and an exit code; `stopped` is said after a signal."""
    with stoppable() as stop:
        try:
            yield stop
            if sys.stdout:  # there is none where it was closed
                sys.stdout.flush()
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            say(stopped)
            raise typer.Exit(stop.code) from None
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _unread():
                _mute(unread=True)
                raise typer.Exit(UNREAD) from None
            found = failure(error)
            if verbose:
                say(redacted(traceback.format_exc()))
            say(redacted(found.text))
            raise typer.Exit(found.code) from None


def failure(error: Exception) -> Failure:
    """The words and the exit code for an exception."""
    from sweep.causes import AlikeError
    from sweep.environment import ClusterError, PlaceError
    from sweep.folder import FolderError
    from sweep.space import Mistakes

    text = str(error)
    match error:
        case Mistakes():
            return Failure(INPUT, _mistakes(error))
        case FolderError():
            return Failure(FOLDER, text)
        case AlikeError():
            return Failure(FAILED, text)
        case ClusterError() | PlaceError():
            return Failure(CLUSTER, text)
        case ConnectionError():
            return Failure(CLUSTER, f"the cluster cannot be reached: {text}")
        case FileNotFoundError(errno=None) | ImportError(name=None):
            return Failure(DATA, text)  # written by nai.datasets, which says the way out
        case OSError():
            return Failure(*_storage(error))
        case SyntaxError():
            return Failure(INPUT, f"{error.filename}:{error.lineno}: {error.msg}")
        case ValueError():
            return Failure(INPUT, text)
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Failure(INTERNAL, f"internal error: {what}\nrun it again with --verbose and report what it says")


def _mistakes(error: Any) -> str:
    count = len(error.mistakes)
    return f"{error}\n{count} mistake{'s'[: count > 1]} in the search space, nothing was run"


def _storage(error: OSError) -> tuple[int, str]:
    text = str(error)
    if error.filename and error.strerror:
        text = f"{error.filename2 or error.filename}: {error.strerror}"
    hints = ((FULL, "make room"), (CLOSED, "give leave to write there"), (NO_PLACE, "move it away"))
    for errnos, hint in hints:
        if error.errno in errnos:
            return STORAGE, f"{text}\n{hint} or give another folder, then run the same command again"
    return STORAGE, text


def say(text: str) -> None:
    """Words to the user, beside the data: on stderr, line by line, and nothing but words."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr)


def command(*words: str) -> str:
    """A command line of this program as it was started: `nai-sweep ...` or `python -m sweep.cli ...`."""
    installed = Path(sys.argv[0]).name == "nai-sweep"
    return shlex.join([*(("nai-sweep",) if installed else ("python", "-m", "sweep.cli")), *words])
