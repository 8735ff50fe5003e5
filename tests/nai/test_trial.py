import dataclasses
import json
import math
import sys
import types

import numpy as np
import pytest
import torch
from worlds import blobs

from nai import trial as trials
from nai.methods import Ewc, Finetune, Method, Nai
from nai.models import MODELS, Mlp
from nai.orders import sampled
from nai.seeds import Seeds
from nai.tasks import Benchmark
from nai.training import Training
from nai.trial import (
    Named,
    Trial,
    canonical,
    fingerprint,
    load,
    method_of,
    network_of,
    run,
    run_many,
    settings,
    suggestion_of,
    world_of,
)

BENCHMARK = blobs((40, 33, 9))
PINNED = "9e27dbeeb8c6ab3531c850c1d0b0b6ddc5f8866a5030e92e6f71bab3d2928143"
TRIAL = Trial(
    benchmark=Named.of("blobs_here:made"),
    model=Named.of("mlp", widths=[8, 4]),
    method=Nai(strength=0.5),
    training=Training(epochs=2),
    order=(2, 0, 1),
    seeds=Seeds(3, 4),
)


@dataclasses.dataclass(frozen=True)
class Own(Method):
    """A user's method: finetuning under another name."""

    amount: float = 2.0


class Loose(Method):
    """A method that is no value."""


@pytest.fixture(autouse=True)
def blobs_here(monkeypatch):
    """A user's module with a benchmark, methods and a model."""
    module = types.ModuleType("blobs_here")
    module.made = lambda sizes=(40, 33, 9), scenario="task", **more: blobs(sizes, scenario=scenario, **more)
    module.Own, module.Loose, module.number = Own, Loose, lambda: 7
    module.net = lambda features, outputs, units=6: Mlp(features, outputs, widths=(units,))
    monkeypatch.setitem(sys.modules, "blobs_here", module)
    trials._load.cache_clear()
    yield module
    trials._load.cache_clear()


def changed(**fields):
    return dataclasses.replace(TRIAL, **fields)


# ---------------------------------------------------------------- fingerprints
DECIDING = {
    "benchmark content": changed(benchmark=Named.of("blobs_here:made", seed=1)),
    "benchmark sizes": changed(benchmark=Named.of("blobs_here:made", sizes=[40, 33, 10])),
    "scenario": changed(benchmark=Named.of("blobs_here:made", scenario="class")),
    "model": changed(model=Named.of("conv", widths=[8, 4])),
    "widths": changed(model=Named.of("mlp", widths=[4, 8])),
    "activation": changed(model=Named.of("mlp", widths=[8, 4], activation="tanh")),
    "dropout": changed(model=Named.of("mlp", widths=[8, 4], dropout=0.1)),
    "method": changed(method=Ewc(strength=0.5)),
    "order": changed(order=(0, 2, 1)),
    "initial seed": changed(seeds=Seeds(4, 4)),
    "data seed": changed(seeds=Seeds(3, 3)),
    **{
        f.name: changed(method=dataclasses.replace(TRIAL.method, **{f.name: value}))
        for f in dataclasses.fields(Nai)
        for value in [
            {
                "strength": 0.25,
                "normalization": "none",
                "eps": 1e-3,
                "activation_stat": "mean_abs",
                "pooling": "max",
                "accumulation": "max",
                "eta": 0.8,
                "anchor": "weighted_mean",
                "group": "incoming_no_bias",
                "penalty": "group_l2",
                "sparsity": None,
                "reset": "all",
                "rho": 0.1,
                "importance_source": "random",
                "match_scale": False,
                "attribution_steps": 8,
                "attribution_target": "contrast",
                "attribution_baseline": "mean",
                "attribution_samples": 64,
            }[f.name]
        ]
        if value is not None
    },
    "sparsity": changed(method=Nai(strength=0.5, penalty="group_l2", sparsity=1.0)),
    "epochs": changed(training=Training(epochs=3)),
    "batch": changed(training=Training(epochs=2, batch=16)),
    "rate": changed(training=Training(epochs=2, rate=2e-3)),
    "optimizer": changed(training=Training(epochs=2, optimizer="kept")),
    "precision": changed(training=Training(epochs=2, precision="bfloat16")),
    "algorithm": changed(training=Training(epochs=2, algorithm="sgd")),
    "momentum": changed(training=Training(epochs=2, algorithm="sgd", momentum=0.5)),
    "decay": changed(training=Training(epochs=2, decay=0.5)),
    "steps": changed(training=Training(epochs=2, steps=2)),
    "boundaries": changed(
        method=Finetune(), training=Training(epochs=2, optimizer="kept", boundaries="hidden")
    ),
    "boundaries known": changed(method=Finetune(), training=Training(epochs=2, optimizer="kept")),
}


