"""The n-th suggestion depends on the results of the first n - ahead + 1 alone, whatever else has happened."""

import itertools
import math
import random
import statistics

import pytest

from sweep.asked import decoded, encoded
from sweep.search import Suggester
from sweep.space import Choice, Range, Search

MIXED = {
    "method.kind": Choice(choices=("a", "b", "c")),
    "method.eps": Range(low=1e-8, high=1e-2, log=True, when={"method.kind": ("b", "c")}),
    "method.strength": Range(low=1e-3, high=10.0, log=True),
    "method.power": Range(low=0.5, high=2.0, when={"method.kind": ("c",)}),
    "model.widths": Choice(choices=((10,), (20, 20), (30,))),
    "training.epochs": Range(low=1, high=9),
}
COUNTABLE = {
    "method.kind": Choice(choices=("a", "b")),
    "method.share": Range(low=0.1, high=0.7, step=0.2, when={"method.kind": ("b",)}),
    "model.widths": Choice(choices=((10,), (20, 20))),
    "training.epochs": Range(low=1, high=9, step=4),
}
FIRST = [{"method.kind": "c", "method.strength": 0.5}, {"method.kind": "a"}]
# the Gaussian process starts after ten results, a generation has ten or eight suggestions
SAMPLERS = {"tpe": 26, "random": 26, "grid": 30, "qmc": 26, "cmaes": 34, "nsga2": 34, "gp": 16}


def suggester(sampler, *, ahead=4, seed=0, count=None, directions=(1,), **more):
    count = count or SAMPLERS[sampler]
    search = Search(sampler=sampler, suggestions=count, seed=seed, ahead=ahead)
    parameters = COUNTABLE if sampler == "grid" else MIXED
    return Suggester(parameters, search, count=count, directions=directions, **more)


def value(suggestion):
    """An objective that depends on every setting; one suggestion in seven fails."""
    if suggestion.number % 7 == 5:
        return None
    return [sum(math.sin(i + len(str(v))) for i, v in enumerate(suggestion.values.values()))]


def carried_out(of, *, chance=None, value=value):
    """All suggestions of a search whose results come in by chance, or at once where there is none."""
    made, flying = [], []
    while flying or not of.finished:
        while of.ready and (not flying or chance is None or chance.random() < 0.7):
            flying.append(of.ask())
            made.append(flying[-1])
        done = flying.pop(0 if chance is None else chance.randrange(len(flying)))
        of.tell(done.number, value(done))
    return made


def remembered(made):
    """Suggestions as their files give them back, by number."""
    return {one.number: decoded(encoded("nai", one))[1] for one in made}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_suggestions_do_not_depend_on_when_results_come_in(sampler):
    wanted = carried_out(suggester(sampler))
    for seed in range(1 if sampler == "gp" else 4):
        assert carried_out(suggester(sampler), chance=random.Random(seed)) == wanted


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2"])
def test_the_nth_suggestion_depends_on_the_first_results_and_on_no_other(sampler):
    # result 3 is one of those from which the second generation is made
    ahead, changed, count = 3, 3, {"tpe": 24, "gp": 16}.get(sampler, 34)

    def other(suggestion):
        return [50.0] if suggestion.number == changed else value(suggestion)

    before = carried_out(suggester(sampler, ahead=ahead, count=count))
    after = carried_out(suggester(sampler, ahead=ahead, count=count), value=other)
    # result 3 is first known to suggestion 8 + ahead
    assert before[: changed + ahead] == after[: changed + ahead]
    assert before[changed + ahead :] != after[changed + ahead :]


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_rebuilt_from_records_goes_on_as_if_it_had_not_been_broken_off(sampler, ahead):
    first = FIRST if sampler != "grid" else []
    wanted = carried_out(suggester(sampler, ahead=ahead, priors=first))
    for broken_off in range(1, len(wanted), 5 if sampler == "gp" else 1):
        recorded = remembered(wanted[:broken_off])
        again = suggester(sampler, ahead=ahead, priors=first, recorded=recorded)
        assert carried_out(again) == wanted
        assert again.notes == []


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_without_records_is_rebuilt_by_asking_again(sampler):
    wanted = carried_out(suggester(sampler))
    again = suggester(sampler)
    for one in wanted[:9]:
        assert again.ask() == one
        again.tell(one.number, value(one))
    assert carried_out(again) == wanted[9:]


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_no_model_is_fitted_again_for_what_is_on_record(sampler, monkeypatch):
    wanted = carried_out(suggester(sampler, count=16))
    again = suggester(sampler, count=16, recorded=remembered(wanted))
    monkeypatch.setattr(again.study, "_sampler", None)  # calling it would raise
    assert carried_out(again) == wanted


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_more_suggestions_continue_the_search(sampler):
    count = SAMPLERS[sampler]
    few = carried_out(suggester(sampler, count=count - 4))
    recorded = remembered(few)
    assert carried_out(suggester(sampler, count=count, recorded=recorded)) == carried_out(suggester(sampler))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_suggestions_on_record_stay_when_their_results_change(sampler):
    """More orders give every suggestion another value."""
    wanted = carried_out(suggester(sampler))

    def other(suggestion):
        return [50.0 - suggestion.number]

    again = suggester(sampler, recorded=remembered(wanted[:-3]))
    made = carried_out(again, value=other)
    assert made[:-3] == wanted[:-3]
    assert len(again.notes) == (sampler in ("cmaes", "nsga2"))


