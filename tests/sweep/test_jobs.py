"""The pool hands out every run once, in fair shares, whatever happens to the workers."""

import random
from itertools import permutations

import pytest

from sweep.jobs import Arm, Cell, Job, Pool, Run, Work, as_plain, crossed, cut, from_plain, halves, pieces

ORDERS = tuple(permutations(range(4)))


def work(name="a", count=8, family="f", seeds=((0, 0),), later=()):
    return Work(Arm(name, family, {"method": {"name": name}}), crossed(ORDERS[:count], seeds), later)


def sizes(job):
    return [len(one.runs) for one in job.works]


def taken(pool, slots):
    jobs = []
    while job := pool.take(slots):
        jobs.append(job)
    return jobs


@pytest.mark.parametrize("seed", range(12))
def test_every_run_is_handed_out_once_whatever_comes_and_goes(seed):
    chance = random.Random(seed)
    pool = Pool(grain=chance.choice([1, 1, 3, 8]))
    wanted, done, away = set(), [], []
    for step in range(200):
        if step < 100 and chance.random() < 0.3:
            new = work(chance.choice("abcd"), chance.randint(1, 24), chance.choice("fg"))
            new = new.only(cell for cell in new.cells if cell not in wanted or cell in pool.claimed)
            wanted |= new.cells.keys()
            pool.add(new)
        if chance.random() < 0.6 and (job := pool.take(chance.randint(1, 6))):
            away.append((job, list(job.cells)))
        if away and (chance.random() < 0.5 or step >= 100):
            job, left = away.pop(chance.randrange(len(away)))
            match chance.choice(["comes", "some", "dies"]):
                case "comes":
                    pool.settle(left)
                    done += left
                case "some":  # its rows come in parts
                    count = chance.randint(0, len(left))
                    pool.settle(left[:count])
                    done += left[:count]
                    if left[count:]:
                        away.append((job, left[count:]))
                case "dies":
                    pool.settle(set(job.cells) - set(left))
                    pool.retry(Job(tuple(w for one in job.works if (w := one.only(left)).runs), 1))
    while pool or away:
        while job := pool.take(3):
            away.append((job, list(job.cells)))
        _, left = away.pop()
        pool.settle(left)
        done += left
    assert len(done) == len(set(done)) and set(done) == wanted
    assert not pool.claimed and not pool.away and not pool


def test_what_waits_or_is_under_way_is_not_taken_in_twice():
    pool = Pool()
    pool.add(work(count=6))
    pool.add(work(count=8))  # two new ones
    assert sum(map(sum, map(sizes, taken(pool, 1)))) == 8
    pool.add(work(count=9))
    (job,) = taken(pool, 1)
    assert sizes(job) == [1]
    pool.settle(job.cells)
    pool.add(work(count=9))  # whoever adds it leaves out what is on record
    assert sizes(pool.take(1)) == [1] and not pool


