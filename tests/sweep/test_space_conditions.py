"""A setting with `when` exists with those values alone: it is searched, counted and filled in only then."""

import itertools

import pytest

from sweep.space import Choice, Mistakes, Range, acts, loads

SPACE = """\
name = "hanging"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
[method]
name = "nai"
strength = {choices = [0.1, 1.0]}
normalization = {choices = ["neuron_std", "layer_mean", "none"]}
eps = {low = 0.0, high = 1.0, step = 0.5, when = {normalization = ["neuron_std", "layer_mean"]}}
accumulation = {choices = ["sum", "decayed"], when = {normalization = ["layer_mean"]}}
eta = {choices = [0.5, 0.9], when = {accumulation = ["decayed"]}}
[training]
epochs = {low = 1, high = 3, step = 1, when = {"method.strength" = [1.0]}}
[orders]
design = "latin"
[search]
sampler = "grid"
suggestions = 1000
"""


def space(*overrides):
    return loads(SPACE, "hanging.toml", overrides)


def mistakes(*overrides, text=SPACE):
    with pytest.raises(Mistakes) as caught:
        loads(text, "hanging.toml", overrides)
    return str(caught.value).splitlines()


def by_hand():
    """Every combination, written out by other means: the whole product, what does not exist struck out."""
    out = []
    for norm, acc, eps, eta, strength, epochs in itertools.product(
        ["neuron_std", "layer_mean", "none"],
        ["sum", "decayed"],
        [0.0, 0.5, 1.0],
        [0.5, 0.9],
        [0.1, 1.0],
        [1, 2, 3],
    ):
        point = {"method.normalization": norm, "method.strength": strength}
        point |= {"method.eps": eps} if norm != "none" else {}
        point |= {"method.accumulation": acc} if norm == "layer_mean" else {}
        point |= {"method.eta": eta} if norm == "layer_mean" and acc == "decayed" else {}
        point |= {"training.epochs": epochs} if strength == 1.0 else {}
        if point not in out:
            out.append(point)
    return out


def test_a_grid_is_every_combination_that_exists_and_no_other():
    grid, expected = list(space().grid()), by_hand()
    assert len(grid) == len(expected) == space().suggestions() == 52
    assert all(point in expected for point in grid) and all(point in grid for point in expected)
    assert space("search.suggestions=7").suggestions() == 7


def test_a_grid_without_conditions_varies_the_last_setting_first():
    plain = space(
        "method={name='nai', strength={choices=[1.0, 0.1]}, normalization={choices=['none', 'layer_mean']}}",
        "training={}",
    )
    values = [tuple(point.values()) for point in plain.grid()]
    assert values == list(itertools.product(["none", "layer_mean"], [1.0, 0.1]))


def test_parents_come_before_what_hangs_on_them():
    names = list(space().parameters())
    assert names == [
        "method.normalization",
        "method.accumulation",
        "method.eps",
        "method.eta",
        "method.strength",
        "training.epochs",
    ]
    for name, setting in space().parameters().items():
        assert all(names.index(parent) < names.index(name) for parent in setting.when or {})


def test_conditions_name_their_parents_in_full():
    searched = space().parameters()
    assert searched["method.eta"] == Choice(choices=(0.5, 0.9), when={"method.accumulation": ("decayed",)})
    assert searched["training.epochs"].when == {"method.strength": (1.0,)}
    assert acts(searched["method.eta"], {"method.accumulation": "decayed"})
    assert not acts(searched["method.eta"], {"method.accumulation": "sum"})
    assert not acts(searched["method.eta"], {})


def test_the_order_of_the_file_does_not_matter():
    head, _, tail = SPACE.partition("strength")
    body, _, rest = tail.partition("[training]")
    turned = "\n".join(reversed(f"strength{body}".strip().splitlines()))
    assert list(loads(f"{head}{turned}\n[training]{rest}").parameters()) == list(space().parameters())


def test_settings_are_those_that_exist_and_the_rest_is_left_to_the_code():
    for point in space().grid():
        filled = space().settings(None, point)
        given = {f"{s}.{k}": v for s in ("method", "training") for k, v in filled[s].items() if k != "name"}
        assert given == point
    for wrong in (
        {"method.normalization": "none", "method.strength": 0.1, "method.eps": 0.5},
        {"method.normalization": "neuron_std", "method.strength": 0.1},
    ):
        with pytest.raises(ValueError, match="are searched"):
            space().settings(None, wrong)
    assert "epochs" not in space().first()["training"]  # the first strength is 0.1


