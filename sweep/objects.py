"""Object storage, the only keeper of obstore: S3 and what speaks like it, Google Cloud Storage, Azure."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from sweep.redact import redacted
from sweep.storage import StorageError

if TYPE_CHECKING:
    from obstore import UpdateVersion

PATIENT, HASTY = 20.0, 5.0
"""Seconds that one request may take, all its tries together."""


class Tag(NamedTuple):
    """Which content of an object it is: no other has the same."""

    e_tag: str | None
    version: str | None


class Seen(NamedTuple):
    """An object as it was found; modified: by the storage's own clock."""

    data: bytes
    tag: Tag
    modified: datetime


class MovedError(Exception):
    """An object that is not, or no longer, as it was seen."""


class Bucket:
    """The objects below an address; keys come from the environment, as obstore and boto3 find them there.

    An object appears whole or not at all, and is safe once `put` returns. Errors: as `sweep.storage.Storage`.
    """

    def __init__(self, address: str, *, hasty: bool = False) -> None:
        self.address = address
        wait = timedelta(seconds=HASTY if hasty else PATIENT)
        with self._reached():
            self._store: Any = from_url(
                address,
                client_options={"timeout": wait, "connect_timeout": wait / 4, "allow_http": _is_plain()},
                retry_config={"max_retries": 0 if hasty else 3, "retry_timeout": wait},
                **_provider(address),
            )

    def listing(self) -> dict[str, int]:
        """Names of all there is, with their bytes."""
        with self._reached():
            return {one["path"]: one["size"] for some in obstore.list(self._store) for one in some}

    def get(self, name: str) -> bytes:
        """The content of an object."""
        return self.seen(name).data

    def seen(self, name: str) -> Seen:
        """An object with its tag and time."""
        with self._reached(name):
            found = obstore.get(self._store, name)
            about = found.meta
            return Seen(bytes(found.bytes()), _tag(about), about["last_modified"])

    def put(self, name: str, data: bytes) -> None:
        """Make the bytes the content of an object, whatever it held before."""
        with self._reached():
            obstore.put(self._store, name, data, use_multipart=False)

    def create(self, name: str, data: bytes) -> Tag:
        """Make an object that is not there yet; MovedError if it is."""
        with self._reached():
            return _tag(obstore.put(self._store, name, data, mode="create", use_multipart=False))

    def swap(self, name: str, data: bytes, tag: Tag) -> Tag:
        """Change an object that is still as it was seen; MovedError if it is not."""
        was: UpdateVersion = {}
        if tag.e_tag is not None:
            was["e_tag"] = tag.e_tag
        if tag.version is not None:
            was["version"] = tag.version
        with self._reached(name):
            return _tag(obstore.put(self._store, name, data, mode=was, use_multipart=False))

    def remove(self, names: Iterable[str]) -> None:
        """Take objects away; those already gone are passed by."""
        with self._reached():
            obstore.delete(self._store, list(names))

    @contextlib.contextmanager
    def held(self, takeover: bool) -> Iterator[Callable[[], None]]:
        """Be the one driver, by a lease that is renewed; see `sweep.lease`."""
        from sweep.lease import Lease

        lease = Lease(self)
        lease.take(takeover)
        try:
            yield lease.keep
        finally:
            lease.free()

    @contextlib.contextmanager
    def _reached(self, wanted: str = "") -> Iterator[None]:
        """The storage's refusals, in words: MovedError for conditions; only what is wanted may be absent."""
        try:
            yield
        except FileNotFoundError:
            if wanted:
                raise
            raise StorageError(f"{self.address}: there is no such bucket\n{WAYS}") from None
        except (AlreadyExistsError, PreconditionError) as error:
            raise MovedError(self.address) from error
        except (BaseError, ValueError) as error:
            said = redacted(" ".join(str(error).partition("\n")[0].partition(": <?xml")[0].split()))
            raise StorageError(f"{self.address}: {said}\n{WAYS}") from None


WAYS = (
    "way out: `nai-sweep doctor --storage ADDRESS` says what of it works; keys come from the environment "
    "(AWS_ACCESS_KEY_ID and so on, AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY)"
)


def _tag(about: Any) -> Tag:
    return Tag(about["e_tag"], about["version"])


def _is_plain() -> bool:
    """Whether the user names an endpoint without encryption, as that of a server in the same room."""
    named = (os.environ.get(f"AWS_ENDPOINT{end}", "") for end in ("", "_URL", "_URL_S3"))
    return any(one.startswith("http://") for one in named)


def _provider(address: str) -> dict[str, Any]:
    """Keys of ~/.aws (a profile, a login), which boto3 alone can read, unless the environment has some."""
    if not address.startswith("s3:") or "AWS_ACCESS_KEY_ID" in os.environ or find_spec("boto3") is None:
        return {}
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    if "AWS_PROFILE" not in os.environ and not file.is_file():
        return {}
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return {"credential_provider": Boto3CredentialProvider()}
    except BotoCoreError as error:
        raise ValueError(str(error)) from error
