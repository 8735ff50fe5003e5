"""The same rows lead to the same jobs and results, whenever, wherever and in whatever bundles they ran."""

import hashlib
import json
import random
from dataclasses import dataclass, field

import made_rows
import pytest

import sweep.agenda
from nai.metrics import METRICS
from sweep.agenda import Agenda, Past
from sweep.analysis import results, write_json
from sweep.jobs import Identity, Job
from sweep.space import loads

SPACE = """\
name = "made"
[benchmark]
name = "split"
dataset = "digits"
classes = 2
[model]
name = "mlp"
[method]
name = "nai"
strength = {low = 0.01, high = 10.0, log = true}
[orders]
design = "random"
count = 3
[search]
suggestions = 7
ahead = 3
[confirm]
baselines = ["finetune", {name = "ewc", strength = 2.0}]
top = 2
[confirm.orders]
design = "random"
count = 4
seed = 1
[confirm.seeds]
init = [0, 1]
data = [0, 1]
"""
CHOICES = "method.strength={choices=[0.5, 1.0, 2.0]}"


def space(*overrides):
    return loads(SPACE, overrides=overrides)


def suggestion(settings):
    return made_rows.suggestion(settings)


def fingerprint(settings, run):
    return hashlib.sha256(json.dumps([settings, run]).encode()).hexdigest()


def family(settings):
    """Strengths may share a stack."""
    return made_rows.suggestion(settings | {"method": settings["method"] | {"strength": 0}})


IDENTITY = Identity(suggestion, family)


def done(job, **given):
    """The rows of a job."""
    return [row(work.arm.settings, run, **given) for work in job.works for run in work.runs]


def fails(settings, run):
    """A method that cannot hold neurons strongly in the orders that begin below their end."""
    return settings["method"].get("strength", 0) > 1.0 and run.order[0] < run.order[-1]


def row(settings, run, *, failing=fails):
    """A result that depends on settings, order and seeds, all of them, and on nothing else."""
    name = fingerprint(settings, run)
    if failing(settings, run):
        given = {"error": "diverged: loss is nan"}
    else:
        noise = int(name[:4], 16) / 0xFFFF / 50
        value = 0.9 - abs(settings["method"].get("strength", 5.0) - 0.3) / 20 - noise
        given = {split: made_rows.flat(value, len(run.order)) for split in ("valid", "test")}
    return made_rows.row(settings, run.order, run.seeds, **given) | {"fingerprint": name}


@dataclass
class Swept:
    """A sweep carried out: its agenda, every run handed out by its fingerprint, in order, and every row."""

    agenda: Agenda
    handed: list[str]
    rows: dict[str, dict] = field(repr=False)

    @property
    def results(self):
        return write_json(results(self.agenda.relevant(self.rows.values()), self.agenda.asked()))

    @property
    def suggestions(self):
        asked = self.agenda.asked()
        return list(dict.fromkeys(one for contest in asked.contests for one in contest.suggestions))


def carried_out(where, records=(), *, chance=None, slots=1, failing=fails, most=None):
    """All jobs done one by one, or with `chance` many at once, their rows coming in singly in any order."""
    agenda = Agenda(where, IDENTITY, Past(tuple(records)), slots=slots)
    rows = {old["fingerprint"]: old for old in records}
    flying, handed = [], []
    while len(rows) < (most or 10**9):
        while (chance is None or chance.random() < 0.8) and (job := agenda.next()):
            new = done(job, failing=failing)
            handed += [one["fingerprint"] for one in new]
            flying += new
        if not flying and not (job := agenda.waiting):
            break
        if flying:
            count = len(flying) if chance is None else chance.randint(1, len(flying))
            some = [flying.pop(0 if chance is None else chance.randrange(len(flying))) for _ in range(count)]
            rows |= {new["fingerprint"]: new for new in some}
            agenda.put(some)
    return Swept(agenda, handed, rows)


WHOLE = carried_out(space())


