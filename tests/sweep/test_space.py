"""A space is either wholly right, or every mistake in it is told at once, with its place and a way out."""

import subprocess
import sys
from pathlib import Path

import pytest

from nai.datasets import DATASETS, OUTLINES, load
from nai.orders import sampled
from sweep.space import Change, Choice, Mistakes, Range, Resources, Space, loads, read, shipped
from sweep.space.places import lines
from sweep.space.shapes import DATASETS as KNOWN

PLAIN = """\
name = "plain"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
[method]
name = "nai"
strength = {low = 0.1, high = 10.0, log = true}
normalization = {choices = ["neuron_std", "layer_mean"]}
[orders]
design = "random"
count = 10
[search]
suggestions = 16
[confirm]
baselines = ["finetune"]
[confirm.orders]
design = "random"
count = 20
seed = 1
"""


def plain(*overrides: str) -> Space:
    return loads(PLAIN, "plain.toml", overrides)


def mistakes(*overrides: str, text: str = PLAIN) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        loads(text, "plain.toml", overrides)
    return str(caught.value).splitlines()


def test_every_mistake_is_told_at_once_with_line_key_rule_and_way_out():
    text = """\
name = "six"
[benchmark]
name = "splitt"                       # unknown benchmark
dataset = "digits"
[model]
name = "mlp"
widths = [100, true]                  # strict: true is not 1
[method]
name = "nai"
strenght = 0.1                        # a misspelt key
normalization = {choices = ["neuron_std", "layer_mena"]}
eta = {low = 0.9, high = 0.5}
[orders]
design = "random"
count = 10
[search]
suggestions = 0
"""
    assert mistakes(text=text) == [
        "plain.toml:3  benchmark.name: unknown benchmark splitt; did you mean split?",
        "plain.toml:7  model.widths: must be a list, each a whole number, not [100, true]",
        "plain.toml:10  method.strenght: unknown key; did you mean strength?",
        "plain.toml:11  method.normalization: normalization 'layer_mena' is unknown: known are neuron_std, "
        "layer_std, layer_mean, layer_max, layer_sum, layer_std_all, layer_softmax, none; "
        "did you mean layer_mean?",
        "plain.toml:12  method.eta: low 0.9 must be below high 0.5",
        "plain.toml:17  search.suggestions: must be at least 1, not 0",
    ]


