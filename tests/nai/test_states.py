"""States: runs that go on from what earlier calls have kept are what they are in one call, bit for bit."""

import dataclasses
from itertools import permutations

import pytest
import torch
from worlds import blobs, differing, world

from nai import tree
from nai.methods import Ewc, Finetune, Joint, Nai, OnlineSi
from nai.seeds import Seeds
from nai.states import Shelf, State, Store
from nai.training import Training
from nai.tree import Run, grow, trainings
from nai.trial import Named, Trial, run_many, world_of

SHORT = Training(epochs=1)
SIZES = (70, 33, 90, 1)
ORDERS = tuple(permutations(range(4)))
ROOMY = 2**30
SEEDS = (Seeds(0, 0), Seeds(1, 2))


def runs_of(method, orders, seeds=SEEDS[:1]):
    return [Run(method, s, order) for s in seeds for order in orders]


@pytest.fixture
def learnt(monkeypatch):
    """What was learnt so far: method and tasks of each lesson."""
    found, plain = [], tree.learn

    def counted(lessons, tasks, world, methods, **rest):
        found.extend((m, (*x.done, t)) for m, x, t in zip(methods, lessons, tasks, strict=True))
        return plain(lessons, tasks, world, methods, **rest)

    monkeypatch.setattr(tree, "learn", counted)
    return found


def grown(runs, where, **options):
    found = list(grow(runs, where, SHORT, **options))
    assert {Run(*g[:3]) for g in found} == set(runs)
    assert len(found) == len(runs)
    return {Run(*g[:3]): g for g in found}


def same(one, other):
    assert one.error == other.error
    assert one.strengths == other.strengths
    if one.error is None:
        assert torch.equal(one.valid, other.valid)
        assert torch.equal(one.test, other.test)
        assert not differing(one.lesson._replace(done=()), other.lesson._replace(done=()))


def new_nodes(runs, before):
    """Trainings that runs need beside those of earlier runs."""
    return trainings([*before, *runs]) - trainings(before)


# ---------------------------------------------------------------- the law
@pytest.mark.parametrize("method", [Finetune(), Nai(reset="unimportant"), Ewc(labels="sample")], ids=str)
@pytest.mark.parametrize("kept", [False, True], ids=["fresh", "kept moments"])
def test_grown_in_rungs_is_grown_at_once_and_learns_only_what_is_new(method, kept, learnt, monkeypatch):
    training = Training(epochs=1, optimizer="kept" if kept else "fresh")
    in_rungs(runs_of(method, ORDERS, SEEDS), world(blobs(SIZES), dropout=0.2), training, learnt, monkeypatch)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_so_it_is_on_a_stream_whose_stretches_go_over_tasks(momentum, learnt, monkeypatch):
    training = Training(
        epochs=1, batch=10, optimizer="kept", algorithm="sgd", momentum=momentum, boundaries="hidden"
    )
    where = world(blobs(SIZES, scenario="class"))
    in_rungs(runs_of(OnlineSi(every=5), ORDERS, SEEDS), where, training, learnt, monkeypatch)


def in_rungs(runs, where, training, learnt, monkeypatch):
    """Runs in four calls that share states are what they are in one, and nothing is learnt twice."""
    monkeypatch.setitem(globals(), "SHORT", training)
    whole = grown(runs, where)
    states, at = Shelf(ROOMY), 0
    for until in (3, 11, 30, 48):
        learnt.clear()
        rung = grown(runs[at:until], where, states=states, later=runs[until:])
        assert len(learnt) == new_nodes(runs[at:until], runs[:at])
        for run in runs[at:until]:
            same(rung[run], whole[run])
        at = until


def test_strengths_go_on_from_one_first_task(learnt):
    where = world(blobs(SIZES))
    weak, strong = (runs_of(Nai(strength=s), ORDERS) for s in (0.1, 5.0))
    whole, states = grown(weak + strong, where), Shelf(ROOMY)
    first = grown(weak, where, states=states, later=strong)
    assert len(states) == 4
    learnt.clear()
    second = grown(strong, where, states=states)
    assert len(learnt) == 64 - 4
    for run in weak + strong:
        same((first | second)[run], whole[run])


