"""Rows are durable before anybody knows of them; a worker's death costs a try of its own bundle alone."""

import pytest
from tiny_sweeps import lasting, tiny

from nai import trial
from sweep import bundle, record
from sweep.agenda import Agenda
from sweep.ledger import RETRIES, Ledger, bursts, options
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
    ledger = Ledger(store, Agenda(tiny(), bundle.identity(digits.digest), store.records.rows), print, print)
    tracked, told = [], []
    ledger.track, ledger.told = tracked.extend, told.append
    ledger.tracked, ledger.heard = tracked, told
    return ledger


def done(job, digits, count=None):
    return list(bundle.train(job._replace(runs=job.runs[:count]), digits, device="cpu"))


def test_rows_are_on_disk_before_they_are_known(ledger, digits):
    job = ledger.agenda.next()
    rows, seen = done(job, digits), []
    ledger.track = lambda fresh: seen.append(len(record.read(ledger.store.folder).rows) >= len(list(fresh)))
    ledger.write(rows)
    assert seen == [True]
    assert lasting(record.read(ledger.store.folder).rows) == lasting(ledger.agenda.rows.values())
    assert ledger.heard[-1].done == len(rows)


def test_rows_that_somebody_else_recorded_are_taken_in(ledger, digits):
    record.write(ledger.store.folder, done(ledger.agenda.next(), digits))
    assert not ledger.agenda.rows
    ledger.refresh()
    assert len(ledger.agenda.rows) == len(ledger.tracked) == 3


def test_nothing_is_written_for_no_rows(ledger):
    ledger.write([])
    assert not ledger.store.folder.exists()


def test_a_bundle_whose_workers_die_is_tried_again_and_then_left(ledger):
    job = ledger.agenda.next()
    for deaths in range(1, RETRIES + 1):
        job = ledger.died(job)
        assert len(job.runs) == 3 and job.deaths == deaths
    assert ledger.died(job) is None
    assert not ledger.agenda.rows


def test_deaths_of_one_suggestion_do_not_count_against_another_with_the_same_runs(ledger):
    one, other = ledger.agenda.next(), ledger.agenda.next()
    assert one.runs == other.runs and one.settings != other.settings
    for _ in range(RETRIES):
        one = ledger.died(one)
    assert ledger.died(one) is None
    assert ledger.died(other).deaths == 1


def test_what_a_worker_recorded_before_it_died_is_not_run_again_and_gives_new_tries(ledger, digits):
    job = ledger.agenda.next()
    for _ in range(RETRIES):
        job = ledger.died(job)
    ledger.write(done(job, digits, 2))
    left = ledger.died(job)
    assert left.runs == job.runs[2:] and left.deaths == 1
    ledger.write(done(left, digits))
    assert ledger.died(left) is None


def test_bursts_hold_every_row_once_and_come_when_they_are_old_enough(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("sweep.ledger.time.monotonic", lambda: next(clock))
    made = list(bursts(iter(range(10)), seconds=2.5))
    assert made == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    monkeypatch.setattr("sweep.ledger.time.monotonic", lambda: 0.0)
    assert list(bursts(iter(range(4)), seconds=1.0)) == [[0, 1, 2, 3]]
    assert list(bursts(iter(()), seconds=1.0)) == []


def test_rows_before_an_accident_are_not_lost(ledger, digits):
    def rows():
        yield from done(ledger.agenda.next(), digits)
        raise OSError("the disk is on fire")

    with pytest.raises(OSError, match="on fire"):
        for some in bursts(rows(), seconds=0.0):
            ledger.write(some)
    assert len(ledger.agenda.rows) == 3


@pytest.mark.parametrize(("stack", "width"), [("auto", None), (4, 4)])
def test_a_stack_is_as_wide_as_wanted(stack, width):
    assert options(Resources(stack=stack, device="cpu")) == {"device": "cpu", "stack": width}
