"""The n-th suggestion depends on the results of the first n - ahead + 1 alone, whatever else has happened."""

import itertools
import math
import random

import pytest

from sweep.search import Suggester
from sweep.space import Choice, Range, Search

MIXED = {
    "method.kind": Choice(choices=("a", "b", "c")),
    "method.strength": Range(low=1e-3, high=10.0, log=True),
    "model.widths": Choice(choices=((10,), (20, 20), (30,))),
    "training.epochs": Range(low=1, high=9),
}
COUNTABLE = {
    "method.kind": Choice(choices=("a", "b")),
    "method.share": Range(low=0.1, high=0.7, step=0.2),
    "model.widths": Choice(choices=((10,), (20, 20))),
    "training.epochs": Range(low=1, high=9, step=4),
}
SAMPLERS = {"tpe": 30, "random": 30, "grid": 48, "gp": 18}  # the Gaussian process starts after ten results


def suggester(sampler, *, ahead=4, seed=0, count=None, direction=1):
    count = count or SAMPLERS[sampler]
    search = Search(sampler=sampler, suggestions=count, seed=seed, ahead=ahead)
    parameters = COUNTABLE if sampler == "grid" else MIXED
    return Suggester(parameters, search, count=count, direction=direction)


def value(suggestion):
    """An objective that depends on every setting; one suggestion in seven fails."""
    if suggestion.number % 7 == 5:
        return None
    return sum(math.sin(i + len(str(v))) for i, v in enumerate(suggestion.values.values()))


def carried_out(of, *, chance=None, value=value):
    """All suggestions of a search whose results come in by chance, or at once where there is none."""
    made, flying = [], []
    while flying or not of.finished:
        while of.ready and (not flying or chance is None or chance.random() < 0.7):
            flying.append(of.ask())
            made.append(flying[-1].values)
        done = flying.pop(0 if chance is None else chance.randrange(len(flying)))
        of.tell(done.number, value(done))
    return made


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_suggestions_do_not_depend_on_when_results_come_in(sampler):
    wanted = carried_out(suggester(sampler))
    for seed in range(2 if sampler == "gp" else 5):
        assert carried_out(suggester(sampler), chance=random.Random(seed)) == wanted


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_the_nth_suggestion_depends_on_the_first_results_and_on_no_other(sampler):
    ahead, changed = 3, 11

    def other(suggestion):
        return 50.0 if suggestion.number == changed else value(suggestion)

    before = carried_out(suggester(sampler, ahead=ahead, count=24 if sampler == "tpe" else 16))
    after = carried_out(suggester(sampler, ahead=ahead, count=24 if sampler == "tpe" else 16), value=other)
    # the result of suggestion 11 is first known to suggestion 11 + ahead
    assert before[: changed + ahead] == after[: changed + ahead]
    assert before[changed + ahead :] != after[changed + ahead :]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_broken_off_anywhere_goes_on_as_if_it_were_not(sampler):
    wanted = carried_out(suggester(sampler))
    again = suggester(sampler)
    for number, values in enumerate(wanted[:9]):
        assert again.ask() == (number, values)
        again.tell(number, value(type("S", (), {"number": number, "values": values})))
    assert carried_out(again) == wanted[9:]


def test_no_more_than_ahead_suggestions_wait_for_results():
    search = suggester("random", ahead=3, count=5)
    first = [search.ask() for _ in range(3)]
    assert not search.ready
    search.tell(first[1].number, 0.0)  # the first result is still missing
    search.tell(first[2].number, 0.0)
    assert not search.ready
    search.tell(first[0].number, 0.0)
    assert search.ready
    search.ask(), search.ask()
    assert search.finished and not search.ready


def test_another_seed_of_the_search_gives_other_suggestions():
    assert carried_out(suggester("tpe")) != carried_out(suggester("tpe", seed=1))


def test_the_number_of_suggestions_does_not_change_the_first_ones():
    assert carried_out(suggester("tpe", count=12)) == carried_out(suggester("tpe", count=30))[:12]


