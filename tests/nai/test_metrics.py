"""Metrics against numbers worked out by hand, and laws of the aggregates and spreads."""

import math

import numpy as np
import pytest

from nai import metrics

ORDER = (2, 0, 1)
# Home columns.      task 0  1    2      In order of arrival (task 2, 0, 1):
MATRIX = np.array(
    [
        [0.50, 0.40, 0.60],  #     untrained   .60  .50  .40
        [0.60, 0.45, 0.80],  #     after 2     .80  .60  .45
        [0.95, 0.35, 0.90],  #     after 0     .90  .95  .35
        [0.80, 0.90, 0.70],  #     after 1     .70  .80  .90
    ]
)
BY_HAND = {
    # (.70 + .80 + .90) / 3
    "average_accuracy": 0.8,
    # (.80 + (.90 + .95) / 2 + .80) / 3
    "average_incremental_accuracy": 2.525 / 3,
    # task 2: max(.80, .90) - .70 = .20; task 0: .95 - .80 = .15
    "forgetting": 0.175,
    # task 2: .70 - .80; task 0: .80 - .95
    "backward_transfer": -0.125,
    # task 0 before its training: .60 - .50; task 1: .35 - .40
    "forward_transfer": 0.025,
    # (.80 + .95 + .90) / 3
    "learning_accuracy": 2.65 / 3,
    # task 2: min(.90, .70); task 0: .80
    "min_accuracy": 0.75,
}


@pytest.mark.parametrize("name", metrics.METRICS)
def test_metric_by_hand(name):
    assert metrics.METRICS[name](MATRIX, ORDER) == pytest.approx(BY_HAND[name], abs=1e-12)
    assert metrics.METRICS[name](MATRIX.tolist(), list(ORDER)) == pytest.approx(BY_HAND[name], abs=1e-12)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_names_of_tasks_do_not_matter(name):
    # The same history told in order of arrival has the identity order.
    assert metrics.METRICS[name](MATRIX[:, list(ORDER)], (0, 1, 2)) == pytest.approx(BY_HAND[name], abs=1e-12)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_nothing_forgotten_beats_everything_forgotten(name):
    # Kept: task 1 is better than chance ahead of its time, nothing is lost. Lost: the opposite of both.
    kept = [[0.5, 0.5], [1.0, 0.6], [1.0, 1.0]]
    lost = [[0.5, 0.5], [0.9, 0.1], [0.0, 0.9]]
    metric = metrics.METRICS[name]
    assert metric.direction * metric(kept, (0, 1)) > metric.direction * metric(lost, (0, 1))


def test_running_averages_by_hand():
    assert metrics.running_averages(MATRIX, ORDER) == pytest.approx([0.8, 0.925, 0.8])


def test_forgetting_is_negative_when_the_end_is_best():
    # The maximum is over rows before the end: .6 - .9, not max(.6, .9) - .9 = 0.
    assert metrics.forgetting([[0.5, 0.5], [0.6, 0.5], [0.9, 0.8]], (0, 1)) == pytest.approx(-0.3)


def test_intransigence_by_hand():
    # Joint training on the first i tasks, on the i-th: .85, .90, 1.0; so (.05 - .05 + .10) / 3.
    joint = np.full((4, 3), 0.3)
    joint[1, 2], joint[2, 0], joint[3, 1] = 0.85, 0.90, 1.0
    assert metrics.intransigence(MATRIX, ORDER, joint) == pytest.approx(0.1 / 3)
    by_home_task = [0.90, 1.0, 0.85]
    assert metrics.intransigence(MATRIX, ORDER, by_home_task) == pytest.approx(0.1 / 3)


def test_intransigence_to_itself_is_none():
    assert metrics.intransigence(MATRIX, ORDER, MATRIX) == 0.0


@pytest.mark.parametrize("name", ["forgetting", "backward_transfer", "forward_transfer", "min_accuracy"])
def test_what_compares_tasks_is_undefined_for_one(name):
    assert math.isnan(metrics.METRICS[name]([[0.1], [0.9]], (0,)))


@pytest.mark.parametrize("name", ["average_accuracy", "average_incremental_accuracy", "learning_accuracy"])
def test_accuracy_of_one_task_is_its_accuracy(name):
    assert metrics.METRICS[name]([[0.1], [0.9]], (0,)) == 0.9


