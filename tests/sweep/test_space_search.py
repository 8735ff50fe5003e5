"""How settings are suggested, judged and stopped: every rule of `[search]` and `[objective]` by itself."""

import dataclasses

import pytest

from nai.methods import METHODS
from sweep.space import Mistakes, Objective, Search, loads
from sweep.space.published import published

SPACE = """\
name = "searched"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
[method]
name = "nai"
strength = {low = 0.01, high = 10.0, log = true}
normalization = {choices = ["neuron_std", "none"]}
eps = {low = 1e-8, high = 1e-2, log = true, when = {normalization = ["neuron_std"]}}
[orders]
design = "random"
count = 24
[search]
suggestions = 16
"""


def space(*overrides, text=SPACE):
    return loads(text, "searched.toml", overrides)


def mistakes(*overrides, text=SPACE):
    with pytest.raises(Mistakes) as caught:
        loads(text, "searched.toml", overrides)
    return str(caught.value).splitlines()


CONTINUAL = SPACE[: SPACE.index("strength")] + "strength = 1000.0\n" + SPACE[SPACE.index("[orders]") :]


# ------------------------------------------------------------------ rungs and stopping
def test_rungs_race_unless_another_rule_is_named():
    assert (space().search.stopping, space().rungs(5)) == ("none", (24,))
    rungs = space("search.rungs=[4, 12]")
    assert (rungs.search.stopping, rungs.search.level, rungs.rungs(5)) == ("race", 0.05, (4, 12, 24))
    assert space("search.rungs=[4]", "orders.count=40").rungs(5) == (4, 40)
    assert (
        space("search.rungs=[4]", "search.suggestions=6", "search.ahead=5").search.ahead == 5
    )  # the last may


@pytest.mark.parametrize(
    ("rule", "own"),
    [
        ("race", {"level": 0.05}),
        ("wilcoxon", {"level": 0.05}),
        ("percentile", {"keep": 0.25}),
        ("asha", {"eta": 3}),
        ("hyperband", {"eta": 3}),
        ("median", {}),
    ],
)
def test_a_rule_has_its_own_keys_and_no_others(rule, own):
    search = space("search.rungs=[4]", f"search.stopping={rule}").search
    keys = ("level", "keep", "eta")
    assert {k: getattr(search, k) for k in keys if getattr(search, k) is not None} == own
    for key in set(keys) - set(own):
        (line,) = mistakes("search.rungs=[4]", f"search.stopping={rule}", f"search.{key}=2")
        assert f"{key} belongs to stopping" in line or "must be" in line


# ------------------------------------------------------------------ protocols
def test_the_whole_sequence_is_the_protocol_unless_another_is_named():
    assert space().search.protocol == "whole"
    first = space("search.protocol=first_tasks", "search.tasks=2").search
    assert (first.protocol, first.tasks, first.rates) == ("first_tasks", 2, None)
    continual = space("search.protocol=continual", "confirm.top=1", text=CONTINUAL)
    assert continual.suggestions() == 1 and continual.search.model_dump(
        include={"rates", "decay", "tolerance", "attempts"}
    ) == {
        "rates": (0.01, 0.003, 0.001, 0.0003, 0.0001),
        "decay": 0.5,
        "tolerance": 0.2,
        "attempts": 10,
    }


@pytest.mark.parametrize(
    ("method", "rule"),
    [
        ("{name='nai'}", 'method.strength: protocol "continual" lowers the strength from a high start: add'),
        ("{name='nai', strength=0.0}", "method.strength: must be above 0, since it is lowered from there"),
        ("{name='finetune'}", 'method.strength: finetune has no strength that protocol "continual" could'),
        (
            "{name='nai', strength=9.0, eta={choices=[0.5, 0.9]}, accumulation='decayed'}",
            'method.eta: protocol "continual" searches nothing beforehand: give it one value',
        ),
    ],
)
def test_a_continual_learner_needs_a_strength_to_lower_and_nothing_to_search(method, rule):
    (line,) = mistakes("search.protocol=continual", f"method={method}", "confirm.top=1", text=CONTINUAL)
    assert rule in line


