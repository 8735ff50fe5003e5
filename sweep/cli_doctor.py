"""What `nai-sweep doctor` shows, and with which exit code it ends."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from sweep import cli_show as show
from sweep.cli_failures import CLUSTER, DATA, DONE, STORAGE

if TYPE_CHECKING:
    from sweep.doctor import Finding

EXITS = {"cluster": CLUSTER, "data": DATA, "storage": STORAGE}
STYLES = {"ok": "green", "odd": "yellow", "bad": "bold red"}


def findings(
    space: str | None, overrides: Sequence[str], *, out: str | None, address: str | None
) -> list["Finding"]:
    """All that is to be said of this machine and, if one is given, of the cluster at an address."""
    from sweep import doctor
    from sweep.environment import for_ray
    from sweep.space import read

    wanted = read(space, overrides) if space else None
    place = out or "runs"
    found = list(doctor.here(wanted, place, cluster=address is not None))
    if address and not any(one.what == "ray" and one.area for one in found):
        for_ray(local=False)
        from sweep import doctor_cluster

        found += doctor_cluster.there(address, wanted, place)
    return found


def of_storage(address: str) -> list["Finding"]:
    """What is to be said of a storage."""
    from sweep import doctor_storage

    return list(doctor_storage.there(address))


def shown(found: Sequence["Finding"], as_json: Callable[[Any], None] | None = None) -> int:
    """Print a table of findings; the exit code is that of the first that is bad."""
    if as_json:
        as_json([one._asdict() | {"state": one.state} for one in found])
    else:
        _table(found)
    return next((EXITS[one.area] for one in found if one.area), DONE)


def _table(found: Sequence["Finding"]) -> None:
    to, made = show.console(), show.table("", "what", "found, and the way out")
    for one in found:
        text = Text(one.text)
        if one.way:
            text.append(f"\nway out: {one.way}", STYLES[one.state])
        made.add_row(Text(one.state, STYLES[one.state]), Text(one.what), text)
    to.print(made)
    bad = ", ".join(one.what for one in found if one.area)
    to.print(f"not fit for a sweep: {bad}" if bad else "fit for a sweep")