RULES = {
    # keys and types
    "serch.seed=1": "serch: unknown key; did you mean search?",
    "search.sed=1": "search.sed: unknown key; did you mean seed?",
    "search.suggestions=true": "search.suggestions: must be a whole number, not true",
    "search.suggestions=16.0": "search.suggestions: must be a whole number, not 16.0",
    'search.suggestions="16"': 'search.suggestions: must be a whole number, not "16"',
    "search.ahead=0": "search.ahead: must be at least 1, not 0",
    "confirm.top=0": "confirm.top: must be at least 1, not 0",
    "search=3": "search: must be a table, not 3",
    'name="../x"': 'name: "../x" must be 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit',
    # settings of named things
    "method.lamda=1.0": "method.lamda: unknown key; known: strength, ",
    "model.dropuot=0.1": "model.dropuot: unknown key; did you mean dropout?",
    "training.rat=0.1": "training.rat: unknown key; did you mean rate?",
    "benchmark.vald=0.1": "benchmark.vald: unknown key; did you mean valid?",
    'method.eta="high"': 'method.eta: must be a number, not "high"',
    "method.match_scale=1": "method.match_scale: must be true or false, not 1",
    "training.epochs=5.5": "training.epochs: must be a whole number, not 5.5",
    "method.eps=nan": "method.eps: must be a finite number, not nan",
    "method.eps=inf": "method.eps: must be a finite number, not inf",
    "method.eps=1979-05-27": "method.eps: must be a number, text, true or false, or a list of these, not",
    "method.eps=-1.0": "method.eps: eps -1.0 must be a finite number of at least 0",
    "method.eta={low=0.5, high=1.5}": "method.eta: eta 1.5 must lie between 0 and 1",
    "model.widths=[]": "model.widths: widths () must be one or more whole numbers",
    "training.epochs=0": "training.epochs: epochs 0 must be a whole number",
    "training.optimizer=kep": "optimizer 'kep' is unknown: known are fresh, kept; did you mean kept?",
    "benchmark.valid=1.5": "benchmark.valid: valid is 1.5, but the share for validation must lie",
    "benchmark.seed=-1": "benchmark.seed: seed -1 must be at least 0",
    "method.eta=0.5": "method.eta: acts only with accumulation 'decayed': leave it out",
    "method.rho=0.5": "method.rho: acts only with reset 'unimportant' or 'unimportant+zero_outgoing': leave",
    # names
    "benchmark.dataset=mnits": "benchmark.dataset: dataset 'mnits' is unknown: known are digits, ",
    "benchmark.scenario=tsk": "'tsk' is unknown: known are task, class, domain; did you mean task?",
    "model.name=mpl": "model.name: unknown model mpl; did you mean mlp?",
    "model.activation=rely": "did you mean relu?",
    "method.name=naii": "method.name: unknown method naii; did you mean nai?",
    "method.name=nowhere:Nai": "method.name: 'nowhere:Nai' cannot be imported (No module named 'nowhere')",
    "method.name={choices=['nai', 'ewc']}": "method.name: must be text in quotes, not {",
    "search.sampler=tpee": "is not one of tpe, random, grid, gp, cmaes, nsga2, qmc; did you mean tpe?",
    "objective.metric=average_acuracy": "unknown metric average_acuracy; did you mean average_accuracy?",
    "objective.aggregate=median": 'objective.aggregate: "median" is not one of mean, worst, cvar,',
    "confirm.baselines=['finetun']": "[0].name: unknown method finetun; did you mean finetune?",
    "confirm.baselines=['ewc', 'joint', 'ewc']": "confirm.baselines: the baseline ewc is there twice: name",
    "confirm.baselines=[{name='ewc', strenght=1.0}]": "[0].strenght: unknown key; did you mean strength?",
    # searched values
    "method.strength={low=2.0, high=1.0}": "method.strength: low 2.0 must be below high 1.0",
    "method.strength={low=1.0}": "method.strength.high: is missing",
    "method.strength={low=true, high=2.0}": "method.strength.low: must be a number, not true",
    "method.strength={low=1.0, high=2.0, setp=0.5}": "method.strength.setp: unknown key; did you mean step?",
    "method.strength={low=0.0, high=3.0, log=true}": "a log range starts above 0, not at low 0.0: take",
    "method.strength={low=1.0, high=2.0, step=0.0}": "method.strength: step 0.0 must be above 0",
    "method.strength={low=1.0, high=2.0, step=0.5, log=true}": "method.strength: a log range has no step",
    "method.strength={low=1.0, high=2.0, step=0.3}": "is no whole number of steps of 0.3 from low 1.0: take",
    "method.strength={choices=[]}": "method.strength: choices is empty, so there is nothing to choose",
    "method.strength={choices=[1, 1.0]}": "method.strength: the choice 1.0 is there twice",
    "search.sampler=grid": 'method.strength: sampler "grid" needs values to count: add a step, name choices',
    "benchmark.seed={choices=[0, 1]}": "benchmark.seed: a benchmark's settings cannot be searched: write a",
    "benchmark.classes={choices=[2, 5]}": "benchmark.classes: a benchmark's settings cannot be searched: ",
    "benchmark.valid={low=0.1, high=0.3}": "benchmark.valid: a benchmark's settings cannot be searched: ",
    # orders and seeds
    "orders.count=0": "orders.count: must be at least 1, not 0",
    "orders.count=121": "orders.count: 5 tasks have 120 orders, 121 asked",
    "confirm.orders.count=111": "5 tasks have 120 orders (10 of them excluded), 111 asked",
    "orders={design='list', orders=[[0, 1, 2, 3, 4], [0, 0, 2, 3, 4]]}": "orders.orders: orders[1]: order "
    "(0, 0, 2, 3, 4) is not a permutation of the 5 tasks 0..4",
    "orders={design='list', orders=[]}": 'orders.design: design "list" is left with no orders, so there is',
    "orders={design='named', named='apd5'}": "orders.named: orders 'apd5' are for 10 tasks, not 5",
    "orders={design='random'}": 'orders.design: design "random" needs count',
    "orders={design='identity', seed=1}": 'orders.design: design "identity" does not read seed: leave it out',
    "orders.named=apd5": 'orders.named: design "random" does not read named',
    "seeds.init=[0, 1]": "seeds: init has 2 seeds and data 1",
    "seeds={init=[], data=[]}": "seeds: there are no seeds, so nothing to run",
    "seeds={init=[0, 0], data=[1, 1]}": "seeds: the pair init 0, data 1 is there twice",
    "seeds.init=[-1]": "seeds.init[0]: must be at least 0, not -1",
    # objective and resources
    "objective.share=0.1": 'objective: share belongs to aggregate "cvar", not "mean": leave it out',
    "objective={aggregate='cvar', share=1.5}": "objective.share: must be above 0 and at most 1, not 1.5",
    "objective={aggregate='mean_minus_std', weight=-1}": "objective.weight: must be at least 0, not -1",
    "resources.cpus=-1": "resources.cpus: must be at least 0, not -1",
    "resources.gpus=-0.5": "resources.gpus: must be at least 0, not -0.5",
    "resources.gpus=1.5": "resources.gpus: must be a share of one or a whole number, not 1.5",
    "resources={device='cpu', gpus=1}": 'resources: device "cpu" leaves gpus 1 idle: leave out one of them',
    "resources={device='cuda:1', gpus=0.5}": "resources: with gpus 0.5 Ray chooses the card: take device",
    "resources.device=gpu": 'resources.device: "gpu" is not auto, cpu, cuda',
    "resources.stack=0": 'resources.stack: must be "auto" or a whole number of at least 1, not 0',
}


