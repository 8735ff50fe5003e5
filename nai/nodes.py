"""What comes to a node of the order tree, what is done there, and what is left of it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from nai.evaluate import Accuracy
from nai.learn import Lesson
from nai.methods.anchored import weighed
from nai.methods.base import Method
from nai.prefixes import Key


class Choice(NamedTuple):
    """What a selection chose for one task: see `nai.selection`.

    attempts: trainings with the method up to the one that was kept. plain: validation accuracy that plain
    finetuning reached on the task at this rate.
    """

    rate: float
    strength: float
    attempts: int
    plain: float


class Settled(NamedTuple):
    """What was chosen for a task, and the strength from which the next task's choice starts."""

    choice: Choice
    onward: float


class Todo(NamedTuple):
    """A node, the lesson before it and what was settled for that, and the task that leads on from there."""

    key: Key
    lesson: Lesson
    task: int | None
    before: Settled | None = None


class Taught(NamedTuple):
    """A lesson one task further, its marks, and what was chosen for the task."""

    lesson: Lesson
    accuracy: Accuracy
    settled: Settled | None = None


class Teach(Protocol):
    """How a stack learns, in place of the runs' methods and the training."""

    @property
    def deciding(self) -> Sequence[Any]:
        """Plain values: all beside a node and its lesson that its bits hang on."""

    def __call__(self, some: Sequence[Todo]) -> list[Taught]:
        """One for each that it is given."""


class Step(NamedTuple):
    """What is kept of a node once its lesson is gone."""

    accuracy: Accuracy | None
    importance: float | None
    seconds: float
    width: int
    error: str | None
    settled: Settled | None = None

    def strength(self, method: Method) -> float | None:
        """Strength x mean importance."""
        if self.settled:  # in place of the method's own strength
            strength = self.settled.choice.strength
            method = dataclasses.replace(method, strength=strength)  # type: ignore[type-var]
        return weighed(method, self.importance)


class Learnt(NamedTuple):
    """A node's lesson while its children are learnt."""

    key: Key
    lesson: Lesson
    accuracy: Accuracy
    width: int
    settled: Settled | None = None
