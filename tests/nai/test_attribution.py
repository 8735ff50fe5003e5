"""Attribution against its definitions, literally, and against Captum."""

import math
import runpy
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from worlds import blobs, taught, world

import nai
from nai.feed import pad
from nai.importance.attribution import COMPLETE, MEASURES, Asked, attribution_statistics
from nai.importance.attribution.task import thinned
from nai.learn import begin
from nai.methods import Finetune, Nai
from nai.seeds import Seeds
from nai.stack import stacked
from nai.tasks import Rows
from nai.training import Training
from nai.trial import Named, load, world_of

CHANCE = torch.Generator().manual_seed(0)


def drawn(*shape):
    return torch.randn(*shape, generator=CHANCE, dtype=torch.float64)


def mlp(activation=nn.ReLU, widths=(10, 12, 8, 3)):
    torch.manual_seed(1)
    layers = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1]).double()


def convolutional(pools=1):
    torch.manual_seed(1)
    last = nn.MaxPool2d(2) if pools == 2 else nn.AvgPool2d(2)
    layers = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.Tanh(), last]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 3)).double()


INPUTS, REFERENCE = drawn(9, 10), 0.3 * drawn(9, 10)
IMAGES, BLANK = drawn(9, 1, 8, 8), 0.3 * drawn(9, 1, 8, 8)
TARGET = torch.arange(9) % 3


def difference(model, inputs, reference, target):
    return (model(inputs) - model(reference)).gather(1, target[:, None])[:, 0].detach()


# ---------------------------------------------------------------- literal definitions
def literal_conductance(model, layer, steps):
    """Sum over the path of dF/dh times the change of h, with one sample and one backward pass at a time."""
    low, high, found = model[: layer + 1], model[layer + 1 :], []
    for x, start, label in zip(INPUTS, REFERENCE, TARGET, strict=True):
        total = 0
        for k in range(steps):
            middle, before, after = (
                low(start + a / steps * (x - start)).detach() for a in (k + 0.5, k, k + 1)
            )
            middle.requires_grad_()
            (slope,) = torch.autograd.grad(high(middle)[label], middle)
            total = total + slope * (after - before)
        found.append(total)
    return torch.stack(found)


def literal_straight_line(model, layer, steps):
    """The change of h times the mean slope on the line between its two values."""
    low, high, found = model[: layer + 1], model[layer + 1 :], []
    for x, start, label in zip(INPUTS, REFERENCE, TARGET, strict=True):
        begun, ended, slopes = low(start).detach(), low(x).detach(), []
        for k in range(steps):
            middle = (begun + (k + 0.5) / steps * (ended - begun)).requires_grad_()
            slopes += torch.autograd.grad(high(middle)[label], middle)
        found.append(torch.stack(slopes).mean(0) * (ended - begun))
    return torch.stack(found)


def literal_gradient_x_activation(model, layer, steps):
    said = model[: layer + 1](INPUTS).detach().requires_grad_()
    (slope,) = torch.autograd.grad(model[layer + 1 :](said).gather(1, TARGET[:, None]).sum(), said)
    return slope * said


def literal_deeplift(model, layer, rule):
    """Multipliers from the output down, one sample, one layer and one neuron at a time."""
    found = []
    for x, start, label in zip(INPUTS, REFERENCE, TARGET, strict=True):
        ends = [(x, start)]
        for part in model:
            ends.append(tuple(part(e).detach() for e in ends[-1]))
        apart = [a - b for a, b in ends]
        factor = model[-1].weight[label].detach()
        for place in range(len(model) - 2, layer, -2):  # activations above the layer
            factor = rule(model, place, apart[place - 1], factor, ends[place][1])
        found.append(factor * apart[layer + 1])
    return torch.stack(found)


def rescaled(model, place, below, factor, reference):
    """Multipliers of what the linear layer below an activation reads, by Rescale."""
    weight = model[place - 1].weight.detach()
    out = torch.zeros(weight.shape[1], dtype=weight.dtype)
    for k, row in enumerate(weight):
        change = row @ below
        said = model[place](reference[k] + change) - model[place](reference[k])
        out += factor[k] * said / change * row
    return out


