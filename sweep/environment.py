"""What Ray reads from the environment, some of it as soon as it is imported."""

import contextlib
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterator

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the other output prints a banner whatever it is told
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results are rows; Tune's own files would repeat them
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


class ClusterError(Exception):
    """A cluster that cannot carry the sweep: it lets nobody in, its machines differ, or its head is gone."""


def for_ray(*, local: bool) -> None:
    """Set what the user has not set: nothing is sent home, and a local Ray takes jobs of this process alone.

    A token made here keeps Ray from writing one to the home folder. A program that imported Ray before
    keeps its own settings.
    """
    wanted = dict(QUIET)
    if local and "ray" not in sys.modules:
        wanted |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def importable() -> Iterator[None]:
    """Let programs that start inside import what this one can: Ray hands on the current folder alone."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def check_address(address: str, seconds: float = 10.0) -> None:
    """ConnectionError unless something listens there: Ray itself would try for ten minutes.

    Addresses without a port, such as auto, are Ray's own to judge.
    """
    found = re.fullmatch(r"(?:ray://)?\[?([^\[\]]+)\]?:(\d+)", address)
    if not found:
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=seconds).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(
            f"nothing answers at {address} ({error}): start Ray there, or leave the address out"
        ) from error


class PlaceError(ValueError):
    """A device that was asked for and is not there."""
