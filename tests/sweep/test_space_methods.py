"""Several methods in one space: each has its own settings, budget and name on the command line."""

from dataclasses import dataclass

import pytest
from torch import Tensor

from nai.methods import Finetune
from nai.models import Network
from sweep.space import Change, Choice, Mistakes, Range, loads, read, schema
from sweep.space.places import lines

TWO = """\
name = "two"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
[[method]]
name = "nai"
strength = {low = 0.01, high = 10.0, log = true}
normalization = {choices = ["neuron_std", "layer_mean"]}
[[method]]
name = "ewc"
[method.strength]
low = 1.0
high = 1000000.0
log = true
[training]
rate = {choices = [0.001, 0.01]}
[orders]
design = "random"
count = 24
[search]
suggestions = 16
budgets = {ewc = 30}
[confirm]
"""


def two(*overrides):
    return loads(TWO, "two.toml", overrides)


def mistakes(*overrides, text=TWO):
    with pytest.raises(Mistakes) as caught:
        loads(text, "two.toml", overrides)
    return str(caught.value).splitlines()


def test_each_method_is_searched_for_itself():
    space = two()
    assert [one.name for one in space.methods] == ["nai", "ewc"]
    assert list(space.parameters("nai")) == ["method.normalization", "method.strength", "training.rate"]
    assert list(space.parameters("ewc")) == ["method.strength", "training.rate"]
    assert space.parameters("ewc")["method.strength"] == Range(low=1.0, high=1e6, log=True)
    assert (space.suggestions("nai"), space.suggestions("ewc")) == (16, 30)
    assert space.settings("ewc", {"method.strength": 2.0, "training.rate": 0.01}) == {
        "benchmark": {"name": "split", "dataset": "digits"},
        "model": {"name": "mlp"},
        "method": {"name": "ewc", "strength": 2.0},
        "training": {"rate": 0.01},
    }
    assert space.first("nai")["method"] == {"name": "nai", "strength": 0.01, "normalization": "neuron_std"}


@pytest.mark.parametrize("asked", [None, "si"])
def test_one_of_several_methods_must_be_named(asked):
    with pytest.raises(ValueError, match=f"method {asked!r} is not in the space: name one of nai, ewc"):
        two().parameters(asked)


def test_a_list_of_one_method_is_that_method():
    listed = TWO.replace("budgets = {ewc = 30}\n", "")
    listed = listed[: listed.index('[[method]]\nname = "ewc"')] + listed[listed.index("[training]") :]
    assert loads(listed) == loads(listed.replace("[[method]]", "[method]"))
    assert mistakes("method.0.strenght=1.0", text=listed)[0].endswith(
        "method.nai.strenght: unknown key; did you mean strength?"
    )


def test_several_methods_written_as_toml_read_equal():
    for space in (two(), two("method.ewc.strength=3.0", "objective=[{}, {aggregate='std'}]")):
        again = loads(space.to_toml())
        assert again == space and again.digest == space.digest and not space.difference(again)


def test_differences_of_several_methods_are_called_by_name():
    assert two().difference(two("method.ewc.strength=3.0", "search.budgets.ewc=40")) == (
        Change("method.ewc.strength", {"low": 1.0, "high": 1e6, "log": True}, 3.0),
        Change("search.budgets.ewc", 30, 40),
    )


def test_schema_knows_every_table():
    known = schema()["properties"]
    assert {"method", "objective", "search", "confirm"} <= set(known)
    assert len(known["method"]["oneOf"]) == 2  # a table, or a list of tables


# ------------------------------------------------------------------ overrides and mistakes
def test_overrides_call_one_of_several_tables_by_name_or_place():
    space = two("method.ewc.strength.high=10.0", "method.nai.match_scale=false")
    assert space.methods[1].options["strength"] == Range(low=1.0, high=10.0, log=True)
    assert space.methods[0].options["match_scale"] is False
    pair = two("objective=[{}, {aggregate='std'}]", "objective.1.aggregate=worst")
    assert [one.aggregate for one in pair.objectives] == ["mean", "worst"]


def test_the_only_method_may_be_called_by_its_name():
    named = read("quickstart", ["method.nai.strength=0.5", "method.nai.normalization.choices=['none']"])
    assert named == read("quickstart", ["method.strength=0.5", "method.normalization.choices=['none']"])