@pytest.mark.parametrize("override", RULES)
def test_each_rule_breaks_alone_and_names_its_key(override):
    (line,) = mistakes(override)
    where, _, rest = line.partition("  ")
    assert RULES[override] in rest
    assert where in {
        f"override {override}",
        "plain.toml:9",
        "plain.toml:12",
    }  # settings that the override clashes with


@pytest.mark.parametrize("table", ["benchmark", "model", "method", "orders", "search"])
def test_tables_without_defaults_are_called_missing(table):
    kept = PLAIN.split(f"[{table}]")[0] + "[" + PLAIN.split(f"[{table}]")[1].partition("\n[")[2]
    assert f"plain.toml  {table}: is missing" in mistakes(text=kept)


def test_choices_that_clash_are_found_before_they_are_run():
    clash = (
        "method.anchor={choices=['last', 'weighted_mean']}",
        "method.accumulation={choices=['sum', 'max']}",
    )
    assert "anchor 'weighted_mean' is exact for sums" in mistakes(*clash)[0]
    assert plain(clash[0]).parameters()["method.anchor"] == Choice(choices=("last", "weighted_mean"))


def test_one_bad_setting_does_not_hide_another():
    found = mistakes("method.eps=-1.0", "method.eta=2.0", "method.reset=some")
    assert [line.split("  ")[1].split(":")[0] for line in found] == [
        "method.eps",
        "method.eta",
        "method.reset",
    ]


def test_steadiness_needs_two_orders():
    (line,) = mistakes("orders={design='identity'}", "objective.aggregate=mean_minus_std")
    assert "mean_minus_std of 1 order has no deviation" in line