def test_a_continual_learner_without_a_confirmation_would_run_nothing():
    (line,) = mistakes("search.protocol=continual", text=CONTINUAL)
    assert "that is nothing: add the table [confirm]" in line


# ------------------------------------------------------------------ every other rule
WRONG = {
    "search.rungs=[]": "search.rungs: must be one or more numbers of orders, each above the last, not []",
    "search.rungs=[12, 4]": "search.rungs: must be one or more numbers of orders, each above the last, not",
    "search.rungs=[4, 4]": "search.rungs: must be one or more numbers of orders, each above the last, not",
    "search.rungs=[0]": "search.rungs[0]: must be at least 1, not 0",
    "search.rungs=[4, 24]": "search.rungs: rung 24 must be below the 24 orders of the search: leave it out",
    "search.rungs=[4]|search.suggestions=6|search.ahead=6": "search.ahead: with 6 in flight at once, of 6 "
    "suggestions none has another to be compared with, so none is ever stopped: lower it",
    "search.rungs=[4]|search.stopping=none": 'search: rungs have no use with stopping "none": leave them',
    "search.stopping=race": 'search: stopping "race" needs rungs, such as rungs = [4, 12]: add them',
    "search.stopping=rase": 'search.stopping: "rase" is not one of none, race, asha, median, hyperband,',
    "search.rungs=[4]|search.level=1": "search.level: must be above 0 and below 1, not 1",
    "search.level=0.1": 'search: level belongs to stopping "race" and "wilcoxon", not "none": leave it out',
    "search.rungs=[4]|search.stopping=asha|search.eta=1": "search.eta: must be at least 2, since one of eta",
    "search.rungs=[4]|search.stopping=wilcoxon|objective.aggregate=worst": "search.stopping: stopping "
    '"wilcoxon" compares means: take aggregate "mean", or stopping "race"',
    "search.rungs=[1]|objective.aggregate=std": "search.rungs: std of 1 order has no deviation: let rungs",
    "orders={design='identity'}|objective.aggregate=aopd": "aopd of 1 order has no deviation: give at least",
    # protocols
    "search.protocol=first": 'search.protocol: "first" is not one of whole, first_tasks, continual; did you',
    "search.protocol=first_tasks": 'search: protocol "first_tasks" needs tasks, how many of them: such as',
    "search.protocol=first_tasks|search.tasks=5": "search.tasks: must be below the 5 tasks there are, not 5",
    "search.protocol=first_tasks|search.tasks=1|objective.metric=forgetting": "objective.metric: forgetting "
    "of 1 task has no meaning: take search.tasks = 2, or average_accuracy",
    "search.protocol=first_tasks|search.tasks=2|objective.aggregate=mopd": "objective.aggregate: mopd needs",
    "search.tasks=2": 'search: tasks belongs to protocol "first_tasks", not "whole": leave it out',
    "search.decay=0.5": 'search: decay belongs to protocol "continual", not "whole": leave it out',
    "search.protocol=continual|search.rungs=[4]": 'search: protocol "continual" suggests nothing that could',
    "search.protocol=continual|search.decay=1.5": "search.decay: must be above 0 and below 1, not 1.5",
    "search.protocol=continual|search.tolerance=1.0": "search.tolerance: must be at least 0 and below 1",
    "search.protocol=continual|search.rates=[]": "search.rates: must be one or more numbers above 0, each",
    "search.protocol=continual|search.rates=[0.1, -1]": "search.rates: must be one or more numbers above 0",
    "search.protocol=continual|search.attempts=0": "search.attempts: must be at least 1, not 0",
    # samplers
    "search.sampler=cmaes|method={name='nai', normalization={choices=['none', 'layer_mean']}}": "search."
    'sampler: sampler "cmaes" moves numbers and draws choices at random, but nai has choices alone: search',
    "search.sampler=grid|method={name='nai', strength={choices=[1.0, 2.0]}}|search.defaults=true": "search."
    'defaults: sampler "grid" tries every value in its turn, so nothing comes first: leave it out',
    # objectives
    "objective.aggregate=best": 'objective.aggregate: "best" is not one of mean, worst, cvar,',
    "objective={aggregate='mean_minus_aopd', share=0.1}": 'objective: share belongs to aggregate "cvar", not',
    "objective={aggregate='aopd', metric='forgetting'}": 'objective: aggregate "aopd" reads no metric: leave',
    "objective=[{}, {aggregat='std'}]": "objective[1].aggregat: unknown key; did you mean aggregate?",
    "objective=[{}, {metric='acuracy'}]": "objective[1].metric: unknown metric acuracy; ",
    "objective=[{}, {}]": "objective: both objectives are the same: leave one out, or let them differ",
    "objective=[{}, {aggregate='std'}, {aggregate='worst'}]": "objective: there are 3 objectives: give one",
    "objective=[{}, {aggregate='std'}]|search.sampler=cmaes": 'search.sampler: sampler "cmaes" improves one',
    "objective=[{}, {aggregate='std'}]|search.rungs=[4]|search.stopping=asha": 'stopping "asha" compares',
    "objective=[{}, {aggregate='mopd'}]|search.protocol=first_tasks|search.tasks=2": "objective[1].aggregate",
    # values to try first
    "search.first=[{strength=100.0}]": "search.first[0].strength: 100.0 lies outside 0.01 to 10.0: widen the",
    "search.first=[{strength='high'}]": 'search.first[0].strength: must be a number, not "high"',
    "search.first=[{normalization='layer_sum'}]": 'search.first[0].normalization: "layer_sum" is none of its',
    "search.first=[{strenght=1.0}]": "search.first[0].strenght: unknown key; did you mean strength?",
    "search.first=[{labels='true'}]": "search.first[0].labels: unknown key; known: normalization, eps, str",
    "search.first=[{method='ewc', strength=1.0}]": "search.first[0].method: unknown method of this space ewc",
    "search.first=[{'model.name'='mlp'}]": 'search.first[0].model.name: model.name is fixed to "mlp", so',
    "search.first=3": "search.first: must be a list, not 3",
    "search.defaults=true|method.strength.low=0.5": "method.strength: its published default: 0.1 lies out",
    "resources.memory=0": "resources.memory: must be above 0, not 0",
}


