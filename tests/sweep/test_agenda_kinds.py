"""Laws of every sort of sweep: the same rows lead to the same jobs, and to exactly what is missing."""

import dataclasses
import json
import random
from itertools import product

import pytest
from made_sweeps import IDENTITY, KINDS, carried_out, done, row, whole

from sweep import standing
from sweep.agenda import Agenda, Past
from sweep.book import cell_of
from sweep.jobs import Run

SEEDS = range(12)
every_kind = pytest.mark.parametrize("kind", KINDS)
RUNGS = [kind for kind in KINDS if KINDS[kind].space().search.rungs]


def again(kind, rows, **given):
    """The sweep taken up with these rows, its suggestions and its hunts on record."""
    one = whole(kind)
    past = dataclasses.replace(one.past, rows=tuple(rows))
    return carried_out(KINDS[kind].space(), past, **given)


def same(swept, kind):
    """It came to the same end as the sweep from beginning to end."""
    one = whole(kind)
    assert swept.agenda.finished
    assert swept.agenda.asked() == one.agenda.asked()
    assert swept.agenda.standing() == one.agenda.standing()
    assert swept.recorded == one.recorded
    assert swept.results == one.results


def test_the_kinds_are_what_they_are_called():
    ended = {kind: [c.state for one in whole(kind).agenda.contests for c in one.candidates] for kind in KINDS}
    for kind in RUNGS:
        assert {"complete", "stopped"} <= set(ended[kind]), kind
    assert ended["continual"] == [] and set(ended["plain"]) == {"complete", "failed"}
    assert {len(order) for order in whole("first tasks").agenda.asked().search_orders} == {2}
    assert {len(row["order"]) for row in whole("hunted").rows.values()} > {1, 5}  # prefixes of a hunt
    assert (
        len(whole("width").agenda.asked().confirm_orders)
        > 4
        < len(whole("tail").agenda.asked().confirm_orders)
    )
    assert [one.method for one in whole("methods").agenda.asked().contests] == ["nai", "ewc"]
    assert len(whole("pair").agenda.asked().goals) == 2


@every_kind
def test_a_sweep_runs_what_it_consists_of_once(kind):
    swept = whole(kind)
    assert len(swept.handed) == len(set(swept.handed)) == len(swept.rows)
    assert swept.agenda.relevant(swept.rows.values()) == list(swept.rows.values())
    now = swept.agenda.standing()
    assert now.done == now.expected == len(swept.rows)


@every_kind
def test_no_arrival_no_workers_and_no_grain_change_anything(kind):
    for seed in SEEDS:
        chance = random.Random(seed)
        slots, grain = chance.randint(1, 20), chance.choice([1, 1, 4, 32])
        past = Past(hunts=whole(kind).past.hunts)
        swept = carried_out(KINDS[kind].space(), past, chance=chance, slots=slots, grain=grain)
        same(swept, kind)
        assert sorted(swept.handed) == sorted(whole(kind).handed)


@every_kind
def test_with_any_rows_on_record_exactly_the_missing_runs_are_handed_out(kind):
    rows = list(whole(kind).rows.values())
    for seed in range(6):
        chance = random.Random(seed)
        kept = [one for one in rows if chance.random() < seed / 5]
        chance.shuffle(kept)
        past = dataclasses.replace(whole(kind).past, rows=tuple(kept))
        noted = seed % 2  # else the rows alone are on record
        past = past if noted else dataclasses.replace(past, suggestions={})
        swept = carried_out(KINDS[kind].space(), past, chance=chance, slots=chance.randint(1, 9))
        same(swept, kind)
        assert sorted(swept.handed) == sorted(whole(kind).rows.keys() - {one["fingerprint"] for one in kept})
        assert bool(swept.fresh) is (not noted and bool(swept.agenda.contests))


@every_kind
def test_broken_off_time_and_again_it_comes_to_the_same_end(kind):
    for seed in range(3):
        chance, handed = random.Random(seed), []
        past = Past(hunts=whole(kind).past.hunts)
        while not (
            swept := carried_out(
                KINDS[kind].space(), past, chance=chance, slots=4, most=len(past.rows) + chance.randint(1, 40)
            )
        ).agenda.finished:
            past = swept.past  # what was under way is lost
            handed += [name for name in swept.handed if name in swept.rows]
        handed += swept.handed
        same(swept, kind)
        assert sorted(handed) == sorted(whole(kind).handed)