def test_a_run_of_the_first_tasks_goes_on_to_the_whole_order(learnt):
    where, runs = world(blobs(SIZES)), runs_of(Ewc(), [(2, 0, 3, 1), (2, 1, 0, 3)])
    some = [run._replace(order=run.order[:2]) for run in runs]
    whole, states = grown(runs + some, where), Shelf(ROOMY)
    first = grown(some, where, states=states, later=runs)
    assert len(states) == 2
    learnt.clear()
    second = grown(runs, where, states=states, later=runs)
    assert len(learnt) == 4
    learnt.clear()
    again = grown(runs + some, where, states=states)  # the ends are kept; the way there was taken from them
    assert not learnt
    for run in runs:
        same(second[run], whole[run])
    for run in runs + some:
        same(again[run], whole[run])
    for run in some:
        same(first[run], whole[run])


def test_what_is_no_longer_there_is_learnt_again(learnt):
    where, runs = world(blobs(SIZES)), runs_of(Nai(), ORDERS)
    whole = grown(runs, where)
    lesson = grown(runs[:1], where)[runs[0]].lesson
    size = State(lesson, *whole[runs[0]][3:5], (0.0,) * 4).nbytes
    for room in (0, 1, 3):
        states = Shelf(room * size)
        grown(runs[:9], where, states=states, later=runs[9:])
        assert len(states) == min(room, 2)  # after task 1, and after tasks 1 and 2
        learnt.clear()
        second = grown(runs[9:], where, states=states)
        assert new_nodes(runs[9:], runs[:9]) <= len(learnt) <= trainings(runs[9:])
        for run in runs[9:]:
            same(second[run], whole[run])


class Forgetful(Shelf):
    """Says that every state is there, and has those of whole runs of at least some tasks alone."""

    def __init__(self, least):
        super().__init__(ROOMY)
        self.least = least

    def __contains__(self, key):
        return True

    def get(self, key):
        state = super().get(key)
        return state if state is not None and len(state.lesson.done) >= self.least else None


@pytest.mark.parametrize("method", [Nai(), Joint()], ids=["nai", "joint"])
@pytest.mark.parametrize("least", [1, 2, 3, 4, 5])
def test_a_state_that_is_gone_when_it_is_asked_for_is_learnt_again(method, least):
    where, runs = world(blobs(SIZES)), runs_of(method, ORDERS)
    some = runs + [run._replace(order=run.order[:2]) for run in runs[::2]]
    whole, states = grown(some, where), Forgetful(least)
    grown(runs[::3], where, states=states, later=some)
    second = grown(some, where, states=states)
    for run in some:
        same(second[run], whole[run])


def test_joint_training_goes_on_along_the_same_tasks(learnt):
    where, runs = world(blobs(SIZES)), runs_of(Joint(), ORDERS)
    whole, states = grown(runs, where), Shelf(ROOMY)
    first = grown(runs[:6], where, states=states, later=runs)
    learnt.clear()
    second = grown(runs[:12], where, states=states)  # the first six are there as they are
    assert {tasks[0] for _, tasks in learnt} == {1}
    for run in runs[:6]:
        same(first[run], whole[run])
    for run in runs[:12]:
        same(second[run], whole[run])


def test_nets_that_do_not_stack_go_on_too():
    where, runs = world(blobs((20, 33, 8)), widths=[320, 320]), runs_of(Ewc(), permutations(range(3)))
    whole, states = grown(runs, where), Shelf(ROOMY)
    grown(runs[:2], where, states=states, later=runs[2:])
    for run, found in grown(runs[2:], where, states=states).items():
        same(found, whole[run])


@dataclasses.dataclass(frozen=True)
class Breaks(Finetune):
    """Diverges on its second task where that is task 2."""

    def before_task(self, net, params, rows, memory, context):
        bad = (context.task == 2) & (context.depth == 1)
        return {k: torch.where(bad, torch.nan, v) for k, v in params.items()}, memory


def test_a_node_that_failed_is_not_kept():
    where, runs = world(blobs(SIZES)), runs_of(Breaks(), ORDERS)
    whole, states = grown(runs, where), Shelf(ROOMY)
    grown(runs[::2], where, states=states, later=runs)
    for run, found in grown(runs, where, states=states).items():
        same(found, whole[run])
        assert (found.error is not None) == (run.order[1] == 2)