def test_a_fixed_parent_settles_the_condition():
    fixed = space("method.normalization=layer_mean")
    assert fixed.parameters()["method.eps"].when is None
    assert fixed.parameters()["method.eta"].when == {"method.accumulation": ("decayed",)}


def test_a_setting_of_the_training_may_belong_to_one_of_several_methods():
    several = loads(
        SPACE.replace("[training]", '[[method]]\nname = "ewc"\n[training]')
        .replace('[method]\nname = "nai"', '[[method]]\nname = "nai"')
        .replace('"method.strength" = [1.0]', '"method.name" = ["ewc"]')
    )
    assert "training.epochs" not in several.parameters("nai")
    assert several.parameters("ewc") == {"training.epochs": Range(low=1, high=3, step=1)}
    assert "epochs" not in several.settings("nai", next(several.grid("nai")))["training"]


def test_conditions_survive_writing_and_reading():
    again = loads(space().to_toml())
    assert again == space() and again.digest == space().digest and not again.difference(space())


def test_only_combinations_that_exist_are_tried_on_the_method():
    text = SPACE.replace(
        'eta = {choices = [0.5, 0.9], when = {accumulation = ["decayed"]}}',
        'penalty = {choices = ["squared_l2", "group_l2"]}\n'
        'sparsity = {low = 0.1, high = 1.0, step = 0.1, when = {penalty = ["group_l2"]}}',
    )
    assert "method.sparsity" in loads(text).parameters()
    found = mistakes(text=text.replace(', when = {penalty = ["group_l2"]}', ""))
    assert all("acts only with penalty 'group_l2'" in line for line in found)


WRONG = {
    "method.eps.when={normalisation=['none']}": "method.eps: when names method.normalisation, which the "
    "space does not have; did you mean method.normalization?",
    "method.eps.when={reset=['all']}": "method.eps: when names method.reset, which the space does not have; ",
    "method.eps.when={normalization=['layer_men']}": 'method.eps: when names "layer_men", which is no choice',
    "method.eps.when={normalization=['none']}": "method.eps: acts only with normalization 'neuron_std' or",
    "method.eps.when={normalization='none'}": 'method.eps.when.normalization: must be a list, not "none"',
    "method.eps.when={normalization=[]}": "method.eps: when names no value of normalization, so it never",
    "method.eps.when={}": "method.eps: when is empty: name a setting and its values, or leave it out",
    "method.eps.when={'benchmark.name'=['split']}": "method.eps: when names benchmark.name, but a setting",
    "method.eps.when={'training.epochs'=[1]}": "which is a range: settings hang on choices, so name its",
    "method.eta.when={accumulation=['sum']}": "method.eta: acts only with accumulation 'decayed': leave it",
    "method.accumulation=sum": 'method.eta: can never act, since method.accumulation is fixed to "sum": ',
    "method.strength=0.1": "training.epochs: can never act, since method.strength is fixed to 0.1: leave it",
    "method.normalization={choices=['layer_mean'], when={accumulation=['sum']}}": "method.accumulation: "
    "never exists, since method.accumulation hangs on method.normalization hangs on method.accumulation: ",
}


@pytest.mark.parametrize("override", WRONG)
def test_each_condition_that_cannot_be_is_told_with_a_way_out(override):
    assert any(WRONG[override] in line for line in mistakes(override))


def test_a_setting_cannot_hang_on_itself():
    (line,) = mistakes("method.eps={choices=[0.1], when={eps=[0.1]}}")
    assert "method.eps: never exists, since method.eps hangs on method.eps: leave out one when" in line


def test_more_combinations_than_are_tried_still_find_what_clashes():
    many = {f"choices = {[x / 100 for x in range(1, 100)]}": "strength", "choices = [0.5, 2.0]": "eta"}
    text = SPACE
    for choices, name in many.items():
        old = next(line for line in SPACE.splitlines() if line.startswith(f"{name} "))
        text = text.replace(old, old.replace(old[old.index("choices") : old.index("]") + 1], choices))
    text = text.replace('when = {"method.strength" = [1.0]}', "log = false")
    (line,) = mistakes(text=text)
    assert line == "hanging.toml:13  method.eta: eta 2.0 must lie between 0 and 1"
