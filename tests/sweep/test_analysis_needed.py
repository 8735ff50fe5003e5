"""How many orders a question needs."""

import math

import numpy as np
import pytest
from made_rows import flat, row, settings, suggestion

from sweep import analysis
from sweep.analysis.intervals import crossed_half_width, unseen_worse

NAI = settings("nai", strength=0.5)


def sample(orders, seeds=5, *, order=0.02, seed=0.001, rest=0.01, number=0):
    """Accuracies [orders, seeds] that vary with the order, with the seed, and for neither reason."""
    rng = np.random.default_rng(number)
    noise = order * rng.normal(size=(orders, 1)), seed * rng.normal(size=(1, seeds))
    return 0.9 + noise[0] + noise[1] + rest * rng.normal(size=(orders, seeds))


@pytest.mark.parametrize(("worst", "orders"), [(24, 13), (12, 26), (6, 47), (1, 114)])
def test_orders_for_a_tail_of_120(worst, orders):
    assert analysis.orders_for_tail(worst / 120, 120) == orders


@pytest.mark.parametrize(("share", "orders"), [(0.1, 29), (0.05, 59), (0.01, 299)])
def test_orders_for_a_tail_of_very_many(share, orders):
    # ln .05 / ln(1 - share), rounded up
    assert analysis.orders_for_tail(share, math.factorial(20)) == orders


@pytest.mark.parametrize("population", [24, 120, 720])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_a_tail_that_is_met_leaves_no_more_than_it_unseen(population, share):
    orders = analysis.orders_for_tail(share, population)
    assert unseen_worse(orders, population) <= share or share * population < 1
    assert orders == 1 or unseen_worse(orders - 1, population) > math.floor(share * population) / population


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan])
def test_a_tail_is_a_share(share):
    with pytest.raises(ValueError, match=r"is not in 0\.\.1"):
        analysis.orders_for_tail(share, 120)


def test_a_sample_that_is_wide_enough_needs_itself():
    values = sample(30)
    half = crossed_half_width(values, 720)
    assert analysis.needed_orders(values, 720, half_width=half) == 30


def test_orders_needed_by_hand():
    # Two orders and two seeds: orders .2 apart, seeds equal, nothing else: MS_order = .04, the rest 0.
    # With R of 720 orders the variance is (1 - R / 720) .04 / 2R and the degrees of freedom are R - 1.
    from scipy.special import stdtrit

    values = np.array([[0.9, 0.9], [0.7, 0.7]])
    widths = {R: stdtrit(R - 1, 0.975) * math.sqrt((1 - R / 720) * 0.04 / 2 / R) for R in range(3, 720)}
    asked = 0.05
    by_hand = next(R for R, width in widths.items() if width <= asked)
    assert analysis.needed_orders(values, 720, half_width=asked) == by_hand


def test_so_many_orders_as_are_needed_reach_it_about():
    rng = np.random.default_rng(1)
    reached = []
    for number in range(40):
        pilot = sample(20, number=number)
        orders = analysis.needed_orders(pilot, math.factorial(8), half_width=0.006)
        assert orders is not None and orders > 20
        reached.append(
            crossed_half_width(sample(orders, number=int(rng.integers(1 << 30))), math.factorial(8))
        )
    assert np.median(reached) == pytest.approx(0.006, rel=0.15)


def test_what_the_seeds_leave_uncertain_no_order_mends():
    values = sample(30, seeds=3, order=0.001, seed=0.02, rest=0.001)
    assert analysis.needed_orders(values, math.factorial(10), half_width=0.005) is None
    least = analysis.least_half_width(values, math.factorial(10))
    seeds = values.mean(0).std(ddof=1) / math.sqrt(3) * 4.30265  # t of two degrees of freedom
    assert least == pytest.approx(seeds, rel=0.02)
    assert least > 0.005


def test_all_orders_are_as_good_as_it_gets():
    values = sample(10, seeds=8, seed=0.0)
    least = analysis.least_half_width(values, 24)
    assert analysis.needed_orders(values, 24, half_width=1.01 * least) <= 24


@pytest.mark.parametrize("shape", [(1, 3), (5, 1)])
def test_one_order_or_one_seed_tells_nothing(shape):
    values = np.full(shape, 0.5)
    assert analysis.needed_orders(values, 120, half_width=0.01) is None
    assert analysis.least_half_width(values, 120) is None


# --- in the results ---

ORDERS = ((0, 1, 2), (1, 0, 2), (2, 1, 0))
SEEDS = ((0, 0), (1, 1))


def found(until):
    only = analysis.Contest("nai", (suggestion(NAI),), {}, (suggestion(NAI),))
    rows = [
        row(NAI, order, seed, valid=flat(value, 3), test=flat(value + 0.01 * seed[0], 3))
        for order, value in zip(ORDERS, (0.9, 0.7, 0.5), strict=True)
        for seed in SEEDS
    ]
    question = analysis.Asked("made", ORDERS, SEEDS, ORDERS, SEEDS, 6, (only,), until=until)
    return analysis.results(rows, question)


def asked(until):
    return found(until)["until"]


def test_results_tell_whether_the_orders_are_enough_for_the_tail():
    # One of the worst half of six orders is among three with 1 - (3 2 1) / (6 5 4) = .95.
    assert asked({"tail": 0.5}) == {
        "asked": {"tail": 0.5},
        "met": True,
        "arms": [
            {"suggestion": suggestion(NAI), "label": "nai", "orders": 3, "needed": 3, "least": None},
        ],
    }
    assert not asked({"tail": 0.2})["met"]


def test_results_tell_how_many_orders_the_half_width_needs():
    found = asked({"half_width": 0.1})
    assert (found["met"], found["arms"][0]["orders"]) == (False, 3)
    assert found["arms"][0]["needed"] in (4, 5, 6)
    never = asked({"half_width": 0.0001})["arms"][0]
    assert never["needed"] is None
    assert never["least"] > 0.0001
    assert asked(None) is None


def test_what_is_less_sure_than_asked_is_a_caution():
    assert (
        "nai has 3 of the 6 orders that an order of the worst 20.00 % needs."
        in (found({"tail": 0.2})["cautions"])
    )
    never = found({"half_width": 0.0001})["cautions"][-1]
    assert never.startswith(
        "nai: no number of orders gives a mean to ± 0.01 points with so few seeds (at best"
    )
    assert len(found(None)["cautions"]) == len(found({"tail": 0.5})["cautions"])
