"""Is a cluster fit for a sweep? One finding for each machine, and for what they share."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep import machines, releases
from sweep.doctor import SKEW, TIGHT, Finding
from sweep.environment import ClusterError
from sweep.space import Resources, Space

Facts = dict[str, Any]


def there(address: str, space: Space | None = None, out: str | Path = "runs") -> Iterator[Finding]:
    """What is to be said of the cluster at an address: joined, looked at, left."""
    try:
        machines.join(address, logging_level="ERROR", log_to_driver=False)
    except (ClusterError, ConnectionError) as error:
        yield Finding(
            "cluster", str(error), "cluster", "start it, or mend what it says; cluster.yaml shows how"
        )
        return
    try:
        yield from _cluster(address, space, Path(out))
    finally:
        machines.leave()


def _cluster(address: str, space: Space | None, out: Path) -> Iterator[Finding]:
    some = machines.machines()
    resources = space.resources if space else Resources()
    room = machines.slots(resources, [one.resources for one in some])
    unfit = not room and resources.workers is None
    yield Finding(
        "cluster",
        f"{address}: {len(some)} machines, room for {room} workers",
        "cluster" if unfit else None,
        "add machines, or give resources.workers where they start as they are wanted" if not room else "",
    )
    if os.environ.get("RAY_AUTH_MODE") != "token":
        text = "it lets in whoever reaches its ports, to run any code"
        yield Finding(
            "cluster's token", text, way="start it with RAY_AUTH_MODE=token (cluster.yaml shows how)"
        )
    folder = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as mark:
        began = time.time()
        answers = machines.asked(some, facts, mark.name)
        ended = time.time()
    for one, answer in zip(some, answers, strict=True):
        yield _machine(one, answer, began, ended)
    yield _shared(folder, [answer for answer in answers if not isinstance(answer, str)])


def facts(mark: str) -> Facts:
    """What a machine says of itself; mark: a file of the driver's, which it sees if they share the disk."""
    return {
        "releases": dict(releases.here()),
        "time": time.time(),
        "cards": len(list(Path("/dev").glob("nvidia[0-9]*"))),
        "free": shutil.disk_usage(tempfile.gettempdir()).free,
        "shared": Path(mark).exists(),
    }


def _machine(one: machines.Machine, answer: Facts | str, began: float, ended: float) -> Finding:
    what = f"machine {one.name}"
    if isinstance(answer, str):
        return Finding(what, answer, "cluster", "install the extra sweep there, or take the machine out")
    if odds := releases.odds(releases.here(), answer["releases"]):
        return Finding(
            what, "; ".join(odds), "cluster", "pip install -c constraints.txt, the same everywhere"
        )
    skew = max(0.0, answer["time"] - ended) + min(0.0, answer["time"] - began)  # it answered in between
    odd = dict(_oddities(one.resources, answer, skew))
    has = f"{one.resources.get('CPU', 0):g} CPU, {one.resources.get('GPU', 0):g} GPU"
    return Finding(what, "; ".join([has, "releases as here", *odd]), way="; ".join(odd.values()))


def _oddities(has: Mapping[str, float], answer: Facts, skew: float) -> Iterator[tuple[str, str]]:
    """What is odd about a machine, and the way out of each."""
    if abs(skew) > SKEW:
        yield f"its clock is {skew:+.0f} s away", "set the clocks by NTP"
    if answer["cards"] > has.get("GPU", 0):
        yield (
            f"{answer['cards']} cards, of which Ray counts {has.get('GPU', 0):g}",
            "start Ray with --num-gpus",
        )
    if answer["free"] < TIGHT:
        yield f"{answer['free'] / 1e6:.0f} MB free for temporary files", "make room"


def _shared(folder: Path, answers: list[Facts]) -> Finding:
    alone = sum(not one["shared"] for one in answers)
    if not alone:
        return Finding("shared disk", f"all machines see {folder}: workers record there themselves")
    return Finding(
        "shared disk", f"{alone} of {len(answers)} machines do not see {folder}: rows come by report"
    )
