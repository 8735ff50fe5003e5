"""A plan counts exactly, and its estimate follows what is measured: no test here looks at a real clock."""

import itertools
import os

import pytest

from nai.methods import Ewc, Finetune, Joint
from nai.seeds import Seeds
from nai.tree import Run as tree_run  # noqa: N813
from nai.tree import plan as tree
from sweep import estimate
from sweep.agenda import Run
from sweep.estimate import local_workers, stacks
from sweep.estimate import plan as made
from sweep.measure import Measured, Times, measured
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
REPORT = """
[report]
baselines = ["joint"]
top = 2
[report.orders]
design = "random"
count = {count}
[report.seeds]
init = [0, 1]
data = [0, 1]
"""


def space(epochs=2, more="", **overrides):
    given = [f"{key.replace('__', '.')}={value}" for key, value in overrides.items()]
    return loads(SPACE.format(epochs=epochs, more=more), overrides=given)


def unmeasured(settings, space):
    raise OSError("no data here")


def fixed(epoch=(1.0, 0.0), task=(0.0, 0.0), evaluation=(0.0, 0.0), width=1):
    """A measurement that is the same on every machine."""
    return lambda settings, space: Measured(
        Times(epoch, task, evaluation), 100, 1000, width, settings["training"]["epochs"]
    )


# ------------------------------------------------------------------ counts
def test_all_orders_of_five_tasks_share_their_beginnings():
    found = made(space(), measure=unmeasured)
    assert (found.tasks, found.search.orders, found.search.runs) == (5, 120, 120)
    assert found.search.trainings == 5 + 20 + 60 + 120 + 120 == 325
    assert found.search.separate == 600
    assert found.report is None
    assert found.runs == 120


def test_report_counts_the_best_and_every_baseline_with_its_own_tree():
    more = REPORT.format(count=24)
    searched = {"training__rate": "{choices=[1e-3, 2e-3]}", "search__suggestions": 2}
    found = made(space(more=more, orders__design="identity", **searched), measure=unmeasured).report
    assert (found.settings, found.orders, found.seeds, found.runs) == (3, 24, 2, 144)
    assert found.separate == 144 * 5
    orders = loads(SPACE.format(epochs=2, more=more), overrides=["orders.design=identity"]).report_orders(5)
    prefixes = {order[:k] for order in orders for k in range(1, 6)}
    sets = {frozenset(prefix) for prefix in prefixes}
    assert found.trainings == 2 * (2 * len(prefixes) + len(sets))  # two seeds; joint knows only sets of tasks


def test_report_counts_no_more_of_the_best_than_there_are_suggestions():
    found = made(space(more=REPORT.format(count=24), orders__design="identity"), measure=unmeasured).report
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
    nodes = tree([tree_run(method, Seeds(*run.seeds), run.order) for run in runs])
    assert sum(found) == sum(bool(key.done) for key in nodes)
    assert max(found) <= width


def test_workers_are_the_processors_that_this_process_may_use():
    here = len(os.sched_getaffinity(0))
    assert local_workers(1) == here
    assert local_workers(here) == 1
    assert local_workers(10 * here) == 1  # Ray will say that this is too much
    assert local_workers(0) == here


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


def test_measurement_weighs_a_lesson_and_looks_at_the_clock_alone():
    one = space(epochs=7)
    found = measured(one.settings({}), one, clock=Ticking())
    weights = 64 * 8 + 8 + 8 * 10 + 10
    assert found.lesson >= 4 * 3 * weights  # weights and both of Adam's moments
    assert found.epochs == 7
    assert found.width > 1
    assert found.times.epoch == (0.0, 0.0)  # one epoch and three take one tick each
    assert found.data >= 1797 * 64 * 4
