"""The search for a method's best settings: rungs of orders, who goes on, who is best."""

import pytest
from made_rows import row as made
from made_sweeps import IDENTITY, KINDS, PAIR, Kind, fingerprint

from nai.orders import all_orders
from sweep.analysis import Goal
from sweep.book import Book
from sweep.contest import Candidate, Course, course, goals, opened, placed
from sweep.jobs import Arm, Run

STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
GRID = (
    f"method.strength={{choices={list(STRENGTHS)}}}",
    "search.sampler='grid'",
    "search.suggestions=6",
    "search.ahead=1",
)


def space(*more, kind=KINDS["plain"]):
    return kind.space(*GRID, *more)


def searched(where, value):
    """A search to its end: its contest, and the works in turn. value: accuracy of (strength, order)."""
    book, works = Book(), []
    (contest,) = opened(
        where, IDENTITY, book, course=course(where, 5), recorded={}, noted=lambda *heard: None
    )
    while new := list(contest.work()):
        works += new
        book.put(result(one.arm.settings, run, value) for one in new for run in one.runs)
    return contest, works


def result(settings, run, value):
    name, found = fingerprint(settings, run), value(settings["method"]["strength"], run.order)
    lines = [[found] * 5] * (len(run.order) + 1)
    given = {"error": "diverged"} if found is None else {"valid": lines}  # the search sees no test data
    return made(settings, run.order, run.seeds, **given) | {"fingerprint": name}


def ended(contest):
    return {one.arm.settings["method"]["strength"]: (one.state, one.rung) for one in contest.candidates}


# --- rungs ---


def test_without_rungs_each_suggestion_runs_all_orders_and_the_best_has_the_best_mean():
    contest, works = searched(space(), lambda strength, order: strength)
    assert [len(one.runs) for one in works] == [8] * 6
    assert [one.values for one in contest.best()] == [[(s,)] for s in reversed(STRENGTHS)]


def test_who_is_clearly_behind_stops_at_the_first_rung_and_who_is_ahead_goes_on_to_the_end():
    where = space("search.rungs=[3, 5]", "search.level=0.05")
    contest, works = searched(where, lambda strength, order: 0.9 - strength - order[0] / 100)
    # the first is the best of all, and is known to all others
    assert ended(contest) == {0.1: ("complete", 2)} | dict.fromkeys(STRENGTHS[1:], ("stopped", 0))
    assert [len(one.runs) for one in works] == [3, 5, 8, 3, 3, 3, 3, 3]
    assert contest.spent == [3, 3, 3, 3, 3, 8] and contest.to_come == 0
    assert contest.asked(("x",)).stopped == {
        one.arm.suggestion: 3 for one in contest.candidates if one.state == "stopped"
    }


def test_a_better_one_is_never_stopped_by_a_race_and_all_run_if_each_beats_the_last():
    where = space("search.rungs=[3, 5]", "search.level=0.05")
    contest, works = searched(where, lambda strength, order: strength - order[0] / 100)
    assert set(ended(contest).values()) == {("complete", 2)}
    assert [len(one.runs) for one in works] == [3, 5, 8] * 6


def test_a_rung_is_judged_on_the_orders_that_both_ran():
    """Orders differ far more than suggestions: only the paired comparison sees who is behind."""
    where = space("search.rungs=[3]", "search.level=0.05")
    contest, _ = searched(where, lambda strength, order: 0.5 + order[0] / 10 - strength / 100)
    assert ended(contest)[0.6] == ("stopped", 0)


def test_what_is_known_are_the_suggestions_that_were_complete_when_it_was_made():
    where = space("search.rungs=[3]", "search.level=0.05", "search.ahead=5")
    contest, works = searched(where, lambda strength, order: 0.9 - strength)
    first, last = STRENGTHS[:5], STRENGTHS[5]  # five were made at once
    assert ended(contest) == dict.fromkeys(first, ("complete", 1)) | {last: ("stopped", 0)}
    assert sum(len(one.runs) for one in works) == 5 * (3 + 8) + 3


