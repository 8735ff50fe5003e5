"""A plan counts exactly, and its estimate follows what is measured: no test here looks at a real clock."""

import itertools
import os

import pytest
from worlds import blobs, world

from nai import feed
from nai.methods import Ewc, Finetune, Joint
from nai.prefixes import Run as Branch
from nai.prefixes import plan as tree
from nai.seeds import Seeds
from nai.training import Training
from nai.tree import grow
from nai.trial import Named, load
from sweep import estimate, measure
from sweep.counts import held, stacks
from sweep.estimate import local_workers
from sweep.estimate import plan as made
from sweep.jobs import Run
from sweep.measure import Measured, Sizes, Times, measured, peak, process_bytes
from sweep.space import loads

SPACE = """
name = "small"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
widths = [8]
[method]
name = "finetune"
[training]
epochs = {epochs}
[orders]
design = "all"
[search]
suggestions = 1
{more}
"""
METHODS = """[[method]]
name = "ewc"
strength = {{low = 1.0, high = 100.0}}
[[method]]
name = "finetune\""""
CONFIRM = """
[confirm]
baselines = ["joint"]
top = 2
[confirm.orders]
design = "random"
count = {count}
[confirm.seeds]
init = [0, 1]
data = [0, 1]
"""


def space(epochs=2, more="", **overrides):
    given = [f"{key.replace('__', '.')}={value}" for key, value in overrides.items()]
    return loads(SPACE.format(epochs=epochs, more=more), overrides=given)


def unmeasured(settings, space):
    raise OSError("no data here")


SIZES = Sizes(process=10_000, arrays=100, data=400, loading=900, lesson=10, work=7)


def fixed(epoch=(1.0, 0.0), task=(0.0, 0.0), evaluation=(0.0, 0.0), width=1, sizes=SIZES):
    """A measurement that is the same on every machine."""
    return lambda settings, space: Measured(
        Times(epoch, task, evaluation), sizes, width, settings["training"]["epochs"]
    )


# ------------------------------------------------------------------ counts
def test_all_orders_of_five_tasks_share_their_beginnings():
    found = made(space(), measure=unmeasured)
    assert (found.tasks, found.search.orders, found.search.runs) == (5, 120, 120)
    assert found.search.trainings == 5 + 20 + 60 + 120 + 120 == 325
    assert found.search.separate == 600
    assert found.confirm is None
    assert found.runs == 120


def test_confirmation_counts_the_best_and_every_baseline_with_its_own_tree():
    more = CONFIRM.format(count=24)
    searched = {"training__rate": "{choices=[1e-3, 2e-3]}", "search__suggestions": 2}
    found = made(space(more=more, orders__design="identity", **searched), measure=unmeasured).confirm
    assert (found.settings, found.orders, found.seeds, found.runs) == (3, 24, 2, 144)
    assert found.separate == 144 * 5
    orders = loads(SPACE.format(epochs=2, more=more), overrides=["orders.design=identity"]).confirm_orders(5)
    prefixes = {order[:k] for order in orders for k in range(1, 6)}
    sets = {frozenset(prefix) for prefix in prefixes}
    assert found.trainings == 2 * (2 * len(prefixes) + len(sets))  # two seeds; joint knows only sets of tasks


def test_confirmation_counts_no_more_of_the_best_than_there_are_suggestions():
    found = made(space(more=CONFIRM.format(count=24), orders__design="identity"), measure=unmeasured).confirm
    assert found.settings == 1 + 1  # of the best two, where there is one, and the baseline


def test_what_is_searched_is_told_in_words():
    found = estimate.factors(
        space(
            method__name='"nai"',
            method__strength="{low = 1e-3, high = 1.0, log = true}",
            method__normalization='{choices = ["none", "layer_max"]}',
            training__batch="{low = 16, high = 64, step = 16}",
            model__widths="{choices = [[8], [8, 8]]}",
        )
    )
    assert found == (
        ("method.normalization", "none, layer_max"),
        ("method.strength", "0.001 to 1 (log)"),
        ("model.widths", "[8], [8, 8]"),
        ("training.batch", "16 to 64 in steps of 16"),
    )


@pytest.mark.parametrize("method", [Finetune(), Joint(), Ewc()])
@pytest.mark.parametrize("width", [1, 7, 32])
def test_stacks_hold_every_node_of_the_tree_once(method, width):
    settings = {"method": {"name": type(method).__name__.lower()}}
    runs = [Run(order, (s, 0)) for s in (0, 1) for order in itertools.permutations(range(4))]
    found = list(stacks(settings, runs, width))
    nodes = tree([Branch(method, Seeds(*run.seeds), run.order) for run in runs])
    assert sum(lessons for _, lessons in found) == sum(bool(key.done) for key in nodes)
    assert max(lessons for _, lessons in found) <= width
    assert {depth for depth, _ in found} == {1, 2, 3, 4}


