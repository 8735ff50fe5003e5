import dataclasses
import itertools
import weakref

import pytest
import torch
from worlds import blobs, differing, marks, taught, world

from nai import tree
from nai.learn import Lesson
from nai.methods import Ewc, Finetune, Joint, Method, Nai
from nai.prefixes import path
from nai.seeds import Seeds
from nai.stack import out_of_memory
from nai.training import Training
from nai.tree import Run, grow, plan, trainings

SHORT = Training(epochs=1)
SIZES = (70, 33, 90, 1)
SEEDS = (Seeds(0, 0), Seeds(1, 2))


def runs_of(method, tasks, seeds=SEEDS[:1]):
    return [Run(method, s, order) for s in seeds for order in itertools.permutations(range(tasks))]


def grown(runs, where, **options):
    found = {Run(g.method, g.seeds, g.order): g for g in grow(runs, where, SHORT, **options)}
    assert set(found) == set(runs)
    return found


def alone(run, where):
    """The rows of one order, task after task, with no tree and no stack, and the last lesson."""
    method, seeds, order = run
    lessons = [taught(where, method, order[:n], training=SHORT, seeds=seeds) for n in range(len(order) + 1)]
    rows = [marks(lesson, where, method) for lesson in lessons]
    return torch.stack([r.valid for r in rows]), torch.stack([r.test for r in rows]), lessons


def same(one, other):
    assert one.error == other.error
    assert one.strengths == other.strengths
    if one.error is None:
        assert torch.equal(one.valid, other.valid)
        assert torch.equal(one.test, other.test)
        assert not differing(one.lesson._replace(done=()), other.lesson._replace(done=()))


# ---------------------------------------------------------------- the plan
def test_shared_prefixes_are_learnt_once():
    assert trainings(runs_of(Finetune(), 5)) == 325
    assert trainings(runs_of(Finetune(), 4)) == 64
    assert trainings(runs_of(Finetune(), 3, SEEDS)) == 2 * 15
    assert trainings([Run(Finetune(), Seeds(), (2, 0, 1))]) == 3
    assert trainings(runs_of(Finetune(), 4)[:2]) == 4 + 2  # (0, 1, 2, 3) and (0, 1, 3, 2)
    assert trainings([Run(Finetune(), Seeds(), (0, 1)), Run(Finetune(), Seeds(), (0, 1, 2, 3))]) == 4


def test_a_first_task_is_learnt_once_for_all_strengths():
    strengths = [run for strength in (0.0, 0.1, 3.0) for run in runs_of(Nai(strength=strength), 4)]
    assert trainings(strengths) == 4 + 3 * (12 + 24 + 24)
    other = [run for eta in (0.5, 0.9) for run in runs_of(Nai(accumulation="decayed", eta=eta), 4)]
    assert trainings(other) == 2 * 64
    assert trainings(runs_of(Nai(), 4) + runs_of(Ewc(), 4)) == 2 * 64


def test_joint_learns_every_set_of_tasks_once():
    assert trainings(runs_of(Joint(), 5)) == 31
    assert trainings(runs_of(Joint(), 3, SEEDS)) == 2 * 7


def test_every_run_passes_its_own_prefixes():
    runs = runs_of(Nai(strength=2.0), 3)
    root, first, both, _ = path(runs[3])
    nodes = plan(runs)
    assert (root.done, first.done, both.done) == ((), (1,), (1, 2))
    assert nodes[first].children == {path(runs[2])[2]: 0, both: 2}
    assert [nodes[key].runs for key in (both, first, root)] == [[3], [2, 3], [0, 1, 2, 3, 4, 5]]
    assert [both.method == key.method for key in (root, first)] == [False, False]
    assert [path(runs_of(Nai(strength=1.0), 3)[3])[n] == path(runs[3])[n] for n in range(4)] == [
        True,
        True,
        False,
        False,
    ]


# ---------------------------------------------------------------- tree equals alone
@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_so_it_is_in_other_scenarios(scenario):
    where, method = world(blobs((40, 33, 70), scenario=scenario)), Nai()
    found = grown(runs_of(method, 3), where)
    for run in runs_of(method, 3)[1::2]:
        assert torch.equal(found[run].test, alone(run, where)[1])


