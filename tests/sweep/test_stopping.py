"""Stopping rules compare on the same orders, with what was known when the suggestion was made and no more."""

import itertools
import math
import random
import statistics
import time
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from sweep.search import Judge
from sweep.space import Search
from sweep.stopping import BALANCED, balanced, behind, estimate, front, pseudo_values, race

ORDERS = [(k,) for k in range(8)]


def measured(runs, *aggregates):
    """Objectives from the accuracies of each suggestion, one for each of ORDERS."""

    def measure(name, orders):
        found = [runs[name][ORDERS.index(order)] for order in orders]
        return tuple(aggregate(found) for aggregate in aggregates or [statistics.fmean])

    return measure


def mean_minus_std(values):
    return float(np.mean(values) - np.std(values))


def raced(runs, orders, *, level=0.1, aggregates=(), directions=(1,), name="new", rivals=("best",)):
    return race(measured(runs, *aggregates), name, rivals, orders, directions=directions, level=level)


# ------------------------------------------------------------------ the race
def test_pseudo_values_of_the_mean_are_the_differences():
    runs = {"new": [0.7, 0.9, 0.8, 0.6], "best": [0.8, 0.9, 0.6, 0.9]}
    found = pseudo_values(measured(runs), "new", "best", ORDERS[:4])
    np.testing.assert_allclose(found, [[-0.1], [0.0], [0.2], [-0.3]], atol=1e-12)


def test_pseudo_values_of_mean_minus_std_by_hand():
    """Two orders: theta of .2 and .6 is .4 - .2 = .2, of one order its value; 2 x .2 - 1 x the other's."""
    runs = {"new": [0.2, 0.6], "best": [0.0, 0.0]}
    found = pseudo_values(measured(runs, mean_minus_std), "new", "best", ORDERS[:2])
    np.testing.assert_allclose(found, [[2 * 0.2 - 0.6], [2 * 0.2 - 0.2]], atol=1e-12)


def test_the_race_is_a_one_sided_paired_t_test():
    """Differences -.02, -.01, -.03: t = -2 sqrt(3), and p = 1/2 + t / (2 sqrt(2 + t^2)) with 2 degrees."""
    runs = {"new": [0.78, 0.89, 0.57], "best": [0.8, 0.9, 0.6]}
    p = 0.5 - math.sqrt(12) / (2 * math.sqrt(14))
    assert behind(np.array([-0.02, -0.01, -0.03])) == pytest.approx(p, rel=1e-9)
    assert raced(runs, ORDERS[:3], level=p + 1e-6)
    assert not raced(runs, ORDERS[:3], level=p - 1e-6)
    assert raced(runs, ORDERS[:3], level=p + 1e-6, directions=(1,))
    assert not raced(runs, ORDERS[:3], level=0.5, directions=(-1,))  # where smaller is better it is ahead


@pytest.mark.parametrize("aggregate", [statistics.fmean, min, mean_minus_std])
def test_a_suggestion_equal_to_the_incumbent_is_never_dropped(aggregate):
    for seed in range(20):
        chance = random.Random(seed)
        same = [chance.random() for _ in ORDERS]
        runs = {"new": same, "best": list(same)}
        for rung in range(1, len(ORDERS) + 1):
            assert not raced(runs, ORDERS[:rung], level=0.499, aggregates=[aggregate])


@pytest.mark.parametrize("aggregate", [statistics.fmean, min, mean_minus_std])
def test_a_suggestion_worse_by_far_on_every_order_is_dropped(aggregate):
    for seed in range(20):
        chance = random.Random(seed)
        best = [0.9 + 0.05 * chance.random() for _ in ORDERS]
        runs = {"best": best, "new": [value - 0.3 - 0.02 * chance.random() for value in best]}
        assert raced(runs, ORDERS[:4], level=0.1, aggregates=[aggregate])


@pytest.mark.parametrize(("shift", "dropped"), [(-0.01, True), (0.0, False), (0.01, False)])
def test_a_constant_difference_is_certain(shift, dropped):
    best = [0.1, 0.7, 1 / 3, 0.9]
    assert raced({"best": best, "new": [v + shift for v in best]}, ORDERS[:4], level=1e-9) == dropped


def test_two_orders_say_nothing():
    runs = {"best": [0.9, 0.8, 0.7], "new": [0.1, 0.0, 0.1]}
    assert not raced(runs, ORDERS[:2], level=0.4)
    assert raced(runs, ORDERS[:3], level=0.4)


def test_what_cannot_be_measured_is_not_raced():
    def measure(name, orders):
        return None if name == "best" else (0.1,)

    assert not race(measure, "new", ["best"], ORDERS[:4], directions=[1], level=0.4)


def test_with_two_objectives_one_rival_must_be_ahead_in_both():
    """Accuracy is to be high, its spread low."""
    runs = {
        "steady": [0.70, 0.71, 0.70, 0.71],
        "strong": [0.95, 0.80, 0.94, 0.81],
        "both": [0.96, 0.95, 0.96, 0.95],
        "new": [0.85, 0.70, 0.86, 0.69],
    }

    def dropped(*rivals):
        pair = [statistics.fmean, lambda values: max(values) - min(values)]
        return raced(runs, ORDERS[:4], aggregates=pair, directions=(1, -1), rivals=rivals, level=0.1)

    assert not dropped("steady")
    assert not dropped("strong", "steady")  # one is ahead in accuracy, the other in spread
    assert dropped("strong", "both")