def test_a_sweep_is_its_suggestions_on_search_orders_and_its_report():
    agenda = WHOLE.agenda
    found = json.loads(WHOLE.results)
    assert agenda.finished and not agenda.waiting and agenda.next() is None
    # 7 suggestions x 3 orders, then 2 leaders and 2 baselines x 4 orders x 2 pairs of seeds
    assert len(WHOLE.handed) == len(set(WHOLE.handed)) == len(WHOLE.rows) == 7 * 3 + 4 * 8
    assert found["complete"] and found["done"] + found["failed"] == found["expected"] == 53
    leaders = [one["suggestion"] for one in found["search"][:2]]
    assert [one["suggestion"] for one in found["table"]] == [*leaders, *agenda.asked().baselines]
    assert [one["role"] for one in found["table"]] == ["best", "best", "baseline", "baseline"]
    assert all(one["missing"] == 0 for one in found["table"])
    assert [(one["orders"], one["seeds"], one["failed"]) for one in found["table"][:3]] == [(4, 2, 0)] * 3


def test_baselines_share_everything_but_the_method_with_the_best_suggestion():
    where = space("training.rate={low=1e-4, high=1e-2, log=true}", "confirm.top=1")
    swept = carried_out(where)
    best = json.loads(swept.results)["best"]["settings"]
    methods = {}
    for row in swept.rows.values():
        if row["suggestion"] in swept.agenda.asked().baselines:
            chosen = json.loads(row["settings"])
            methods[chosen["method"]["name"]] = chosen["method"]
            assert chosen | {"method": None} == best | {"method": None}
    assert methods == {"finetune": {"name": "finetune"}, "ewc": {"name": "ewc", "strength": 2.0}}


@pytest.mark.parametrize("seed", range(12))
def test_no_order_of_arrival_and_no_number_of_workers_changes_anything(seed):
    chance = random.Random(seed)
    swept = carried_out(space(), chance=chance, slots=chance.randint(1, 20))
    assert swept.suggestions == WHOLE.suggestions
    assert swept.agenda.asked().baselines == WHOLE.agenda.asked().baselines
    assert swept.agenda.asked() == WHOLE.agenda.asked()
    assert sorted(swept.handed) == sorted(WHOLE.handed)
    assert swept.results == WHOLE.results


@pytest.mark.parametrize("seed", range(12))
def test_with_any_rows_on_record_exactly_the_missing_runs_are_handed_out(seed):
    chance = random.Random(seed)
    kept = [row for row in WHOLE.rows.values() if chance.random() < seed / 11]
    chance.shuffle(kept)
    swept = carried_out(space(), kept, chance=chance, slots=chance.randint(1, 9))
    missing = WHOLE.rows.keys() - {row["fingerprint"] for row in kept}
    assert sorted(swept.handed) == sorted(missing)
    assert swept.results == WHOLE.results
    assert swept.agenda.standing() == WHOLE.agenda.standing()


@pytest.mark.parametrize("seed", range(8))
def test_broken_off_and_taken_up_time_and_again_a_sweep_comes_to_the_same_end(seed):
    chance, rows, handed = random.Random(seed), {}, []
    while not (
        swept := carried_out(space(), rows.values(), chance=chance, most=len(rows) + 9)
    ).agenda.finished:
        rows = swept.rows  # what was under way is lost
        handed += [name for name in swept.handed if name in rows]
    handed += swept.handed
    assert swept.results == WHOLE.results
    assert sorted(handed) == sorted(WHOLE.handed)


def test_with_everything_on_record_nothing_is_handed_out():
    agenda = Agenda(space(), IDENTITY, Past(tuple(WHOLE.rows.values())))
    assert not agenda.waiting and agenda.finished
    assert Swept(agenda, [], WHOLE.rows).results == WHOLE.results


