"""The continual hyperparameter framework: rate and strength chosen task by task, on that task alone."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from nai.evaluate import evaluate
from nai.learn import Lesson, World, learn
from nai.methods.base import Method, described, overrides
from nai.methods.finetune import Finetune
from nai.nodes import Choice, Settled, Taught, Todo
from nai.seeds import Seeds
from nai.states import States
from nai.training import Training
from nai.tree import Grown, Run, grow


@dataclass(frozen=True)
class Continual:
    """How learning rate and strength are chosen for each task, without a look at later tasks.

    Maximal plasticity search: plain finetuning on the task from the weights as they stand, once for each of
    `rates`; the rate of the best validation accuracy on the task is taken (of equals the first).
    Stability decay: the method learns the task at that rate; it is accepted with at least (1 - tolerance)
    of plain finetuning's accuracy, else its strength is multiplied by `decay`, at most `attempts` times.
    The strength goes on to the next task; the first starts from the method's own.

    Source: De Lange et al. 2021, algorithm 1; that the last attempt is kept, and the strength decayed
    even after it, as in the authors' code.
    Deviation: a strength that acts once a task is learnt is not decayed in the first, with nothing to forget.
    """

    rates: tuple[float, ...] = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
    decay: float = 0.5
    tolerance: float = 0.2
    attempts: int = 10

    def __post_init__(self) -> None:
        if not self.rates or len(set(self.rates)) < len(self.rates):
            raise ValueError(f"rates {self.rates} must be one or more different learning rates")
        for rate in self.rates:
            if not 0 < rate < math.inf:
                raise ValueError(f"rates {self.rates} must be finite numbers above 0")
        if not 0 < self.decay < 1:
            raise ValueError(f"decay {self.decay} must lie between 0 and 1, ends excluded")
        if not 0 <= self.tolerance <= 1:
            raise ValueError(f"tolerance {self.tolerance} must lie between 0 and 1")
        if not isinstance(self.attempts, int) or self.attempts < 1:
            raise ValueError(f"attempts {self.attempts} must be a whole number of at least 1")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Continual":
        """From plain settings, such as JSON's; what they leave out has its default."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in settings:
            if name not in known:
                raise ValueError(f"a selection has no setting {name!r}: it has {', '.join(known)}")
        plain: dict[str, Any] = {k: tuple(v) if k == "rates" else v for k, v in settings.items()}
        return cls(**plain)

    def settings(self) -> dict[str, Any]:
        """A plain dict, ready for JSON."""
        return dataclasses.asdict(self) | {"rates": list(self.rates)}

    def check(self, method: Method, training: Training) -> None:
        """ValueError: the method has no strength to decay, or the training cannot change its rate."""
        name, strength = type(method).__name__, _strength(method)
        if not strength > 0:
            raise ValueError(f"strength {strength} cannot decay: give {name} a high one to start from")
        owner, fitting = method.acts_with.get("strength", ("", ()))
        if owner and getattr(method, owner) not in fitting:
            raise ValueError(
                f"{name} does not read its strength with {owner} {getattr(method, owner)!r}: "
                f"take {owner} {' or '.join(map(repr, fitting))}, or tune it otherwise"
            )
        if overrides(method, "node"):
            raise ValueError(
                f"{name} forgets the order of its tasks, on which choices hang: tune it otherwise"
            )
        if training.optimizer != "fresh":
            raise ValueError(
                f"optimizer {training.optimizer!r} carries moments from rate to rate: take 'fresh'"
            )


def grow_continually(
    runs: Sequence[Run],
    world: World,
    training: Training,
    rule: Continual,
    *,
    width: int | None = None,
    states: States | None = None,
) -> Iterator[Grown]:
    """`nai.tree.grow` where every node chooses its rate and strength; `chosen` of each result says which.

    A choice depends on the tasks so far alone, so orders that start alike share it. The rate of `training` is
    not read; every candidate starts with fresh moments. A candidate that diverges has lost, and a run has
    failed only if all of a task have. states: as for `grow`. ValueError: see `Continual.check` and `grow`.
    """
    alike = defaultdict(list)
    for run in runs:
        rule.check(run.method, training)
        alike[described(run.method)].append(run)
    return chain.from_iterable(
        [
            grow(some, world, training, width=width, states=states, teach=one)
            for some in alike.values()
            for one in [_Search(world, some[0].method, training, rule)]
        ]
    )


def _strength(method: Method) -> float:
    strength = getattr(method, "strength", None)
    if strength is None:
        name = type(method).__name__
        raise ValueError(f"{name} has no strength that could decay: tune it otherwise, without a selection")
    return float(strength)


