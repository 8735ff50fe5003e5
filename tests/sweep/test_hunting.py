"""Hunts for the worst order as a stage of a sweep: replayed from the rows on record, exactly."""

import random
from itertools import permutations

import pytest
from made_sweeps import IDENTITY, KINDS, carried_out, done, row, whole

from sweep.agenda import Agenda, Past
from sweep.analysis import Hunt as Hunted
from sweep.book import Book
from sweep.hunting import Hunting, Request
from sweep.jobs import Cell, Run, arm
from sweep.worst import STRATEGIES, usual_budget

ORDERS = tuple(permutations(range(5)))
WHERE = KINDS["plain"].space("search.suggestions=3", "confirm.orders={design='all'}", "confirm.top=1")
FEW = KINDS["plain"].space("search.suggestions=3", "confirm.top=1")


def searched(where):
    """The suggestion that is confirmed, one that is not, and the sweep."""
    swept = carried_out(where)
    (contest,) = swept.agenda.asked().contests
    other = next(one for one in contest.suggestions if one not in contest.top)
    return contest.top[0], other, swept


BEST, OTHER, CONFIRMED = searched(WHERE)
SETTINGS = CONFIRMED.agenda.arm_of(BEST).settings


def tried(swept):
    return [one.orders for one in swept.agenda.asked().hunts]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("worst", [True, False])
def test_a_hunt_taken_up_from_any_rows_tries_the_same_orders_in_turn(strategy, worst):
    requests = (Request(OTHER, (4, 5), worst, budget=30, strategy=strategy, random=4),)
    once = carried_out(FEW, Past(hunts=requests))
    rows = list(once.rows.values())
    for seed in range(4):
        chance = random.Random(seed)
        kept = tuple(one for one in rows if chance.random() < 0.8)
        again = carried_out(FEW, Past(kept, hunts=requests), chance=chance, slots=chance.randint(1, 6))
        assert tried(again) == tried(once) and again.results == once.results
        assert sorted(again.handed) == sorted(once.rows.keys() - {one["fingerprint"] for one in kept})


@pytest.mark.parametrize("seeds", [(0, 0), (3, 0), (1, 1)])
@pytest.mark.parametrize("name", [BEST, OTHER])
def test_what_a_hunt_found_does_not_lead_it_elsewhere_next_time(name, seeds):
    """Above all where all orders are confirmed, of other suggestions or with other seeds."""
    requests = (
        Request(name, seeds, budget=40, random=5),
        Request(name, seeds, False, budget=40, random=5),  # which meets what the first one tried
    )
    once = carried_out(WHERE, Past(CONFIRMED.past.rows, hunts=requests))
    rows = list(once.rows.values())
    for share in (1, 0.9, 0.5):
        chance = random.Random(9)
        kept = tuple(one for one in rows if chance.random() < share)
        again = carried_out(WHERE, Past(kept, hunts=requests), chance=chance)
        assert tried(again) == tried(once) and again.results == once.results
        assert not set(again.handed) & {one["fingerprint"] for one in kept}


def test_after_a_confirmation_over_all_orders_there_is_nothing_left_to_try():
    known = CONFIRMED.agenda.asked().confirm_orders
    hunts = (Request(BEST, known=known), Request(BEST, worst=False, known=known))
    swept = carried_out(WHERE, Past(CONFIRMED.past.rows, hunts=hunts))
    assert swept.agenda.finished and not swept.handed
    assert [one.cost for one in swept.agenda.asked().hunts] == [0, 0]
    assert tried(swept) == [(), ()]


def test_of_a_suggestion_that_is_not_confirmed_all_is_to_be_tried():
    swept = carried_out(WHERE, Past(CONFIRMED.past.rows, hunts=(Request(OTHER, random=0),)))
    (hunted,) = swept.agenda.asked().hunts
    assert hunted.budget == usual_budget(5) == 130 and 0 < hunted.cost <= 130
    assert len(hunted.orders) == len(set(hunted.orders)) > 10
    lent = {one["fingerprint"] for one in swept.rows.values() if one["suggestion"] == OTHER}
    assert set(swept.handed) <= lent


