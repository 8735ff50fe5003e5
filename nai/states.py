"""Where runs stand after some tasks, kept so that later runs go on from there and learn nothing twice."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from nai.learn import Lesson, World
from nai.nodes import Settled
from nai.prefixes import Run, path
from nai.training import Training


class State(NamedTuple):
    """A lesson and what the run that led to it has shown so far, on the CPU; for all strengths alike."""

    lesson: Lesson
    valid: Tensor  # [tasks learnt + 1, tasks], as in `nai.tree.Grown`
    test: Tensor
    importances: tuple[float, ...]  # mean importance after each task; empty where nothing is guarded
    settled: tuple[Settled, ...] = ()  # what a selection chose for each task; empty without one

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        parts = (self.lesson.params, self.lesson.memory, self.lesson.optimizer)
        return self.valid.nbytes + self.test.nbytes + sum(v.nbytes for part in parts for v in part.values())


class States(Protocol):
    """A place for states, which may lose any of them at any time: all can be learnt again."""

    def get(self, key: str) -> State | None:
        """The state put under a key, unless it is gone."""

    def put(self, key: str, state: State) -> object:
        """Keeps a state, perhaps at the cost of others."""

    def flush(self) -> object:
        """Lets what was put outlast this process, where the place can."""

    def __contains__(self, key: str) -> bool:
        """Whether `get` is likely to find a state, at less cost."""


class Shelf:
    """States in memory, up to a number of bytes: those not asked for the longest go first."""

    def __init__(self, limit_bytes: int) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes {limit_bytes} must be at least 0")
        self.limit = limit_bytes
        self.bytes = 0
        self._held: OrderedDict[str, State] = OrderedDict()

    def get(self, key: str) -> State | None:
        """The state, which thereby goes last; None if it is not here."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, key: str, state: State) -> list[tuple[str, State]]:
        """Keeps a state; gives those that had to go, which may be itself."""
        self.take(key)
        self._held[key] = state
        self.bytes += state.nbytes
        gone = []
        while self.bytes > self.limit:
            oldest = next(iter(self._held))
            gone.append((oldest, self._held[oldest]))
            self.take(oldest)
        return gone

    def take(self, key: str) -> State | None:
        """The state, which is then no longer here."""
        state = self._held.pop(key, None)
        self.bytes -= state.nbytes if state is not None else 0
        return state

    def flush(self) -> None:
        """Nothing: memory ends with its process."""

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def items(self) -> list[tuple[str, State]]:
        """Keys and states, the next to go first."""
        return list(self._held.items())


class Store:
    """The states of one world and training: what tells a run's state from all others is its key.

    also: plain values that decide as well, such as a selection's.
    """

    def __init__(self, states: States, world: World, training: Training, also: Sequence[Any] = ()) -> None:
        if not world.digest:
            raise ValueError(
                "states need a world with a digest, or they are mixed up: use nai.trial.world_of"
            )
        self.states, self.device = states, world.device
        self.lost: set[str] = set()
        self.deciding = [world.digest, world.device.type, training.settings(), *also]

    def key(self, run: Run, depth: int) -> str:
        """SHA-256 of all that decides a run's first tasks."""
        tasks = [int(task) for task in run.order[:depth]]
        deciding = [*self.deciding, path(run)[depth].method, run.seeds, tasks]
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def start(self, run: Run) -> int:
        """The most tasks of a run after which a state seems to be there."""
        keys = ((n, self.key(run, n)) for n in range(len(run.order), 0, -1))
        return next((n for n, key in keys if key not in self.lost and key in self.states), 0)

    def read(self, run: Run, depth: int) -> State | None:
        """The state after a run's first tasks, on the device; None if it is gone, as it then stays."""
        key = self.key(run, depth)
        state = self.states.get(key)
        if state is None:
            self.lost.add(key)
            return None
        return state._replace(lesson=placed(state.lesson, self.device))

    def write(self, key: str, state: State) -> None:
        """Keeps a state, on the CPU."""
        self.states.put(key, state._replace(lesson=placed(state.lesson, torch.device("cpu"))))

    def flush(self) -> None:
        """Lets what was written outlast this process."""
        self.states.flush()


def placed(lesson: Lesson, device: torch.device) -> Lesson:
    """The lesson on a device."""
    parts = (lesson.params, lesson.memory, lesson.optimizer)
    return Lesson(lesson.done, *({k: v.to(device) for k, v in part.items()} for part in parts))
