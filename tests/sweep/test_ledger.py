"""Rows are durable before anybody knows of them; a worker's death costs a try of its own bundle alone."""

import pytest
from tiny_sweeps import lasting, tiny

from nai import trial
from sweep import bundle, record
from sweep.agenda import Agenda, Past
from sweep.jobs import Job, Means
from sweep.ledger import RETRIES, Ledger, means
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
    agenda = Agenda(tiny(), bundle.identity(digits.digest), Past(store.records.rows), slots=2)
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
    assert len(known(ledger)) == len(ledger.tracked) == 3


def test_nothing_is_written_for_no_rows(ledger):
    ledger.write([])
    assert not ledger.store.folder.exists()


def test_a_bundle_whose_workers_die_is_tried_again_and_then_left(ledger):
    first = job = ledger.agenda.next()
    for deaths in range(1, RETRIES + 1):
        ledger.died(job)
        job = ledger.agenda.next()
        assert job == first._replace(deaths=deaths)
    ledger.died(job)
    assert not known(ledger) and ledger.agenda.book.lost == set(first.cells)


def test_deaths_of_one_job_do_not_count_against_another(ledger):
    one, other = ledger.agenda.next(), ledger.agenda.next()
    assert not set(one.cells) & set(other.cells)
    for _ in range(RETRIES):
        ledger.died(one)
        one = ledger.agenda.next()
    ledger.died(other)
    assert ledger.agenda.next() == other._replace(deaths=1)


def test_a_work_that_kills_its_workers_takes_no_other_of_its_job_with_it(ledger, digits):
    fatal, harmless = ledger.agenda.next(), ledger.agenda.next()
    job = Job(fatal.works + harmless.works)
    for _ in range(RETRIES):
        ledger.died(job)
        job = ledger.agenda.next()
    last = [job, ledger.agenda.next()]
    assert {one.cells for one in last} == {fatal.cells, harmless.cells}
    for one in last:
        if one.works == fatal.works:
            ledger.died(one)
        else:
            ledger.write(done(one, digits))
    assert ledger.agenda.book.lost == set(fatal.cells) and known(ledger).keys() == set(harmless.cells)


def test_what_a_worker_recorded_before_it_died_is_not_run_again_and_gives_new_tries(ledger, digits):
    job = ledger.agenda.next()
    for _ in range(RETRIES):
        ledger.died(job)
        job = ledger.agenda.next()
    ledger.write(done(job, digits, 2))
    ledger.died(job)
    left = ledger.agenda.next()
    assert left.deaths == 1 and [work.runs for work in left.works] == [work.runs[2:] for work in job.works]
    ledger.write(done(left, digits))
    ledger.died(left)
    assert not ledger.agenda.book.lost and set(job.cells) <= known(ledger).keys()


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
    assert len(known(ledger)) == 3


@pytest.mark.parametrize(("stack", "width"), [("auto", None), (4, 4)])
def test_a_stack_is_as_wide_as_wanted(stack, width):
    assert means(Resources(stack=stack, device="cpu")).stack == width


def test_a_worker_may_take_what_the_resources_say():
    given = means(Resources(cpus=2, gpus=0.5, device="cuda", memory=4.0))
    assert given == Means(cpus=2, gpus=0.5, device="cuda", stack=None, shelf=10**9)
    assert means(Resources()) == Means(cpus=1, gpus=0, device="cpu", stack=None, shelf=2**30)
