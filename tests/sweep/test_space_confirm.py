"""What is run after the search: which orders, how many of them, and with which seeds."""

from pathlib import Path

import pytest

from nai.orders import all_orders, sampled
from sweep.space import Mistakes, Orders, Until, loads, read

SPACE = """\
name = "confirmed"
[benchmark]
name = "split"
dataset = "mnist"
[model]
name = "mlp"
[method]
name = "nai"
[orders]
design = "random"
count = 20
[search]
suggestions = 1
[confirm]
"""
SIX = ("benchmark={name='permuted', dataset='mnist', tasks=6}",)
FOUR = ("benchmark={name='permuted', dataset='mnist', tasks=4}",)


def space(*overrides):
    return loads(SPACE, "confirmed.toml", overrides)


def mistakes(*overrides):
    with pytest.raises(Mistakes) as caught:
        loads(SPACE, "confirmed.toml", overrides)
    return str(caught.value).splitlines()


def test_up_to_five_tasks_all_orders_are_run_with_three_seeds():
    assert space().confirm_design(5) == (Orders(design="all"), None)
    assert space().confirm_orders(5) == all_orders(5)
    assert space().confirm_pairs == ((0, 0), (1, 1), (2, 2))


def test_beyond_five_tasks_orders_are_drawn_until_one_of_the_worst_twentieth_is_among_them():
    design = space(*SIX).confirm_design(6)
    assert (design.orders.design, design.until) == ("random", Until(tail=0.05))
    drawn = space(*SIX).confirm_orders(6)
    assert len(drawn) == design.orders.count and not set(drawn) & set(sampled(6, 20, 0))
    assert len(space(*SIX, "confirm.orders={design='all'}").confirm_orders(6)) == 720


@pytest.mark.parametrize("overrides", [SIX, ("confirm.orders={design='random', count=5, seed=3}",)])
def test_a_longer_draw_begins_with_the_shorter_and_meets_no_order_of_the_search(overrides):
    some = space(*overrides)
    tasks = some.tasks()
    short, long = some.confirm_orders(tasks, 10), some.confirm_orders(tasks, 60)
    assert long[:10] == short and len(long) == len(set(long)) == 60
    assert not set(long) & set(some.search_orders(tasks))
    assert long[: len(some.confirm_orders(tasks))] == some.confirm_orders(tasks)


def test_more_search_orders_take_from_the_confirmation_those_that_they_now_use_and_no_others():
    before, after = (
        space(f"orders.count={count}", "confirm.orders={design='random', count=24, seed=1}")
        for count in (24, 30)
    )
    old, new, searched = before.confirm_orders(5), after.confirm_orders(5), after.search_orders(5)
    kept = tuple(order for order in old if order not in searched)
    assert len(kept) == 20 and new[:20] == kept and len(new) == 24
    assert not set(new) & set(searched) and searched[:24] == before.search_orders(5)


def test_more_orders_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"120 orders .20 of them excluded., 101 asked: ask for at most 100"):
        space("confirm.orders={design='random', count=5}").confirm_orders(5, 101)
    with pytest.raises(ValueError, match='design "all" has 120 orders here, 60 asked'):
        space().confirm_orders(5, 60)


def test_until_without_orders_begins_with_a_random_draw_of_those_left():
    for asked in ("{half_width=0.002}", "{tail=0.1}"):
        design = space(f"confirm.until={asked}").confirm_design(5)
        assert (design.orders.design, design.orders.count) == ("random", 30)
    few = space(*FOUR, "confirm.until={tail=0.1}")
    assert few.confirm_design(4).orders.count == 4 and len(few.confirm_orders(4)) == 24 - 20


def test_until_begins_with_the_orders_that_are_given():
    given = space("confirm.until={half_width=0.002}", "confirm.orders={design='random', count=7, seed=2}")
    assert given.confirm_design(5) == (Orders(design="random", count=7, seed=2), Until(half_width=0.002))


def test_seeds_that_are_given_count():
    assert space("confirm.seeds={init=[4, 5], data=[6, 7]}").confirm_pairs == ((4, 6), (5, 7))


def test_methods_to_confirm_may_be_named():
    assert space("confirm.methods=['nai']").confirm.methods == ("nai",)
    assert space().confirm.methods is None


def test_what_is_confirmed_survives_writing_and_reading():
    for one in (space(), space("confirm.until={tail=0.1}", "confirm.methods=['nai']", "resources.memory=4")):
        assert loads(one.to_toml()) == one and not one.difference(loads(one.to_toml()))


STUDIES = sorted((Path(__file__).parents[2] / "docs" / "studies").glob("*/space.toml"))


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.parent.name)
def test_published_studies_can_be_run_again(study):
    assert read(study).name == study.parent.name


WRONG = {
    "confirm.until={}": "confirm.until: needs half_width or tail, one of them: such as {tail = 0.05}",
    "confirm.until={tail=0.1, half_width=0.1}": "confirm.until: needs half_width or tail, one of them: such",
    "confirm.until={tail=1.0}": "confirm.until.tail: must be above 0 and below 1, not 1.0",
    "confirm.until={half_width=0.0}": "confirm.until.half_width: must be above 0 and below 1, not 0.0",
    "confirm.until={tial=0.1}": "confirm.until.tial: unknown key; did you mean tail?",
    "confirm.until={tail=0.1}|confirm.orders={design='latin'}": "confirm: until draws more orders, so design "
    '"latin" has no use for it: take design "random", or leave out until',
    "confirm.until={tail=0.1}|orders={design='all'}": "confirm: 5 tasks have 120 orders (120 of them",
    "confirm.orders={design='random'}": 'confirm.orders.design: design "random" needs count: add it',
}


@pytest.mark.parametrize("overrides", WRONG)
def test_each_rule_of_confirming_names_its_key_and_the_way_out(overrides):
    assert any(WRONG[overrides] in line for line in mistakes(*overrides.split("|")))