def test_its_course_is_worked_out_once_and_the_leader_is_sought_now_and_then(monkeypatch):
    """Each time it names all suggestions, which takes longer than a small run if there are many."""
    calls = {"course": 0, "labels": 0}

    def counted(name):
        plain = getattr(sweep.agenda, name)

        def count(*given):
            calls[name] += 1
            return plain(*given)

        monkeypatch.setattr(sweep.agenda, name, count)

    counted("course")
    counted("labels")
    where = loads(
        SPACE.partition("[confirm]")[0],
        overrides=["search.sampler=random", "search.suggestions=300", "orders.count=1"],
    )
    agenda = Agenda(where, IDENTITY, Past())
    while job := agenda.next():
        agenda.put(done(job, failing=lambda chosen, run: False))
        agenda.standing()
    assert calls["course"] == 1 and calls["labels"] < 150
    assert agenda.snapshot().best.suggestion == agenda.contests[0].best()[0].arm.suggestion
    assert all(contest.course is agenda.course for contest in agenda.contests)


def test_more_suggestions_leave_the_first_as_they_were_and_equal_a_sweep_that_had_them_from_the_start():
    few = carried_out(space("search.suggestions=4"))
    more = carried_out(space(), few.rows.values())
    assert more.suggestions[:4] == few.suggestions
    assert not set(more.handed) & few.rows.keys()
    # the report of the four may have led to runs that the report of the seven does not ask for
    assert more.rows.keys() >= WHOLE.rows.keys()
    assert more.results == WHOLE.results
    assert more.agenda.standing() == WHOLE.agenda.standing()


def test_a_report_that_wants_less_than_is_on_record_equals_one_that_never_wanted_more():
    less = space("confirm.top=1", "confirm.baselines=['finetune']", "confirm.seeds={init=[0], data=[0]}")
    assert carried_out(less, WHOLE.rows.values()).results == carried_out(less).results


def test_the_report_runs_on_its_own_orders_and_the_search_on_validation_alone():
    agenda = WHOLE.agenda
    asked = agenda.asked()
    assert not set(asked.search_orders) & set(asked.confirm_orders)
    blind = Agenda(space(), IDENTITY, Past())
    while job := blind.next():
        rows = done(job)
        blind.put(one | {"test": None} if tuple(one["order"]) in asked.search_orders else one for one in rows)
    assert blind.asked() == asked


# --- bundles ---


def test_settings_that_are_given_are_not_called_tuned_nor_judged_by_what_chose_them():
    agenda = Agenda(
        space("method={name='ewc'}", "orders={design='identity'}", "confirm.orders={design='identity'}"),
        IDENTITY,
        Past(),
    )
    rows = []
    while job := agenda.next():
        rows += done(job)
        agenda.put(rows)
    found = results(rows, agenda.asked())
    assert found["tuning"] == "settings as given" and found["table"][0]["orders"] == 1
    assert not any("share" in caution for caution in found["cautions"])


def test_workers_beyond_the_suggestions_under_way_share_a_suggestion():
    def sizes(slots, grain=1):
        agenda = Agenda(space("orders.count=8"), IDENTITY, Past(), slots=slots, grain=grain)
        jobs = []
        while job := agenda.next():
            jobs.append(job)
        return [[len(work.runs) for work in job.works] for job in jobs]

    assert sizes(1) == [[8, 8, 8]]  # three suggestions ahead, of one family
    # parts of the order tree, for all suggestions at once; smaller pieces towards the end
    assert sizes(2) == [[4, 4, 4], [2, 2, 2], [1, 1, 1], [1, 1], [1]]
    assert sizes(2, grain=12) == [[4, 4, 4], [4, 4, 4]]
    assert sizes(100) == [[1]] * 24
    assert sizes(100, grain=3) == [[1]] * 24  # there are idle workers enough


# --- failures ---


def test_a_failed_run_is_a_result_and_not_run_again():
    failed = {name for name, row in WHOLE.rows.items() if row["error"]}
    assert 0 < len(failed) < len(WHOLE.rows) and failed <= set(WHOLE.handed)
    assert WHOLE.agenda.standing().failed == len(failed)
    assert not carried_out(space(), WHOLE.rows.values()).handed


