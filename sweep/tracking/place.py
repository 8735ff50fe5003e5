"""Where a sweep's MLflow runs go, and how its client behaves there."""

import os
from dataclasses import dataclass
from pathlib import Path

# No retries inside the client: its own seven hold a call for four minutes when a server is down, and send
# again what a slow server has taken in already.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


OWNER = "nai.sweep"
"""The experiment's tag with the identity of the sweep that it belongs to."""


@dataclass(frozen=True)
class Place:
    """A store's address, the sweep's name there and its identity, and the folder for a database's files.

    The identity tells two sweeps of one name apart: the second to come has some of it in its name.
    """

    uri: str
    name: str
    identity: str
    artifacts: Path

    @property
    def names(self) -> tuple[str, str]:
        """What the experiment is called: the sweep's name, or if another sweep has it, with its identity."""
        return self.name, f"{self.name} {self.identity[:8]}"

    @property
    def database(self) -> Path | None:
        """The file of an SQLite store."""
        path = self.uri.removeprefix("sqlite:///")
        return Path(path) if path != self.uri else None

    @property
    def root(self) -> str | None:
        """Where the experiment's files go; None where a server decides."""
        serves = self.uri.startswith(("http", "databricks"))
        return None if serves else self.artifacts.resolve().as_uri()


def destination(folder: Path) -> str:
    """The tracking URI of a sweep: MLFLOW_TRACKING_URI where it is set, else SQLite in the sweep's folder."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"sqlite:///{folder.resolve() / 'mlflow.db'}"