def test_a_record_that_differs_from_the_replay_stands_with_a_note():
    wanted = carried_out(suggester("nsga2", ahead=1))
    late = wanted[25]
    moved = late._replace(values=late.values | {"method.strength": late.values["method.strength"] * 0.9})
    again = suggester("nsga2", ahead=1, recorded=remembered(wanted) | {25: moved})
    assert carried_out(again)[25].values == moved.values
    (note,) = again.notes
    assert note.startswith("suggestion 25 on record is not what nsga2 would suggest now")


def test_no_state_of_an_optimiser_is_handed_out():
    made = carried_out(suggester("cmaes"))
    assert {key for one in made for key in one.attrs} == {"cma:generation"}
    assert {one.attrs["cma:generation"] for one in made} >= {0, 1, 2}  # states there were


def test_no_more_than_ahead_suggestions_wait_for_results():
    search = suggester("random", ahead=3, count=5)
    first = [search.ask() for _ in range(3)]
    assert not search.ready
    search.tell(first[1].number, [0.0])  # the first result is still missing
    search.tell(first[2].number, [0.0])
    assert not search.ready
    search.tell(first[0].number, [0.0])
    assert search.ready and search.known == 3
    search.ask(), search.ask()
    assert search.finished and not search.ready


@pytest.mark.parametrize("sampler", set(SAMPLERS) - {"grid"})
def test_another_seed_of_the_search_gives_other_suggestions(sampler):
    assert carried_out(suggester(sampler, count=4)) != carried_out(suggester(sampler, count=4, seed=1))