def test_what_was_confirmed_is_known_from_the_start_and_not_tried():
    swept = carried_out(FEW, Past(hunts=(Request(BEST, budget=40, random=5),)))
    asked = swept.agenda.asked()
    assert not set(asked.hunts[0].orders) & set(asked.confirm_orders)


def test_its_random_orders_are_run_and_are_those_of_every_other_hunt():
    requests = (Request(BEST, random=6, budget=20), Request(OTHER, random=9, budget=20, worst=False))
    swept = carried_out(FEW, Past(hunts=requests))
    one, other = swept.agenda.asked().hunts
    assert one.reference == other.reference[:6] and len(set(other.reference)) == 9
    for hunted in (one, other):
        cells = {Cell(hunted.suggestion, order, (0, 0)) for order in (*hunted.reference, *hunted.orders)}
        assert cells <= swept.agenda.wanted and cells <= swept.agenda.book.rows.keys()


def test_more_random_orders_than_there_are_are_all():
    swept = carried_out(FEW, Past(hunts=(Request(BEST, random=500, budget=20),)))
    assert sorted(swept.agenda.asked().hunts[0].reference) == list(ORDERS)


def test_another_hunt_later_leaves_the_first_as_it_was():
    one, other = Request(OTHER, budget=30), Request(OTHER, budget=30, worst=False, seed=1)
    first = carried_out(FEW, Past(hunts=(one,)))
    both = carried_out(FEW, Past(tuple(first.rows.values()), first.recorded, (one, other)))
    assert tried(both)[0] == tried(first)[0]
    assert not set(both.handed) & first.rows.keys()
    assert both.results == carried_out(FEW, Past(hunts=(one, other))).results


def test_a_hunt_waits_for_the_confirmation_and_then_is_the_phase():
    agenda = Agenda(FEW, IDENTITY, Past(hunts=(Request(BEST, budget=20, random=3),)))
    phases = []
    while job := agenda.next():
        phases.append(agenda.phase)
        agenda.put(done(job))
    assert list(dict.fromkeys(phases)) == ["search", "confirm", "hunt"]


def test_without_a_confirmation_a_hunt_follows_the_search():
    swept = carried_out(KINDS["searched"].space(), Past(hunts=whole("hunted").past.hunts[1:]))
    assert swept.agenda.finished and len(tried(swept)[0]) > 1
    assert swept.agenda.asked().hunts[0].reference


@pytest.mark.parametrize("where", [WHERE, KINDS["continual"].space()])
def test_the_hunt_of_a_suggestion_that_is_none_of_the_sweep_s_any_more_is_left_out(where):
    swept = carried_out(where, Past(hunts=(Request("beef"),)))
    assert swept.agenda.finished and swept.agenda.strays == ["beef"]
    assert swept.agenda.asked() == carried_out(where, Past()).agenda.asked()


def test_what_a_hunt_knew_is_run_again_when_it_is_lost():
    known = CONFIRMED.agenda.asked().confirm_orders[:4]
    one = Request(OTHER, (5, 5), budget=20, random=2, known=known)
    swept = carried_out(FEW, Past(hunts=(one,)))
    assert swept.agenda.finished and not set(tried(swept)[0]) & set(known)
    rows = [row for row in swept.rows.values() if (row["seed_init"], row["suggestion"]) == (5, OTHER)]
    assert {tuple(row["order"]) for row in rows} >= set(known)


def test_more_orders_to_confirm_do_not_lead_a_hunt_elsewhere():
    designs = ("confirm.orders={design='random', count=2, seed=1}", "confirm.orders={design='all'}")
    some = ("search.suggestions=3", "confirm.top=1")
    past = Past(hunts=(Request(BEST, budget=30),))
    few, more = (carried_out(KINDS["plain"].space(*some, design), past) for design in designs)
    assert tried(few) == tried(more) and len(tried(few)[0]) > 5