def test_a_name_with_dots_is_found(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    (tmp_path / "own" / "rules.py").write_text(
        "from dataclasses import dataclass\nfrom nai.methods import Method\n"
        "@dataclass(frozen=True)\nclass Rule(Method):\n    pull: float = 1.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = TWO.replace('"ewc"', '"own.rules:Rule"').replace("strength]", "pull]").replace("{ewc = 30}", "{}")
    space = loads(text, overrides=["method.own.rules:Rule.pull=2"])
    assert space.methods[1].options == {"pull": 2.0}


WRONG = {
    "method.strength=0.5": "method has 2 tables, nai, ewc: say which, as in method.nai",
    "method.si.strength=0.5": "method has 2 tables, nai, ewc: say which, as in method.nai",
    "method.ewc=0.5": "method has 2 tables, nai, ewc: say which, as in method.nai",
    "method.ewc.strenght=0.5": "method.ewc.strenght: unknown key; did you mean strength?",
    "method.ewc.strength.low=0.0": "method.ewc.strength: a log range starts above 0, not at low 0.0: take",
    "method.ewc.labels=['exact']": "method.ewc.labels: must be text in quotes, not [",
    "method.ewc.labels=right": "method.ewc.labels: labels 'right' is unknown: known are exact, true, sample",
    "method.ewc.name=ewcc": "method.ewcc.name: unknown method ewcc; did you mean ewc?",
    "method.ewc.name=nai": "method: the method nai is there twice: search each once, or make it a baseline",
    "method=[]": "method: is an empty list: give at least one",
    "method=3": "method: must be a table, not 3",
    "method=[3]": "method[0]: must be a table, not 3",
    "search.budgets={si=30}": "search.budgets.si: unknown method of this space si; known: nai, ewc",
    "search.budgets={ewc=0}": "search.budgets.ewc: must be at least 1, not 0",
    "confirm.methods=['nai', 'ewcc']": "confirm.methods[1]: unknown method of this space ewcc; did you mean",
    "confirm.methods=[]": "confirm.methods: names no method: name one, or leave it out for all",
    "confirm.methods=['nai', 'nai']": "confirm.methods: names a method twice: name each once",
}


@pytest.mark.parametrize("override", WRONG)
def test_each_rule_of_several_methods_names_its_key_and_the_way_out(override):
    where, _, rest = mistakes(override)[0].partition("  ")
    assert WRONG[override] in rest and where == f"override {override}"


def test_mistakes_in_lists_of_tables_have_their_lines():
    text = TWO.replace("low = 0.01", "low = 11.0").replace("high = 1000000.0", "high = 0.5")
    text = text.replace('"layer_mean"', '"layer_men"')
    assert [line.split(":")[1].split()[0] for line in mistakes(text=text)] == ["9", "10", "13"]


def test_lines_of_lists_of_tables_hold_their_places():
    text = "[[a]]\nx = 1\n[a.b]\ny = 2\n[[a]]\n[[a.c]]\nz = 3\n[[a.c]] # h\nz = 4\n[d]\n"
    assert lines(text) == {
        ("a",): [1],
        ("a", "[0]"): [1],
        ("a", "[0]", "x"): [2],
        ("a", "[0]", "b"): [3],
        ("a", "[0]", "b", "y"): [4],
        ("a", "[1]"): [5],
        ("a", "[1]", "c"): [6],
        ("a", "[1]", "c", "[0]"): [6],
        ("a", "[1]", "c", "[0]", "z"): [7],
        ("a", "[1]", "c", "[1]"): [8],
        ("a", "[1]", "c", "[1]", "z"): [9],
        ("d",): [10],
    }


def test_a_table_that_is_a_list_elsewhere_is_written_twice():
    (line,) = mistakes(text=TWO + '[method]\nname = "si"\n')
    assert line == "two.toml:26:8  method is written twice, first in line 7"


def test_the_old_name_of_a_table_tells_the_new_one():
    (line,) = mistakes(text=TWO.replace("[confirm]", "[report]"))
    assert line.startswith("two.toml:25  report: unknown key; it is called confirm now: rename it, and")