def test_every_field_that_decides_a_result_changes_the_fingerprint():
    found = {name: trial.fingerprint for name, trial in DECIDING.items()}
    assert len({TRIAL.fingerprint, *found.values()}) == 1 + len(DECIDING)
    assert all(len(x) == 64 and int(x, 16) >= 0 for x in found.values())


def test_numerics_changes_all_fingerprints(monkeypatch):
    before = TRIAL.fingerprint
    monkeypatch.setattr(trials, "NUMERICS", trials.NUMERICS + 1)
    assert TRIAL.fingerprint != before


def test_a_method_s_revision_changes_its_fingerprints_and_no_others(monkeypatch):
    trials_of = [changed(method=method) for method in (Nai(), Ewc(), Own())]
    assert [t.method.revision for t in trials_of] == [0, 1, 0]
    before = [t.fingerprint for t in trials_of]
    known = [settings(t, "abc") for t in trials_of]
    monkeypatch.setattr(Ewc, "revision", 2)
    assert [t.fingerprint != b for t, b in zip(trials_of, before, strict=True)] == [False, True, False]
    assert [settings(t, "abc") for t in trials_of] == known
    assert "revision" not in canonical(known[1])
    monkeypatch.setattr(Own, "revision", 2, raising=False)
    assert changed(method=Own()).fingerprint != before[2]


def test_what_decides_nothing_changes_no_fingerprint(tmp_path):
    same = [
        changed(model=Named("mlp", (("widths", (8, 4)),))),
        changed(model=Named.of("mlp", activation="relu", dropout=0, widths=(8, 4))),
        changed(method=Nai(strength=0.5, eta=0.9)),
        changed(benchmark=Named.of("blobs_here:made", scenario="task")),
    ]
    assert {t.fingerprint for t in same} == {TRIAL.fingerprint}
    assert changed(method=Nai(strength=1)).fingerprint == changed(method=Nai(strength=1.0)).fingerprint
    digits = [Named.of("split", dataset="digits", root=str(tmp_path / name)) for name in "ab"]
    one, other = (changed(benchmark=d, order=(0, 1, 2, 3, 4)) for d in digits)
    assert one.fingerprint == other.fingerprint
    digest = load(digits[0]).digest
    assert settings(one, digest) == settings(other, digest)
    assert "root" not in canonical(settings(one, digest))


@pytest.mark.parametrize(
    ("method", "scenario", "mistake"),
    [
        (Ewc(), {"scenario": "class"}, "Ewc must be told where tasks begin and end"),
        (Finetune(), {"scenario": "task"}, "scenario 'task' tells each sample's task"),
        (Finetune(), {}, "scenario 'task' tells each sample's task"),  # the default of split
    ],
)
def test_a_trial_whose_parts_do_not_fit_is_a_mistake_before_any_data_are_read(method, scenario, mistake):
    hidden = Training(optimizer="kept", boundaries="hidden")
    benchmark = Named.of("split", dataset="nowhere", **scenario)
    with pytest.raises(ValueError, match=mistake):
        Trial(benchmark, TRIAL.model, method, hidden, (0, 1))


