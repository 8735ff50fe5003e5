"""What comes to a node of the order tree, what is done there, and what is left of it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nai.evaluate import Accuracy
from nai.learn import Lesson
from nai.methods.anchored import weighed
from nai.methods.base import Method
from nai.prefixes import Key

Todo = tuple[Key, Lesson, int | None]  # a node, the lesson before it, and the task that leads to it


class Choice(NamedTuple):
    """What a selection chose for one task: see `nai.selection`.

    attempts: trainings with the method up to the one that was kept. plain: validation accuracy that plain
    finetuning reached on the task at this rate.
    """

    rate: float
    strength: float
    attempts: int
    plain: float


class Taught(NamedTuple):
    """A lesson one task further, its marks, and what was chosen for the task."""

    lesson: Lesson
    accuracy: Accuracy
    choice: Choice | None = None


Teach = Callable[[Sequence[Todo]], list[Taught]]
"""One for each that it is given, whose bits hang on that one's node and lesson alone."""


class Step(NamedTuple):
    """What is kept of a node once its lesson is gone."""

    accuracy: Accuracy | None
    importance: float | None
    seconds: float
    width: int
    error: str | None
    choice: Choice | None = None

    def strength(self, method: Method) -> float | None:
        """Strength x mean importance."""
        if self.choice:  # in place of the method's own strength
            method = dataclasses.replace(method, strength=self.choice.strength)  # type: ignore[type-var]
        return weighed(method, self.importance)


class Learnt(NamedTuple):
    """A node's lesson while its children are learnt."""

    key: Key
    lesson: Lesson
    accuracy: Accuracy
    width: int
    choice: Choice | None = None