def test_stacks_are_those_of_a_sweep(monkeypatch):
    """Where the plan and the tree would cut otherwise, this notes both."""
    where, method = world(blobs((20,) * 4)), Finetune()
    runs = [Run(order, (s, 0)) for s in (0, 1) for order in itertools.permutations(range(4))]
    trained = []

    def noted(lessons, tasks, world, method, *, training, seeds):
        trained.append(len(lessons))
        return [lesson._replace(done=(*lesson.done, t)) for lesson, t in zip(lessons, tasks, strict=True)]

    monkeypatch.setattr("nai.tree.learn", noted)
    branches = [Branch(method, Seeds(*run.seeds), run.order) for run in runs]
    list(grow(branches, where, Training(epochs=1), width=7))
    planned = [lessons for _, lessons in stacks({"method": {"name": "finetune"}}, runs, 7)]
    assert sorted(planned) == sorted(trained)


def test_held_are_the_widest_stacks_of_each_level():
    runs = [Run(order, (0, 0)) for order in itertools.permutations(range(4))]
    settings = {"method": {"name": "finetune"}}
    assert held(settings, runs, 100) == (1 + 4 + 12 + 24 + 24, 24)
    assert held(settings, runs, 1) == (1 + 4, 1)
    assert held(settings, runs[:1], 100) == (1 + 4, 1)


def test_workers_are_the_processors_that_this_process_may_use():
    here = len(os.sched_getaffinity(0))
    assert local_workers(1) == here
    assert local_workers(here) == 1
    assert local_workers(10 * here) == 1  # Ray will say that this is too much
    assert local_workers(0) == here


def test_rungs_count_from_least_to_most():
    found = made(
        space(
            orders__design="random",
            orders__count=8,
            search__suggestions=5,
            search__rungs=[2],
            search__sampler="grid",
            training__rate="{choices=[1e-3, 2e-3, 3e-3, 4e-3, 5e-3]}",
        ),
        measure=unmeasured,
    ).search
    assert (found.settings, found.orders, found.runs, found.least) == (5, 8, 40, 8 + 4 * 2)
    orders = space(orders__design="random", orders__count=8).search_orders(5)

    def nodes(some):
        return len({order[:k] for order in some for k in range(1, 6)})

    assert found.trainings == 5 * nodes(orders)
    assert found.least_trainings == nodes(orders) + 4 * nodes(orders[:2])


def test_settings_that_act_after_the_first_task_share_it():
    strengths = {"method__name": '"ewc"', "method__strength": "{low=1.0, high=100.0, log=true}"}
    found = made(space(search__suggestions=3, **strengths), measure=unmeasured).search
    assert found.trainings == 5 + 3 * (20 + 60 + 120 + 120)
    both = strengths | {"training__rate": "{choices=[1e-3, 2e-3]}"}
    assert made(space(search__suggestions=3, **both), measure=unmeasured).search.trainings == 3 * 325


def test_every_method_is_searched_by_itself():
    found = made(
        loads(
            SPACE.replace('[method]\nname = "finetune"', METHODS).format(
                epochs=2, more=CONFIRM.format(count=4)
            ),
            overrides=["search.suggestions=3", "orders.design=identity"],
        ),
        measure=fixed(),
    )
    assert found.search.settings == 3 + 1  # nothing of finetuning is searched
    assert found.confirm.settings == 2 + 1 + 1
    assert found.factors == (("ewc: method.strength", "1 to 100"),)


# ------------------------------------------------------------------ cost
def seconds(plan):
    """Both ends of an estimate without what loading and starting take."""
    (low, high), (least, most) = estimate.DOUBT, estimate.START
    return (plan.cost.low - least) / low, (plan.cost.high - most) / high


def test_time_is_trainings_times_epochs_over_workers():
    for epochs in (1, 6):
        found = made(space(epochs), workers=1, measure=fixed())
        assert seconds(found) == pytest.approx((325 * epochs, 325 * epochs))


def test_more_workers_take_less_time_but_share_fewer_beginnings():
    alone, two = (seconds(made(space(), workers=n, measure=fixed()))[0] for n in (1, 8))
    assert alone / 8 < two < alone