def test_what_is_wrong_between_tables_is_told_beside_what_is_wrong_in_them():
    overrides = (
        "benchmark.name=splitt",
        "method.ewc.name=ewcc",
        "method.nai.eta=2.0",
        "search.defaults=true",
        "search.sampler=cmaes",
        "search.first=[{method='nai', strength=99}]",
        "confirm.methods=['si']",
    )
    keys = sorted(line.split("  ")[1].partition(": ")[0] for line in mistakes(*overrides))
    assert keys == [
        "benchmark.name",
        "confirm.methods[0]",
        "method.ewcc.name",
        "method.nai.eta",
        "search.budgets.ewc",
        "search.first[0].strength",
    ]


# ------------------------------------------------------------------ settings that nothing reads
@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        (["confirm.baselines=[{name='nai', pooling='max'}]"], "confirm.baselines[0].pooling: acts only with"),
        (
            ["method.nai.pooling=max"],
            "method.nai.pooling: acts only with models that have maps, such as conv",
        ),
        (
            ["method.nai.eps=0.1", "method.nai.normalization=none"],
            "method.nai.eps: acts only with normalization",
        ),
        (["benchmark.root=data"], "benchmark.root: acts only with dataset 'mnist' or "),
        (
            ["benchmark.class_order=[0, 0, 1, 2]"],
            "benchmark.class_order: class_order (0, 0, 1, 2) must be diff",
        ),
        (
            ["benchmark.class_order=[0, 99]"],
            "benchmark.class_order: class_order (0, 99) must be different ones",
        ),
    ],
)
def test_a_setting_that_nothing_reads_or_no_data_have_is_told_once(overrides, rule):
    (line,) = mistakes(*overrides)
    assert rule in line


def test_a_setting_that_some_choice_reads_is_right():
    space = two("method.nai.eps=0.1", "method.nai.normalization={choices=['none', 'neuron_std']}")
    assert space.parameters("nai")["method.normalization"] == Choice(choices=("none", "neuron_std"))
    assert two("benchmark.dataset=mnist", "benchmark.root=data").benchmark.options["root"] == "data"
    assert two("model={name='conv', widths=[4]}", "method.nai.pooling=max")


# ------------------------------------------------------------------ methods beside scenario and training
FITTING = """\
name = "fitting"
[benchmark]
name = "split"
dataset = "digits"
scenario = "class"
[model]
name = "mlp"
[method]
name = "finetune"
[training]
epochs = 1
batch = 10
optimizer = "kept"
boundaries = "hidden"
[orders]
design = "random"
count = 4
[search]
suggestions = 1
"""


def fitting(*overrides):
    return mistakes(*overrides, text=FITTING)


def test_hidden_boundaries_are_a_setting_like_others():
    space = loads(FITTING)
    assert space.first()["training"]["boundaries"] == "hidden"


def test_a_method_that_must_be_told_of_tasks_is_a_mistake_where_boundaries_are_hidden():
    (found,) = fitting("method.name=ewc")
    assert "method: Ewc must be told where tasks begin and end, but boundaries are hidden" in found
    (found,) = fitting('confirm.baselines=["joint"]')
    assert "Joint must be told where tasks begin and end" in found
    (found,) = fitting("method.name=ewc", 'training.boundaries={choices=["known", "hidden"]}')
    assert "Ewc must be told" in found


def test_what_cannot_be_hidden_is_a_mistake():
    (found,) = fitting("benchmark.scenario=task")
    assert "training.boundaries: boundaries are hidden, but scenario 'task' tells each sample's task" in found
    (found,) = fitting("training.optimizer=fresh")
    assert "boundaries are hidden, but optimizer 'fresh' starts afresh" in found


@dataclass(frozen=True)
class Picky(Finetune):
    """Finetuning for those who are told the task, and slowly."""

    scenarios = frozenset({"task"})
    least_epochs = 2


def test_a_method_that_cannot_work_in_the_scenario_is_a_mistake():
    name = f"method.name={__name__}:Picky"
    (found,) = fitting(name, "training.boundaries=known")
    assert "method: Picky cannot work in scenario 'class': use scenario 'task', or another method" in found
    (found,) = fitting(name, "training.boundaries=known", "benchmark.scenario=task")
    assert "method: Picky needs at least 2 epochs a task, got epochs = 1" in found
    settings = ("training.boundaries=known", "benchmark.scenario=task", "training.epochs=2")
    loads(FITTING, "here", (name, *settings))