def test_a_baseline_may_be_hunted():
    name = CONFIRMED.agenda.asked().baselines[0]
    swept = carried_out(FEW, Past(hunts=(Request(name, (8, 8), budget=20, random=2),)))
    assert swept.agenda.finished and tried(swept)[0]


def test_a_failed_run_is_told_to_the_hunt_and_holds_up_nothing():
    def failing(settings, run):
        return run.seeds == (6, 6) and run.order[0] == 0

    past = Past(hunts=(Request(OTHER, (6, 6), budget=60),))
    broken, sound = (
        carried_out(FEW, past, failing=failing),
        carried_out(FEW, past, failing=lambda *run: False),
    )
    assert broken.agenda.finished and tried(broken) != tried(sound)
    assert {order[0] for order in tried(broken)[0]} > {0}
    assert any(one["error"] for one in broken.rows.values())
    again = carried_out(FEW, broken.past, failing=failing)
    assert not again.handed and tried(again) == tried(broken)


def test_one_that_is_under_way_says_what_it_has_tried_so_far():
    book, made = Book(), arm(SETTINGS, IDENTITY)
    hunting = Hunting(Request(BEST, budget=25, random=2), 5, book)
    drawn = hunting.request.reference(5)
    assert hunting.asked() == Hunted(BEST, (0, 0), True, (), 25, 0, reference=drawn) and len(drawn) == 2
    assert not hunting.finished
    reference, first = hunting.work(made)
    assert tuple(run.order for run in reference.runs) == drawn
    assert hunting.asked().orders == tuple(run.order for run in first.runs) and hunting.asked().cost > 0
    assert list(hunting.work(made)) == []  # nothing is known yet
    *some, last = first.runs
    book.put(row(SETTINGS, run) for run in some)
    assert list(hunting.work(made)) == []
    book.put([row(SETTINGS, last)])
    for work in hunting.work(made):  # each batch at once, to the end
        assert {run.order for run in work.later} >= {run.order[:1] for run in work.runs}
        book.put(row(SETTINGS, run) for run in work.runs)
    assert hunting.finished and hunting.asked().cost <= 25


def test_partial_orders_are_rows_of_their_own():
    swept = carried_out(FEW, Past(hunts=(Request(OTHER, budget=25, strategy="tree", random=0),)))
    lengths = {len(order) for order in tried(swept)[0]}
    assert {1, 5} <= lengths
    for order in tried(swept)[0]:
        made = swept.agenda.book.rows[Cell(OTHER, order, (0, 0))]
        assert made == row(swept.agenda.arm_of(OTHER).settings, Run(order, (0, 0)))


@pytest.mark.parametrize("seeds", [(0, 0), (5, 5)])
def test_what_it_knew_is_part_of_the_sweep_and_run_again_if_it_was_lost(seeds):
    known = ORDERS[7:11]
    once = carried_out(FEW, Past(hunts=(Request(OTHER, seeds, budget=30, random=0, known=known),)))
    cells = {Cell(OTHER, order, seeds) for order in known}
    assert cells <= once.agenda.book.rows.keys() and not set(known) & set(tried(once)[0])
    lost = {one["fingerprint"] for cell, one in once.agenda.book.rows.items() if cell in cells}
    for gone in (lost, set(), once.rows.keys()):
        kept = tuple(one for name, one in once.rows.items() if name not in gone)
        again = carried_out(FEW, Past(kept, hunts=once.past.hunts))
        assert set(again.handed) == set(gone)
        assert tried(again) == tried(once) and again.results == once.results
        assert again.agenda.standing() == once.agenda.standing()
        assert again.agenda.relevant(again.rows.values()) == list(again.rows.values())
