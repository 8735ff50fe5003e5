"""What a sweep's folder holds that a new call starts from, beside its rows: suggestions and hunts."""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from sweep import asked, parts
from sweep.agenda import Past
from sweep.book import Row
from sweep.folder import Folder, FolderError
from sweep.hunting import Request

_REQUESTS = TypeAdapter(tuple[Request, ...])


def past(folder: Folder, rows: Sequence[Row]) -> tuple[Past, tuple[asked.Problem, ...]]:
    """What there is, and the files of suggestions that are not read."""
    found = asked.read(folder.suggestions)
    return Past(rows, found.suggestions, requests(folder)), found.problems


def requests(folder: Folder) -> tuple[Request, ...]:
    """The hunts that were asked for; FolderError for a file that is none of this program's."""
    if not folder.hunts.is_file():
        return ()
    try:
        return _REQUESTS.validate_json(folder.hunts.read_bytes())
    except ValidationError:
        raise FolderError(
            f"{folder.hunts} is no list of hunts: move it away and ask for them again"
        ) from None


def request(folder: Folder, one: Request) -> None:
    """Ask for a hunt; one that was asked for before goes on with what it knew then."""
    before = requests(folder)
    if not any(replace(old, known=()) == replace(one, known=()) for old in before):
        parts.replace(folder.hunts, _REQUESTS.dump_json((*before, one), indent=1))
