"""What `nai-sweep confirm` says, as changes of a search space."""

import pytest
from made_sweeps import KINDS

from nai.orders import all_orders, sampled
from sweep.confirming import MORE_SEED, overrides
from sweep.space import Mistakes
from sweep.space.confirm import Until


def space(**given):
    return KINDS["methods"].space(*overrides(**given))


def test_what_is_not_given_stays_as_it_was():
    assert overrides() == []
    plain = KINDS["methods"].space()
    assert space() == plain
    changed = space(top=3)
    assert changed.confirm == plain.confirm.model_copy(update={"top": 3})


def test_seeds_are_pairs_counted_from_0():
    assert space(seeds=3).confirm_pairs == ((0, 0), (1, 1), (2, 2))
    assert space(seeds=1).confirm_pairs == ((0, 0),)


@pytest.mark.parametrize(
    ("orders", "expected"), [("all", all_orders(5)), ("latin", None), ("williams", None)]
)
def test_orders_are_a_design_by_name(orders, expected):
    where = space(orders=orders)
    found = where.confirm_orders(5)
    assert where.confirm.orders.design == orders
    assert len(found) == len(set(found)) > 0
    if expected:
        assert set(found) == set(expected)
    else:  # each task in each place equally often
        places = [sorted(order[place] for order in found) for place in range(5)]
        assert places == [places[0]] * 5


@pytest.mark.parametrize("count", [7, "7"])
def test_orders_that_are_a_number_are_drawn_beside_those_of_the_search(count):
    where = space(orders=count)
    found = where.confirm_orders(5)
    assert len(found) == 7 and not set(found) & set(where.search_orders(5))
    drawn = [one for one in sampled(5, 40, MORE_SEED) if one not in where.search_orders(5)]
    assert list(found) == drawn[:7]
    assert space(orders=20).confirm_orders(5)[:7] == found


def test_methods_are_named():
    assert space(methods=["ewc"]).confirm.methods == ("ewc",)
    assert space(methods=("nai", "ewc")).confirm.methods == ("nai", "ewc")


@pytest.mark.parametrize(
    ("until", "expected"),
    [("half_width=0.002", Until(half_width=0.002)), ("tail=0.05", Until(tail=0.05))],
)
def test_until_draws_random_orders_whatever_the_space_had(until, expected):
    for more in ("confirm.orders={design='all'}", "confirm.orders={design='latin'}", "confirm.top=1"):
        where = KINDS["methods"].space(more, *overrides(until=until))
        assert where.confirm_design(5).until == expected
        assert where.confirm.orders.design == "random" and len(where.confirm_orders(5)) == 10
    assert len(space(until=until, orders=4).confirm_orders(5)) == 4


def test_until_stays_in_force_and_begins_with_the_orders_that_are_given():
    before = overrides(until="tail=0.05")
    where = KINDS["methods"].space(*before, *overrides(orders="12"))
    assert where.confirm_design(5).until == Until(tail=0.05) and len(where.confirm_orders(5)) == 12
    for orders in ("all", "latin"):
        with pytest.raises(Mistakes, match="or leave out until"):
            KINDS["methods"].space(*before, *overrides(orders=orders))


def test_a_set_of_orders_goes_by_its_name():
    assert overrides(orders="named:apd5") == ["confirm.orders={design='named', named='apd5'}"]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"orders": "alll"}, "confirm.orders"),
        ({"orders": 0}, "confirm.orders.count"),
        ({"orders": 10**6}, "confirm.orders"),
        ({"orders": ""}, "confirm.orders"),
        ({"orders": "named:nobody"}, "confirm.orders"),
        ({"seeds": 0}, "confirm.seeds"),
        ({"top": 0}, "confirm.top"),
        ({"methods": ["nia"]}, "confirm.methods"),
        ({"methods": ["nai", ""]}, "confirm.methods"),
        ({"until": "half_width=2"}, "confirm.until"),
        ({"until": "width=0.1"}, "confirm.until"),
        ({"until": "soon"}, "confirm.until"),
        ({"until": "tail=0.1, half_width=0.1"}, "confirm.until"),
        ({"orders": "latin", "until": "tail=0.1"}, "confirm: until"),
    ],
)
def test_a_mistake_names_the_key(given, key):
    with pytest.raises(Mistakes) as caught:
        space(**given)
    assert key in str(caught.value)