@pytest.mark.parametrize(
    ("text", "place", "rule"),
    [
        ("", "", "is empty"),
        ("name = \n", ":1:8", "is not TOML: Invalid value"),
        ("name = 'x'\nname = 'y'\n", ":2:", "name is written twice, first in line 1"),
        ("[a]\nx = 1\n[a]\n", ":3:", "a is written twice, first in line 1"),
        ("a = " + "[" * 100_000, "", "is nested too deeply"),
    ],
)
def test_text_that_is_no_toml_is_one_line(text, place, rule):
    (line,) = mistakes(text=text)
    assert line.startswith(f"plain.toml{place}")
    assert line.partition("  ")[2].startswith(rule)


def test_files_that_cannot_be_read_are_one_line(tmp_path):
    binary, large = tmp_path / "binary.toml", tmp_path / "large.toml"
    binary.write_bytes(b"name = \xff")
    large.write_bytes(b"#" * 2_000_000)
    for path, rule in {
        "quikstart": "quikstart  is no file and no shipped space; did you mean quickstart? `nai-sweep list",
        tmp_path: f"{tmp_path}  is a folder: name a file in it",
        binary: f"{binary}  is not UTF-8 text: byte 7 cannot be read",
        large: f"{large}  has 2000000 bytes: a search space has at most 1000000",
    }.items():
        with pytest.raises(Mistakes) as caught:
            read(path)
        assert str(caught.value).startswith(rule) and "\n" not in str(caught.value)


# ------------------------------------------------------------------ overrides
def test_overrides_are_toml_values_or_bare_words_and_reach_into_tables():
    space = plain("method.strength.high=2.0", "search.sampler=gp", "seeds.init=[3]", "training.rate=1e-2")
    assert space.method.options["strength"] == Range(low=0.1, high=2.0, log=True)
    assert (space.search.sampler, space.pairs, space.training.options) == ("gp", ((3, 0),), {"rate": 0.01})
    assert space != plain()


def test_a_broken_override_is_told_beside_the_mistakes_of_the_file():
    assert mistakes("search.seed", "name.first=x", "search.seed=a b", "search.ahead=0") == [
        "override search.seed  must be a dotted key, = and a value, such as method.strength=0.5",
        'override name.first=x  name is "plain", not a table, so it has no first',
        'override search.seed=a b  "a b" is no TOML value: put text in quotes, lists in brackets',
        "override search.ahead=0  search.ahead: must be at least 1, not 0",
    ]


# ------------------------------------------------------------------ what a space says
def test_a_space_written_as_toml_reads_equal():
    for space in [*(read(name) for name in shipped()), plain("confirm.baselines=[{name='ewc', strength=2}]")]:
        again = loads(space.to_toml())
        assert again == space and again.digest == space.digest and not space.difference(again)


def test_spaces_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        plain().name = "other"  # type: ignore[misc]


def test_a_real_setting_is_real_however_it_is_written():
    whole = plain("method.strength={low=1, high=8}", "method.eps=1", "training.rate={choices=[1]}")
    real = plain("method.strength={low=1.0, high=8.0}", "method.eps=1.0", "training.rate={choices=[1.0]}")
    assert whole.to_toml() == real.to_toml()
    assert not whole.method.options["strength"].whole
    assert plain("training.epochs={low=1, high=8}").training.options["epochs"].whole


def test_a_setting_may_belong_to_one_of_several_choices():
    space = plain("method.eta={low=0.5, high=1.0}", "method.accumulation={choices=['sum', 'decayed']}")
    assert "method.eta" in space.parameters()


def test_parameters_do_not_depend_on_the_order_of_the_file():
    swapped = PLAIN.splitlines(keepends=True)
    swapped[8], swapped[9] = swapped[9], swapped[8]
    assert list(plain().parameters()) == list(loads("".join(swapped)).parameters())
    assert list(plain().parameters()) == ["method.normalization", "method.strength"]