# ------------------------------------------------------------------ what is suggested
@pytest.mark.parametrize("sampler", set(SAMPLERS) - {"grid"})
def test_values_are_those_that_the_space_allows_and_exist(sampler):
    wanted = {"method.kind", "method.strength", "model.widths", "training.epochs"}
    hung = {"a": set(), "b": {"method.eps"}, "c": {"method.eps", "method.power"}}
    made = [one.values for one in carried_out(suggester(sampler))]
    for values in made:
        assert values.keys() == wanted | hung[values["method.kind"]]
        assert 1e-3 <= values["method.strength"] <= 10.0
        assert values["model.widths"] in ((10,), (20, 20), (30,))
        assert type(values["training.epochs"]) is int and 1 <= values["training.epochs"] <= 9
        assert 1e-8 <= values.get("method.eps", 1e-4) <= 1e-2
    assert {values["method.kind"] for values in made} == {"a", "b", "c"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_priors_are_tried_first_and_what_they_leave_open_is_drawn(sampler):
    first = FIRST if sampler != "grid" else [{"method.kind": "b", "model.widths": (20, 20)}]
    made = [one.values for one in carried_out(suggester(sampler, priors=first))]
    for prior, values in zip(first, made, strict=False):
        assert values.items() >= prior.items()
        assert values.keys() > prior.keys()


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_what_comes_after_the_priors_is_drawn_as_ever(sampler):
    """A point of an even spread is not lost to a prior."""
    plain, after = carried_out(suggester(sampler)), carried_out(suggester(sampler, priors=FIRST))
    shift = len(FIRST) if sampler == "qmc" else 0
    wanted = [one.values for one in plain[len(FIRST) - shift : len(plain) - shift]]
    assert [one.values for one in after[len(FIRST) :]] == wanted


@pytest.mark.parametrize(
    ("prior", "rule"),
    [
        ({"method.strength": 100.0}, "method.strength: 100.0 lies outside 0.001 to 10.0"),
        ({"model.widths": (40,)}, r"model.widths: \[40\] is none of its choices"),
    ],
)
def test_a_prior_outside_of_the_space_is_refused(prior, rule):
    with pytest.raises(ValueError, match=rule):
        suggester("tpe", priors=[prior]).ask()


def test_a_grid_tries_every_combination_that_exists_once():
    shares = [0.1 + 0.2 * i for i in range(3)] + [0.7]
    kinds = [("a",), *(("b", share) for share in shares)]
    wanted = itertools.product(kinds, ((10,), (20, 20)), (1, 5, 9))
    made = [tuple(one.values.values()) for one in carried_out(suggester("grid", count=99))]
    assert made == [(*kind, widths, epochs) for kind, widths, epochs in wanted]  # the last is fastest


def test_a_grid_may_be_given():
    given = [{"method.kind": "a", "model.widths": (10,), "training.epochs": 5}]
    assert [one.values for one in carried_out(suggester("grid", grid=given))] == given


@pytest.mark.parametrize(("low", "high", "step"), [(0.0, 1.0, 0.1), (1e-3, 1e-2, 1e-3), (0.25, 4, 0.75)])
def test_a_grid_of_real_numbers_has_the_values_that_the_space_names(low, high, step):
    parameter = Range(low=low, high=high, step=step)
    values = parameter.values()
    search = Search(sampler="grid", suggestions=len(values))
    made = carried_out(Suggester({"x": parameter}, search, count=len(values), directions=[1]))
    assert [one.values["x"] for one in made] == list(values)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2", "random", "qmc"])
def test_steps_are_the_values_that_the_space_names(sampler):
    """To the bit, whatever the sampler: 0.5 and 0.49999999999999994 would be trained twice."""
    parameters = {"x": Range(low=0.1, high=0.7, step=0.2), "n": Range(low=1, high=9, step=4)}
    count = 14 if sampler == "gp" else 24
    of = Suggester(parameters, Search(sampler=sampler, suggestions=count), count=count, directions=[1])
    made = [one.values for one in carried_out(of)]
    assert {values["x"] for values in made} <= set(parameters["x"].values())
    assert {values["n"] for values in made} == {1, 5, 9}


def test_choices_that_python_takes_for_equal_are_still_two():
    parameters = {"x": Choice(choices=(1, True, "1")), "y": Range(low=0, high=1, step=1, when={"x": (True,)})}
    search = Search(sampler="grid", suggestions=4)
    made = [
        tuple(v.values.values()) for v in carried_out(Suggester(parameters, search, count=4, directions=[1]))
    ]
    assert [[(type(x), x) for x in values] for values in made] == [
        [(int, 1)],
        [(bool, True), (int, 0)],
        [(bool, True), (int, 1)],
        [(str, "1")],
    ]


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_a_log_range_is_drawn_by_magnitude(sampler):
    search = Search(sampler=sampler, suggestions=256)
    parameters = {"x": Range(low=1e-4, high=1.0, log=True), "n": Range(low=1, high=100, log=True)}
    made = [one.values for one in carried_out(Suggester(parameters, search, count=256, directions=[1]))]
    # half of the draws below the geometric mean: 128 of 256, give or take 5 standard deviations of 8
    assert 88 < sum(values["x"] < 1e-2 for values in made) < 168
    assert 88 < sum(values["n"] <= 10 for values in made) < 178


def test_a_spread_is_even():
    """The first 2^k points of a scrambled Sobol sequence: one in each of 2^k equal parts of every axis."""
    parameters = {
        "x": Range(low=0.0, high=64.0),
        "n": Range(low=0, high=63),
        "c": Choice(choices=tuple("abcd")),
    }
    search = Search(sampler="qmc", suggestions=64)
    made = [one.values for one in carried_out(Suggester(parameters, search, count=64, directions=[1]))]
    assert sorted(int(values["x"]) for values in made) == list(range(64))
    assert sorted(values["n"] for values in made) == list(range(64))
    assert statistics.multimode(values["c"] for values in made) != 1
    assert [sum(values["c"] == c for values in made) for c in "abcd"] == [16] * 4


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_could_not_be_measured_is_told_to_optuna_as_failed(odd):
    search = suggester("tpe")
    carried_out(search, value=lambda one: [odd] if one.number % 7 == 5 else value(one))
    told = [trial.state.name for trial in search.study.study.trials[: search.told]]
    assert told == ["FAIL" if n % 7 == 5 else "COMPLETE" for n in range(search.told)]
    assert search.told == 26 - 4  # the last suggestion knows all but the `ahead` - 1 before it, and itself


# ------------------------------------------------------------------ what is learnt
def bowl(suggestion):
    x, y = suggestion.values["x"], suggestion.values["y"]
    return -((x - 0.3) ** 2) - (y + 0.6) ** 2


def scores(sampler, seed, direction=1, *, count=50, ahead=4):
    """Values of a bowl in the order of the suggestions; the best is 0."""
    search = Search(sampler=sampler, suggestions=count, seed=seed, ahead=ahead)
    parameters = {"x": Range(low=-2.0, high=2.0), "y": Range(low=-2.0, high=2.0)}
    of = Suggester(parameters, search, count=count, directions=[direction])
    return list(map(bowl, carried_out(of, value=lambda one: [direction * bowl(one)])))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2"])
def test_a_sampler_learns_from_results_whichever_way_is_better(sampler, direction):
    count = 80 if sampler == "nsga2" else 50
    learnt = [scores(sampler, seed, direction, count=count) for seed in range(6)]
    blind = [scores("random", seed, count=count) for seed in range(6)]
    # the second half is nearer to the optimum than that of random draws, in every search
    halves = [
        (statistics.median(a[count // 2 :]), statistics.median(b[count // 2 :]))
        for a, b in zip(learnt, blind, strict=True)
    ]
    assert all(a > b for a, b in halves)
    assert statistics.median(map(max, learnt)) > statistics.median(map(max, blind))


def test_a_gaussian_process_finds_the_bowl():
    assert max(scores("gp", 0, count=20)) > -0.01


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_two_objectives_in_either_direction(sampler):
    """x is to be big, x^2 and |y| small: x in 0..1 with y = 0 is as good as can be."""
    search = Search(sampler=sampler, suggestions=20 if sampler == "gp" else 60, ahead=2)
    parameters = {"x": Range(low=-4.0, high=4.0), "y": Range(low=-4.0, high=4.0)}
    of = Suggester(parameters, search, count=search.suggestions, directions=[1, -1])

    def both(one):
        x, y = one.values["x"], one.values["y"]
        return [min(x, 1.0), x * x + abs(y)]

    late = [one.values for one in carried_out(of, value=both)][search.suggestions // 2 :]
    near = sum(-1 < one["x"] < 2 and abs(one["y"]) < 1.5 for one in late) / len(late)
    assert near < 0.3 if sampler == "random" else near > 0.4  # by chance a seventh


def test_cmaes_refuses_two_objectives():
    with pytest.raises(ValueError, match="cmaes takes one objective, not 2: search with nsga2"):
        suggester("cmaes", directions=(1, -1))
