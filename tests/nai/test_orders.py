"""Laws of orders: inverses, balance, and draws that are uniform, without repeats and the same for ever."""

import itertools
import math
import random
from collections import Counter

import pytest

from nai import orders


@pytest.mark.parametrize(
    "wrong", [(0, 0, 2), (0, 1), (0, 1, 2, 3), (1, 2, 3), (0, 1, 2.0), (False, True, 2), "012", ()]
)
def test_what_is_no_permutation_is_refused(wrong):
    with pytest.raises(ValueError, match=r"is not a permutation of the 3 tasks 0\.\.2"):
        orders.check(wrong, 3)


def test_check_names_value_and_rule():
    with pytest.raises(ValueError) as error:
        orders.check((0, 0, 2), 3)
    assert str(error.value) == "order (0, 0, 2) is not a permutation of the 3 tasks 0..2"


def test_check_makes_a_tuple_of_a_list():
    assert orders.check([2, 0, 1], 3) == (2, 0, 1)
    assert orders.identity(3) == (0, 1, 2)


def test_no_tasks_have_no_order():
    with pytest.raises(ValueError, match="at least 1 task"):
        orders.check((), 0)


def test_positions_by_hand():
    # Task 2 is trained first, task 0 second, task 1 last.
    assert orders.positions((2, 0, 1)) == (1, 2, 0)


def test_positions_is_the_inverse():
    for order in orders.all_orders(5):
        when = orders.positions(order)
        assert all(order[when[task]] == task for task in range(5))
        assert orders.positions(when) == order


def test_kendall_distance_by_hand():
    # Of the pairs 01, 02, 12 the order (2, 0, 1) turns 02 and 12 round.
    assert orders.kendall_distance((0, 1, 2), (2, 0, 1)) == 2


def test_kendall_distance_is_a_metric_with_the_reversal_furthest():
    every = orders.all_orders(4)
    for a, b in itertools.product(every, repeat=2):
        distance = orders.kendall_distance(a, b)
        assert distance == orders.kendall_distance(b, a)
        assert (distance == 0) == (a == b)
        assert distance + orders.kendall_distance(a, b[::-1]) == 4 * 3 // 2
    assert orders.kendall_distance(tuple(range(9)), tuple(range(9))[::-1]) == 9 * 8 // 2


def test_kendall_distance_needs_the_same_tasks():
    with pytest.raises(ValueError, match="not a permutation of the 2 tasks"):
        orders.kendall_distance((0, 1), (0, 1, 2))


@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 5])
def test_rank_counts_lexicographically_and_unrank_undoes_it(tasks):
    every = orders.all_orders(tasks)
    assert list(every) == sorted(every) and len(set(every)) == math.factorial(tasks)
    assert [orders.rank(order) for order in every] == list(range(len(every)))
    assert tuple(orders.unrank(number, tasks) for number in range(len(every))) == every


def test_ranks_of_many_tasks_are_exact():
    last = math.factorial(30) - 1
    assert orders.unrank(last, 30) == tuple(range(30))[::-1]
    assert orders.rank(orders.unrank(last - 12345, 30)) == last - 12345


@pytest.mark.parametrize("number", [-1, 6])
def test_a_rank_outside_is_refused(number):
    with pytest.raises(ValueError, match=rf"rank {number} is not .* take 0..5"):
        orders.unrank(number, 3)


def test_too_many_orders_to_list_are_refused():
    with pytest.raises(ValueError, match="10 tasks have 10! orders"):
        orders.all_orders(10)


@pytest.mark.parametrize("draw", [orders.sampled, orders.latin, orders.class_orders])
@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 5])
def test_all_drawn_are_every_order_once(draw, tasks):
    count = math.factorial(tasks)
    assert sorted(draw(tasks, count, 3)) == list(orders.all_orders(tasks))


@pytest.mark.parametrize("draw", [orders.sampled, orders.latin, orders.class_orders])
def test_a_shorter_draw_begins_a_longer_one(draw):
    whole = draw(5, 120, 7)
    assert all(draw(5, count, 7) == whole[:count] for count in range(120))


@pytest.mark.parametrize("draw", [orders.sampled, orders.latin, orders.class_orders])
def test_seeds_differ_even_in_sign(draw):
    assert len({draw(6, 12, seed) for seed in (-2, -1, 0, 1, 2)}) == 5


def test_draws_are_pinned_for_ever():
    # A change here makes recorded sweeps draw other orders when they are run again.
    assert orders.sampled(5, 3, 0) == ((4, 3, 0, 1, 2), (1, 3, 2, 0, 4), (2, 0, 4, 1, 3))
    assert orders.latin(4, 5, 0) == ((2, 0, 3, 1), (0, 3, 1, 2), (1, 2, 0, 3), (3, 1, 2, 0), (3, 0, 1, 2))
    assert orders.class_orders(10, 1, 0) == ((4, 5, 1, 6, 7, 0, 2, 3, 8, 9),)