@dataclass(frozen=True)
class Roomy(Finetune):
    """Finetuning of networks with room for every task."""

    room: int = 4

    def suits(self, net: Network, heads: Tensor) -> None:
        if len(heads) * self.room > net.hidden[0].units:
            raise ValueError(
                f"room {self.room} is too much for {len(heads)} tasks: lower it, or widen the net"
            )


CONV, RESNET = "model={name='conv', widths=[4]}", "model={name='resnet18', width=4}"
CHAIN = "ResNet18 has layers fed by several others: method {} needs a chain, such as model mlp or conv"


@pytest.mark.parametrize(
    ("method", "model", "mistake"),
    [
        ("{name='hat'}", RESNET, "method: " + CHAIN.format("hat")),
        ("{name='ags_cl'}", RESNET, "method: " + CHAIN.format("ags_cl")),
        ("{name='ucl'}", RESNET, "method: " + CHAIN.format("ucl")),
        (
            "{name='progressive'}",
            CONV,
            "method: method progressive has columns of linear layers, not of a ConvNet: use model mlp",
        ),
        (
            "{name='packnet', prune=[0.5, 0.25]}",
            CONV,
            "method.prune: prune (0.5, 0.25) has 2 shares for 5 tasks: give one for all, one a task, or none",
        ),
        (
            "{name='latent_replay', above={choices=[0, 1, 2]}}",
            "model={name='mlp', widths=[8, 8]}",
            "method.above: above 2 leaves none of 2 hidden layers to store: use 0..1",
        ),
        (
            "{name='latent_replay', above=1}",
            CONV.replace("[4]", "[4, 4]"),
            "method.above: above 1 is for dense networks, ConvNet is not one: use above 0",
        ),
        (
            "{name='nai', group='incoming_outgoing_max'}",
            RESNET,
            "method.group: ResNet18 has layers fed by several others: group 'incoming_outgoing_max'",
        ),
        (
            f"{{name='{__name__}:Roomy', room=3}}",
            "model={name='mlp', widths={choices=[[16, 8], [12, 8]]}}",
            "method.room: room 3 is too much for 5 tasks: lower it, or widen the net",
        ),
    ],
)
def test_a_method_that_cannot_work_with_the_model_is_a_mistake(method, model, mistake):
    told = ("training.boundaries=known", "training.epochs=2", "benchmark.scenario=task")
    (found,) = fitting(f"method={method}", model, *told)
    assert mistake in found


def test_a_method_suits_every_network_that_is_tried_and_baselines_as_well():
    told = ("training.boundaries=known", "benchmark.scenario=task")
    roomy = f"method={{name='{__name__}:Roomy', room=3}}"
    loads(FITTING, "here", (roomy, "model={name='mlp', widths={choices=[[16, 8], [32, 8]]}}", *told))
    (found,) = fitting("confirm.baselines=[{name='hat'}]", RESNET, *told)
    assert "confirm.baselines" in found and CHAIN.format("hat") in found


def test_of_a_wrong_model_the_method_is_not_asked():
    told = ("training.boundaries=known", "benchmark.scenario=task")
    (found,) = fitting("method={name='hat'}", "model={name='mlp', widths=[0]}", *told)
    assert "model.widths" in found


@pytest.mark.parametrize(
    ("override", "mistake"),
    [
        ("training.momentum=0.9", "training.momentum: momentum 0.9 acts only with algorithm 'sgd'"),
        ("training.decay=-0.1", "training.decay: decay -0.1 must be a finite number of at least 0"),
        ("training.steps=0", "training.steps: steps 0 must be a whole number of at least 1"),
        ("training.steps=1.5", "training.steps: must be a whole number, not 1.5"),
        ("training.algorithm=sdg", "training.algorithm: algorithm 'sdg' is unknown: known are adam, sgd"),
    ],
)
def test_nonsense_in_training_is_a_mistake(override, mistake):
    (found,) = fitting(override)
    assert mistake in found


def test_momentum_is_searched_beside_descent_alone():
    beside = 'training.momentum={low=0.0, high=0.95, when={algorithm=["sgd"]}}'
    both = 'training.algorithm={choices=["adam", "sgd"]}'
    assert "training.momentum" in loads(FITTING, "here", (beside, both)).parameters()
    found = fitting("training.momentum={low=0.1, high=0.95}", both)
    assert all("acts only with algorithm 'sgd'" in line for line in found)