def test_a_grid_tries_every_combination_once():
    names = sorted(COUNTABLE)
    shares = [0.1 + 0.2 * i for i in range(3)] + [0.7]
    wanted = itertools.product(("a", "b"), shares, ((10,), (20, 20)), (1, 5, 9))
    made = [tuple(values[name] for name in names) for values in carried_out(suggester("grid"))]
    assert made == list(wanted)  # the last name varies fastest


@pytest.mark.parametrize(("low", "high", "step"), [(0.0, 1.0, 0.1), (1e-3, 1e-2, 1e-3), (0.25, 4, 0.75)])
def test_a_grid_of_real_numbers_has_the_values_that_the_space_names(low, high, step):
    parameter = Range(low=low, high=high, step=step)
    values = parameter.values()
    search = Search(sampler="grid", suggestions=len(values))
    made = carried_out(Suggester({"x": parameter}, search, count=len(values), direction=1))
    assert [v["x"] for v in made] == list(values)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_values_are_those_that_the_space_allows(sampler):
    parameters = MIXED | {"method.share": Range(low=0.1, high=0.7, step=0.2)}
    count = 12 if sampler == "gp" else 60
    search = Search(sampler=sampler, suggestions=count)
    made = carried_out(Suggester(parameters, search, count=count, direction=1))
    for values in made:
        assert values.keys() == parameters.keys()
        assert values["method.kind"] in ("a", "b", "c")
        assert 1e-3 <= values["method.strength"] <= 10.0
        assert values["model.widths"] in ((10,), (20, 20), (30,))
        assert type(values["training.epochs"]) is int and 1 <= values["training.epochs"] <= 9
        assert any(values["method.share"] == pytest.approx(share) for share in (0.1, 0.3, 0.5, 0.7))


def test_a_log_range_is_drawn_by_magnitude():
    search = Search(sampler="random", suggestions=400)
    parameters = {"x": Range(low=1e-4, high=1.0, log=True)}
    made = [v["x"] for v in carried_out(Suggester(parameters, search, count=400, direction=1))]
    # half of the draws below the geometric mean: 200 of 400, give or take 5 standard deviations of 10
    assert 150 < sum(x < 1e-2 for x in made) < 250


def test_choices_that_python_takes_for_equal_are_still_two():
    parameters = {"x": Choice(choices=(1, True, "1"))}
    search = Search(sampler="grid", suggestions=3)
    made = [v["x"] for v in carried_out(Suggester(parameters, search, count=3, direction=1))]
    assert [(type(x), x) for x in made] == [(int, 1), (bool, True), (str, "1")]


def test_what_could_not_be_measured_is_told_to_optuna_as_failed():
    search = suggester("tpe")
    carried_out(search)
    told = [trial.state.name for trial in search.study.trials[: search.told]]
    assert told == ["FAIL" if n % 7 == 5 else "COMPLETE" for n in range(search.told)]
    assert search.told == 30 - 4  # the last suggestion knows all but the `ahead` - 1 before it, and itself


def bowl(suggestion):
    x, y = suggestion.values["x"], suggestion.values["y"]
    return -((x - 0.3) ** 2) - (y + 0.6) ** 2


def best(sampler, seed, direction=1):
    search = Search(sampler=sampler, suggestions=50, seed=seed)
    parameters = {"x": Range(low=-2.0, high=2.0), "y": Range(low=-2.0, high=2.0)}
    values = []

    def scored(suggestion):
        values.append(bowl(suggestion))
        return direction * values[-1]

    carried_out(Suggester(parameters, search, count=50, direction=direction), value=scored)
    return max(values), sum(values[25:])


@pytest.mark.parametrize("direction", [1, -1])
def test_tpe_learns_from_results_whichever_way_is_better(direction):
    wins = [
        (learnt[0] > blind[0]) + (learnt[1] > blind[1])
        for seed in range(5)
        for learnt, blind in [(best("tpe", seed, direction), best("random", seed, direction))]
    ]
    # its second half is better in every search, and so is its best value in most
    assert sum(wins) >= 8