@pytest.mark.parametrize(
    ("count", "slots", "grain", "expected"),
    [
        (24, 1, 1, [24]),
        (24, 2, 1, [12, 6, 2, 2, 1, 1]),  # smaller towards the end, so that all end together
        (24, 4, 1, [6, 6, 2, 4, 2, 1, 1, 1, 1]),
        (24, 100, 1, [1] * 24),
        (24, 4, 8, [6, 6, 6, 6]),  # shared among those that are idle
        (24, 2, 100, [12, 12]),
        (5, 4, 100, [2, 1, 1, 1]),
        (3, 8, 32, [1, 1, 1]),
    ],
)
def test_shares_are_about_even_among_idle_workers(count, slots, grain, expected):
    pool = Pool(grain)
    pool.add(work(count=count))
    assert [sum(sizes(job)) for job in taken(pool, slots)] == expected
    assert sum(expected) == count and max(expected) <= -(-count // slots) * 4 / 3


def test_works_of_one_family_go_together_and_of_others_wait():
    pool = Pool()
    for name, family in (("a", "f"), ("b", "g"), ("c", "f"), ("d", "g"), ("e", "f")):
        pool.add(work(name, 4, family))
    jobs = taken(pool, 1)
    assert [[one.arm.suggestion for one in job.works] for job in jobs] == [["a", "c", "e"], ["b", "d"]]
    for job in jobs:
        assert len({one.arm.family for one in job.works}) == 1


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
def test_a_first_task_is_trained_by_one_worker_for_all_settings_of_a_family(slots):
    pool = Pool(grain=18)
    for name in "abc":
        pool.add(work(name, 24, seeds=((0, 0), (1, 1))))
    trained = [{(c.seeds, c.order[0]) for c in job.cells} for job in taken(pool, slots)]
    assert len(trained) >= slots and sum(map(len, trained)) == 8  # two seeds, four first tasks
    assert set.union(*trained) == {(pair, task) for pair in ((0, 0), (1, 1)) for task in range(4)}


def test_a_cut_is_where_the_fewest_tasks_are_shared():
    some = pieces([work("a", 24), work("b", 24)])  # 12 of each first task, 4 of each two, 2 of each order
    assert [cut(some, size) for size in (12, 14, 10, 20, 6, 4)] == [12, 12, 12, 24, 4, 4]
    assert [cut(some[:8], size) for size in (3, 4, 5)] == [4, 4, 4]
    assert [cut(some[:2], 1), cut(some[:1], 1)] == [1, 1]


def test_a_cut_keeps_what_may_come_later_and_neighbours_together():
    later = crossed(ORDERS[8:], [(0, 0)])
    pool = Pool()
    pool.add(work(count=8, later=later))
    jobs = taken(pool, 2)
    assert all(one.later == later for job in jobs for one in job.works)
    runs = [run for job in jobs for one in job.works for run in one.runs]
    assert runs == sorted(runs, key=lambda run: (run.seeds, run.order))


def test_a_job_whose_worker_died_comes_back_as_it_was_before_anything_else():
    pool = Pool()
    pool.add(work("a", 4))
    pool.add(work("b", 4, "g"))
    job = pool.take(1)
    again = job._replace(deaths=1)
    pool.retry(again)
    assert pool and not pool.away
    assert pool.take(1) == again and len(pool.away) == 1
    assert pool.take(1).works[0].arm.suggestion == "b"


def test_halves_are_about_even_and_keep_neighbours_together():
    later = crossed(ORDERS[8:], [(0, 0)])
    uneven = Job((work("a", 1), work("b", 23, later=later)), deaths=1)
    first, second = halves(uneven)
    assert sorted(first.cells + second.cells) == sorted(uneven.cells)
    assert min(len(first.cells), len(second.cells)) >= 8
    assert second.works[-1].later == later and first.deaths == second.deaths == 0
    strengths = Job(tuple(work(name, 24) for name in "abcd"))
    begins = [{run.order[0] for one in part.works for run in one.runs} for part in halves(strengths)]
    assert begins == [{0, 1}, {2, 3}]  # each first task is trained for all four by one worker
    one = Job((work("a", 8, seeds=((0, 0), (1, 1)), later=later),))
    first, second = halves(one)
    assert {run.seeds for run in first.works[0].runs} == {(0, 0)} and first.works[0].later == later
    assert {run.seeds for run in second.works[0].runs} == {(1, 1)}
    assert sorted(first.cells + second.cells) == sorted(one.cells)
    assert [len(part.cells) for part in halves(Job((work(count=3),)))] == [1, 2]
    assert halves(Job((work(count=1),))) == [Job((work(count=1),))]


def test_given_up_it_is_free_to_be_asked_for_again():
    pool = Pool()
    pool.add(work(count=3))
    pool.settle(pool.take(1).cells)
    assert not pool and not pool.away and pool.take(1) is None
    pool.add(work(count=3))
    assert sizes(pool.take(1)) == [3]


def test_rows_that_come_in_parts_end_a_job_with_the_last():
    pool = Pool()
    pool.add(work(count=4))
    pool.add(work("b", 4, "g"))
    job = pool.take(2)
    *some, last = job.cells
    pool.settle(some)
    assert len(pool.away) == 1 and pool.claimed >= {last}
    pool.settle([last])
    assert not pool.away


def test_no_runs_are_no_work():
    pool = Pool()
    pool.add(work(count=0))
    assert not pool and pool.take(3) is None


def test_cells_are_what_rows_will_be_about_and_choose_runs():
    one = work("a", 3, seeds=((0, 0), (1, 5)))
    assert list(one.cells)[:2] == [Cell("a", ORDERS[0], (0, 0)), Cell("a", ORDERS[1], (0, 0))]
    assert one.only([Cell("a", ORDERS[2], (1, 5)), Cell("b", ORDERS[0], (0, 0))]).runs == (
        Run(ORDERS[2], (1, 5)),
    )
    assert Job((one, work("b", 1))).cells == (*one.cells, *work("b", 1).cells)


def test_a_work_travels_as_plain_values():
    one = work("a", 3, seeds=((0, 0), (1, 5)), later=crossed([(0,), (1, 2)], [(0, 0)]))
    plain = as_plain(one)
    assert from_plain(plain) == one

    def bare(value):
        if isinstance(value, dict):
            return all(isinstance(k, str) and bare(v) for k, v in value.items())
        return type(value) in (int, str) or (type(value) is list and all(map(bare, value)))

    assert bare(plain)
