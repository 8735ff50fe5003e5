"""What a hunt found, against random orders, by hand."""

import itertools

import pytest
from made_rows import flat, row, settings

from sweep import analysis

NAI = settings("nai", strength=0.5)
EVERY = tuple(itertools.permutations(range(3)))
VALUES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)  # of the orders, in turn
SEED = (0, 0)


def arm(orders):
    rows = [
        row(NAI, order, SEED, test=flat(value, 3))
        for order, value in zip(EVERY, VALUES, strict=True)
        if order in orders
    ]
    rows.append(row(NAI, EVERY[5], (1, 1), test=flat(0.1, 3)))  # of other seeds: not what was hunted
    rows.append(row(NAI, EVERY[0][:2], SEED, test=flat(0.0, 3)[:3]))  # of two tasks: no order of all
    return analysis.arms(rows)[0]


def hunt(*tried, worst=True, known=(), reference=(0, 1)):
    orders, before, drawn = (tuple(EVERY[one] for one in some) for some in (tried, known, reference))
    return analysis.Hunt("x", SEED, worst, orders, 20, 9, before, drawn)


def test_the_course_of_a_hunt_is_the_best_so_far():
    found = analysis.hunted(hunt(1, 3, 2), arm(EVERY))
    assert found.course == pytest.approx((0.8, 0.6, 0.6))
    assert (found.value, found.order, found.tried) == (pytest.approx(0.6), EVERY[3], 3)
    assert (found.budget, found.cost) == (20, 9)
    best = analysis.hunted(hunt(1, 0, worst=False), arm(EVERY))
    assert best.course == pytest.approx((0.8, 0.9))
    assert best.order == EVERY[0]


def test_all_orders_on_record_give_the_exact_rank_and_the_exact_chance():
    found = analysis.hunted(hunt(1, 4), arm(EVERY))
    # Two of six: the worst is .4 in 5 of 15 draws, .5 in 4, .6 in 3, .7 in 2, .8 in 1.
    assert found.expected == pytest.approx((5 * 0.4 + 4 * 0.5 + 3 * 0.6 + 2 * 0.7 + 0.8) / 15)
    assert found.luck == pytest.approx(9 / 15)  # .5 or worse
    assert (found.rank, found.share, found.drawn) == (2, None, 2)
    best = analysis.hunted(hunt(1, worst=False), arm(EVERY))
    assert (best.rank, best.luck) == (2, pytest.approx(9 / 15))


def test_the_reference_is_what_a_hunt_is_compared_with_whether_it_tried_them_or_not():
    found = analysis.hunted(hunt(1, 4, reference=(0, 4)), arm(EVERY[:5]))
    assert found.expected == pytest.approx(0.5)  # of .9 and .5
    assert (found.rank, found.luck, found.drawn) == (None, None, 2)


def test_what_the_reference_proves_is_a_share_of_all_orders():
    # Two of six drawn, neither beyond the find: with k of six beyond it that has the chance
    # C(6 - k, 2) / 15, which is 1 / 15 for k = 4 and 0 for k = 5: fewer than 5 of 6 at 95 %.
    found = analysis.hunted(hunt(4, reference=(0, 1)), arm(EVERY[:5]))
    assert found.share == pytest.approx(5 / 6)
    # One of the two is beyond the find: all but the other may be.
    beaten = analysis.hunted(hunt(1, reference=(0, 3)), arm(EVERY[:5]))
    assert beaten.share == pytest.approx(1.0) and beaten.expected == pytest.approx(0.6)


def test_without_a_reference_there_is_nothing_to_compare_with():
    found = analysis.hunted(hunt(4, reference=()), arm(EVERY[:5]))
    assert (found.value, found.drawn, found.expected, found.share) == (pytest.approx(0.5), 0, None, None)


def test_what_was_known_before_counts_as_found_and_takes_no_tries():
    found = analysis.hunted(hunt(1, 2, known=(4,)), arm(EVERY[:5]))
    assert (found.value, found.order, found.tried) == (pytest.approx(0.5), EVERY[4], 2)
    assert found.course == pytest.approx((0.5, 0.5))
    everything = analysis.hunted(hunt(known=range(6), reference=()), arm(EVERY))
    assert (everything.rank, everything.order, everything.course) == (1, EVERY[5], ())


def test_the_find_is_told_with_other_seeds_too():
    found = analysis.hunted(hunt(4, 5), arm(EVERY))
    assert (found.order, found.others, found.elsewhere) == (EVERY[5], 1, pytest.approx(0.1))
    alone = analysis.hunted(hunt(4), arm(EVERY))
    assert (alone.others, alone.elsewhere) == (0, None)


def test_a_hunt_without_a_result_has_none():
    found = analysis.hunted(hunt(0, 1), arm(()))
    assert (found.tried, found.value, found.course) == (0, None, ())