@pytest.mark.parametrize("overrides", WRONG)
def test_each_rule_of_the_search_names_its_key_and_the_way_out(overrides):
    assert any(WRONG[overrides] in line for line in mistakes(*overrides.split("|")))


# ------------------------------------------------------------------ objectives
@pytest.mark.parametrize(
    ("objective", "direction"),
    [
        ("{}", 1),
        ("{metric='forgetting', aggregate='worst'}", -1),
        ("{metric='forgetting', aggregate='mean_minus_aopd'}", -1),
        ("{aggregate='std'}", -1),
        ("{metric='forgetting', aggregate='std'}", -1),
        ("{aggregate='aopd'}", -1),
        ("{aggregate='mopd'}", -1),
    ],
)
def test_a_spread_is_better_small_whichever_way_its_metric_goes(objective, direction):
    assert space(f"objective={objective}").directions == (direction,)


def test_two_objectives_keep_their_order():
    pair = space("objective=[{}, {aggregate='mean_minus_aopd'}]", "search.sampler=nsga2")
    assert pair.objectives == (Objective(), Objective(aggregate="mean_minus_aopd", weight=1.0))
    assert pair.directions == (1, 1)
    assert space("objective=[{}]") == space()


# ------------------------------------------------------------------ values to try first
def test_what_is_tried_first_is_what_the_space_says_then_what_is_published():
    first = "search.first=[{strength=1, normalization='none', eps=1e-4}, {method='nai', strength=5.0}]"
    assert space(first).priors() == (
        {"method.normalization": "none", "method.strength": 1.0},  # eps does not exist beside none
        {"method.strength": 5.0},
    )
    default = {"method.normalization": "neuron_std", "method.eps": 1e-6, "method.strength": 0.1}
    assert space("search.defaults=true").priors() == (default,)
    assert space("search.defaults=true", "search.first=[{strength=0.1}]").priors()[1:] == (default,)
    assert space().priors() == ()