@pytest.mark.parametrize("model", ["conv", "heavy"])
def test_so_it_is_for_nets_that_do_not_stack(model):
    where = (
        world(blobs((20, 33, 8), features=(1, 4, 4)), "conv", widths=[4], dense_units=6)
        if model == "conv"
        else world(blobs((20, 33, 8)), widths=[320, 320])
    )
    runs = runs_of(Ewc(), 3)
    found = grown(runs, where)
    for run in runs[::4]:
        valid, test, lessons = alone(run, where)
        assert torch.equal(found[run].valid, valid)
        assert torch.equal(found[run].test, test)
        assert not differing(found[run].lesson, lessons[-1])
    assert {g.width for g in found.values()} == {1}


@pytest.mark.parametrize("method", [Nai(), Joint()], ids=["nai", "joint"])
def test_width_changes_nothing_but_the_width(method):
    where, runs = world(blobs(SIZES)), runs_of(method, 4)
    whole = grown(runs, where)
    for width in (1, 5):
        narrow = grown(runs, where, width=width)
        for run in runs:
            same(narrow[run], whole[run])
            assert narrow[run].width <= width
    assert max(g.width for g in whole.values()) == (24 if isinstance(method, Nai) else 6)


def test_other_runs_change_nothing():
    where, runs = world(), runs_of(Nai(), 3, SEEDS)
    whole = grown(runs, where)
    for some in ([runs[4]], runs[::5], runs[::-1]):
        few = grown(some, where)
        for run in some:
            same(few[run], whole[run])
    assert len(list(grow([runs[0], runs[0]], where, SHORT))) == 1


def test_rows_have_their_shape_and_time_is_shared_out(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(tree.time, "perf_counter", lambda: float(next(clock)))
    found = grown(runs_of(Finetune(), 3), world(), width=2)
    assert all(g.valid.shape == g.test.shape == (4, 3) for g in found.values())
    assert all(bool(((g.test >= 0) & (g.test <= 1)).all()) for g in found.values())
    stacks = next(clock) / 2  # each stack took one tick
    assert sum(g.seconds for g in found.values()) == pytest.approx(stacks)


def test_the_first_tasks_of_an_order_are_a_run_with_fewer_rows():
    where, whole = world(blobs(SIZES)), Run(Nai(), Seeds(), (2, 0, 3, 1))
    runs = [whole, *(whole._replace(order=whole.order[:n]) for n in (3, 1))]
    for some in (runs, runs[::-1], runs[1:], runs[2:]):
        found = grown(some, where, width=2)
        for run in some:
            valid, test, lessons = alone(run, where)
            assert found[run].test.shape == (len(run.order) + 1, 4)
            assert torch.equal(found[run].valid, valid)
            assert torch.equal(found[run].test, test)
            assert not differing(found[run].lesson, lessons[-1])
            assert len(found[run].strengths) == len(run.order)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ((0, 0, 2), r"order \(0, 0, 2\) is not a permutation of the 3 tasks 0..2, nor the start of one"),
        ((0, 0), r"order \(0, 0\) is not a permutation of the 3 tasks 0..2, nor the start of one"),
        ((3,), r"order \(3,\) is not a permutation"),
        ((True, 0), r"order \(True, 0\) is not a permutation"),
        ((), r"order \(\) has no task: name at least one of the 3 tasks 0..2"),
    ],
)
def test_mistakes_are_found_before_anything_is_learnt(order, words):
    with pytest.raises(ValueError, match=words):
        grow([Run(Finetune(), Seeds(), order)], world(), SHORT)
    with pytest.raises(ValueError, match=words):
        grow(runs_of(Finetune(), 3), world(), SHORT, later=[Run(Finetune(), Seeds(), order)])


def test_a_stack_of_no_lessons_is_a_mistake():
    with pytest.raises(ValueError, match="width 0 must be at least 1"):
        grow(runs_of(Finetune(), 3), world(), SHORT, width=0)


# ---------------------------------------------------------------- memory
def test_lessons_are_let_go_depth_first(monkeypatch):
    live: list[weakref.ref] = []
    most = 0
    plain = tree.learn

    def counted(*args, **kwargs):
        nonlocal most
        learnt = plain(*args, **kwargs)
        live.extend(weakref.ref(lesson.params["layers.0.weight"]) for lesson in learnt)
        most = max(most, sum(ref() is not None for ref in live))
        return learnt

    monkeypatch.setattr(tree, "learn", counted)
    width, tasks = 3, 5
    for _ in grow(runs_of(Finetune(), tasks), world(blobs((8,) * tasks)), SHORT, width=width):
        pass
    del _
    assert len(live) == 325
    assert most <= width * tasks + 1  # the loop above holds the last result
    assert sum(ref() is not None for ref in live) == 0