def test_search_keeps_no_more_workers_busy_than_it_has_bundles():
    one = space(orders__design="identity")
    few, many = (seconds(made(one, workers=n, measure=fixed()))[0] for n in (1, 64))
    assert few == many == 5 * 2


def test_further_lessons_of_a_stack_cost_their_share():
    alone = seconds(made(space(1), workers=1, measure=fixed((1.0, 0.25), width=1)))[0]
    stacked = seconds(made(space(1), workers=1, measure=fixed((1.0, 0.25), width=1000)))[0]
    assert alone == pytest.approx(325)
    assert stacked == pytest.approx(5 + 0.25 * (325 - 5))  # one stack a level


def test_what_comes_once_a_task_does_not_grow_with_epochs():
    def time(epochs):
        return seconds(made(space(epochs), workers=1, measure=fixed((1.0, 0), (3.0, 0), (4.0, 0))))[0]

    assert time(11) - time(1) == pytest.approx(325 * 10)
    assert time(1) == pytest.approx(325 * 8)


def test_cost_that_cannot_be_measured_leaves_the_counts_and_says_why():
    found = made(space(), measure=unmeasured)
    assert (found.cost, found.unknown, found.runs) == (None, "no data here", 120)
    assert found.as_json()["unknown"] == "no data here"


# ------------------------------------------------------------------ measuring
class Ticking:
    """A clock that moves on by one second with every look."""

    def __init__(self):
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return float(self.looks)


def test_measurement_weighs_a_lesson_and_looks_at_the_clock_alone(monkeypatch):
    monkeypatch.setattr(measure, "process_bytes", lambda compiler: 5e8)
    one = space(epochs=7)
    found = measured(one.first(), one, clock=Ticking())
    weights = 64 * 8 + 8 + 8 * 10 + 10
    assert found.sizes.lesson >= 4 * 3 * weights  # weights and both of Adam's moments
    assert found.epochs == 7
    assert found.width > 1
    assert found.times.epoch == (0.0, 0.0)  # one epoch and three take one tick each
    assert found.sizes.data >= 1797 * 64 * 4 == 4 * found.sizes.arrays
    assert found.sizes.loading > 2 * found.sizes.data
    assert found.sizes.process == 5e8


class Working:
    """A clock that moves on by a tenth of a second with every step of training."""

    def __init__(self, monkeypatch):
        self.steps, plain = 0, feed.gather

        def counted(*args):
            self.steps += 1
            return plain(*args)

        monkeypatch.setattr(feed, "gather", counted)

    def __call__(self):
        return self.steps / 10


def test_an_epoch_takes_as_long_as_its_steps(monkeypatch):
    monkeypatch.setattr(measure, "process_bytes", lambda compiler: 5e8)
    one, clock = space(epochs=2), Working(monkeypatch)
    alone = measured(one.first(), one, clock=clock).times.epoch[0]
    tasks = load(Named.of(**one.first()["benchmark"])).tasks
    assert alone == pytest.approx(0.1 * sum(len(t.train) for t in tasks) / 5 / 32)
    first = {**one.first(), "training": {**one.first()["training"], "steps": 70}}
    assert measured(first, one, clock=clock).times.epoch[0] == pytest.approx(7.0)
    assert clock.steps < 100  # seventy are worked out from three


# ------------------------------------------------------------------ memory
def memory(space, **known):
    return made(space, measure=fixed(**known)).cost.memory


def test_memory_is_the_process_the_data_a_stack_a_level_and_the_one_at_work():
    whole = space()  # 120 orders of 5 tasks: levels of 1, 5, 20, 60, 120 and 120 lessons
    for width in (1, 4):
        levels = 1 + sum(min(width, n) for n in (5, 20, 60, 120, 120))
        work = 400 + (levels + width + 5) * 10 + width * 7  # five first tasks are kept for others
        assert memory(whole, width=width) == 10_000 + 100 + max(900, work)
    assert memory(whole, width=120) == 10_000 + 100 + 400 + (326 + 120 + 5) * 10 + 120 * 7


def test_memory_is_at_least_what_loading_takes():
    assert memory(space(), sizes=SIZES._replace(loading=50_000)) == 10_000 + 100 + 50_000


def test_memory_does_not_grow_with_the_orders():
    few, many = (space(orders__design="random", orders__count=n) for n in (30, 120))
    assert memory(few, width=2) == memory(many, width=2)


def test_a_worker_that_has_not_begun_is_weighed_in_a_process_of_its_own():
    assert 10**8 < process_bytes(False) < 5 * 10**9
    assert peak() > 10**7
