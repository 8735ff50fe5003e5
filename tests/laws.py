"""Laws of every method, each a function of one case; `tests/nai/test_contract.py` asks them of all METHODS.

`docs/new_method.md` shows how to ask them of a method of one's own.
"""

import dataclasses
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import pytest
import torch
from worlds import asked, blobs, differing, marks, numbers, taught, world

from nai import footprint
from nai.evaluate import Accuracy, evaluate
from nai.fitting import check_method
from nai.learn import Lesson, World, begin, learn
from nai.methods import Finetune, Method
from nai.methods.anchored import below, guarded, weighed
from nai.methods.base import Span
from nai.seeds import Seeds
from nai.stack import stackable
from nai.tasks import Rows, gather
from nai.training import Training
from nai.tree import Run, grow

SCENARIOS = ("task", "class", "domain")
SIZES = (40, 33, 70, 1)  # more than a step, one more than a step, an uneven number of steps, one sample
ORDER = (2, 0, 1)


@dataclasses.dataclass(frozen=True)
class Case:
    """A method with settings fit for tests.

    untrue: laws that are not true of it, with the reason. keeps: it claims to forget nothing at all.
    """

    name: str
    method: Method
    untrue: Mapping[str, str] = dataclasses.field(default_factory=dict)
    keeps: bool = False

    @property
    def training(self) -> Training:
        """Two epochs, or as many as the method needs."""
        return Training(epochs=max(2, self.method.least_epochs))

    @property
    def scenario(self) -> Any:
        """The first that it can work in."""
        return next(s for s in SCENARIOS if s in self.method.scenarios)

    @property
    def laws(self) -> "list[Law]":
        """Those that can be asked of it."""
        return [law for law in LAWS if law.concerns(self)]

    def world(self, sizes: tuple[int, ...] = SIZES, **options: Any) -> World:
        """Blobs in its scenario."""
        return world(blobs(sizes, scenario=self.scenario), **options)

    def taught(self, where: World, order: tuple[int, ...] = ORDER, **given: Any) -> Lesson:
        """The lesson after an order."""
        return taught(where, given.pop("method", self.method), order, training=self.training, **given)

    def changed(self, **settings: Any) -> Method:
        """The method with other settings."""
        return dataclasses.replace(self.method, **settings)  # type: ignore[type-var]


class Law(NamedTuple):
    """What holds for each method that it concerns."""

    check: Callable[[Case], None]
    concerns: Callable[[Case], bool]

    @property
    def name(self) -> str:
        return self.check.__name__


LAWS: list[Law] = []


def law(concerns: Callable[[Case], bool] = lambda case: True) -> Callable[[Callable[[Case], None]], Any]:
    """Puts a function among the laws."""

    def enter(check: Callable[[Case], None]) -> Callable[[Case], None]:
        LAWS.append(Law(check, concerns))
        return check

    return enter


def questions(cases: Iterable[Case]) -> list[Any]:
    """A case and a law each, for pytest: a law that is said to be untrue must fail, or that is stale."""
    return [_question(case, law) for case in cases for law in case.laws]


def _question(case: Case, law: Law) -> Any:
    reason = case.untrue.get(law.name, "")
    fails = pytest.mark.xfail(reason=reason, strict=True, raises=(AssertionError, ValueError))
    return pytest.param(case, law, id=f"{case.name}-{law.name}", marks=[fails] if reason else [])


# ---------------------------------------------------------------- whom a law concerns
def fields(method: Method) -> dict[str, Any]:
    """Hyperparameters and their defaults."""
    return {f.name: f.default for f in dataclasses.fields(method)}  # type: ignore[arg-type]


def has_strength(case: Case) -> bool:
    return "strength" in fields(case.method)


def has_importances(case: Case) -> bool:
    return guarded(begin(case.world(), case.method, Seeds()).memory) is not None


def anchors_weights(case: Case) -> bool:
    return has_strength(case) and has_importances(case)


def has_late(case: Case) -> bool:
    return bool(case.method.late)


def has_heads(case: Case) -> bool:
    return case.scenario == "task"