# ---------------------------------------------------------------- keys
def test_a_key_says_all_that_decides_the_state():
    where, run = world(), Run(Nai(), Seeds(0, 1), (2, 0, 1))

    def key(where=where, training=SHORT, depth=2, **changes):
        return Store(Shelf(0), where, training).key(run._replace(**changes), depth)

    other = [
        key(depth=3),
        key(depth=1),
        key(order=(0, 2, 1)),
        key(seeds=Seeds(1, 0)),
        key(method=Nai(strength=2.0)),
        key(method=Nai(eps=1e-3)),
        key(method=Ewc()),
        key(training=Training(epochs=2)),
        key(where=world(widths=[12, 12])),
        key(where=world(blobs(seed=1))),
        key(where=world(blobs(scenario="class"))),
    ]
    assert len({key(), *other}) == 1 + len(other)
    assert key() == key(order=(2, 0)) == key(where=world())
    assert key(depth=1) == key(depth=1, method=Nai(strength=2.0)) != key(depth=1, method=Nai(eps=1e-3))


def test_a_method_s_revision_has_states_of_its_own(monkeypatch):
    store, runs = Store(Shelf(0), world(), SHORT), [Run(m, Seeds(), (0, 1)) for m in (Ewc(), Nai())]
    before = [store.key(run, depth) for run in runs for depth in (1, 2)]
    monkeypatch.setattr(Ewc, "revision", Ewc.revision + 1)
    after = [store.key(run, depth) for run in runs for depth in (1, 2)]
    assert [a != b for a, b in zip(after, before, strict=True)] == [True, True, False, False]


def test_a_world_without_a_digest_has_no_states():
    with pytest.raises(ValueError, match=r"states need a world with a digest, .* use nai.trial.world_of"):
        grow(runs_of(Finetune(), [(0, 1, 2)]), world()._replace(digest=""), SHORT, states=Shelf(0))


def test_trials_go_on_from_states():
    benchmark, model = blobs(), Named.of("mlp", widths=[12, 8])
    assert world_of(benchmark, model).digest != world_of(benchmark, Named.of("mlp")).digest
    trials = [
        Trial(Named("blobs"), model, Nai(strength=s), SHORT, order)
        for s in (0.1, 1.0)
        for order in permutations(range(3))
    ]
    whole = {o.trial: o.result for o in run_many(trials, benchmark=benchmark)}
    states = Shelf(ROOMY)
    first = list(run_many(trials[:5], benchmark=benchmark, states=states, later=trials[5:]))
    assert len(states) == 3
    second = list(run_many(trials[5:], benchmark=benchmark, states=states))
    for outcome in first + second:
        same(outcome.result, whole[outcome.trial])
    other = dataclasses.replace(trials[0], training=Training(epochs=2))
    with pytest.raises(ValueError, match="trials that differ in order, seeds, strength alone"):
        list(run_many(trials[:1], benchmark=benchmark, later=[other]))


# ---------------------------------------------------------------- the shelf
def state(numbers):
    lesson = world_lesson(numbers)
    return State(lesson, torch.zeros(0), torch.zeros(0), ())


def world_lesson(numbers):
    return tree.Lesson((), {"a": torch.zeros(numbers)}, {}, {})


def test_a_shelf_gives_up_what_was_not_asked_for_the_longest():
    shelf = Shelf(100)
    for name in "abc":
        assert shelf.put(name, state(8)) == []
    assert (len(shelf), shelf.bytes) == (3, 96)
    assert shelf.get("a") is not None
    assert [name for name, _ in shelf.put("d", state(8))] == ["b"]
    assert [name for name, _ in shelf.items()] == ["c", "a", "d"]
    assert "b" not in shelf and shelf.get("b") is None
    assert [name for name, _ in shelf.put("a", state(16))] == ["c"]
    assert shelf.bytes == 96
    assert [name for name, _ in shelf.put("big", state(26))] == ["d", "a", "big"]
    assert (len(shelf), shelf.bytes) == (0, 0)


def test_a_shelf_of_less_than_nothing_is_a_mistake():
    with pytest.raises(ValueError, match="limit_bytes -1 must be at least 0"):
        Shelf(-1)