def test_orders_of_twenty_tasks_are_drawn_without_listing_them():
    drawn = orders.sampled(20, 500, 1)
    assert len(set(drawn)) == 500
    assert all(orders.check(order, 20) == order for order in drawn)


class Scripted:
    """Stands in for random.Random: hands out the given numbers, and notes how many bits were asked for."""

    def __init__(self, numbers):
        self.numbers, self.bits = iter(numbers), []

    def getrandbits(self, bits):
        self.bits.append(bits)
        return next(self.numbers)


def test_sampling_is_uniform_by_enumeration_of_chance(monkeypatch):
    # Two of 3! orders: the first draw takes one of 6 numbers, the second one of 5, each equally likely.
    # All 30 outcomes must give the 30 ordered pairs of different orders once each.
    pairs = Counter()
    for numbers in itertools.product(range(6), range(5)):
        monkeypatch.setattr(random, "Random", lambda address, numbers=numbers: Scripted(numbers))
        pairs[orders.sampled(3, 2, 0)] += 1
    assert pairs == Counter(itertools.permutations(orders.all_orders(3), 2))


def test_a_number_too_large_is_drawn_again_and_not_folded(monkeypatch):
    # 6 orders need 3 bits, 0..7; folding 6 and 7 back would make two orders twice as likely.
    chance = Scripted([6, 7, 2])
    monkeypatch.setattr(random, "Random", lambda address: chance)
    assert orders.sampled(3, 1, 0) == (orders.unrank(2, 3),)
    assert chance.bits == [3, 3, 3]


def test_excluded_orders_are_passed_over_and_the_others_keep_their_succession():
    whole = orders.sampled(4, 24, 5)
    exclude = whole[3:9] + whole[20:21]
    rest = tuple(order for order in whole if order not in exclude)
    assert orders.sampled(4, len(rest), 5, exclude) == rest
    assert orders.sampled(4, 6, 5, [*exclude, *exclude]) == rest[:6]


def test_more_orders_than_there_are_is_refused():
    with pytest.raises(ValueError) as error:
        orders.sampled(3, 10, 0)
    assert str(error.value) == "3 tasks have 6 orders, 10 asked: ask for at most 6"
    with pytest.raises(ValueError, match=r"6 orders \(2 of them excluded\), 5 asked: ask for at most 4"):
        orders.sampled(3, 5, 0, [(0, 1, 2), (2, 1, 0)])
    with pytest.raises(
        ValueError, match=r"3 of them in squares with excluded orders\), 4 asked: .* at most 3"
    ):
        orders.latin(3, 4, 0, [(1, 2, 0)])
    with pytest.raises(ValueError, match="3 classes have 6 orders, 7 asked"):
        orders.class_orders(3, 7, 0)


@pytest.mark.parametrize("draw", [orders.sampled, orders.latin, orders.class_orders])
@pytest.mark.parametrize(("tasks", "count"), [(0, 1), (3, -1)])
def test_senseless_numbers_are_refused(draw, tasks, count):
    with pytest.raises(ValueError, match="ask for 0 or more orders of at least 1"):
        draw(tasks, count, 0)


@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 5, 6, 7])
def test_latin_squares_have_each_task_once_in_each_position(tasks):
    squares = min(3, math.factorial(tasks - 1))
    rows = orders.latin(tasks, squares * tasks, 11)
    assert len(set(rows)) == squares * tasks
    for start in range(0, len(rows), tasks):
        for column in zip(*rows[start : start + tasks], strict=True):
            assert sorted(column) == list(range(tasks))


def test_latin_squares_go_round_excluded_orders_whole():
    exclude = orders.latin(4, 5, 2)  # one square and a row of the next
    rows = orders.latin(4, 16, 2, exclude)
    assert not set(rows) & set(orders.latin(4, 8, 2))
    assert rows == orders.latin(4, 24, 2)[8:]


def test_rows_of_a_latin_square_start_with_any_task():
    # The first row alone is drawn from all orders, so a cut square is not biased to a task.
    assert {orders.latin(4, 1, seed)[0] for seed in range(400)} == set(orders.all_orders(4))


@pytest.mark.parametrize("tasks", [2, 3, 4, 5, 6, 7])
def test_williams_balances_neighbours_and_positions(tasks):
    rows = orders.williams(tasks)
    times = 1 if tasks % 2 == 0 else 2
    assert len(set(rows)) == len(rows) == times * tasks
    neighbours = Counter(pair for row in rows for pair in itertools.pairwise(row))
    assert neighbours == dict.fromkeys(itertools.permutations(range(tasks), 2), times)
    for column in zip(*rows, strict=True):
        assert Counter(column) == dict.fromkeys(range(tasks), times)