def test_a_benchmark_of_one_s_own_is_asked_when_it_is_run():
    own = changed(method=Finetune(), training=Training(optimizer="kept", boundaries="hidden"))
    with pytest.raises(ValueError, match="scenario 'task' tells each sample's task"):
        run(own)


def test_an_order_drawn_with_another_seed_is_the_same_trial():
    draws = {seed: sampled(3, 6, seed) for seed in (0, 1)}
    prints = [{changed(order=o).fingerprint for o in orders} for orders in draws.values()]
    assert draws[0] != draws[1]
    assert prints[0] == prints[1]


def test_a_fingerprint_is_pinned():
    # Raise NUMERICS when results change, never this number in silence: records are found by it.
    assert trials.NUMERICS == 1
    assert fingerprint(TRIAL, "benchmark digest") == PINNED


@pytest.mark.parametrize(("method", "length"), [(Nai(strength=0.5), 5.7648052), (Ewc(), 5.7678567)])
def test_results_are_pinned_to_rounding(method, length):
    # As above: a change of code that moves these numbers raises NUMERICS.
    lesson = run(changed(method=method)).result.lesson
    assert sum(v.norm().item() for v in lesson.params.values()) == pytest.approx(length, rel=1e-5)


# ---------------------------------------------------------------- settings
def test_settings_are_plain_and_lead_back_to_the_values():
    for trial in DECIDING.values():
        found = settings(trial, "abc")
        assert json.loads(canonical(found)) == found
        assert found["benchmark"]["digest"] == "abc"
        assert found["benchmark"]["name"] == "blobs_here:made"
        assert method_of(found["method"]) == trial.method
        assert Training(**found["training"]) == trial.training
        model = dict(found["model"])
        assert Named.of(model.pop("name"), **model).settings().items() >= trial.model.settings().items()


def test_canonical_text_is_one_for_equal_values():
    assert canonical({"b": 1, "a": [1.0, 2.5, True]}) == '{"a":[1,2.5,true],"b":1}'
    assert canonical({"a": (1, 2), "b": 1.0}) == canonical({"b": 1, "a": [1, 2]})
    with pytest.raises(ValueError, match="Out of range float"):
        canonical({"a": math.nan})


def test_one_suggestion_for_all_orders_and_seeds():
    names = {suggestion_of(settings(t, "abc")) for t in (TRIAL, DECIDING["order"], DECIDING["data seed"])}
    assert len(names) == 1
    assert len(names.pop()) == 12
    assert suggestion_of(settings(DECIDING["strength"], "abc")) != suggestion_of(settings(TRIAL, "abc"))


# ---------------------------------------------------------------- running
def equal(one, other):
    assert one.trial == other.trial
    assert torch.equal(one.result.valid, other.result.valid)
    assert torch.equal(one.result.test, other.result.test)


def test_a_trial_run_twice_is_the_same():
    one, two = run(TRIAL), run(TRIAL, benchmark=BENCHMARK)
    equal(one, two)
    assert one.trial is TRIAL
    assert one.result.test.shape == (4, 3)


def test_many_trials_are_what_each_is_alone():
    many = [changed(order=o, seeds=s) for o in ((0, 1, 2), (2, 0, 1)) for s in (Seeds(0, 0), Seeds(0, 1))]
    for width in (None, 1):
        found = {outcome.trial: outcome for outcome in run_many(many, width=width)}
        assert set(found) == set(many)
        for trial in many:
            equal(found[trial], run(trial))
    assert list(run_many([])) == []


def test_learning_happens():
    result = run(changed(method=Finetune(), training=Training(epochs=30, rate=3e-3))).result
    assert result.test[3, 1] >= 0.8  # the last task
    assert result.test[1, 2] >= 0.8  # the first, after itself


def test_a_method_and_a_model_of_one_s_own():
    method = method_of({"name": "blobs_here:Own", "amount": 3.0})
    assert method == Own(3.0)
    mine = changed(method=method, model=Named.of("blobs_here:net", units=8))
    known = changed(method=Finetune(), model=Named.of("mlp", widths=[8]))
    assert torch.equal(run(mine).result.test, run(known).result.test)
    assert mine.fingerprint != known.fingerprint
    name = settings(mine, "abc")["method"]["name"]
    assert name == f"{Own.__module__}:Own"