def test_a_suggestion_with_a_failed_run_is_no_leader():
    ranked = json.loads(WHOLE.results)["search"]
    assert {one["failed"] > 0 for one in ranked} == {True, False}
    assert all((one["value"] is None) == (one["failed"] > 0) for one in ranked)


def test_when_every_suggestion_fails_the_sweep_ends_without_a_report():
    swept = carried_out(space(), failing=lambda settings, run: True)
    found = json.loads(swept.results)
    assert swept.agenda.finished and len(swept.handed) == 7 * 3
    assert found["best"] is None and found["table"] == [] and found["complete"]
    assert found["failed"] == found["expected"] == 21 and found["done"] == 0
    assert all(one["value"] is None for one in found["search"])
    assert swept.agenda.standing().best is None


def given_up(where, unlucky):
    """A sweep on which every worker dies that gets a run of the `unlucky` th job."""
    agenda, rows, jobs = Agenda(where, IDENTITY, Past()), {}, []
    while job := agenda.next():
        jobs.append(job)
        if len(jobs) - 1 == unlucky:
            agenda.give_up(job)
        else:
            new = done(job)
            rows |= {row["fingerprint"]: row for row in new}
            agenda.put(new)
    return Swept(agenda, [], rows), jobs[unlucky]


@pytest.mark.parametrize("unlucky", [0, 1, 2, 3, 4])
def test_a_job_that_is_given_up_holds_up_nothing_and_is_tried_by_the_next_call(unlucky):
    swept, job = given_up(space(), unlucky)
    lost = {one["fingerprint"] for one in done(job)}
    assert swept.agenda.finished and not lost & swept.rows.keys()
    found = json.loads(swept.results)
    assert not found["complete"] and found["expected"] - found["done"] - found["failed"] == len(lost)
    again = carried_out(space(), swept.rows.values())
    assert lost <= set(again.handed) and again.results == WHOLE.results


def test_what_is_left_of_a_job_is_what_is_not_on_record():
    agenda = Agenda(space(), IDENTITY, Past())
    job = agenda.next()
    assert agenda.left(job) == job
    work, *others = job.works
    agenda.put([row(work.arm.settings, work.runs[1])])
    assert agenda.left(job) == Job((work._replace(runs=(work.runs[0], work.runs[2])), *others))


# --- edges ---


def test_runs_that_two_suggestions_share_are_handed_out_once():
    where = space(CHOICES, "search.suggestions=9", "search.sampler='random'")
    for seed in range(4):
        swept = carried_out(where, chance=random.Random(seed), slots=7)
        found = json.loads(swept.results)
        assert len(swept.suggestions) == 3  # of nine asked
        assert len(swept.handed) == len(set(swept.handed)) == 3 * 3 + 4 * 8
        assert found["complete"] and found["expected"] == 3 * 3 + 4 * 8


def test_a_baseline_that_is_the_best_suggestion_is_run_once_and_leads():
    where = space("method.strength={choices=[0.3, 2.0]}", "search.sampler='grid'", "confirm.top=1")
    twin = space(
        "method.strength={choices=[0.3, 2.0]}",
        "search.sampler='grid'",
        "confirm.top=1",
        "confirm.baselines=['finetune', {name='nai', strength=0.3}]",
    )
    alone, swept = carried_out(where), carried_out(twin)
    found = json.loads(swept.results)
    assert found["best"]["settings"]["method"]["strength"] == 0.3
    assert found["best"] == json.loads(alone.results)["best"]
    assert [(one["method"], one["role"]) for one in found["table"]] == [
        ("nai", "best"),
        ("finetune", "baseline"),
    ]
    assert len(swept.handed) == len(set(swept.handed)) == 2 * 3 + 2 * 8
    assert found["complete"] and found["expected"] == len(swept.handed)


