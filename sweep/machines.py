"""The machines of a Ray cluster: what fits on them, whether they are alike, whether the head answers."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep import releases
from sweep.environment import ClusterError, check_address
from sweep.space import Resources

Facts = dict[str, Any]
ALIKE = (
    "install the same releases everywhere (pip install -c constraints.txt), or take these machines out of "
    "the cluster; nothing was run"
)
GLANCE = 2.0
"""Seconds between two looks at the machines: those that join are used from then on."""
DROUGHT = 900.0
"""Seconds without room for a single worker after which a sweep ends: a cloud takes minutes for a machine."""
SILENCE = 20.0
"""Seconds without an answer after which a head is given up; Ray's own driver dies after 60."""
TOKEN = (
    "run on a machine of the cluster, and with its token if it has one: RAY_AUTH_MODE=token and "
    "RAY_AUTH_TOKEN or ~/.ray/auth_token"
)
PATIENCE = 60.0
"""Seconds that a machine has to say what is installed there."""


def join(address: str, **given: Any) -> None:
    """Become a driver of the cluster at an address, with these arguments of `ray.init`.

    ConnectionError when nothing answers there, ClusterError when it does not let this program in.
    """
    check_address(address)
    try:
        ray.init(address=address, **given)
    except (RuntimeError, ConnectionError, ray.exceptions.RayError) as error:  # something listens there
        text = " ".join(str(error).split())
        way = "install the same Ray and Python here" if "Version mismatch" in text else TOKEN
        raise ClusterError(f"the cluster at {address} cannot be joined: {text}; {way}") from error


def leave() -> None:
    """Be a driver no longer."""
    ray.shutdown()


class Machine(NamedTuple):
    """A living machine of the cluster, and what it has."""

    id: str
    address: str
    resources: Mapping[str, float]

    @property
    def name(self) -> str:
        """Address and first digits: several may run on one host."""
        return f"{self.address} ({self.id[:6]})"


def machines() -> list[Machine]:
    """Those that are alive, as the head knows them."""
    return [
        Machine(one["NodeID"], one["NodeManagerAddress"], one["Resources"])
        for one in ray.nodes()
        if one["Alive"]
    ]


def slots(resources: Resources, some: Sequence[Mapping[str, float]]) -> int:
    """Workers that fit onto machines of so many CPUs and GPUs: no worker is parted between two."""
    wanted = {"CPU": float(resources.cpus), "GPU": float(resources.gpus)}
    asked = {kind: amount for kind, amount in wanted.items() if amount}
    if not asked:
        return 1
    return sum(min(math.floor(one.get(k, 0) / v + 1e-9) for k, v in asked.items()) for one in some)


class Room:
    """How many workers to keep busy, looked at anew every few seconds as machines come and go."""

    def __init__(self, resources: Resources, clock: Callable[[], float] = time.monotonic) -> None:
        self.resources, self.clock = resources, clock
        self.fits = self.at = self.fitted = 0.0
        self._look()

    def __call__(self) -> int:
        """At least one, also while no machine is there: what waits for one makes a cluster start it.

        ClusterError when none was there for a quarter of an hour.
        """
        if self.clock() - self.at > GLANCE:
            self._look()
        if self.clock() - self.fitted > DROUGHT:
            raise ClusterError(f"no worker had room for {DROUGHT / 60:g} min: {self.refusal}")
        return max(1, self.resources.workers or int(self.fits))

    def wait(self, seconds: float) -> None:
        """For a first machine with room, unless they come only when asked for; ClusterError if none does."""
        end = self.clock() + seconds
        while not self.fits and self.resources.workers is None:
            if self.clock() > end:
                raise ClusterError(self.refusal)
            time.sleep(min(GLANCE, seconds / 10))
            self._look()

    @property
    def refusal(self) -> str:
        """Why there is none, and the way out."""
        have = {
            kind: max((m.resources.get(kind, 0) for m in machines()), default=0) for kind in ("CPU", "GPU")
        }
        return (
            f"a worker wants {self.resources.cpus:g} CPU and {self.resources.gpus:g} GPU, no machine has "
            f"more than {', '.join(f'{most:g} {kind}' for kind, most in have.items())}: lower resources.cpus "
            "or resources.gpus, or give resources.workers where a cluster starts machines as they are wanted"
        )

    def _look(self) -> None:
        self.at = self.clock()
        self.fits = slots(self.resources, [one.resources for one in machines()])
        if self.fits or not self.fitted:
            self.fitted = self.at


# ------------------------------------------------------------------ alike
def asked(some: Sequence[Machine], what: Callable[..., Facts], *given: Any) -> list[Facts | str]:
    """What a function gives on each machine, or why it gives nothing there."""
    remote = ray.remote(num_cpus=0, max_retries=0)(what)
    answers = [remote.options(scheduling_strategy=_on(one)).remote(*given) for one in some]
    ray.wait(answers, num_returns=len(answers), timeout=PATIENCE)
    return [_answer(one) for one in answers]


def check_alike() -> None:
    """ClusterError naming each machine whose releases are not those of this program, and the way out."""
    odd, some = [], machines()
    for one, found in zip(some, asked(some, _releases), strict=True):
        wrong = [found] if isinstance(found, str) else releases.odds(releases.here(), found)
        odd += [f"  {one.name}: {'; '.join(wrong)}"] if wrong else []
    if odd:
        raise ClusterError(
            "\n".join(["machines of the cluster do not have what this program has:", *odd, ALIKE])
        )


def _releases() -> Facts:
    return dict(releases.here())


def _on(one: Machine) -> Any:
    return NodeAffinitySchedulingStrategy(node_id=one.id, soft=False)


def _answer(reference: Any) -> Facts | str:
    try:
        found: Facts = ray.get(reference, timeout=0.1)
    except ray.exceptions.GetTimeoutError:
        return f"no answer in {PATIENCE:g} s"
    except ray.exceptions.RayError as error:
        return f"nai-sweep does not run there ({str(error).strip().splitlines()[-1]})"
    return found


# ------------------------------------------------------------------ the head
@contextlib.contextmanager
def watched(lost: Callable[[str], None], *, silence: float = SILENCE) -> Iterator[None]:
    """Call `lost`, from a thread and once, when the cluster's head has not answered for so many seconds."""
    address, over = ray.get_runtime_context().gcs_address, threading.Event()
    arguments = {"address": address, "over": over, "lost": lost, "silence": silence}
    threading.Thread(target=_watch, kwargs=arguments, name="head", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(*, address: str, over: threading.Event, lost: Callable[[str], None], silence: float) -> None:
    heard = time.monotonic()
    while not over.wait(silence / 10):
        try:
            check_address(address, seconds=silence / 4)
            heard = time.monotonic()
        except ConnectionError:
            if time.monotonic() - heard > silence and not over.is_set():
                return lost(f"the head of the cluster at {address} has not answered for {silence:g} s")