@every_kind
def test_rows_of_runs_that_nobody_asked_for_change_nothing(kind):
    """Such as those of a suggestion beyond the rung at which it was stopped, or failed."""
    swept = whole(kind)
    where, asked = KINDS[kind].space(), swept.agenda.asked()
    arms = [one.arm for contest in swept.agenda.contests for one in contest.candidates]
    grid = product({one.suggestion: one for one in arms}.values(), asked.search_orders, asked.search_seeds)
    tasks = where.tasks()
    more = [row(one.settings, Run(*run), tasks=tasks) for one, *run in grid]
    more += [made | {"suggestion": "another", "fingerprint": made["fingerprint"][::-1]} for made in more[:3]]
    beyond = {made["fingerprint"]: made for made in more} | swept.rows
    assert not arms or len(beyond) > len(swept.rows)
    found = again(kind, beyond.values())
    same(found, kind)
    assert not found.handed
    assert sorted(map(cell_of, found.agenda.relevant(beyond.values()))) == sorted(
        map(cell_of, swept.rows.values())
    )
    left = [beyond[name] for name in beyond if name not in swept.handed[::2]]
    found = again(kind, left)
    same(found, kind)


@every_kind
def test_a_job_that_is_given_up_at_any_point_holds_up_nothing_and_is_made_good_by_the_next_call(kind):
    where, one = KINDS[kind].space(), whole(kind)
    tasks = where.tasks()
    for unlucky in (0, 2, 6, 20):
        agenda = Agenda(where, IDENTITY, Past(hunts=one.past.hunts), slots=3)
        rows, lost, count = {}, None, 0
        while job := agenda.next():
            if count == unlucky:
                agenda.give_up(job)
                lost = job
            else:
                new = done(job, tasks=tasks)
                rows |= {made["fingerprint"]: made for made in new}
                agenda.put(new)
            count += 1
        assert agenda.finished
        now = agenda.standing()
        assert now.expected - now.done == (len(lost.cells) if lost else 0)
        assert agenda.snapshot().standing(rows.values()) == now
        same(again(kind, rows.values()), kind)


# --- what others see of it ---


@every_kind
def test_a_snapshot_and_the_driver_agree_about_what_is_part_of_the_sweep(kind, tmp_path):
    where, path = KINDS[kind].space(), tmp_path / "progress.json"
    agenda = Agenda(where, IDENTITY, Past(hunts=whole(kind).past.hunts))
    rows, looks, tasks = [], 0, where.tasks()
    while job := agenda.next():
        looks += 1
        rows += (new := done(job, tasks=tasks))
        agenda.put(new)
        agenda.waiting  # noqa: B018  # judges what came, as the driver does before it looks again
        snapshot = agenda.snapshot()
        assert sorted(map(cell_of, standing.relevant(rows, snapshot.asked))) == sorted(
            map(cell_of, agenda.relevant(rows))
        )
        assert snapshot.standing(rows) == agenda.standing()
        standing.keep(path, snapshot)
        assert standing.kept(path) == snapshot
    assert looks > 1 and standing.relevant(rows, snapshot.asked) == rows


@every_kind
def test_a_snapshot_made_anew_from_the_rows_is_the_driver_s(kind):
    where, rows = KINDS[kind].space(), list(whole(kind).rows.values())
    for seed in range(4):
        kept = rows[: len(rows) * seed // 3]
        driver = carried_out(where, Past(kept, hunts=whole(kind).past.hunts), most=len(kept))
        made = Agenda(where, IDENTITY, driver.past)
        while driver.agenda.next():
            pass
        while made.next():
            pass
        assert made.snapshot() == driver.agenda.snapshot()


# --- what the rules save ---


@pytest.mark.parametrize("kind", RUNGS)
def test_what_was_stopped_has_exactly_the_runs_of_its_rungs(kind):
    swept = whole(kind)
    asked, furthest = swept.agenda.asked(), {}
    for contest in swept.agenda.contests:
        for one in contest.candidates:
            reached = contest.course.rungs[one.rung]
            furthest[one.arm.suggestion] = max(reached, furthest.get(one.arm.suggestion, 0))
    ran = {name: set() for name in furthest}
    for made in swept.rows.values():
        order, seeds = tuple(made["order"]), (made["seed_init"], made["seed_data"])
        if made["suggestion"] in ran and order in asked.search_orders and seeds in asked.search_seeds:
            ran[made["suggestion"]].add((order, seeds))
    confirmed = {name for contest in asked.contests for name in contest.top}
    for name, count in furthest.items():
        wanted = set(product(asked.search_orders[:count], asked.search_seeds))
        assert ran[name] == wanted or (name in confirmed and ran[name] > wanted)
    for contest in asked.contests:
        assert all(furthest[name] == count < asked.rungs[-1] for name, count in contest.stopped.items())
        assert not set(contest.stopped) & set(contest.top)
    each = len(asked.search_orders) * len(asked.search_seeds)
    assert asked.saved == (len(furthest) * each, sum(furthest.values()) * len(asked.search_seeds))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in RUNGS])
def test_without_rungs_nothing_is_said_to_be_saved(kind):
    assert whole(kind).agenda.asked().saved is None


# --- more of it later ---