def keeps(case: Case) -> bool:
    return case.keeps


def rests(case: Case) -> bool:
    return bool(case.method.idle)


def has_spring(case: Case) -> bool:
    return case.method.spring(begin(case.world(), case.method, Seeds()).memory) is not None


def with_hooks(method: Method, **own: Any) -> Method:
    """A copy whose class has other attributes."""
    kind = type(method)
    values = {name: getattr(method, name) for name in fields(method)}
    return type(kind.__name__, (kind,), own)(**values)  # type: ignore[no-any-return]


def same(a: Lesson, b: Lesson) -> bool:
    """Bit for bit, whatever path led there."""
    return not differing(a._replace(done=()), b._replace(done=()))


def answers(lesson: Lesson, where: World, method: Method, task: int) -> torch.Tensor:
    """Logits of a task's own outputs for its test samples."""
    rows = where.test[task]
    batch = gather(where.source, Rows(rows, torch.ones(len(rows))))
    context = asked(where, len(lesson.done), task)
    logits = method.predict(where.net, lesson.params, batch, lesson.memory, context)
    return logits[:, where.heads[task]]


# ---------------------------------------------------------------- bits
def other_values(method: Method, name: str) -> list[float]:
    """Values of a late hyperparameter that it accepts: 0, its default, and of its range if it has one."""
    span = method.ranges.get(name)
    ends = [span.low, span.high] if isinstance(span, Span) else []
    found = []
    for value in (getattr(method, name), 0.0, *ends, getattr(method, name) / 3):
        try:
            found.append(getattr(dataclasses.replace(method, **{name: value}), name))  # type: ignore[type-var]
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def varied(method: Method) -> list[Method]:
    """The method with other values of each late hyperparameter, itself first."""
    out = [method]
    for name in sorted(method.late):
        out += [dataclasses.replace(method, **{name: v}) for v in other_values(method, name)]  # type: ignore[type-var]
    return list(dict.fromkeys(out))


