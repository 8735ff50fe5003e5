"""Rows are durable before anybody knows of them; a worker's death costs a try of its own bundle alone."""

import pytest
from tiny_sweeps import lasting, tiny

from nai import trial
from sweep import bundle, record
from sweep.agenda import Agenda, Past
from sweep.jobs import Job, Means
from sweep.ledger import REST, RETRIES, Ledger, means
from sweep.space import Resources


@pytest.fixture(scope="module")
def digits():
    return trial.load(trial.Named.of(**tiny().first()["benchmark"]))


@pytest.fixture
def ledger(digits, tmp_path):
    return made(digits, tmp_path / "records")


def made(digits, folder):
    store = record.Store(folder)
    store.refresh()
    agenda = Agenda(tiny(), bundle.identity(digits.digest), Past(store.records.rows))
    ledger = Ledger(store, agenda, print, print)
    tracked, told = [], []
    ledger.track, ledger.told = tracked.extend, told.append
    ledger.tracked, ledger.heard = tracked, told
    return ledger


def done(job, digits, count=None):
    """Rows of a job, or of its first runs."""
    works = tuple(work._replace(runs=work.runs[:count]) for work in job.works)
    return list(bundle.train(Job(works), digits, device="cpu"))


def known(ledger):
    return ledger.agenda.book.rows


def test_rows_are_on_disk_before_they_are_known(ledger, digits):
    job = ledger.agenda.next()
    rows, seen = done(job, digits), []
    ledger.track = lambda fresh: seen.append(len(record.read(ledger.store.folder).rows) >= len(list(fresh)))
    ledger.write(rows)
    assert seen == [True]
    assert lasting(record.read(ledger.store.folder).rows) == lasting(known(ledger).values())
    assert ledger.heard[-1].done == len(rows)


def test_rows_that_somebody_else_recorded_are_taken_in(ledger, digits):
    record.write(ledger.store.folder, done(ledger.agenda.next(), digits))
    assert not known(ledger)
    ledger.refresh()
    assert len(known(ledger)) == len(ledger.tracked) == 6  # three runs of two suggestions


def test_nothing_is_written_for_no_rows(ledger):
    ledger.write([])
    assert not ledger.store.folder.exists()


def cells(job):
    return set(job.cells)


def worked_off(ledger, digits, dies):
    """Do all that is left, but for jobs on which the worker dies; the sizes of the jobs started."""
    sizes = []
    while job := ledger.agenda.next():
        sizes.append(len(job.cells))
        if dies(job):
            ledger.died(job)
        else:
            ledger.write(done(job, digits))
    return sizes


def test_a_job_whose_worker_died_before_it_got_anything_done_is_cut_in_two(ledger):
    whole = ledger.agenda.next()
    ledger.died(whole)
    first, second = ledger.agenda.next(), ledger.agenda.next()
    assert cells(first) | cells(second) == cells(whole) and not cells(first) & cells(second)
    assert [len(one.cells) for one in (first, second)] == [2, 4] and first.deaths == second.deaths == 0


def test_a_single_run_that_kills_its_workers_is_tried_again_and_then_left(ledger):
    job = ledger.agenda.next()
    while len(job.cells) > 1:
        ledger.died(job)
        job = ledger.agenda.next()
    for deaths in range(1, RETRIES + 1):
        ledger.died(job)
        assert ledger.agenda.next() == job._replace(deaths=deaths)
        job = job._replace(deaths=deaths)
    assert not ledger.agenda.book.lost
    ledger.died(job)
    assert ledger.agenda.book.lost == cells(job) and not known(ledger)


def test_too_little_memory_for_wide_jobs_ends_in_narrower_ones_and_loses_nothing(ledger, digits):
    sizes = worked_off(ledger, digits, lambda job: len(job.cells) > 1)
    assert not ledger.agenda.book.lost and ledger.agenda.standing().done == len(known(ledger))
    assert sizes.count(1) == len(known(ledger)) == ledger.agenda.standing().expected


def test_a_run_that_kills_its_workers_takes_no_other_with_it(ledger, digits):
    bad = (one := ledger.agenda.next()).cells[1]
    ledger.agenda.retry(one)
    worked_off(ledger, digits, lambda job: bad in job.cells)
    assert ledger.agenda.book.lost == {bad}
    assert len(known(ledger)) == ledger.agenda.standing().expected - 1


def test_deaths_of_one_job_do_not_count_against_another(ledger):
    ledger.agenda.slots = 2
    one, other = ledger.agenda.next(), ledger.agenda.next()
    assert not cells(one) & cells(other)
    while len(one.cells) > 1:
        ledger.died(one)
        one = ledger.agenda.next()
    for _ in range(RETRIES):
        ledger.died(one)
        one = ledger.agenda.next()
    while len(other.cells) > 1:
        ledger.died(other)
        other = ledger.agenda.next()
    assert one.deaths == RETRIES and other.deaths == 0
    ledger.died(other)
    assert ledger.agenda.next() == other._replace(deaths=1)


def test_what_a_worker_recorded_before_it_died_is_not_run_again_and_the_rest_stays_together(ledger, digits):
    job = ledger.agenda.next()
    ledger.write(done(job, digits, 1))
    ledger.died(job)
    left = ledger.agenda.next()
    assert [work.runs for work in left.works] == [work.runs[1:] for work in job.works]
    ledger.write(done(left, digits))
    ledger.died(left)
    assert not ledger.agenda.book.lost and cells(job) <= known(ledger).keys()


def test_bursts_hold_every_row_once_and_come_when_they_are_old_enough(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("sweep.bundle.time.monotonic", lambda: next(clock))
    made = list(bundle.bursts(iter(range(10)), seconds=2.5))
    assert made == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    monkeypatch.setattr("sweep.bundle.time.monotonic", lambda: 0.0)
    assert list(bundle.bursts(iter(range(4)), seconds=1.0)) == [[0, 1, 2, 3]]
    assert list(bundle.bursts(iter(()), seconds=1.0)) == []


def test_rows_before_an_accident_are_not_lost(ledger, digits):
    def rows():
        yield from done(ledger.agenda.next(), digits)
        raise OSError("the disk is on fire")

    with pytest.raises(OSError, match="on fire"):
        for some in bundle.bursts(rows(), seconds=0.0):
            ledger.write(some)
    assert len(known(ledger)) == 6


@pytest.mark.parametrize(("stack", "width"), [("auto", None), (4, 4)])
def test_a_stack_is_as_wide_as_wanted(stack, width):
    assert means(Resources(stack=stack, device="cpu")).stack == width


def test_a_worker_may_take_what_the_resources_say():
    given = means(Resources(cpus=2, gpus=0.5, device="cuda", memory=4.0))
    assert given == Means(cpus=2, gpus=0.5, device="cuda", stack=None, shelf=10**9)
    assert means(Resources()) == Means(cpus=1, gpus=0, device="cpu", stack=None, shelf=2**30)


def test_rows_are_taken_in_at_once_while_that_is_quick_and_in_bunches_when_it_takes_long(ledger, digits):
    now = [0.0]
    ledger.clock = lambda: now[0]

    def slow(standing):
        now[0] += 1.0

    ledger.told = slow
    rows = done(ledger.agenda.next(), digits)
    record.write(ledger.store.folder, rows[:1])
    assert ledger.glance() and now == [1.0]
    record.write(ledger.store.folder, rows[1:])
    now[0] += REST - 0.1
    assert not ledger.glance() and len(known(ledger)) == 1
    now[0] += 0.2
    assert ledger.glance() and len(known(ledger)) == len(rows)