def test_worlds_mark_each_task_s_own_outputs():
    found = world_of(BENCHMARK, Named.of("mlp"))
    assert found.heads.tolist() == [[i // 2 == t for i in range(6)] for t in range(3)]
    assert found.in_use(()).equal(found.heads)
    assert [len(x) for x in found.train] == [40, 33, 9]
    later = world_of(blobs(scenario="class"), Named.of("mlp"))
    assert later.in_use((2, 0))[1].tolist() == [True, True, False, False, True, True]
    assert later.in_use(()).all()
    assert world_of(blobs(scenario="domain"), Named.of("mlp")).in_use((1,)).all()
    assert (found.widest, later.widest) == (2, 6)
    assert found.device.type == "cpu"


# ---------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: run(changed(order=(0, 0, 2))),
            r"order \(0, 0, 2\) is not a permutation of the 3 tasks 0..2",
        ),
        (lambda: run(changed(order=(0, 1, 1))), r"order \(0, 1, 1\) is not a permutation of the 3 tasks"),
        (lambda: run(changed(order=(1, 2, 3))), r"order \(1, 2, 3\) is not a permutation"),
        (lambda: list(run_many([TRIAL], width=0)), "width 0 must be at least 1"),
        (lambda: list(run_many([TRIAL, DECIDING["epochs"]])), "differ in order, seeds, strength alone"),
        (
            lambda: method_of({"name": "nia"}),
            r"method 'nia' is unknown: known are finetune, .* or module:attribute",
        ),
        (
            lambda: method_of({"name": "nai", "strenth": 1}),
            "method nai has no setting 'strenth': it has strength,",
        ),
        (
            lambda: method_of({"name": "finetune", "rate": 1}),
            "method finetune has no setting 'rate': it has none",
        ),
        (
            lambda: method_of({"name": "nowhere_at_all:Own"}),
            r"'nowhere_at_all:Own' cannot be imported .* install",
        ),
        (lambda: method_of({"name": "blobs_here:Nothing"}), "'blobs_here:Nothing' cannot be imported"),
        (lambda: method_of({"name": ":Own"}), "':Own' cannot be imported"),
        (lambda: method_of({"name": "blobs_here:number"}), "'blobs_here:number' gives a int, not a nai"),
        (lambda: method_of({"name": "blobs_here:Loose"}), "method 'blobs_here:Loose' must be a dataclass"),
        (
            lambda: network_of(Named.of("mpl"), BENCHMARK),
            "model 'mpl' is unknown: known are mlp, conv, resnet18",
        ),
        (
            lambda: network_of(Named.of("mlp", width=3), BENCHMARK),
            "no setting 'width': it has widths, activation",
        ),
        (lambda: network_of(Named.of("conv"), BENCHMARK), "conv needs images"),
        (lambda: load(Named.of("spilt", dataset="digits")), "benchmark 'spilt' is not known"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_names_are_values():
    named = Named.of("mlp", widths=[8, [4]], dropout=0.5)
    assert named == Named.of("mlp", dropout=0.5, widths=(8, (4,)))
    assert hash(named) == hash(Named.of("mlp", dropout=0.5, widths=(8, (4,))))
    assert named.settings() == {"name": "mlp", "widths": [8, [4]], "dropout": 0.5}
    assert set(MODELS) == {"mlp", "conv", "resnet18"}


def test_data_are_loaded_once(blobs_here):
    made, plain = [], blobs_here.made
    blobs_here.made = lambda **o: made.append(o) or plain(**o)
    assert load(TRIAL.benchmark) is load(TRIAL.benchmark)
    assert len(made) == 1
    assert isinstance(load(TRIAL.benchmark), Benchmark)
    assert np.array_equal(load(TRIAL.benchmark).labels, BENCHMARK.labels)