def test_a_value_is_tried_once():
    twice = "search.first=[{strength=0.1, normalization='neuron_std', eps=1e-6}]"
    assert len(space(twice, "search.defaults=true").priors()) == 1


def test_values_of_other_sections_are_named_in_full_with_or_without_quotes():
    searched = "training.rate={low=1e-4, high=1e-2, log=true}"
    for written in ("'training.rate'=1e-3", "training.rate=1e-3", "training={rate=1e-3}"):
        given = space(searched, f"search.first=[{{method.strength=1, {written}}}]")
        assert given.priors() == ({"method.strength": 1.0, "training.rate": 0.001},)
        assert loads(given.to_toml()) == given
    assert space(searched, "search.defaults=true").priors()[0]["training.rate"] == 0.001


def test_published_rates_are_of_adam_alone():
    searched, default = "training.rate={low=1e-4, high=1e-2, log=true}", "search.defaults=true"
    assert "training.rate" not in space(searched, default, "training.algorithm=sgd").priors()[0]
    both = "training.algorithm={choices=['sgd', 'adam']}"
    found = space(searched, default, both).priors()[0]
    assert (found["training.algorithm"], found["training.rate"]) == ("adam", 0.001)


@pytest.mark.parametrize(
    ("setting", "value", "drawn"),
    [("{low=1, high=5}", 3, 3.0), ("{low=1.0, high=3.0, step=0.5}", 1.5, 1.5), ("{choices=[2, 3]}", 3, 3.0)],
)
def test_a_value_to_try_is_the_value_that_would_be_drawn(setting, value, drawn):
    given = space(f"method.strength={setting}", f"search.first=[{{strength={value}}}]")
    assert given.priors() == ({"method.strength": drawn},)
    assert isinstance(given.priors()[0]["method.strength"], float)


def test_whole_numbers_and_steps_refuse_what_lies_between():
    epochs = "training.epochs={low=1, high=9}"
    assert "2.5 is no whole number: take 2" in mistakes(epochs, "search.first=[{training.epochs=2.5}]")[0]
    steps = "method.strength={low=1.0, high=2.0, step=0.5}"
    (line,) = mistakes(steps, "search.first=[{strength=1.2}]")
    assert "1.2 is not on the steps of 0.5 from 1.0: take 1" in line


# The literature's numbers: van de Ven's EWC and SI on Split MNIST (SI's c has no 1/2, so twice), on CIFAR
# those of Jung et al.; MAS 1 without the 1/2.
@pytest.mark.parametrize(
    ("method", "dataset", "scenario", "strength"),
    [
        ("ewc", "mnist", "task", 1e5),
        ("ewc", "mnist", "class", 1e9),
        ("ewc", "mnist", "domain", 1e10),
        ("ewc", "cifar10", "task", 100.0),
        ("ewc", "cifar100", "task", 1000.0),
        ("si", "mnist", "task", 20.0),
        ("si", "fashion_mnist", "class", 1e4),
        ("si", "cifar100", "task", 200.0),
        ("mas", "cifar10", "class", 2.0),
        ("nai", "digits", "task", 0.1),
    ],
)
def test_published_strengths_are_those_of_the_literature(method, dataset, scenario, strength):
    found = published(method, {"name": "split", "dataset": dataset, "scenario": scenario})
    assert found["method.strength"] == strength and found["training.rate"] == 1e-3


def test_a_permuted_benchmark_is_of_domains_unless_it_says_otherwise():
    assert published("ewc", {"name": "permuted", "dataset": "mnist"})["method.strength"] == 1e10
    assert published("ewc", {"name": "split", "dataset": "mnist"})["method.strength"] == 1e5


@pytest.mark.parametrize("method", METHODS)
def test_every_method_may_be_built_of_its_published_settings(method):
    found = published(method, {"name": "split", "dataset": "digits"})
    own = {k.removeprefix("method."): v for k, v in found.items() if k.startswith("method.")}
    assert set(own) == {f.name for f in dataclasses.fields(METHODS[method])}
    assert METHODS[method](**own)


def test_a_search_of_its_own_has_the_same_defaults():
    assert Search(suggestions=3).stopping == "none" and Search(suggestions=3, rungs=(2,)).level == 0.05