@pytest.mark.parametrize("at", [0, 3, 7])
def test_a_failed_run_ends_a_suggestion_at_its_rung(at):
    where = space("search.rungs=[3, 5]")
    bad = where.search_orders(5)[at]

    def value(strength, order):
        return None if strength == 0.3 and order == bad else strength

    contest, _ = searched(where, value)
    rung = sum(at >= reached for reached in (3, 5))
    assert ended(contest)[0.3] == ("failed", rung)
    assert contest.asked(()).failed == {contest.candidates[2].arm.suggestion: (3, 5, 8)[rung]}
    assert len(contest.best()) == 5


def test_each_rung_says_what_may_go_on_from_it():
    where = space("search.rungs=[3, 5]")
    orders = where.search_orders(5)
    _, works = searched(where, lambda strength, order: strength)
    first, second, last = works[:3]
    beginnings = {order[:1] for order in orders}
    assert {run.order for run in first.later} == {*orders[3:], *beginnings}
    assert {run.order for run in second.later} == {*orders[5:], *beginnings}
    assert {run.order for run in last.later} == beginnings


# --- what it runs ---


def test_rungs_are_numbers_of_orders_and_the_last_is_all():
    found = course(space("search.rungs=[3, 5]"), 5)
    assert found.rungs == (3, 5, 8) and len(found.orders) == 8
    assert found.reached(0) == found.orders[:3] and found.runs(1) == tuple(
        Run(order, (0, 0)) for order in found.orders[:5]
    )


def test_of_all_orders_the_first_rung_has_each_task_first_once():
    where = space("search.rungs=[5, 20]", "orders={design='all'}", "confirm.orders={design='all'}")
    found = course(where, 5)
    assert sorted(found.orders) == sorted(all_orders(5))
    for place in range(5):
        assert sorted(order[place] for order in found.reached(0)) == [0, 1, 2, 3, 4]


def test_the_first_tasks_alone_are_each_beginning_once():
    where = space("search.protocol='first_tasks'", "search.tasks=1", "orders.count=20", "search.rungs=[8]")
    found = course(where, 5)
    assert sorted(found.orders) == [(0,), (1,), (2,), (3,), (4,)]
    assert found.rungs == tuple(sorted(set(found.rungs))) and found.rungs[-1] == 5


def test_rungs_that_hold_the_same_beginnings_are_one():
    where = space("search.protocol='first_tasks'", "search.tasks=1", "orders.count=60", "search.rungs=[30]")
    assert course(where, 5).rungs == (5,)
    contest, works = searched(where, lambda strength, order: strength)
    assert [len(one.runs) for one in works] == [5] * 6 and contest.finished


def test_seeds_of_the_search_are_crossed_with_its_orders():
    found = course(space("seeds={init=[0, 3], data=[1, 4]}"), 5)
    assert len(found.runs(0)) == 8 * 2 and {run.seeds for run in found.runs(0)} == {(0, 1), (3, 4)}


# --- who is best ---


def candidate(name, *values):
    return Candidate(0, Arm(name, "f", {}), [values], "complete")


def test_the_best_by_one_goal_ties_by_name():
    some = [candidate("b", 0.5), candidate("c", 0.7), candidate("a", 0.5)]
    assert [one.arm.suggestion for one in placed(some, [Goal()])] == ["c", "a", "b"]
    less = [Goal(aggregate="std")]
    assert [one.arm.suggestion for one in placed(some, less)] == ["a", "b", "c"]


def test_of_two_goals_what_another_beats_is_left_out_and_equals_stay():
    two = [Goal(), Goal(aggregate="std")]
    some = [
        candidate("good", 0.9, 0.2),
        candidate("even", 0.7, 0.1),
        candidate("twin", 0.7, 0.1),
        candidate("worse", 0.7, 0.15),
        candidate("worst", 0.5, 0.3),
    ]
    assert [one.arm.suggestion for one in placed(some, two)] == ["good", "even", "twin"]


def test_goals_carry_the_options_of_the_objectives():
    pair = PAIR.replace('"std"', '"cvar"\nshare = 0.2')
    assert goals(Kind(objective=pair).space()) == (Goal(), Goal(aggregate="cvar", options={"share": 0.2}))


def test_where_settings_are_chosen_while_a_net_learns_nothing_is_searched():
    where = KINDS["continual"].space()
    assert opened(where, IDENTITY, Book(), course=course(where, 5), recorded={}, noted=print) == []


def test_a_course_is_a_value():
    assert Course(((0, 1), (1, 0)), (1, 2), ((0, 0),)).later(1) == (Run((0,), (0, 0)), Run((1,), (0, 0)))