class Plain(NamedTuple):
    """What plain finetuning reaches on a task: its best rate, and the validation accuracy there."""

    rate: float
    accuracy: float


@dataclass
class _Pupil:
    """A lesson on its way through one task: the strength to try next, and what has come of it so far."""

    seeds: Seeds
    lesson: Lesson
    task: int
    strength: float
    taught: Taught | None = None
    choice: Choice | None = None
    accepted: bool = False

    @property
    def outcome(self) -> Taught:
        """What came of it; its strength by now is the one to go on with."""
        assert self.taught is not None  # each phase leaves something
        return self.taught._replace(settled=self.choice and Settled(self.choice, self.strength))


class _Search:
    """Both phases for the lessons of a stack."""

    def __init__(self, world: World, method: Method, training: Training, rule: Continual) -> None:
        self.world, self.method, self.training, self.rule = world, method, training, rule
        self.untested = world._replace(test=tuple(t[:0] for t in world.test))

    @property
    def deciding(self) -> list[Any]:
        """The rule, and the method with the strength to start from."""
        return [self.rule.settings(), described(self.method)]

    def __call__(self, some: Sequence[Todo]) -> list[Taught]:
        """Every lesson one task further, at the rate and strength chosen for it."""
        pupils = [self._pupil(todo) for todo in some]
        plain = self._search_plasticity(pupils)
        self._decay_stability([(p, found) for p, found in zip(pupils, plain, strict=True) if found])
        return [p.outcome for p in pupils]

    def _pupil(self, todo: Todo) -> _Pupil:
        assert todo.task is not None  # nothing is chosen at the root
        strength = todo.before.onward if todo.before else _strength(self.method)
        return _Pupil(todo.key.seeds, todo.lesson, todo.task, strength)

    def _search_plasticity(self, pupils: Sequence[_Pupil]) -> list[Plain | None]:
        """The best of plain training for each, None where every rate diverges."""
        best: list[Plain | None] = [None] * len(pupils)
        for rate in self.rule.rates:
            taught = self._taught(pupils, [Finetune()] * len(pupils), rate, self.untested)
            for i, (pupil, found) in enumerate(zip(pupils, taught, strict=True)):
                plain, before = Plain(rate, found.accuracy.valid[pupil.task].item()), best[i]
                if not found.lesson.finite:
                    pupil.taught = found  # diverged: what is left if no other rate does better
                elif before is None or plain.accuracy > before.accuracy:
                    best[i] = plain
        return best

    def _decay_stability(self, pupils: Sequence[tuple[_Pupil, Plain]]) -> None:
        """Attempts until each is accepted; lessons that may share a stack do."""
        for attempt in range(1, self.rule.attempts + 1):
            alike = defaultdict(list)
            for pupil, plain in pupils:
                if not pupil.accepted:
                    method = self._method(pupil)
                    alike[plain.rate, described(method, method.late)].append((pupil, plain))
            for group in alike.values():
                self._attempt(group, attempt)

    def _attempt(self, group: Sequence[tuple[_Pupil, Plain]], attempt: int) -> None:
        """Learns with the method; what is not accepted tries a lower strength next."""
        pupils, rate = [p for p, _ in group], group[0][1].rate
        taught = self._taught(pupils, [self._method(p) for p in pupils], rate, self.world)
        for (pupil, plain), found in zip(group, taught, strict=True):
            finite, accuracy = found.lesson.finite, found.accuracy.valid[pupil.task].item()
            if finite or pupil.taught is None:
                pupil.taught = found
                pupil.choice = Choice(rate, pupil.strength, attempt, plain.accuracy)
            spared = not pupil.lesson.done and "strength" in self.method.late  # it has not acted yet
            pupil.accepted = finite and (spared or accuracy >= (1 - self.rule.tolerance) * plain.accuracy)
            if not pupil.accepted:
                pupil.strength *= self.rule.decay

    def _method(self, pupil: _Pupil) -> Method:
        return dataclasses.replace(self.method, strength=pupil.strength)  # type: ignore[type-var]

    def _taught(
        self, pupils: Sequence[_Pupil], methods: Sequence[Method], rate: float, world: World
    ) -> list[Taught]:
        training = dataclasses.replace(self.training, rate=rate)
        lessons, tasks, seeds = (
            [p.lesson for p in pupils],
            [p.task for p in pupils],
            [p.seeds for p in pupils],
        )
        learnt = learn(lessons, tasks, world, methods, training=training, seeds=seeds)
        return [Taught(*x) for x in zip(learnt, evaluate(learnt, world, methods), strict=True)]