def test_settings_fill_in_exactly_what_is_searched():
    values = {"method.strength": 0.5, "method.normalization": "layer_mean"}
    assert plain("model.widths=[8, 8]").settings("nai", values) == {
        "benchmark": {"name": "split", "dataset": "digits"},
        "model": {"name": "mlp", "widths": (8, 8)},
        "method": {"name": "nai", "strength": 0.5, "normalization": "layer_mean"},
        "training": {},
    }
    for wrong in ({}, {**values, "method.eta": 0.1}):
        with pytest.raises(ValueError, match="are searched"):
            plain().settings(None, wrong)


def test_first_settings_are_the_first_choices_and_the_low_ends():
    assert plain().first() == plain().settings(
        "nai", {"method.strength": 0.1, "method.normalization": "neuron_std"}
    )


def test_baselines_are_names_or_tables():
    space = plain("confirm.baselines=['finetune', {name='ewc', strength=2.0}]")
    assert space.baselines() == ({"name": "finetune"}, {"name": "ewc", "strength": 2.0})


def test_without_a_report_there_is_nothing_to_report():
    space = loads(PLAIN.split("[confirm]")[0])
    assert (space.confirm, space.baselines(), space.confirm_orders(5), space.confirm_pairs) == (
        None,
        (),
        (),
        (),
    )


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("{low=1.0, high=2.0, step=0.25}", (1.0, 1.25, 1.5, 1.75, 2.0)),
        ("{low=0.1, high=0.4, step=0.1}", (0.1, 0.2, pytest.approx(0.3), 0.4)),
        ("{choices=[1.0, 4.0]}", (1.0, 4.0)),
    ],
)
def test_a_grid_ends_after_every_combination(setting, values):
    space = plain(f"method.strength={setting}", "search.sampler=grid", "search.suggestions=1000")
    assert space.parameters()["method.strength"].values() == values
    assert space.suggestions() == 2 * len(values)  # two normalizations
    assert (
        plain(f"method.strength={setting}", "search.sampler=grid", "search.suggestions=3").suggestions() == 3
    )


def test_a_space_with_nothing_to_search_is_one_suggestion():
    assert plain("method={name='nai'}").suggestions() == 1
    assert plain().suggestions() == 16


def test_search_and_confirm_orders_do_not_meet_unless_the_report_takes_all():
    space = plain("confirm.orders.count=110")
    search, report = space.search_orders(5), space.confirm_orders(5)
    assert search == sampled(5, 10, 0)
    assert len(search) == 10 and len(set(search) | set(report)) == 120
    assert len(plain("confirm.orders={design='all'}").confirm_orders(5)) == 120


@pytest.mark.parametrize(
    ("benchmark", "tasks"),
    [
        ("{name='split', dataset='mnist'}", 5),
        ("{name='split', dataset='mnist', classes=3}", 4),
        ("{name='split', dataset='cifar100', classes=10}", 10),
        ("{name='split', dataset='digits', classes=[[0, 1, 2], [7, 8]]}", 2),
        ("{name='split', dataset='digits', classes=2, class_order=[5, 4, 3, 2]}", 2),
        ("{name='permuted', dataset='fashion_mnist', tasks=7}", 7),
        ("{name='rotated', dataset='mnist', angles=[0, 30, 60]}", 3),
    ],
)
def test_the_number_of_tasks_is_known_without_the_data(benchmark, tasks):
    space = plain(f"benchmark={benchmark}", "orders={design='identity'}", "confirm.orders.count=1")
    assert space.tasks() == tasks


def test_what_is_known_of_data_sets_without_reading_them_is_true():
    assert {*KNOWN, *OUTLINES} == set(DATASETS)
    assert not set(KNOWN) & set(OUTLINES)
    digits = load("digits")
    assert KNOWN["digits"] == (len(set(digits.labels.tolist())), digits.inputs.shape[1:])


