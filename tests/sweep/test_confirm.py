"""The confirmation: arms x orders x seeds, as many orders as it takes, and no more than there are."""

import itertools
import math
import random

import numpy as np
import pytest
from made_rows import row as made
from made_sweeps import IDENTITY, KINDS, carried_out, fingerprint

from sweep.agenda import Past
from sweep.analysis import crossed_half_width, needed_orders, orders_for_tail
from sweep.book import Book, cell_of
from sweep.confirm import Confirm
from sweep.jobs import Run, arm

SEEDS = "confirm.seeds={init=[0, 1, 2], data=[0, 1, 2]}"
PAIRS = ((0, 0), (1, 1), (2, 2))


def space(*more):
    return KINDS["plain"].space(SEEDS, *more)


def arms(where, *strengths):
    return [arm(where.settings("nai", {"method.strength": one}), IDENTITY) for one in strengths]


def result(settings, run, *, order_sd=0.0, seed_sd=0.0, rest_sd=0.0, error=False):
    """A row of known variance: of orders, of seeds, and of each run alone."""
    name = fingerprint(settings, run)
    parts = ((order_sd, run.order), (seed_sd, run.seeds), (rest_sd, (int(name[:8], 16),)))
    value = 0.8 + sum(sd * np.random.default_rng(list(key)).normal() for sd, key in parts)
    lines = np.full((len(run.order) + 1, len(run.order)), value)
    given = {"error": "diverged"} if error else {"valid": lines.tolist(), "test": lines.tolist()}
    return made(settings, run.order, run.seeds, **given) | {"fingerprint": name}


def confirmed(where, *strengths, book=None, **spread):
    """A confirmation carried out, and the runs that it asked for, round by round."""
    book = book or Book()
    confirm = Confirm(where, arms(where, *strengths), book)
    rounds = []
    while works := list(confirm.work()):
        rounds.append([cell for one in works for cell in one.cells if book.lacks(cell)])
        book.put(result(one.arm.settings, run, **spread) for one in works for run in one.runs)
    assert confirm.finished
    return confirm, rounds


def test_every_arm_runs_every_order_with_every_pair_of_seeds():
    where = space("confirm.orders.count=7")
    confirm, (asked,) = confirmed(where, 0.1, 0.2)
    names = [one.suggestion for one in confirm.arms]
    assert len(asked) == len(set(asked)) == 2 * 7 * 3
    assert set(asked) == set(itertools.product(names, where.confirm_orders(5), PAIRS))
    assert not set(where.confirm_orders(5)) & set(where.search_orders(5))


def test_two_arms_that_are_the_same_are_one():
    _, (asked,) = confirmed(space(), 0.1, 0.1)
    assert len(asked) == 4 * 3


def test_without_arms_it_is_over_at_once():
    confirm = Confirm(space(), (), Book())
    assert confirm.finished and not list(confirm.work()) and confirm.orders == ()


def test_nothing_more_is_asked_while_runs_are_out():
    where, book = space(), Book()
    confirm = Confirm(where, arms(where, 0.1, 0.2), book)
    works = list(confirm.work())
    runs = [(one.arm.settings, run) for one in works for run in one.runs]
    random.Random(0).shuffle(runs)
    for settings, run in runs:
        assert not list(confirm.work()) and not confirm.finished
        book.put([result(settings, run)])
    assert not list(confirm.work()) and confirm.finished


# --- as many orders as it takes ---


@pytest.mark.parametrize("share", [0.5, 0.2, 0.05, 0.02])
def test_a_tail_takes_as_many_orders_as_show_one_of_the_worst(share):
    where = space(f"confirm.until={{tail={share}}}", "confirm.orders.count=2")
    confirm, rounds = confirmed(where, 0.1)
    wanted = orders_for_tail(share, 120)
    # without replacement: the chance that none of the worst is among so many, and one order fewer is too few
    worst = math.floor(share * 120 + 1e-9)
    missed = [math.comb(120 - worst, n) / math.comb(120, n) for n in (wanted, wanted - 1)]
    assert missed[0] <= 0.05 < missed[1]
    assert len(confirm.orders) == min(wanted, 120 - 8)
    assert [len(one) for one in rounds] == [2 * 3, (len(confirm.orders) - 2) * 3]


@pytest.mark.parametrize("seed", range(6))
def test_a_half_width_is_reached_with_the_fewest_orders_that_were_foretold(seed):
    chance = random.Random(seed)
    wanted, spread = chance.choice([0.006, 0.01, 0.015]), chance.choice([0.02, 0.03])
    where = space(f"confirm.until={{half_width={wanted}}}", "confirm.orders.count=4")
    confirm, rounds = confirmed(where, 0.1, 0.2 + seed / 10, order_sd=spread, rest_sd=0.002)
    for one in confirm.arms:
        block = confirm.book.block(one.suggestion, confirm.orders, PAIRS, split="test")
        found = block[:, :, -1].mean(-1)
        assert needed_orders(found, 120, half_width=wanted) == len(confirm.orders)
        assert crossed_half_width(found, 120) <= wanted
    assert len(rounds) > 1 and len(confirm.orders) > 4
    asked = [cell for one in rounds for cell in one]
    assert len(asked) == len(set(asked)) == 2 * 3 * len(confirm.orders)