def test_williams_of_one_task():
    assert orders.williams(1) == ((0,),)


def test_reversals_follow_without_repeats():
    given = ((0, 1, 2), (2, 1, 0), (1, 0, 2))
    assert orders.reversed_orders(given) == ((0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1))


def test_apd5_is_as_published():
    letters = ["0123456789", "1745208693", "7051843629", "5829043761", "2954806137"]
    assert orders.named_orders("apd5", 10) == tuple(tuple(map(int, order)) for order in letters)


def test_every_named_set_holds_orders_of_one_length():
    for name, named in orders.NAMED.items():
        assert orders.named_orders(name, len(named[0])) == orders.listed(named, len(named[0]))


def test_a_named_set_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="no orders are named 'apd6': choose from apd5"):
        orders.named_orders("apd6", 10)
    with pytest.raises(ValueError, match="orders 'apd5' are for 10 tasks, not 5: named for 5 tasks: none"):
        orders.named_orders("apd5", 5)


def test_a_wrong_order_in_a_list_is_named_by_its_index():
    with pytest.raises(ValueError, match=r"orders\[1\]: order \(0, 3, 1\) is not a permutation"):
        orders.listed([(0, 1, 2), (0, 3, 1)], 3)
    with pytest.raises(
        ValueError, match=r"orders\[2\] and orders\[0\] are both \(0, 1\): list each order once"
    ):
        orders.listed([[0, 1], [1, 0], [0, 1]], 2)


def test_class_orders_are_not_the_task_orders_of_the_same_seed():
    assert orders.class_orders(6, 20, 0) != orders.sampled(6, 20, 0)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("all", {}, orders.all_orders(4)),
        ("all", {"count": 24}, orders.all_orders(4)),
        ("random", {"count": 3, "seed": 5}, orders.sampled(4, 3, 5)),
        ("random", {"count": 3, "exclude": [[0, 1, 2, 3]]}, orders.sampled(4, 3, 0, [(0, 1, 2, 3)])),
        ("latin", {"seed": 2}, orders.latin(4, 4, 2)),
        ("latin", {"count": 6, "exclude": [(0, 1, 2, 3)]}, orders.latin(4, 6, 0, [(0, 1, 2, 3)])),
        ("williams", {}, orders.williams(4)),
        ("reversed", {}, ((0, 1, 2, 3), (3, 2, 1, 0))),
        ("reversed", {"orders": [[1, 0, 2, 3]]}, ((1, 0, 2, 3), (3, 2, 0, 1))),
        ("identity", {}, ((0, 1, 2, 3),)),
        ("list", {"orders": [[1, 0, 2, 3], [0, 1, 2, 3]]}, ((1, 0, 2, 3), (0, 1, 2, 3))),
    ],
)
def test_designs_by_name(name, options, expected):
    assert orders.design(name, 4, **options) == expected


def test_design_of_a_named_set():
    assert orders.design("named", 10, named="apd5") == orders.NAMED["apd5"]


@pytest.mark.parametrize("name", ["random", "latin"])
def test_drawn_designs_avoid_what_is_excluded(name):
    exclude = orders.design("random", 5, 20)
    assert not set(orders.design(name, 5, 20, exclude=exclude)) & set(exclude)


def test_all_is_all_whatever_is_excluded():
    assert orders.design("all", 3, exclude=orders.all_orders(3)) == orders.all_orders(3)


@pytest.mark.parametrize("name", ["williams", "reversed", "identity"])
def test_a_fixed_design_with_an_excluded_order_is_refused(name):
    with pytest.raises(ValueError, match=rf'design "{name}" holds the excluded order \(0, 1, 2\)'):
        orders.design(name, 3, exclude=[(0, 1, 2)])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "shuffled",
            {},
            "'shuffled' is unknown: choose from all, random, latin, williams, reversed, identity",
        ),
        ("random", {}, 'design "random" needs count'),
        ("list", {}, 'design "list" needs orders'),
        ("named", {}, 'design "named" needs named'),
        ("random", {"count": 0}, "nothing to run"),
        ("list", {"orders": []}, "nothing to run"),
        ("williams", {"count": 3}, 'design "williams" has 6 orders here, 3 asked: leave count out'),
        ("all", {"orders": [(0, 1, 2)]}, 'design "all" does not read orders: .* choose from list, reversed'),
        ("identity", {"seed": 1}, 'design "identity" does not read seed: leave it out'),
        ("random", {"count": 1, "named": "apd5"}, 'design "random" does not read named'),
        ("random", {"count": 1, "exclude": [(0, 0, 1)]}, "not a permutation"),
    ],
)
def test_what_a_design_cannot_be_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        orders.design(name, 3, **options)