def test_without_a_report_the_search_is_all():
    where = loads(SPACE.partition("[confirm]")[0])
    swept = carried_out(where)
    found = json.loads(swept.results)
    assert len(swept.handed) == 21 and found["complete"] and found["table"] == []
    assert found["best"]["suggestion"] == json.loads(WHOLE.results)["best"]["suggestion"]


def test_with_nothing_to_search_there_is_one_suggestion():
    swept = carried_out(space("method.strength=0.5", "confirm.top=3"))
    found = json.loads(swept.results)
    assert len(swept.suggestions) == 1 and len(swept.handed) == 3 + 3 * 8
    assert found["complete"] and found["expected"] == 27


def test_more_leaders_wanted_than_suggestions_made_are_as_many_as_there_are():
    swept = carried_out(space("confirm.top=50", CHOICES, "search.sampler='grid'"), failing=lambda s, r: False)
    found = json.loads(swept.results)
    assert len(swept.handed) == 3 * 3 + 5 * 8 == found["expected"] and found["complete"]


def test_more_ahead_than_suggestions_is_all_at_once():
    agenda = Agenda(space("search.ahead=50"), IDENTITY, Past())
    job = agenda.next()
    assert len(job.works) == 7 and agenda.next() is None
    assert not agenda.finished


def test_a_report_over_all_orders_takes_over_the_runs_of_the_search():
    where = space("benchmark.classes=5", "orders={design='all'}", "confirm.orders={design='all'}")
    swept = carried_out(where, failing=lambda s, r: False)
    found = json.loads(swept.results)
    # 2 orders: the report's runs with the first pair of seeds are on record for the two leaders
    assert len(swept.handed) == len(set(swept.handed)) == 7 * 2 + 2 * 2 + 2 * 4
    assert found["complete"] and found["expected"] == len(swept.handed)


@pytest.mark.parametrize("metric", ["average_accuracy", "forgetting"])
def test_the_search_goes_for_what_is_better_by_its_metric(metric):
    direction = METRICS[metric].direction

    def curved(settings, run):
        """The stronger, the less forgotten and the less learnt."""
        strength = settings["method"].get("strength", 5.0)
        lines = [[0.5] * 5 for _ in range(6)]
        for at, task in enumerate(run.order):
            for after in range(at + 1, 6):
                lines[after][task] = 0.9 - 0.02 * strength - (after > at + 1) * 0.3 / (1 + strength)
        return made_rows.row(settings, run.order, run.seeds, valid=lines, test=lines) | {
            "fingerprint": fingerprint(settings, run)
        }

    agenda = Agenda(space(f"objective.metric={metric}", "search.suggestions=30"), IDENTITY, Past())
    rows = []
    while job := agenda.next():
        rows += (new := [curved(work.arm.settings, run) for work in job.works for run in work.runs])
        agenda.put(new)
    found = json.loads(write_json(results(agenda.relevant(rows), agenda.asked())))
    values = [one["value"] for one in found["search"]]
    assert values == sorted(values, reverse=direction > 0)
    strengths = [json.loads(made["settings"])["method"].get("strength") for made in rows]
    if metric == "forgetting":  # least at the strongest, and there the later suggestions are
        assert found["best"]["settings"]["method"]["strength"] > 8
        assert sum(strengths[60:90]) > sum(strengths[:30])


# --- progress ---


def test_progress_counts_up_to_what_is_expected():
    agenda, seen = Agenda(space(), IDENTITY, Past()), []
    assert agenda.standing().expected == 53
    while job := agenda.next():
        seen.append(agenda.standing())
        agenda.put(done(job))
    seen.append(agenda.standing())
    assert [one.expected for one in seen] == [53] * len(seen)
    counts = [one.done for one in seen]
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == 53
    assert {one.phase for one in seen} == {"search", "confirm"} and seen[-1].phase == "confirm"
    assert seen[0].best is None and seen[-1].best.suggestion == WHOLE.agenda.standing().best.suggestion