def test_difference_lists_the_changed_keys():
    changed = plain("method.strength.high=2.0", "resources.cpus=2", "orders.count=12", "model.dropout=0.1")
    assert plain().difference(changed) == (
        Change(
            "method.strength", {"low": 0.1, "high": 10.0, "log": True}, {"low": 0.1, "high": 2.0, "log": True}
        ),
        Change("model.dropout", None, 0.1),
        Change("orders.count", 10, 12),
        Change("resources.cpus", 1, 2),
    )


def test_methods_of_ones_own_are_checked_like_any_other(tmp_path, monkeypatch):
    (tmp_path / "own_method.py").write_text(
        "from dataclasses import dataclass\nfrom nai.methods import Method\n"
        "@dataclass(frozen=True)\nclass Own(Method):\n    pull: float\n"
        "def stranger():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert plain("method={name='own_method:Own', pull=1.5}").method.options == {"pull": 1.5}
    assert mistakes("method={name='own_method:Own', pul=1.5}")[0].endswith("unknown key; did you mean pull?")
    assert mistakes("method={name='own_method:Own'}")[0].endswith("method.pull: is missing")
    assert mistakes("method={name='own_method:stranger'}")[0].endswith(
        "makes a int, not a nai.methods.base.Method"
    )


def test_settings_of_ones_own_need_no_type(tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text(
        "from nai.models import MODELS\n"
        "def net(features, outputs, units=4, more=(), kinds: list = ()):\n"
        "    return MODELS['mlp'](features=features, outputs=outputs, widths=(units, *more))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    wanted = {"units": 3, "more": (4, 5), "kinds": ("a",)}
    assert plain("model={name='own_model:net', units=3, more=[4, 5], kinds=['a']}").model.options == wanted


# ------------------------------------------------------------------ shipped spaces
def test_shipped_spaces_are_those_of_the_clone():
    folder = Path(__file__).parents[2] / "search_spaces"
    assert {name: path.resolve() for name, path in shipped().items()} == {
        p.relative_to(folder).as_posix().removesuffix(".toml"): p for p in folder.rglob("*.toml")
    }
    assert {"quickstart", "split_mnist", "permuted_mnist", "split_cifar10"} <= set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_shipped_spaces_are_right_and_named_after_their_file(name):
    space = read(name)
    assert space == read(shipped()[name]) and space.name == name.rpartition("/")[2]
    chosen, confirm = space.spent(space.tasks()), space.confirm_orders(space.tasks())
    assert not set(chosen) & set(confirm) or space.confirm.orders.design == "all"


def test_orders_that_chose_nothing_may_confirm():
    fixed = ('orders={design="identity"}', 'confirm.orders={design="identity"}', "method={name='ewc'}")
    space = plain(*fixed)
    assert space.spent(5) == () and space.confirm_orders(5) == space.search_orders(5) == ((0, 1, 2, 3, 4),)
    searched = (*fixed[:2], "method={name='ewc', strength={choices=[1.0, 2.0]}}")
    with pytest.raises(Mistakes, match="holds the excluded order"):
        plain(*searched)


def test_lines_are_those_of_keys_and_tables():
    text = '# x = 1\n[a.b]\n"c" = [\n  [0, 1],\n  [1, 0]\n]\nd.e = {f = 1}\n[g]  # h\n'
    assert lines(text) == {("a", "b"): [2], ("a", "b", "c"): [3], ("a", "b", "d", "e"): [7], ("g",): [8]}


def test_reading_what_is_no_toml_costs_no_torch(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ")
    code = (
        "import sys\nfrom sweep.space import Mistakes, read\n"
        f"try: read({str(bad)!r})\nexcept Mistakes: sys.exit('torch' in sys.modules)\nsys.exit(2)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert ran.returncode == 0


@pytest.mark.parametrize(
    ("device", "gpus", "place"),
    [("auto", 0, "cpu"), ("auto", 0.5, "auto"), ("cuda", 1, "cuda"), ("cuda:1", 0, "cuda:1")],
)
def test_a_card_is_taken_only_when_asked_for(device, gpus, place):
    assert Resources(device=device, gpus=gpus).place == place