@pytest.mark.parametrize(
    ("matrix", "order", "message"),
    [
        (
            MATRIX[1:],
            ORDER,
            r"shape \(3, 3\) does not fit order \(2, 0, 1\): expected \(4, 3\), row 0 the untrained",
        ),
        (MATRIX, (0, 1), "does not fit order"),
        (MATRIX, (0, 0, 2), "not a permutation of the 3 tasks"),
        (100 * MATRIX, ORDER, "not in 0..1: divide per cent by 100"),
        (-MATRIX, ORDER, "not in 0..1"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(matrix, order, message):
    with pytest.raises(ValueError, match=message):
        metrics.average_accuracy(matrix, order)


ONE_AN_ORDER = ("mean", "worst", "cvar", "mean_minus_std")  # aggregates of nothing but one number an order
VALUES = [0.5, 0.9, 0.7, 0.6, 0.8]  # mean .7; squared deviations .04 .04 0 .01 .01, so variance .1 / 4


def test_aggregates_of_accuracy_by_hand():
    assert metrics.mean(VALUES, +1) == pytest.approx(0.7)
    assert metrics.std(VALUES) == pytest.approx(math.sqrt(0.025))
    assert (metrics.worst(VALUES, +1), metrics.best(VALUES, +1)) == (0.5, 0.9)
    assert metrics.cvar(VALUES, +1, share=0.4) == pytest.approx((0.5 + 0.6) / 2)
    assert metrics.cvar(VALUES, +1, share=0.41) == pytest.approx((0.5 + 0.6 + 0.7) / 3)
    assert metrics.mean_minus_std(VALUES, +1, weight=2.0) == pytest.approx(0.7 - 2 * math.sqrt(0.025))


def test_aggregates_of_forgetting_by_hand():
    assert metrics.mean(VALUES, -1) == pytest.approx(0.7)
    assert (metrics.worst(VALUES, -1), metrics.best(VALUES, -1)) == (0.9, 0.5)
    assert metrics.cvar(VALUES, -1, share=0.4) == pytest.approx((0.9 + 0.8) / 2)
    assert metrics.mean_minus_std(VALUES, -1, weight=2.0) == pytest.approx(0.7 + 2 * math.sqrt(0.025))


@pytest.mark.parametrize("name", ONE_AN_ORDER)
def test_turning_the_metric_round_turns_the_aggregate_round(name):
    # Accuracy up and error down are one thing: aggregate(-v, -1) == -aggregate(v, +1).
    aggregate = metrics.AGGREGATES[name]
    assert aggregate([-value for value in VALUES], -1) == -aggregate(VALUES, +1)


@pytest.mark.parametrize("direction", [-1, +1])
def test_cvar_goes_from_the_worst_to_the_mean(direction):
    tails = [metrics.cvar(VALUES, direction, share=share) for share in (1e-9, 0.2, 0.4, 0.6, 0.8, 1.0)]
    assert tails[0] == tails[1] == metrics.worst(VALUES, direction)
    assert tails[-1] == pytest.approx(metrics.mean(VALUES, direction))
    assert [direction * tail for tail in tails] == sorted(direction * tail for tail in tails)


def test_cvar_counts_its_share_as_written():
    # .07 * 100 is 7.000000000000001 in floats, and would be rounded up to 8.
    assert metrics.cvar(range(100), +1, share=0.07) == 3.0


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, math.nan])
def test_a_share_outside_is_refused(share):
    with pytest.raises(ValueError, match=r"is not in \(0, 1\]"):
        metrics.cvar(VALUES, +1, share=share)


@pytest.mark.parametrize("name", ONE_AN_ORDER)
@pytest.mark.parametrize(
    ("values", "direction", "message"),
    [
        ([], +1, "not one an order"),
        ([[0.1, 0.2]], +1, "average the seeds first"),
        (VALUES, 0, "direction 0 is not"),
    ],
)
def test_aggregates_refuse_what_they_cannot_read(name, values, direction, message):
    with pytest.raises(ValueError, match=message):
        metrics.AGGREGATES[name](values, direction)


@pytest.mark.parametrize("name", ONE_AN_ORDER)
@pytest.mark.parametrize("direction", [-1, +1])
def test_a_missing_order_is_never_passed_over(name, direction):
    assert math.isnan(metrics.AGGREGATES[name]([0.1, math.nan, 0.9], direction))


@pytest.mark.parametrize("name", ONE_AN_ORDER)
def test_the_direction_cannot_be_left_out(name):
    with pytest.raises(TypeError, match="direction"):
        metrics.AGGREGATES[name](VALUES)


def test_one_order_has_no_deviation():
    assert math.isnan(metrics.std([0.5]))
    with pytest.raises(ValueError, match="2 or more"):
        metrics.mean_minus_std([0.5], +1)
    with pytest.raises(ValueError, match="would reward deviation"):
        metrics.mean_minus_std(VALUES, +1, weight=-1.0)


# Two orders of two tasks, two seeds each; rows: untrained, after one, after two.
ORDERS = ((0, 1), (1, 0))
MATRICES = np.array(
    [
        [[[0.5, 0.5], [0.8, 0.5], [0.6, 0.9]], [[0.5, 0.5], [1.0, 0.5], [0.8, 0.7]]],
        [[[0.5, 0.5], [0.5, 0.7], [0.9, 0.5]], [[0.5, 0.5], [0.5, 0.9], [0.9, 0.3]]],
    ]
)


def test_by_order_averages_the_seeds_by_hand():
    # Order (0, 1): (.6 + .9) / 2 = .75 and (.8 + .7) / 2 = .75. Order (1, 0): .7 and .6.
    assert metrics.by_order("average_accuracy", MATRICES, ORDERS) == pytest.approx([0.75, 0.65])
    # Order (0, 1) forgets task 0: .8 - .6 and 1 - .8. Order (1, 0) forgets task 1: .7 - .5 and .9 - .3.
    assert metrics.by_order("forgetting", MATRICES, ORDERS) == pytest.approx([0.2, 0.4])


def test_the_worst_order_has_least_accuracy_and_most_forgetting():
    assert metrics.objective("average_accuracy", "worst", MATRICES, ORDERS) == pytest.approx(0.65)
    assert metrics.objective("forgetting", "worst", MATRICES, ORDERS) == pytest.approx(0.4)
    assert metrics.objective("forgetting", "cvar", MATRICES, ORDERS, share=1.0) == pytest.approx(0.3)


def test_objectives_with_unknown_names_are_refused():
    with pytest.raises(ValueError, match="metric 'accuracy' is unknown: choose from average_accuracy, "):
        metrics.objective("accuracy", "mean", MATRICES, ORDERS)
    with pytest.raises(ValueError, match="aggregate 'best' is unknown: choose from mean, worst, cvar, "):
        metrics.objective("forgetting", "best", MATRICES, ORDERS)


def test_objectives_of_spread_by_hand():
    # ACC by order .75 and .65, final accuracy by task .7, .8 and .9, .4: OPD .2 and .4.
    spread = {
        name: metrics.objective("average_accuracy", name, MATRICES, ORDERS)
        for name in ("std", "aopd", "mopd")
    }
    assert spread == {
        "std": pytest.approx(0.1 / math.sqrt(2)),
        "aopd": pytest.approx(0.3),
        "mopd": pytest.approx(0.4),
    }
    held = metrics.objective("average_accuracy", "mean_minus_aopd", MATRICES, ORDERS, weight=0.5)
    assert held == pytest.approx(0.7 - 0.15)
    fallen = metrics.objective("forgetting", "mean_minus_aopd", MATRICES, ORDERS, weight=0.5)
    assert fallen == pytest.approx(0.3 + 0.15)  # up is worse


def test_directions_of_objectives():
    for name in metrics.AGGREGATES:
        small = name in ("std", "aopd", "mopd")
        assert metrics.direction("average_accuracy", name) == (-1 if small else 1)
        assert metrics.direction("forgetting", name) == -1


@pytest.mark.parametrize("name", ["std", "aopd", "mopd", "mean_minus_std", "mean_minus_aopd"])
def test_one_order_is_no_objective_of_spread(name):
    with pytest.raises(ValueError, match=f"{name} of 1 order has no deviation"):
        metrics.objective("average_accuracy", name, MATRICES[:1], ORDERS[:1])


# The first two of three tasks, in two orders: task 2, then 0; task 1, then 2.
EARLY = ((2, 0), (1, 2))
EARLY_MATRICES = np.array(
    [
        [[[0.5, 0.1, 0.5], [0.5, 0.1, 0.9], [0.8, 0.1, 0.6]]],
        [[[0.5, 0.5, 0.5], [0.3, 0.8, 0.5], [0.3, 0.6, 1.0]]],
    ]
)


def test_orders_that_end_early_are_judged_on_their_own_tasks():
    assert metrics.average_accuracy(EARLY_MATRICES[0, 0], EARLY[0]) == pytest.approx(0.7)
    assert metrics.by_order("average_accuracy", EARLY_MATRICES, EARLY) == pytest.approx([0.7, 0.8])
    assert metrics.by_order("forgetting", EARLY_MATRICES, EARLY) == pytest.approx([0.3, 0.2])
    # Task 2 alone is in both orders: .6 and 1.
    assert metrics.objective("average_accuracy", "mopd", EARLY_MATRICES, EARLY) == pytest.approx(0.4)
    assert metrics.objective("average_accuracy", "aopd", EARLY_MATRICES, EARLY) == pytest.approx(0.4)


@pytest.mark.parametrize("order", [(0, 0), (0, 3)])
def test_an_early_end_names_different_tasks(order):
    with pytest.raises(ValueError, match=r"does not name 2 different tasks of 0..2"):
        metrics.average_accuracy(EARLY_MATRICES[0, 0], order)


def test_many_runs_at_once_give_the_bits_of_each_alone():
    rng = np.random.default_rng(0)
    orders = [tuple(rng.permutation(5).tolist()) for _ in range(7)]
    runs = rng.random((7, 3, 6, 5))
    for name, metric in metrics.METRICS.items():
        together = metric.stacked(metrics.arrived(runs, orders))
        alone = [[metric(run, order) for run in line] for line, order in zip(runs, orders, strict=True)]
        assert together.tolist() == alone, name
        first = metrics.by_order(name, runs[:3], orders[:3])
        assert first.tolist() == metrics.by_order(name, runs, orders)[:3].tolist()


def test_order_spread_by_hand():
    # Final accuracy over seeds, order (0, 1): .7 and .8; order (1, 0): .9 and .4.
    spread = metrics.order_spread(MATRICES[:, :, -1])
    assert spread.opd == pytest.approx([0.2, 0.4])
    assert (spread.aopd, spread.mopd) == pytest.approx((0.3, 0.4))
    assert (spread.orders, spread.seeds) == (2, 2)


def test_order_spread_of_seed_averages_is_the_same():
    averaged = metrics.order_spread(MATRICES[:, :, -1].mean(axis=1))
    assert averaged.opd == pytest.approx(metrics.order_spread(MATRICES[:, :, -1]).opd)
    assert (averaged.orders, averaged.seeds) == (2, None)


def test_seed_noise_is_no_order_spread():
    # Two seeds far apart, each the same in all three orders.
    assert metrics.order_spread([[[0.2, 0.9], [0.8, 0.1]]] * 3).mopd == 0.0


def test_disparity_of_average_by_hand():
    # Running averages over seeds, order (0, 1): .9 then .75; order (1, 0): .8 then .65.
    disparity = metrics.disparity_of_average(MATRICES, ORDERS)
    assert disparity.steps == pytest.approx([0.1, 0.1])
    assert disparity.mean == pytest.approx(0.1)
    assert (disparity.orders, disparity.seeds) == (2, 2)


def test_one_order_shows_no_spread():
    assert math.isnan(metrics.order_spread(MATRICES[:1, :, -1]).aopd)
    assert math.isnan(metrics.disparity_of_average(MATRICES[:1], ORDERS[:1]).mean)


@pytest.mark.parametrize("final", [[], [0.5, 0.6], np.zeros((0, 2, 3)), np.zeros((2, 0, 3))])
def test_order_spread_of_nothing_is_refused(final):
    with pytest.raises(ValueError, match=r"expected \[orders, seeds, tasks\] or \[orders, tasks\]"):
        metrics.order_spread(final)


@pytest.mark.parametrize("matrices", [MATRICES[:1], MATRICES[:, 0], MATRICES[:, :0]])
def test_matrices_without_their_orders_are_refused(matrices):
    for statistic in (metrics.disparity_of_average, lambda m, o: metrics.by_order("forgetting", m, o)):
        with pytest.raises(ValueError, match="do not fit 2 orders: expected"):
            statistic(matrices, ORDERS)