def test_the_orders_that_vary_most_decide_for_all_arms():
    where = space("confirm.until={half_width=0.01}", "confirm.orders.count=4")
    quiet, loud = arms(where, 0.1, 3.0)
    book, confirm = Book(), None
    confirm = Confirm(where, (quiet, loud), book)
    while works := list(confirm.work()):
        book.put(
            result(one.arm.settings, run, order_sd=0.03 if one.arm == loud else 0.001, rest_sd=0.001)
            for one in works
            for run in one.runs
        )
    alone, _ = confirmed(where, 0.1, order_sd=0.001, rest_sd=0.001)
    assert len(alone.orders) == 4 < len(confirm.orders)


def test_never_more_orders_than_there_are():
    where = space("confirm.until={half_width=0.00001}", "confirm.orders.count=4")
    confirm, _ = confirmed(where, 0.1, order_sd=0.1)
    assert len(confirm.orders) == len(set(confirm.orders)) == 120 - 8
    assert not set(confirm.orders) & set(where.search_orders(5))


def test_where_seeds_leave_too_much_open_more_orders_are_not_run():
    where = space("confirm.until={half_width=0.005}", "confirm.orders.count=4")
    confirm, rounds = confirmed(where, 0.1, seed_sd=0.05, order_sd=0.001, rest_sd=0.001)
    assert len(confirm.orders) == 4 and len(rounds) == 1


def test_with_one_seed_nothing_can_be_foretold_and_it_ends():
    where = space("confirm.until={half_width=0.005}", "confirm.seeds={init=[0], data=[0]}")
    confirm, rounds = confirmed(where, 0.1, order_sd=0.05)
    assert len(confirm.orders) == 4 and len(rounds) == 1


@pytest.mark.parametrize("until", ["half_width=0.004", "tail=0.1"])
def test_a_failed_arm_holds_up_nothing_and_asks_for_nothing(until):
    where = space(f"confirm.until={{{until}}}", "confirm.orders.count=4")
    confirm, _ = confirmed(where, 0.1, error=True)
    assert len(confirm.orders) == (4 if "half" in until else orders_for_tail(0.1, 120))
    book = Book()
    bad, good = arms(where, 0.1, 0.2)
    both = Confirm(where, (bad, good), book)
    while works := list(both.work()):
        book.put(
            result(one.arm.settings, run, order_sd=0.02, error=one.arm == bad and run.order[0] == 2)
            for one in works
            for run in one.runs
        )
    assert both.finished and len(both.orders) > 4


# --- again, and more ---


@pytest.mark.parametrize("seed", range(12))
def test_growing_by_until_equals_asking_for_as_many_orders_at_once(seed):
    chance = random.Random(seed)
    grown = carried_out(KINDS["width"].space(), chance=chance, slots=chance.randint(1, 9))
    count = len(grown.agenda.confirm.orders)
    once = carried_out(KINDS["width"].space("confirm.until={tail=0.99}", f"confirm.orders.count={count}"))
    assert count > 4 and grown.rows == once.rows


def test_more_orders_seeds_and_arms_redo_nothing():
    few = carried_out(space("confirm.orders.count=3", "confirm.seeds={init=[0], data=[0]}", "confirm.top=1"))
    past = few.past
    for more in ("confirm.orders.count=9", "confirm.until={tail=0.1}", "confirm.orders={design='all'}"):
        later = carried_out(space(more), past)
        once = carried_out(space(more))
        assert not set(later.handed) & {one["fingerprint"] for one in past.rows}
        assert later.results == once.results
        past = later.past


def test_runs_that_are_given_up_leave_the_orders_as_they_are():
    where, book = space("confirm.until={half_width=0.002}"), Book()
    confirm = Confirm(where, arms(where, 0.1), book)
    (work,) = confirm.work()
    lost, *others = work.runs
    book.put(result(work.arm.settings, run, order_sd=0.05) for run in others)
    book.lost.add(next(cell for cell, run in work.cells.items() if run == lost))
    assert not list(confirm.work()) and confirm.finished and len(confirm.orders) == 4
    again, _ = confirmed(where, 0.1, book=fresh(book), order_sd=0.05)
    assert len(again.orders) > 4


def fresh(book):
    """The rows of a book, as the next call finds them."""
    found = Book()
    found.put(book.rows.values())
    return found


def test_a_confirmation_of_some_methods_leaves_out_the_others():
    where = KINDS["methods"].space("confirm.methods=['ewc']")
    swept = carried_out(where, Past())
    tops = {one.method: one.top for one in swept.agenda.asked().contests}
    assert tops["nai"] == () and len(tops["ewc"]) == 2
    orders = set(where.confirm_orders(5))
    ran = {cell_of(one).suggestion for one in swept.rows.values() if tuple(one["order"]) in orders}
    assert ran == {*tops["ewc"], *swept.agenda.asked().baselines}


def test_a_run_is_the_same_row_whoever_asks_for_it():
    where = space()
    (one,) = arms(where, 0.1)
    assert result(one.settings, Run((0, 1, 2, 3, 4), (0, 0)), order_sd=0.1) == result(
        one.settings, Run((0, 1, 2, 3, 4), (0, 0)), order_sd=0.1
    )
