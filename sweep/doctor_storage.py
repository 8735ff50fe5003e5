"""Does a storage do what a sweep asks of it? Tried out, as a driver would, in a room of its own there."""

import secrets
import shutil
import time
from collections.abc import Iterator

from sweep.doctor import Finding
from sweep.folder import FolderError
from sweep.storage import at, is_address


def there(address: str) -> Iterator[Finding]:
    """What is to be said of the storage of an address; what is tried out is taken away again."""
    data = secrets.token_bytes(20_000)
    try:
        storage = at(f"{address.rstrip('/')}/doctor-{secrets.token_hex(8)}")
        with storage.held(False):
            began = time.monotonic()
            storage.put("trial", data)
            took = time.monotonic() - began
            sound = storage.get("trial") == data and storage.listing().get("trial") == len(data)
        storage.remove(storage.listing())
        if not is_address(address):
            shutil.rmtree(storage.address)
    except (OSError, ValueError, FolderError) as error:
        text, _, way = str(error).partition("\n")
        yield Finding("storage", text, "storage", way or "leave to write there, or another --storage")
        return
    if not sound:
        text = f"{address} does not give back what was written there"
        yield Finding("storage", text, "storage", "another --storage")
        return
    known = f"one driver at a time, a record of 20 kB in {took * 1e3:.0f} ms"
    yield Finding("storage", f"{address}: writes, reads and takes away; {known}")