class Pupils:
    """Thirty-two lessons of one world that differ in history, next task, depth, seeds and what is late.

    kinds: methods that differ in what is late alone.
    """

    def __init__(self, kinds: Sequence[Method], where: World, training: Training) -> None:
        paths = sorted({o[:3] for o in permutations(range(len(where.train)))})
        self.where, self.training = where, training
        self.orders = [paths[7 * n % len(paths)] for n in range(32)]
        self.seeds = [Seeds(n % 2, n % 3) for n in range(32)]
        self.methods = [kinds[n // 3 % len(kinds)] for n in range(32)]
        self.lessons = [begin(where, m, s) for m, s in zip(self.methods, self.seeds, strict=True)]
        for depth in (0, 1):
            who = [n for n in range(32) if n % 3 > depth]
            for n, lesson in zip(who, self.learnt(who, depth), strict=True):
                self.lessons[n] = lesson

    def learnt(self, who: list[int], depth: int | None = None) -> list[Lesson]:
        """Some of them in one stack, each a task further."""
        return learn(
            [self.lessons[n] for n in who],
            [self.orders[n][n % 3 if depth is None else depth] for n in who],
            self.where,
            [self.methods[n] for n in who],
            training=self.training,
            seeds=[self.seeds[n] for n in who],
        )

    def asked(self, who: list[int]) -> list[tuple[Lesson, Accuracy]]:
        """What some of them have learnt in one stack, and how much of their answers is right."""
        learnt = self.learnt(who)
        return list(zip(learnt, evaluate(learnt, self.where, [self.methods[n] for n in who]), strict=True))

    def check(self) -> None:
        """In stacks of 1, 2, 3 and 7 and in other slots, they are what they are in a stack of 32."""
        assert stackable(self.where.net, self.where.device)
        everybody = list(range(32))
        whole = self.asked(everybody)
        assert all(lesson.finite for lesson, _ in whole)
        for who in [everybody[::-1], *self._stacks(everybody)]:
            for n, (lesson, right) in zip(who, self.asked(who), strict=True):
                assert not differing(lesson, whole[n][0]), f"lesson {n} in a stack of {len(who)}"
                assert torch.equal(right.valid, whole[n][1].valid)
                assert torch.equal(right.test, whole[n][1].test)

    def _stacks(self, everybody: list[int]) -> list[list[int]]:
        places = {7: (0, 7, 25), 3: (1, 12), 2: (5, 22), 1: (0, 1, 2, 17, 31)}
        return [everybody[at : at + width] for width, starts in places.items() for at in starts]


@law()
def bits_depend_on_no_neighbour(case: Case) -> None:
    """At stack widths 1, 2, 3, 7 and 32, in other slots, beside other depths, sizes, seeds and strengths."""
    Pupils(varied(case.method), case.world(dropout=0.2), case.training).check()


@law()
def a_run_of_a_tree_is_the_run_alone(case: Case) -> None:
    """Accuracies after each task, effective strengths, weights and memory, whatever else the tree learns."""
    where, seeds = case.world(SIZES[:3], dropout=0.2), Seeds(1, 0)
    methods = varied(case.method)[:2]
    runs = [Run(m, s, o) for m in methods for s in (seeds, Seeds()) for o in permutations(range(3))]
    found = {(g.method, g.seeds, g.order): g for g in grow(runs, where, case.training)}
    for method, order in ((methods[0], (2, 0, 1)), (methods[-1], (2, 1, 0))):
        grown, lesson = found[method, seeds, order], begin(where, method, seeds)
        assert grown.error is None and grown.test is not None and grown.lesson is not None
        strengths = []
        for depth, task in enumerate((*order, None)):
            assert torch.equal(grown.test[depth], marks(lesson, where, method).test)
            if task is not None:
                (lesson,) = learn([lesson], [task], where, method, training=case.training, seeds=[seeds])
                strengths.append(weighed(method, guarded(lesson.memory)))
        assert same(grown.lesson, lesson)
        assert grown.strengths == (None if None in strengths else tuple(strengths))


@law()
def a_lesson_goes_through_bytes_and_on(case: Case) -> None:
    """In the middle of a sequence: tensors alone, and the rest is as if nothing had happened."""
    where, training = case.world(), dataclasses.replace(case.training, optimizer="kept")
    half = taught(where, case.method, (0, 2), training=training)
    file = io.BytesIO()
    torch.save(half._asdict(), file)
    file.seek(0)
    read = Lesson(**torch.load(file, weights_only=True))
    assert not differing(half, read)
    on = [learn([x], [1], where, case.method, training=training, seeds=[Seeds()])[0] for x in (half, read)]
    assert not differing(*on)


@law()
def a_convolutional_net_learns_alone(case: Case) -> None:
    """Where nothing is stacked, a run is the same again, from bytes or in a tree."""
    images = blobs((20, 9, 12), features=(1, 4, 4), scenario=case.scenario)
    where = world(images, "conv", widths=[4], dense_units=4)
    assert not stackable(where.net, where.device)
    method, training = case.method, case.training
    lesson = taught(where, method, (1, 0), training=training)
    assert lesson.finite
    runs = [Run(method, Seeds(), (1, 0, 2)), Run(method, Seeds(), (1, 2, 0))]
    for grown in grow(runs, where, training):
        assert grown.lesson is not None
        assert not differing(grown.lesson, taught(where, method, grown.order, training=training))


@law()
def learning_leaves_its_lesson_as_it_was(case: Case) -> None:
    """What it starts from, and what it is handed of the benchmark, alone and in a stack."""
    images = blobs((9, 12, 8), features=(1, 4, 4), scenario=case.scenario)
    for where in (case.world(), world(images, "mlp", widths=[9, 5])):
        lesson = case.taught(where, (2,))
        before = {k: v.clone() for k, v in numbers(lesson).items()}
        inputs, heads = where.source.inputs.clone(), where.heads.clone()
        learn([lesson] * 2, [0, 1], where, case.method, training=case.training, seeds=[Seeds()] * 2)
        assert all(torch.equal(v, before[k]) for k, v in numbers(lesson).items())
        assert torch.equal(where.source.inputs, inputs) and torch.equal(where.heads, heads)


# ---------------------------------------------------------------- chance
@law()
def seeds_decide_all_chance(case: Case) -> None:
    """Equal seeds give equal bits, each seed decides something, and global chance is left alone."""
    where = case.world(dropout=0.3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = case.taught(where)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert not differing(one, case.taught(where))
    for seeds in (Seeds(0, 1), Seeds(1, 0)):
        assert differing(one, case.taught(where, seeds=seeds)), seeds


@law()
def evaluation_leaves_training_alone(case: Case) -> None:
    """Neither chance nor memory is touched by being asked."""
    where = case.world(dropout=0.3)
    lesson = begin(where, case.method, Seeds())
    for task in ORDER:
        first = marks(lesson, where, case.method)
        assert torch.equal(first.test, marks(lesson, where, case.method).test)
        (lesson,) = learn([lesson], [task], where, case.method, training=case.training, seeds=[Seeds()])
    assert not differing(lesson, case.taught(where))


@law()
def names_of_tasks_decide_nothing(case: Case) -> None:
    """With tasks numbered otherwise, and the order accordingly, weights and answers are the same bits."""
    plain = blobs(SIZES, scenario=case.scenario)
    tasks = [plain.tasks[t] for t in (3, 1, 0, 2)]
    named = type(plain).of("renamed", plain.scenario, tasks, inputs=plain.inputs, labels=plain.labels)
    one, other = world(plain, dropout=0.2), world(named, dropout=0.2)
    ours, theirs = case.taught(one, (2, 0, 1)), case.taught(other, (3, 2, 1))
    assert same(ours._replace(memory={}), theirs._replace(memory={}))
    answers = marks(ours, one, case.method).test
    assert torch.equal(answers[[3, 1, 0, 2]], marks(theirs, other, case.method).test)


@law()
def held_out_samples_take_part_in_no_training(case: Case) -> None:
    """Validation and test samples a hundred away change no bit."""
    plain = blobs(SIZES, scenario=case.scenario)
    inputs = plain.inputs.copy()
    for task in plain.tasks:
        inputs[task.valid] += 100
        inputs[task.test] -= 100
    moved = type(plain).of("moved", plain.scenario, plain.tasks, inputs=inputs, labels=plain.labels)
    assert not differing(case.taught(world(plain)), case.taught(world(moved)))


# ---------------------------------------------------------------- memory
@law()
def memory_keeps_its_form(case: Case) -> None:
    """A flat dict of tensors, of the same names, shapes and kinds before the first task and after each."""
    where = case.world()
    lesson = begin(where, case.method, Seeds())
    form = {k: (v.shape, v.dtype) for k, v in numbers(lesson).items() if not k.startswith("optimizer")}
    for task in ORDER:
        (lesson,) = learn([lesson], [task], where, case.method, training=case.training, seeds=[Seeds()])
        now = {k: (v.shape, v.dtype) for k, v in numbers(lesson).items() if not k.startswith("optimizer")}
        assert now == form
        assert all(v.isfinite().all() for v in numbers(lesson).values())


@law()
def a_lesson_takes_what_is_foretold(case: Case) -> None:
    """Parameters and memory are to the byte what `nai.footprint` says, before the first task and after."""
    where = case.world(widths=[128, 128])
    foretold = footprint.held(where.net, case.method, where.heads)
    lesson = begin(where, case.method, Seeds())
    (learnt,) = learn([lesson], [1], where, case.method, training=case.training, seeds=[Seeds()])
    for one in (lesson, learnt):
        assert tuple(sum(v.nbytes for v in part.values()) for part in (one.params, one.memory)) == foretold


@law(has_importances)
def importances_are_positive_in_sum_after_a_task(case: Case) -> None:
    """None before the first task, none below 0 ever, and some above it after each, though the loss rises."""
    where, training = case.world(activation="tanh"), dataclasses.replace(case.training, batch=8, rate=0.3)
    lesson = begin(where, case.method, Seeds())
    assert all(v.eq(0).all() for v in below("importance", lesson.memory).values())
    for task in ORDER:
        (lesson,) = learn([lesson], [task], where, case.method, training=training, seeds=[Seeds()])
        after = below("importance", lesson.memory)
        assert all(bool((v >= 0).all()) for v in after.values())
        assert sum(v.sum() for v in after.values()) > 0


@law(has_importances)
def importances_only_grow(case: Case) -> None:
    """What tasks have left is summed up, so that nothing becomes less important."""
    where = case.world()
    lesson = begin(where, case.method, Seeds())
    for task in ORDER:
        before = below("importance", lesson.memory)
        (lesson,) = learn([lesson], [task], where, case.method, training=case.training, seeds=[Seeds()])
        assert all(bool((v >= before[k]).all()) for k, v in below("importance", lesson.memory).items())


@law(keeps)
def nothing_is_forgotten(case: Case) -> None:
    """What a task was answered when it was learnt, it is answered ever after, sample by sample."""
    where, training = case.world(), dataclasses.replace(case.training, epochs=8)
    lesson, told = begin(where, case.method, Seeds()), {}
    for task in (2, 0, 3, 1):
        (lesson,) = learn([lesson], [task], where, case.method, training=training, seeds=[Seeds()])
        told[task] = answers(lesson, where, case.method, task)
        for old, said in told.items():
            assert torch.equal(answers(lesson, where, case.method, old), said)


# ---------------------------------------------------------------- hyperparameters
@law(has_strength)
def strength_0_is_finetuning(case: Case) -> None:
    """Weights and moments alike bit for bit, whatever is remembered."""
    where = case.world(dropout=0.3)
    found = case.taught(where, method=case.changed(strength=0.0))
    assert same(found._replace(memory={}), case.taught(where, method=Finetune()))


@law(anchors_weights)
def a_huge_strength_holds_what_is_important(case: Case) -> None:
    """Weights with importance come back to where they were, while others move on."""
    where, seeds = case.world(widths=[20, 12]), [Seeds()]
    training = dataclasses.replace(case.training, epochs=6)
    first = taught(where, case.method, (0,), training=training)
    weights = below("importance", first.memory)
    most = float(max(v.max() for v in weights.values()))
    stiff = case.changed(strength=1e8 / most)
    (held,) = learn([first], [2], where, stiff, training=training, seeds=seeds)
    (free,) = learn([first], [2], where, case.changed(strength=0.0), training=training, seeds=seeds)
    seen = 0
    for name, weight in weights.items():
        value = first.params[name]
        important = (
            weight.view(*weight.shape, *[1] * (value.ndim - weight.ndim)).expand_as(value) > 1e-3 * most
        )
        seen += int(important.sum())
        moved = (held.params[name] - value).abs()[important]
        assert not len(moved) or moved.max() < 3 * training.rate  # Adam goes one step, and is drawn back
    assert seen
    assert max((held.params[k] - v).abs().max() for k, v in first.params.items()) > 6 * training.rate
    assert differing(held, free)


@law(has_late)
def a_first_task_depends_on_nothing_late(case: Case) -> None:
    """Memory included, so that it is learnt once for all values."""
    where = case.world()
    first, *others = (case.taught(where, (2,), method=m) for m in varied(case.method))
    assert others
    assert all(isinstance(getattr(case.method, name), float | int) for name in case.method.late)
    assert all(not differing(first, other) for other in others)


@law(rests)
def idle_hooks_change_nothing(case: Case) -> None:
    """Hooks said to be idle may as well be called."""
    where, awake = case.world(), with_hooks(case.method, idle=frozenset())
    assert not differing(case.taught(where), case.taught(where, method=awake))


@law(has_spring)
def a_spring_is_what_adjust_adds(case: Case) -> None:
    """The penalty that is handed over once a task gives the bits of the one asked for each step."""
    where, asked = case.world(), with_hooks(case.method, spring=lambda self, memory: None)
    assert not differing(case.taught(where), case.taught(where, method=asked))


@law()
def a_method_is_a_frozen_value(case: Case) -> None:
    """Equal settings are equal values, and every setting has a default."""
    kind = type(case.method)
    assert case.method == case.changed() and hash(case.method) == hash(case.changed())
    assert dataclasses.MISSING not in fields(case.method).values()
    for name, value in fields(kind()).items():
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(kind(), name, value)


BAD: dict[type, tuple[Any, ...]] = {float: (float("nan"), -1.0), int: (-1,), str: ("nonsense",)}


@law()
def wrong_values_are_refused_by_name(case: Case) -> None:
    """ValueError with the field's name: no number, less than nothing, an unknown name."""
    for name, default in fields(case.method).items():
        for value in BAD.get(type(default), ()):
            with pytest.raises(ValueError, match=rf"\b{name}\b"):
                type(case.method)(**{name: value})


@law()
def ranges_can_be_searched(case: Case) -> None:
    """Each is of a hyperparameter, not empty, and both ends and every choice are accepted."""
    kind, own = type(case.method), fields(case.method)
    for name, span in kind.ranges.items():
        assert name in own
        if isinstance(span, Span):
            assert 0 < span.low < span.high if span.log else span.low < span.high
            assert isinstance(span.low, type(span.high))
        else:
            assert len(set(span)) == len(span) > 1
        for value in span[:2] if isinstance(span, Span) else span:
            owner, fitting = kind.acts_with.get(name, (None, ()))
            assert getattr(kind(**({owner: fitting[0]} if owner else {}), **{name: value}), name) == value


# ---------------------------------------------------------------- where it works
@law()
def it_works_in_its_scenarios_alone(case: Case) -> None:
    """In each that it names alone and in a stack, bit for bit; the others are refused."""
    for scenario in SCENARIOS:
        if scenario not in case.method.scenarios:
            with pytest.raises(ValueError, match=f"cannot work in scenario '{scenario}'"):
                check_method(case.method, case.training, scenario)
            continue
        check_method(case.method, case.training, scenario)
        where = world(blobs(SIZES, scenario=scenario))
        lessons = [case.taught(where, order) for order in ((0, 2), (2, 1))]
        both = learn(lessons, (1, 0), where, case.method, training=case.training, seeds=[Seeds()] * 2)
        for lesson, order in zip(both, ((0, 2, 1), (2, 1, 0)), strict=True):
            assert lesson.finite
            assert not differing(lesson, case.taught(where, order))
            assert 0 < marks(lesson, where, case.method).test.mean() <= 1


@law()
def hidden_boundaries_are_honoured(case: Case) -> None:
    """Without them it learns and is told of no task, or it is refused."""
    hidden = dataclasses.replace(case.training, boundaries="hidden", optimizer="kept")
    if case.method.needs_boundaries:
        with pytest.raises(ValueError, match="boundaries"):
            check_method(case.method, hidden, case.scenario)
        return

    def told(*given: Any) -> Any:
        raise AssertionError("told of a task")

    deaf = with_hooks(case.method, before_task=told, after_task=told, needs_boundaries=False)
    for scenario in sorted(case.method.scenarios - {"task"}):
        check_method(case.method, hidden, scenario)
        where = world(blobs(SIZES, scenario=scenario))
        alone = [taught(where, deaf, order, training=hidden) for order in ((2, 0), (0, 3))]
        firsts = [taught(where, deaf, order[:1], training=hidden) for order in ((2, 0), (0, 3))]
        both = learn(firsts, (0, 3), where, deaf, training=hidden, seeds=[Seeds()] * 2)
        for one, other in zip(alone, both, strict=True):
            assert one.finite and not differing(one, other)


@law(has_heads)
def outputs_not_met_stay_as_they_were(case: Case) -> None:
    """Heads of tasks to come keep their initial weights, with kept moments too."""
    where, training = case.world(), dataclasses.replace(case.training, optimizer="kept")
    start = lesson = begin(where, case.method, Seeds())
    for depth, task in enumerate(ORDER):
        (lesson,) = learn([lesson], [task], where, case.method, training=training, seeds=[Seeds()])
        still = ~where.heads[list(ORDER[: depth + 1])].any(0)
        for name in where.net.head.parameters:
            assert torch.equal(lesson.params[name][still], start.params[name][still])