def test_a_run_is_yielded_as_soon_as_it_is_complete(monkeypatch):
    learnt = []
    plain = tree.learn
    monkeypatch.setattr(tree, "learn", lambda *a, **k: learnt.append(1) or plain(*a, **k))
    found = grow(runs_of(Finetune(), 4), world(blobs(SIZES)), SHORT, width=1)
    assert not learnt
    next(found)
    assert len(learnt) == 4


# ---------------------------------------------------------------- failures
@dataclasses.dataclass(frozen=True)
class Breaks(Method):
    """Finetuning that diverges on one task at one depth."""

    task: int = 2
    depth: int = 1

    def before_task(self, net, params, rows, memory, context):
        bad = (context.task == self.task) & (context.depth == self.depth)
        return {k: torch.where(bad, torch.nan, v) for k, v in params.items()}, memory


def test_divergence_ends_the_runs_through_that_node_and_touches_no_other():
    where, runs = world(blobs(SIZES)), runs_of(Breaks(), 4, SEEDS)
    found, sound = grown(runs, where), grown(runs_of(Finetune(), 4, SEEDS), where)
    for run in runs:
        if run.order[1] == 2:
            assert found[run].error == f"diverged: weights are not finite after tasks {run.order[:2]}"
            assert found[run].valid is found[run].test is found[run].lesson is None
        else:
            same(found[run], sound[run._replace(method=Finetune())])


def test_a_rate_that_is_far_too_large_gives_error_rows_alone():
    where = world(blobs((40, 40, 40)))
    found = list(grow(runs_of(Finetune(), 3), where, Training(epochs=3, rate=1e30)))
    assert len(found) == 6
    assert all(g.error.startswith("diverged: ") for g in found)


def test_learning_jointly_a_failed_set_fails_all_orders_through_it_and_no_others():
    @dataclasses.dataclass(frozen=True)
    class JointBreaks(Joint):
        def before_task(self, net, params, rows, memory, context):
            new, memory = super().before_task(net, params, rows, memory, context)
            return {k: torch.where(context.steps == 4, torch.nan, v) for k, v in new.items()}, memory

    where, runs = world(blobs((70, 33, 10))), runs_of(JointBreaks(), 3)  # 0 and 1 together take 4 steps
    found, sound = grown(runs, where), grown(runs_of(Joint(), 3), where)
    for run in runs:
        if set(run.order[:2]) == {0, 1} or len(where.train) < 3:
            assert found[run].error.startswith("diverged")
        elif found[run].error is None:
            same(found[run], sound[run._replace(method=Joint())])


def running_out(monkeypatch, name, most, error):
    """Makes a step of the tree run out of memory above a width; the widths that were tried."""
    plain, tried = getattr(tree, name), []

    def limited(lessons, *args, **kwargs):
        tried.append(len(lessons))
        if len(lessons) > most:
            raise error
        return plain(lessons, *args, **kwargs)

    monkeypatch.setattr(tree, name, limited)
    return tried


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["gpu", "cpu"])
@pytest.mark.parametrize("name", ["learn", "evaluate"])
def test_out_of_memory_halves_the_stack_and_changes_no_bit(monkeypatch, name, error):
    where = world(blobs(SIZES))
    runs = [run for strength in (0.1, 2.0) for run in runs_of(Nai(strength=strength), 4)]
    whole = grown(runs, where)
    tried = running_out(monkeypatch, name, 5, error)
    halved = grown(runs, where)
    assert sorted(tried)[-3:] == [6, 12, 24]  # each width tried but once: what follows is cut to what did fit
    for run in runs:
        same(halved[run], whole[run])
        assert halved[run].width <= 5


def test_a_lesson_that_does_not_fit_alone_is_an_error_row(monkeypatch):
    running_out(monkeypatch, "learn", 0, ERRORS[0])
    found = grown(runs_of(Finetune(), 3), world())
    assert {g.error for g in found.values()} == {"out of memory: alone in its stack"}


def test_a_real_allocation_that_fails_is_out_of_memory_and_other_errors_are_not():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46)
    assert out_of_memory(caught.value)
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_other_errors_are_not_swallowed(monkeypatch):
    running_out(monkeypatch, "learn", 0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(grow(runs_of(Finetune(), 3), world(), SHORT))


def test_lessons_of_the_tree_are_lessons():
    (found,) = grow([Run(Finetune(), Seeds(), (1, 0, 2))], world(), SHORT)
    assert isinstance(found.lesson, Lesson)
    assert found.lesson.done == (1, 0, 2)