def revealed(model, place, below, factor, reference):
    """The same by RevealCancel."""
    weight, f = model[place - 1].weight.detach(), model[place]
    out = torch.zeros(weight.shape[1], dtype=weight.dtype)
    for k, row in enumerate(weight):
        terms, r = row * below, reference[k]
        up, down = terms[terms > 0].sum(), terms[terms < 0].sum()
        rises = (f(r + up) - f(r) + f(r + up + down) - f(r + down)) / 2
        falls = (f(r + down) - f(r) + f(r + up + down) - f(r + up)) / 2
        for i, w in enumerate(row):
            if below[i] == 0:
                out[i] += factor[k] * w * (rises / up + falls / down) / 2
            else:
                out[i] += factor[k] * w * (rises / up if terms[i] > 0 else falls / down)
    return out


LITERAL = {
    "conductance": literal_conductance,
    "hidden_ig": literal_straight_line,
    "grad_x_act": literal_gradient_x_activation,
    "deeplift": lambda model, layer, steps: literal_deeplift(model, layer, rescaled),
    "deeplift_reveal": lambda model, layer, steps: literal_deeplift(model, layer, revealed),
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_shares_are_those_of_the_definition(measure, activation):
    model = mlp(activation)
    found = nai.attribute(model, INPUTS, TARGET, measure=measure, reference=REFERENCE, steps=5)
    assert list(found.shares) == ["1", "3"]
    for name, shares in found.shares.items():
        torch.testing.assert_close(shares, LITERAL[measure](model, int(name), 5), rtol=1e-9, atol=1e-12)


def test_reveal_cancel_by_hand_shows_what_rescale_hides():
    """max(0, a - b) of a = b = 1 is 0 like the reference's: each part acts, and half the time alone."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    values = [torch.eye(2), torch.zeros(2), torch.tensor([[1.0, -1.0]]), torch.zeros(1), torch.ones(1, 1)]
    for parameter, value in zip(model.parameters(), [*values, torch.zeros(1)], strict=True):
        parameter.data.copy_(value)
    ones = torch.ones(1, 2, dtype=torch.float64)
    shares = {
        m: nai.attribute(model, ones, 0, measure=m).shares["1"] for m in ("deeplift", "deeplift_reveal")
    }
    assert shares["deeplift"].tolist() == [[0, 0]]
    assert shares["deeplift_reveal"].tolist() == [[0.5, -0.5]]


def test_of_a_linear_network_all_measures_are_one():
    model = mlp(nn.Identity)
    layers = ["1", "3"]
    ask = partial(nai.attribute, model, INPUTS, TARGET, layers=layers)
    for name in layers:
        expected = ask(measure="deeplift", reference=REFERENCE).shares[name]
        for measure in ("conductance", "hidden_ig"):
            found = ask(measure=measure, reference=REFERENCE, steps=3).shares[name]
            torch.testing.assert_close(found, expected)
    for part in model[::2]:
        part.bias.data.zero_()  # then a reference of 0 says 0
    plain = ask(measure="grad_x_act").shares["1"]
    torch.testing.assert_close(plain, ask(measure="conductance").shares["1"])


# ---------------------------------------------------------------- completeness
@pytest.mark.parametrize("measure", ["deeplift", "deeplift_reveal"])
def test_shares_of_deeplift_sum_to_the_difference(measure):
    found = nai.attribute(mlp(nn.Tanh), INPUTS, TARGET, measure=measure, reference=REFERENCE)
    torch.testing.assert_close(found.difference, difference(mlp(nn.Tanh), INPUTS, REFERENCE, TARGET))
    assert max(gap.abs().max() for gap in found.gaps().values()) < 1e-6


@pytest.mark.parametrize("pools", [1, 2])
def test_shares_of_deeplift_go_through_convolutions_and_maxima(pools):
    model = convolutional(pools)
    found = nai.attribute(model, IMAGES, TARGET, measure="deeplift", reference=BLANK)
    assert [*found.shares] == ["1", "4"] and found.shares["1"].shape == (9, 3, 8, 8)
    assert max(gap.abs().max() for gap in found.gaps().values()) < 1e-6


def test_on_a_trained_net_32_steps_leave_less_than_a_thousandth():
    where = world_of(
        load(Named.of("split", dataset="digits", classes=10)), Named.of("mlp", widths=[100, 100])
    )
    params = taught(where, Finetune(), (0,), training=Training(epochs=8)).params
    params = {k: v.double() for k, v in params.items()}
    inputs, labels = (x[where.test[0]] for x in (where.source.inputs.double(), where.source.labels))
    assert (where.net.trace(params, inputs).logits.argmax(1) == labels).float().mean() > 0.9

    def error(measure, steps=32):
        found = nai.attribute(where.net, inputs, labels, measure=measure, params=params, steps=steps)
        return max(float(gap.abs().mean() / found.difference.abs().mean()) for gap in found.gaps().values())

    assert error("conductance") < 1e-3 and error("hidden_ig") < 1e-3
    assert error("deeplift") < 1e-6 and error("deeplift_reveal") < 1e-6
    assert error("conductance", 4) > 3 * error("conductance", 16) > 6 * error("conductance", 64)


# ---------------------------------------------------------------- Captum
@pytest.fixture
def captum():
    return pytest.importorskip("captum.attr", reason="needs Captum: pip install 'nai-sweep[attribution]'")


def asked_of_captum(kind, model, layer, inputs, reference, **more):
    return kind(model, layer).attribute(inputs, reference, target=TARGET, **more).detach()


@pytest.mark.filterwarnings("ignore")  # Captum warns of its own hooks
def test_rescale_is_captum_s(captum):
    for model, inputs, reference in ((mlp(), INPUTS, REFERENCE), (convolutional(), IMAGES, BLANK)):
        found = nai.attribute(model, inputs, TARGET, measure="deeplift", reference=reference)
        for name, shares in found.shares.items():
            theirs = asked_of_captum(captum.LayerDeepLift, model, model[int(name)], inputs, reference)
            torch.testing.assert_close(shares, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_gradient_x_activation_is_captum_s(captum):
    model = convolutional(2)
    found = nai.attribute(model, IMAGES, TARGET, measure="grad_x_act")
    for name, shares in found.shares.items():
        kind = captum.LayerGradientXActivation(model, model[int(name)])
        torch.testing.assert_close(shares, kind.attribute(IMAGES, target=TARGET).detach())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_integrals_have_captum_s_limit(captum, activation):
    """Its trapezoids are a left rule for conductance, and for integrated gradients sum to 1 - 1 / steps."""
    model = mlp(activation)
    for measure, kind, rule in (
        ("conductance", captum.LayerConductance, "riemann_trapezoid"),
        ("hidden_ig", captum.LayerIntegratedGradients, "riemann_middle"),
    ):
        found = nai.attribute(model, INPUTS, TARGET, measure=measure, reference=REFERENCE, steps=2000)
        theirs = asked_of_captum(kind, model, model[1], INPUTS, REFERENCE, n_steps=2000, method=rule)
        bar = 1e-4 if activation is nn.ReLU else 1e-5
        torch.testing.assert_close(found.shares["1"], theirs, rtol=0, atol=bar)


# ---------------------------------------------------------------- as importance of a task
def mask_of(where):
    return lambda batch: where.heads[batch.tasks]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("target", ["true", "predicted", "contrast"])
def test_a_task_s_importance_is_the_mean_size_of_shares(measure, target, monkeypatch):
    monkeypatch.setattr("nai.importance.attribution.task.CHUNK", 32)
    where = world(activation="tanh")
    params = begin(where, Finetune(), Seeds()).params
    rows, inputs = pad(where.train[2], 96), where.source.inputs[where.train[2]]
    found = attribution_statistics(
        where.net,
        params,
        rows,
        where.source,
        asked=Asked(measure, 4, target, "mean", 512),
        mask=mask_of(where),
    )
    logits = where.net.trace(params, inputs).logits
    label = where.source.labels[where.train[2]]
    weights = torch.zeros_like(logits)
    weights[torch.arange(len(label)), 4 + logits[:, 4:6].argmax(1) if target == "predicted" else label] = 1
    weights[:, 4:6] -= 0.5 * (target == "contrast")
    whole = nai.attribute(
        where.net, inputs, weights, measure=measure, params=params, steps=4, reference=inputs.mean(0)
    )
    for layer, shares in zip(found, whole.shares.values(), strict=True):
        torch.testing.assert_close(layer.mean, shares.abs().mean(0), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(layer.spread, shares.abs().std(0, correction=0), rtol=1e-3, atol=1e-6)


def test_shares_of_a_map_are_summed_before_their_size_is_taken():
    where = world(blobs((20,), features=(1, 4, 4)), "conv", widths=[4], dense_units=3)
    params = begin(where, Finetune(), Seeds()).params
    asked = Asked("deeplift", 1, "true", "zeros", 512)
    found = attribution_statistics(
        where.net, params, pad(where.train[0], 32), where.source, asked=asked, mask=mask_of(where)
    )
    inputs, labels = (x[where.train[0]] for x in (where.source.inputs, where.source.labels))
    whole = nai.attribute(where.net, inputs, labels, measure="deeplift", params=params)
    assert max(gap.abs().max() for gap in whole.gaps().values()) < 1e-6
    for layer, shares in zip(found, whole.shares.values(), strict=True):
        torch.testing.assert_close(
            layer.mean, shares.flatten(2).sum(2).abs().mean(0) if shares.ndim > 2 else shares.abs().mean(0)
        )


@pytest.mark.parametrize("live", [1, 7, 40, 41, 100])
def test_samples_are_thinned_evenly_and_none_is_taken_twice(live):
    rows = pad(torch.arange(1000, 1000 + live), 128)
    found = thinned(rows, 40)
    taken = found.indices[found.weights > 0].tolist()
    assert len(found.indices) == 64 and len(taken) == min(live, 40) and len(set(taken)) == len(taken)
    assert set(taken) <= set(range(1000, 1000 + live))
    assert float(found.weights.sum()) == pytest.approx(1)
    steps = {b - a for a, b in pairwise(taken)}
    assert steps <= {math.floor(live / 40) or 1, math.ceil(live / 40)}
    few = Rows(rows.indices[:32], rows.weights[:32])
    assert thinned(few, 20) is few


def test_nai_weighs_neurons_by_the_source_that_it_is_asked_for():
    where, seen = world(), {}
    for source in ("activation", *MEASURES, "random"):
        method = Nai(importance_source=source)
        lesson = taught(where, method, (0, 1))
        seen[source] = torch.cat([lesson.memory[f"omega.{layer.name}"] for layer in where.net.hidden])
        assert seen[source].sum() > 0 and (seen[source] >= 0).all()
    assert len({tuple(omega.tolist()) for omega in seen.values()}) == len(seen)


def test_a_stack_of_networks_is_attributed_as_each_alone():
    where = world()
    singles = [begin(where, Finetune(), Seeds(n)).params for n in range(3)]
    rows = pad(where.train[0], 64)
    for measure in MEASURES:
        asked = Asked(measure, 3, "true", "zeros", 512)
        ask = partial(
            attribution_statistics,
            where.net,
            rows=rows,
            source=where.source,
            asked=asked,
            mask=mask_of(where),
        )
        together = torch.func.vmap(lambda p, ask=ask: [s.mean for s in ask(p)])(stacked(singles))
        for n, params in enumerate(singles):
            alone = torch.func.vmap(lambda p, ask=ask: [s.mean for s in ask(p)])(stacked([params]))
            assert all(torch.equal(a[0], b[n]) for a, b in zip(alone, together, strict=True)), measure


# ---------------------------------------------------------------- what is refused, and what is left alone
def test_a_module_is_as_it_was_afterwards():
    model = nn.Sequential(
        nn.Linear(10, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(6, 3)
    )
    model = model.double().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one = nai.attribute(model, INPUTS, layers=["0", "2"])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert model.training and model[3].training and not model[2]._forward_hooks
    again = nai.attribute(model, INPUTS, model.eval()(INPUTS).argmax(1), layers=["0", "2"])
    assert all(torch.equal(a, b) for a, b in zip(one.shares.values(), again.shares.values(), strict=True))
    assert not one.shares["2"].requires_grad
    deep = nai.attribute(model, INPUTS, measure="deeplift", layers=["0", "2"])
    assert max(gap.abs().max() for gap in deep.gaps().values()) < 1e-6


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.out = nn.Linear(10, 4), nn.Linear(10, 4), nn.Linear(4, 3)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.out(self.act(self.one(x) * self.two(x)))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.act = nn.Linear(10, 10), nn.Linear(10, 3), nn.ReLU()

    def forward(self, x):
        return self.two(self.act(self.one(self.act(self.one(x)))))


NORMED = nn.Sequential(nn.Linear(10, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 3))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (
            lambda: nai.attribute(mlp(), INPUTS, measure="shapley"),
            "measure 'shapley' is unknown: known are cond",
        ),
        (lambda: nai.attribute(mlp(), INPUTS, steps=0), "steps 0 must be a whole number of at least 1"),
        (lambda: nai.attribute(mlp(), INPUTS, 3), r"target 3 is none of the outputs 0\.\.2"),
        (lambda: nai.attribute(mlp(), INPUTS, torch.zeros(2)), "a whole number for each of 9 samples"),
        (
            lambda: nai.attribute(mlp(), INPUTS, layers=["9"]),
            "layer '9' is no module of the model: it has 0, 1",
        ),
        (lambda: nai.attribute(nn.Linear(10, 3).double(), INPUTS), "no activation module: name layers="),
        (lambda: nai.attribute(mlp(), INPUTS, params={}), "leave out params"),
        (lambda: nai.attribute(mlp(), INPUTS.long()), "inputs must be"),
        (lambda: nai.attribute(Twice().double(), INPUTS), "layer 'act' runs more than once"),
        (
            lambda: nai.attribute(Gated().double(), INPUTS, measure="deeplift", layers=["one"]),
            "no rule for the product or quotient of two activations",
        ),
        (
            lambda: nai.attribute(NORMED.double(), INPUTS, measure="deeplift"),
            "no rule for the function layer_norm: use conductance",
        ),
        (
            lambda: nai.attribute(convolutional(), IMAGES, measure="deeplift_reveal"),
            "Sequential is none; use deeplift",
        ),
        (
            lambda: nai.attribute(world().net, INPUTS.float()),
            "Mlp has no weights of its own: hand in params=lesson.params",
        ),
        (lambda: nai.Guard(mlp(), Nai(importance_source="deeplift")), "use 'activation' or 'random'"),
        (
            lambda: begin(
                world(blobs((5,), features=(1, 8, 8)), "resnet18", width=2, groups=1),
                Nai(importance_source="deeplift"),
                Seeds(),
            ),
            "no rule for the norms of ResNet18",
        ),
        (lambda: Nai(attribution_target="loss"), "attribution_target 'loss' is unknown"),
        (lambda: Nai(attribution_steps=0), "attribution_steps 0 must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_attributed_is_told_with_the_way_out(ask, words):
    with pytest.raises(ValueError, match=words):
        ask()


def test_settings_added_later_leave_older_records_as_they_were():
    trial = partial(nai.Trial, nai.Named.of("split", dataset="digits"), nai.Named.of("mlp"))
    settings = partial(nai.trial.settings, digest="")
    plain = settings(trial(Nai(), Training(), (0, 1, 2, 3, 4)))["method"]
    assert not any(name.startswith("attribution") for name in plain)
    other = settings(trial(Nai(attribution_steps=8), Training(), (0, 1, 2, 3, 4)))["method"]
    assert other == {**plain, "attribution_steps": 8}


def test_residual_networks_are_attributed_by_paths():
    where = world(blobs((5,), features=(1, 8, 8)), "resnet18", width=4, groups=2)
    params = {k: v.double() for k, v in begin(where, Finetune(), Seeds()).params.items()}
    inputs = where.source.inputs[where.train[0]].double()
    found = nai.attribute(where.net, inputs, params=params, steps=64)
    assert list(found.shares) == [layer.name for layer in where.net.hidden]
    last = found.gaps()[where.net.hidden[-1].name]  # after it there are no two ways
    assert last.abs().max() < 1e-2 * found.difference.abs().max()


def test_every_measure_with_a_reference_is_complete_or_says_so():
    found = {m: nai.attribute(mlp(), INPUTS, TARGET, measure=m, reference=REFERENCE) for m in COMPLETE}
    assert all(f.gaps()["3"].abs().mean() < 1e-2 * f.difference.abs().mean() for f in found.values())
    plain = nai.attribute(mlp(), INPUTS, TARGET, measure="grad_x_act", reference=REFERENCE)
    assert plain.gaps()["3"].abs().mean() > 1e-2 * plain.difference.abs().mean()


def test_the_example_shows_that_top_neurons_matter_more_than_random_ones(capsys):
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "attribution.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    accuracy = {
        name.strip(): float(value) for name, _, value in (x.rpartition(" ") for x in lines if "%" not in x)
    }
    assert accuracy["all neurons"] > 0.85
    assert accuracy["without the top 12"] < accuracy["without 12 at random"] < accuracy["all neurons"]