def test_the_estimate_is_the_rivals_value_and_the_paired_difference():
    runs = {"best": [0.9, 0.8, 0.4, 0.5], "new": [0.8, 0.8, 0.0, 0.0]}
    # .05 behind on the easy first two orders; the rival has .65 over all four
    told = estimate(measured(runs), "new", [("best", (0.65,))], ORDERS[:2])
    assert told == pytest.approx((0.6,))
    assert estimate(measured(runs), "new", [], ORDERS[:2]) == pytest.approx((0.8,))


@pytest.mark.parametrize("seed", range(3))
def test_the_first_of_balanced_orders_are_latin_squares(seed):
    orders = tuple(itertools.permutations(range(5)))
    found = balanced(orders, seed)
    assert sorted(found) == list(orders)
    for square in (found[:5], found[:10]):
        for column in zip(*square, strict=True):
            assert {column.count(task) for task in range(5)} == {len(square) // 5}
    assert balanced(orders[::-1], seed) == found  # whatever order they were listed in
    assert balanced(orders, seed + 9) != found


def test_hundreds_of_orders_are_balanced_at_once_and_of_very_many_the_first():
    six, eight = (tuple(itertools.permutations(range(tasks))) for tasks in (6, 8))
    began = time.process_time()
    found = balanced(six)
    assert time.process_time() - began < 0.3  # some hundredths; a search among all that are left took seconds
    assert sorted(found) == list(six) and all(
        len(set(column)) == 6 for column in zip(*found[:6], strict=True)
    )
    many = balanced(eight[: BALANCED + 9])
    assert sorted(many) == list(eight[: BALANCED + 9])
    assert balanced(eight[: BALANCED + 9][::-1]) == many


def test_orders_that_end_early_are_balanced_too():
    found = balanced(tuple(itertools.permutations(range(4), 2)))
    assert sorted(order[0] for order in found[:4]) == [0, 1, 2, 3]
    assert sorted(order[1] for order in found[:4]) == [0, 1, 2, 3]


def test_the_front_by_hand():
    points = [(0.9, 0.3), (0.8, 0.1), (0.7, 0.2), (0.9, 0.3), (0.95, 0.5)]
    assert front(points, [1, -1]) == [0, 1, 4]
    assert front([(0.5,), (0.9,), (0.9,)], [1]) == [1]


# ------------------------------------------------------------------ rules by name
RUNGS = (3, 4, 8)


def candidate(number, values, state="complete"):
    arm = SimpleNamespace(suggestion=str(number))
    return SimpleNamespace(number=number, arm=arm, values=[(v,) for v in values], state=state)


def judge(stopping, *, ahead=1, directions=(1,), **more):
    search = Search(suggestions=50, ahead=ahead, stopping=stopping, rungs=RUNGS[:-1], **more)
    return Judge(search, directions, rungs=len(RUNGS))


def field(chance, count):
    """Suggestions with their accuracies on all orders, and how far each came."""
    runs = {str(n): [chance.random() / 4 + 0.5 + 0.2 * chance.random()] * 8 for n in range(count)}
    runs = {name: [v + 0.05 * chance.random() for v in values] for name, values in runs.items()}
    states = [chance.choice(["complete", "complete", "stopped", "failed"]) for _ in runs]
    lengths = {"complete": 3, "stopped": chance.choice([1, 2]), "failed": 1}
    found = [
        candidate(n, [statistics.fmean(runs[str(n)][:r]) for r in RUNGS[: lengths[state]]], state)
        for n, state in enumerate(states)
    ]
    return runs, found


@pytest.mark.parametrize("stopping", ["race", "asha", "median", "hyperband", "percentile", "wilcoxon"])
def test_a_decision_does_not_hang_on_what_was_not_known(stopping):
    more = {"level": 0.1} if stopping == "wilcoxon" else {}  # at .05 no 4 orders are enough
    of, seen = judge(stopping, ahead=3, **more), set()
    for seed in range(12):
        runs, others = field(random.Random(seed), 14)
        new = candidate(11, [statistics.fmean(runs["11"][:r]) for r in RUNGS[:2]], "running")
        decision = of.drops(new, others, ORDERS[:4], measured(runs))
        told = of.told(new, others, ORDERS[:4], measured(runs))
        for number in (9, 10, 12, 13):  # the last known one is 11 - 3
            runs[str(number)] = [1.0 - 0.1 * (number % 2)] * 8
            others[number] = candidate(number, [1.0] * 3)
        assert of.drops(new, others, ORDERS[:4], measured(runs)) == decision
        assert of.drops(new, others[:9], ORDERS[:4], measured(runs)) == decision
        assert of.told(new, others, ORDERS[:4], measured(runs)) == told
        seen.add(decision)
    assert seen == {True, False}


def test_the_race_is_run_against_the_best_complete_suggestion():
    runs = {"0": [0.8] * 8, "1": [0.9] * 8, "2": [0.99] * 8, "3": [0.85] * 8}
    others = [candidate(0, [0.8] * 3), candidate(1, [0.9] * 3), candidate(2, [0.99], "stopped")]
    new = candidate(3, [0.85], "running")
    assert judge("race").drops(new, others, ORDERS[:3], measured(runs))
    assert not judge("race").drops(new, [others[0], others[2]], ORDERS[:3], measured(runs))
    # 1 is the best complete one: its .9 over all orders, less .05 on the first two
    assert judge("race").told(new, others, ORDERS[:2], measured(runs)) == pytest.approx((0.85,))


def dropped(of, values, own, *, rung=0):
    """Whether a suggestion with this value at a rung is dropped after others with theirs, all complete."""
    others = [candidate(n, [v] * 3) for n, v in enumerate(values)]
    runs = {str(n): [v] * 8 for n, v in enumerate([*values, own])}
    new = candidate(len(values), [own] * (rung + 1), "running")
    return of.drops(new, others, ORDERS[: RUNGS[rung]], measured(runs))


@pytest.mark.parametrize("rung", [0, 1])
def test_successive_halving_passes_one_of_eta(rung):
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    # with the new one there are seven, of which 7 // 3 = 2 pass
    assert not dropped(judge("asha"), values, 0.55, rung=rung)
    assert dropped(judge("asha"), values, 0.45, rung=rung)
    # 7 // 2 = 3 pass
    assert not dropped(judge("asha", eta=2), values, 0.45, rung=rung)
    assert dropped(judge("asha", eta=2), values, 0.35, rung=rung)


def test_the_percentile_keeps_a_share_once_five_are_complete():
    values = [0.5, 0.1, 0.3, 0.2, 0.4]
    assert not dropped(judge("percentile"), values, 0.41)  # the best quarter begins at .4
    assert dropped(judge("percentile"), values, 0.39)
    assert not dropped(judge("percentile"), values[:4], 0.0)
    assert not dropped(judge("median"), values, 0.31)
    assert dropped(judge("median"), values, 0.29)


def test_the_median_is_that_of_the_same_rung():
    """A good start does not save a suggestion that has fallen behind on more orders."""
    others = [candidate(n, [0.1, 0.5, 0.5]) for n in range(5)]
    new = candidate(5, [0.6, 0.4], "running")
    assert judge("median").drops(new, others, ORDERS[:4], measured({"5": [0.4] * 8}))


def test_wilcoxon_by_hand():
    """Worse on every one of n orders: p = 2^-n, so 4 orders are the fewest at level .1."""
    runs = {"0": [0.9] * 8, "1": [0.9 - 0.01 * (i + 1) for i in range(8)]}
    others, new = [candidate(0, [0.9] * 3)], candidate(1, [0.8], "running")
    of = judge("wilcoxon", level=0.1)
    assert not of.drops(new, others, ORDERS[:3], measured(runs))
    assert of.drops(new, others, ORDERS[:4], measured(runs))
    assert not judge("wilcoxon", level=0.05).drops(new, others, ORDERS[:4], measured(runs))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("stopping", ["asha", "hyperband"])
def test_successive_halving_decides_as_optuna_does_in_a_search_of_its_own(stopping, direction):
    """One suggestion after the other: what the judge rebuilds is what Optuna would have seen."""
    kind = {"asha": optuna.pruners.SuccessiveHalvingPruner, "hyperband": optuna.pruners.HyperbandPruner}
    more = {"max_resource": 10} if stopping == "hyperband" else {}
    pruner = kind[stopping](min_resource=1, reduction_factor=3, **more)
    way = "maximize" if direction > 0 else "minimize"
    study = optuna.create_study(direction=way, study_name="search", pruner=pruner)
    of, others, decisions = judge(stopping, directions=(direction,)), [], []
    chance = random.Random(1)
    for number in range(40):
        values = [chance.random() + number / 40 for _ in RUNGS]
        trial = study.ask()
        for rung in range(len(RUNGS) - 1):
            new = candidate(number, values[: rung + 1], "running")
            trial.report(values[rung], 3**rung)
            decisions.append(trial.should_prune())
            assert of.drops(new, others, ORDERS[: RUNGS[rung]], measured({})) == decisions[-1]
            if decisions[-1]:
                break
        if decisions[-1]:
            others.append(candidate(number, values[: rung + 1], "stopped"))
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            others.append(candidate(number, values))
            study.tell(trial, values[-1])
    assert set(decisions) == {True, False}


def test_none_stops_nothing_and_pruners_refuse_two_objectives():
    new = candidate(1, [0.0], "running")
    of = Judge(Search(suggestions=9), (1,), rungs=1)
    assert not of.drops(new, [candidate(0, [1.0])], ORDERS[:2], measured({}))
    with pytest.raises(ValueError, match="median compares one objective, not 2: stop by race"):
        judge("median", directions=(1, -1))
