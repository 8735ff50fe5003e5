"""Presets: the best settings of a sweep, as a space."""

import pytest

from sweep.preset import preset
from sweep.space import loads

TEXT = """
name = "toy"
[benchmark]
name = "split"
dataset = "digits"
classes = [[0, 1], [2, 3]]
[model]
name = "mlp"
widths = [10, 10]
[[method]]
name = "nai"
strength = {low = 0.01, high = 1.0, log = true}
accumulation = {choices = ["sum", "decayed"]}
eta = {low = 0.5, high = 1.0, when = {accumulation = ["decayed"]}}
match_scale = false
[[method]]
name = "ewc"
strength = {low = 1.0, high = 100.0}
[training]
epochs = 3
rate = {choices = [0.001, 0.01]}
[orders]
design = "all"
[search]
suggestions = 4
[confirm]
baselines = ["finetune", {name = "si", strength = 2.0}]
"""
SPACE = loads(TEXT)


def one(suggestion, mean, *, rate=0.01, **method):
    settings = {
        "benchmark": {"name": "split"},
        "model": {"name": "mlp"},
        "training": {"rate": rate, "batch": 32},
        "method": method | {"importance_source": "activation"},
    }
    return {"suggestion": suggestion, "mean": mean, "settings": settings}


def results(*search, best):
    contests = [{"method": method, "best": name} for method, name in best.items()]
    said = {"sweep": "toy", "selection": "validation accuracy (mean) over 2 orders", "done": 16}
    return {"search": list(search), "contests": contests, **said}


FOUND = results(
    one("aa", 0.9, strength=0.3, accumulation="sum", eta=0.7),
    one("bb", 0.8, strength=0.4, accumulation="decayed", eta=0.8),
    one("cc", 0.85, strength=7.0),
    best={"nai": "aa", "ewc": "cc"},
)


def test_the_best_of_each_method_fills_in_what_was_searched_and_leaves_the_rest():
    text = preset(SPACE, FOUND)
    made = loads(text)
    assert made.name == "toy_best" and made.suggestions("nai") == made.suggestions("ewc") == 1
    assert not made.parameters("nai") and not made.parameters("ewc")
    # eta has no say beside the sum, so it is left out as the search left it out
    assert made.section("nai").options == {"strength": 0.3, "accumulation": "sum", "match_scale": False}
    assert made.section("ewc").options == {"strength": 7.0}
    assert made.training.options == {"epochs": 3, "rate": 0.01}
    assert (made.confirm, made.orders, made.benchmark) == (SPACE.confirm, SPACE.orders, SPACE.benchmark)
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert "#     nai          90.00" in head and "#     ewc          85.00" in head
    assert any("best in the sweep toy;" in line for line in head)
    assert any("with 16 runs on record, by validation accuracy" in line for line in head)


def test_a_setting_that_acts_beside_the_best_is_kept():
    found = FOUND | {"contests": [{"method": "nai", "best": "bb"}]}
    made = loads(preset(SPACE, found, ["nai"], name="other"))
    assert made.name == "other" and [method.name for method in made.methods] == ["nai"]
    assert made.section("nai").options["eta"] == 0.8


def test_methods_that_need_different_training_cannot_share_a_space():
    found = results(
        one("aa", 0.9, strength=0.3, accumulation="sum"),
        one("cc", 0.8, strength=2.0, rate=0.001),
        best={"nai": "aa", "ewc": "cc"},
    )
    with pytest.raises(ValueError, match=r"nai was best with training.rate 0.01, ewc with 0.001: .*--method"):
        preset(SPACE, found)
    assert loads(preset(SPACE, found, ["ewc"])).training.options["rate"] == 0.001


def test_a_method_without_a_best_is_named():
    found = FOUND | {"contests": [{"method": "nai", "best": "aa"}, {"method": "ewc", "best": None}]}
    with pytest.raises(ValueError, match="no setting of ewc has run all its search orders"):
        preset(SPACE, found)
    with pytest.raises(ValueError, match="method 'si' is not in the space: name one of nai, ewc"):
        preset(SPACE, found, ["si"])


def test_settings_chosen_in_each_run_are_no_preset():
    text = TEXT.replace("suggestions = 4", 'suggestions = 4\nprotocol = "continual"')
    text = text.replace('accumulation = {choices = ["sum", "decayed"]}\n', "").replace(
        'eta = {low = 0.5, high = 1.0, when = {accumulation = ["decayed"]}}\n', ""
    )
    text = text.replace("strength = {low = 0.01, high = 1.0, log = true}", "strength = 1.0")
    text = text.replace("strength = {low = 1.0, high = 100.0}", "strength = 1.0")
    text = text.replace("rate = {choices = [0.001, 0.01]}", "rate = 0.001")
    with pytest.raises(ValueError, match="chose rate and strength anew for each task"):
        preset(loads(text), FOUND)