@pytest.mark.parametrize(
    ("kind", "less", "more"),
    [
        ("plain", ("search.suggestions=4",), ()),
        ("race", ("search.suggestions=4",), ()),
        ("tpe", ("search.suggestions=5",), ()),
        ("methods", ("search.budgets={ewc=2}",), ()),
        ("methods", ("search.suggestions=5",), ()),
        ("pair", ("search.suggestions=9",), ()),
        ("plain", ("confirm.top=1", "confirm.seeds={init=[0], data=[0]}"), ()),
        ("plain", ("confirm.orders.count=2",), ("confirm.orders.count=30",)),
        ("hunted", ("confirm.orders.count=2",), ()),
        ("first tasks", ("search.suggestions=4",), ()),
    ],
)
def test_more_wanted_later_equals_all_wanted_at_once_and_repeats_nothing(kind, less, more):
    few = carried_out(KINDS[kind].space(*less), Past(hunts=whole(kind).past.hunts))
    later = carried_out(KINDS[kind].space(*more), few.past)
    once = carried_out(KINDS[kind].space(*more), Past(hunts=whole(kind).past.hunts))
    assert not set(later.handed) & few.rows.keys()
    assert later.results == once.results and later.recorded == once.recorded
    assert set(later.handed) <= once.rows.keys()


@pytest.mark.parametrize("kind", ["plain", "race", "tpe", "methods", "first tasks"])
def test_more_search_orders_keep_the_suggestions_and_run_what_is_new(kind):
    one = whole(kind)
    more = carried_out(KINDS[kind].space("orders.count=16"), one.past)
    old, new = one.agenda.asked(), more.agenda.asked()
    assert more.fresh == 0 and more.recorded == one.recorded
    assert [c.suggestions for c in new.contests] == [c.suggestions for c in old.contests]
    assert new.search_orders[: len(old.search_orders)] == old.search_orders
    assert more.handed and not set(more.handed) & one.rows.keys()


def test_without_its_suggestions_on_record_a_model_would_suggest_otherwise_over_more_orders():
    one = whole("tpe")
    wide = KINDS["tpe"].space("orders.count=16", "search.suggestions=30", "search.ahead=1")
    kept = carried_out(wide, one.past).agenda.asked().contests[0].suggestions
    assert kept[:8] == one.agenda.asked().contests[0].suggestions


def test_budgets_are_those_of_each_method():
    methods = whole("methods").agenda.asked().contests
    assert [len(one.suggestions) for one in methods] == [8, 4]
    assert all(len(one.top) == 2 for one in methods)


def test_of_two_objectives_the_front_alone_is_confirmed():
    agenda = whole("pair").agenda
    (contest,) = agenda.contests
    complete = {c.arm.suggestion: c.values[-1] for c in contest.candidates if c.state == "complete"}

    def beaten(one):
        mean, std = complete[one]
        return any(m >= mean and s <= std and (m, s) != (mean, std) for m, s in complete.values())

    front = [one for one in complete if not beaten(one)]
    assert [one.arm.suggestion for one in contest.best()] == sorted(front, key=lambda one: -complete[one][0])
    assert set(agenda.asked().contests[0].top) <= set(front)


# --- every sampler ---


@pytest.mark.parametrize("sampler", ["qmc", "grid", "nsga2", "cmaes", "gp"])
def test_every_sampler_is_taken_up_and_extended_as_if_nothing_had_happened(sampler):
    """Rungs tell it estimates of what was stopped, and these too are the same again."""
    choices = ["method.strength={choices=[0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.5]}"]
    more = (f"search.sampler='{sampler}'", *(choices if sampler == "grid" else ()))

    def space(suggestions=14, *extra):
        return KINDS["race"].space(*more, f"search.suggestions={suggestions}", *extra)

    once, few = carried_out(space()), carried_out(space(6))
    assert carried_out(space(), few.past).results == once.results
    for seed in range(4):
        chance = random.Random(seed)
        kept = tuple(one for one in once.rows.values() if chance.random() < 0.6)
        past = Past(kept, once.recorded if seed % 2 else {})
        found = carried_out(space(), past, chance=chance, slots=3)
        assert found.agenda.asked() == once.agenda.asked() and found.results == once.results
        assert found.recorded == once.recorded
        assert sorted(found.handed) == sorted(once.rows.keys() - {one["fingerprint"] for one in kept})
    wider = carried_out(space(14, "orders.count=12"), once.past)
    assert wider.fresh == 0 and wider.recorded == once.recorded
    assert not set(wider.handed) & once.rows.keys()


def test_settings_that_are_chosen_while_a_net_learns_lead_without_a_search():
    found = json.loads(whole("continual").results)
    assert found["complete"] and found["best"] is None and found["search"] == []
    assert [one["role"] for one in found["table"]] == ["best", "baseline"]
