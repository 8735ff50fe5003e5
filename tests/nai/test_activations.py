"""Activations: their formulas and slopes, their starts, and what methods make of their coefficients."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from worlds import blobs, differing, taught, world

import nai
from nai.activations import ACTIVATIONS, Reproducing, activation
from nai.importance.gradients import by_vmap, likelihood, per_sample, square
from nai.learn import begin, learn
from nai.methods import Ewc, Finetune, Nai
from nai.methods.base import Method
from nai.models import ConvNet, Mlp, ResNet18
from nai.seeds import Seeds, generator
from nai.tasks import gather
from nai.training import Training
from nai.trial import Named, Trial, settings

LEARNING = [name for name, one in ACTIVATIONS.items() if one.starts]
OWN = ["poly_sin", "rational", "sine_poly_gaussian"]
"""One of each kind that is not plain."""


def coefficients(name, units, seed=0):
    """First values of every coefficient, double, [units] each."""
    return [start(units, generator(seed, k)).double() for k, start in ACTIVATIONS[name].starts.items()]


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=generator("numbers"))


# ---------------------------------------------------------------- formulas
def literal(name, x, c):
    """The authors' formulas, unit by unit in plain Python; x: [units], c: coefficients, [units] each."""
    said, units = [], len(x)

    def bell(v, width):
        return math.exp(-(v**2) / (2 * width**2))

    parts = {
        "poly": [lambda v: v, lambda v: v**2],
        "poly_relu": [lambda v: v, lambda v: v**2, lambda v: max(v, 0)],
        "poly_relu3": [lambda v: v, lambda v: v**2, lambda v: max(v, 0) ** 3],
        "poly_sin": [lambda v: v, lambda v: v**2, math.sin],
        "poly_sin_gaussian": [lambda v: v, lambda v: v**2, math.sin, lambda v: bell(v, 0.5)],
        "relu3": [lambda v: max(v, 0) ** 3],
        "siren": [lambda v: math.sin(30 * v)],
        "relu": [lambda v: max(v, 0)],
        "leaky_relu": [lambda v: max(v, 0) + 0.01 * min(v, 0)],
        "tanh": [math.tanh],
    }
    for u in range(units):
        v, own = float(x[u]), [float(values[u]) for values in c]
        if name in parts:
            blocks = parts[name]
            said.append(blocks[min(u // (units // len(blocks)), len(blocks) - 1)](v))
        elif name == "rational":
            p3, p2, p1, p0, q2, q1 = own
            said.append((p3 * v**3 + p2 * v**2 + p1 * v + p0) / (1 + abs(q2 * v**2 + q1 * v)))
        else:
            *poly, wave, frequency, height, width = own
            line, parabola = poly or (0, 0)
            curve = line * v + parabola * v**2 + wave * math.sin(frequency * v)
            said.append(curve + height * bell(v, width))
    return torch.tensor(said, dtype=torch.float64)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula_neuron_by_neuron(name):
    x, c = numbers(5, 11), coefficients(name, 11)
    said = ACTIVATIONS[name](x, *c)
    torch.testing.assert_close(said, torch.stack([literal(name, row, c) for row in x]), rtol=1e-6, atol=1e-9)


def test_values_by_hand():
    x = torch.tensor([[2.0, 3.0, math.pi / 2, 5.0]])
    assert ACTIVATIONS["poly_sin"](x).tolist() == [pytest.approx([2, 9, 1, math.sin(5)])]
    one = [torch.tensor([value]) for value in (0.5, 2.0, 3.0, math.pi, 4.0, 1.0)]
    expected = 0.5 + 2 + 3 * math.sin(math.pi) + 4 * math.exp(-0.5)
    assert ACTIVATIONS["sine_poly_gaussian"](torch.ones(1, 1), *one).item() == pytest.approx(expected)
    five = [torch.tensor([value]) for value in (1.0, 2.0, 3.0, 4.0, 1.0, -3.0)]
    assert ACTIVATIONS["rational"](torch.tensor([[2.0]]), *five).item() == pytest.approx((8 + 8 + 6 + 4) / 3)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_written_gradient_is_autograd_s(name):
    x, above = numbers(7, 12).requires_grad_(), numbers(7, 12).flip(0)
    c = [values.requires_grad_() for values in coefficients(name, 12)]
    said = ACTIVATIONS[name](x, *c)
    expected = torch.autograd.grad(said, [x, *c], above)
    below, parts = ACTIVATIONS[name].back(above, x, said, *c)
    for found, wanted in zip((below, *(p.sum(0) for p in parts)), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


def test_a_width_of_0_and_a_denominator_that_crosses_0_divide_nothing():
    nothing = [torch.zeros(3) for _ in range(6)]
    x = torch.tensor([[0.0, 1.0, -1e3]])
    for name in ("sine_poly_gaussian", "rational"):
        said = ACTIVATIONS[name](x, *nothing)
        below, parts = ACTIVATIONS[name].back(torch.ones_like(x), x, said, *nothing)
        assert said.tolist() == [[0, 0, 0]]
        assert all(bool(part.isfinite().all()) for part in (below, *parts))
    crossing = [torch.tensor([value]) for value in (0.0, 0.0, 0.0, 1.0, -1.0, 0.0)]
    assert ACTIVATIONS["rational"](torch.tensor([[1.0]]), *crossing).item() == 0.5  # theirs: a pole


# ---------------------------------------------------------------- what they reproduce, and how they start
def test_mixtures_reproduce_basic_functions_exactly():
    x = numbers(50, 1)

    def mixed(**given):
        names = ACTIVATIONS["sine_poly_gaussian"].starts
        return ACTIVATIONS["sine_poly_gaussian"](x, *(torch.tensor([given.get(k, 0.0)]) for k in names))

    assert torch.equal(mixed(wave=1.0, frequency=30.0), ACTIVATIONS["siren"](x))
    assert torch.equal(mixed(line=1.0), x) and torch.equal(mixed(parabola=1.0), x * x)
    assert torch.allclose(mixed(bell=1.0, width=0.5), torch.exp(-2 * x * x), atol=1e-9)


def test_a_rational_starts_as_the_best_approximation_of_relu():
    # Boulle, Nakatsukasa, Townsend 2020: within 0.03 of ReLU on -1..1
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    away = ACTIVATIONS["rational"](x, *coefficients("rational", 1)) - torch.relu(x)
    assert away.abs().max() == pytest.approx(0.0218, abs=2e-3)


OFFICIAL = {
    "sine_poly_gaussian_image": {
        **{"line": (0, 0.1), "parabola": (1, 0.1), "wave": (2, 0.1), "frequency": (30, 0.001)},
        **{"bell": (1, 0.1), "width": (0.03, 0.04 / 12**0.5)},
    },
    "sine_gaussian_audio": {
        **{"wave": (2, 0.1), "frequency": (30, 10), "bell": (1, 0.1), "width": (0.03, 0.04 / 12**0.5)}
    },
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_starts_have_the_authors_means_and_deviations(name):
    assert ACTIVATIONS[name].starts.keys() == OFFICIAL[name].keys()
    for coefficient, (mean, deviation) in OFFICIAL[name].items():
        drawn = ACTIVATIONS[name].starts[coefficient](20_000, generator(coefficient))
        assert drawn.mean().item() == pytest.approx(mean, abs=0.03 * deviation)
        assert drawn.std().item() == pytest.approx(deviation, rel=0.03)
        if coefficient == "width":
            assert drawn.min() >= 0.01 and drawn.max() <= 0.05


def test_weights_start_as_siren_s_where_waves_are_fast():
    net = Mlp((50,), 10, widths=(40, 60), activation="sine_poly_gaussian_image")
    reaches = {"layers.0": 1 / 50, "layers.1": (6 / 40) ** 0.5 / 30, "layers.2": (6 / 60) ** 0.5 / 30}
    for layer, reach in reaches.items():
        drawn = net.draw(f"{layer}.weight", generator(layer))
        assert 0.95 * reach < drawn.abs().max() <= reach
    assert net.draw("layers.1.bias", generator(1)).abs().max() > 0.1  # PyTorch's own
    plain = Mlp((50,), 10, widths=(40, 60), activation="sine_poly_gaussian")
    assert plain.draw("layers.1.weight", generator(1)).abs().max() > 0.15


# ---------------------------------------------------------------- in every model
NETS = {
    "mlp": lambda **o: Mlp((3, 8, 8), 6, widths=(10, 7), **o),
    "conv": lambda **o: ConvNet((3, 8, 8), 6, widths=(4, 6), dense_units=5, **o),
    "resnet18": lambda **o: ResNet18((3, 8, 8), 6, width=4, groups=2, **o),
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("model", NETS)
def test_every_model_says_what_its_activation_says(model, name):
    net = NETS[model](activation=name)
    params = {k: net.draw(k, generator(k)) for k in net.shapes()}
    inputs = torch.randn(3, 3, 8, 8, generator=generator("images"))
    known = set(ACTIVATIONS[name].starts)
    for layer in net.hidden:
        owned = {p.rpartition(".")[2]: p for p in layer.parameters}
        assert known <= owned.keys()
        assert all(net.shapes()[owned[c]] == (layer.units,) for c in known)
    # the bias tapped before the activation, or the norm's, moves what is said as the formula has it
    first = net.hidden[0]
    shift = next(p for p in first.parameters if p.endswith("bias"))
    quiet = params | {p: torch.zeros_like(params[p]) for p in first.parameters if p.endswith("weight")}
    quiet[shift] = torch.randn(first.units, generator=generator("shift"))
    said = net.trace(quiet, inputs).units[0]
    own = [params[p].double() for p in first.parameters if p.rpartition(".")[2] in known]
    expected = literal(name, quiet[shift], own).float()
    found = said[1] if said.ndim == 2 else said[1, :, 2, 3]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["poly_sin_gaussian", *LEARNING])
def test_gradients_written_out_are_autograd_s(name):
    net = Mlp((6,), 4, widths=(8, 12), activation=name)
    params = {k: net.draw(k, generator(k)) for k in net.shapes()}
    inputs = torch.randn(5, 6, generator=generator("x"))
    slope = torch.randn(5, 4, generator=generator("slope"))
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    (net.trace(leaves, inputs).logits * slope).sum().backward()
    found = net.gradients(params, inputs, {}, lambda logits: slope)
    into = net.gradients(params, inputs, {}, lambda logits: slope, out={k: 0 * v for k, v in params.items()})
    for key, leaf in leaves.items():
        torch.testing.assert_close(found[key], leaf.grad, rtol=1e-4, atol=1e-5)
        assert torch.equal(found[key], into[key])


@pytest.mark.parametrize("name", ["tanh", *OWN])
def test_the_algebra_of_single_samples_gradients_is_vmap_s(name):
    where = world(activation=name)
    params = begin(where, Finetune(), Seeds()).params
    rows = nai.tasks.Rows(where.train[0][:20], torch.full((20,), 1 / 20))
    score = likelihood(lambda batch: where.heads[batch.tasks])
    found = per_sample(where.net, params, rows, where.source, score=score, power=square)
    expected = by_vmap(where.net, params, gather(where.source, rows), score, square)
    assert found.keys() == expected.keys() == params.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-7)


# ---------------------------------------------------------------- stacks
@pytest.mark.parametrize("name", ["siren", "poly_sin_gaussian", "rational", "sine_poly_gaussian_image"])
def test_a_lesson_s_bits_do_not_depend_on_its_stack(name):
    where = world(blobs((41, 7, 30), classes=3, scenario="class"), widths=[20, 28], activation=name)
    method: Method = Nai(strength=0.3, activation_stat="mean_abs")
    training = Training(epochs=1, batch=10)
    seeds = [Seeds(n % 2, n % 3) for n in range(32)]
    tasks = [n % 3 for n in range(32)]
    begun = [
        taught(where, method, [(n + 1) % 3] * (n % 2), training=training, seeds=seeds[n]) for n in range(9)
    ]
    first = [begun[n % 6] for n in range(32)]
    seeds, tasks = [seeds[n % 6] for n in range(32)], [tasks[n % 6] for n in range(32)]

    def learnt(size):
        parts = [slice(at, at + size) for at in range(0, 32 if size > 6 else 6, size)]
        return [
            lesson
            for part in parts
            for lesson in learn(first[part], tasks[part], where, method, training=training, seeds=seeds[part])
        ]

    whole = learnt(32)
    for size in (1, 2, 3, 7):
        assert [differing(a, b) for a, b in zip(learnt(size), whole, strict=False)] == [[]] * len(
            learnt(size)
        )


# ---------------------------------------------------------------- NAI and other methods
@pytest.mark.parametrize("name", ["rational", "sine_poly_gaussian"])
@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_nai_holds_a_neuron_s_coefficients_with_the_neuron(model, name):
    options = {"conv": {"widths": [4], "dense_units": 6, "dropout": 0.0, "dropout_dense": 0.0}}
    where = world(blobs(features=(1, 8, 8)), model, **options.get(model, {}), activation=name)
    method = Nai(strength=0.5, activation_stat="mean_abs", normalization="none")
    lesson = taught(where, method, [0])
    for layer in where.net.hidden:
        omega = lesson.memory[f"omega.{layer.name}"]
        assert bool((omega > 0).any())
        for coefficient in layer.parameters[2:]:
            assert torch.equal(lesson.memory[f"importance.{coefficient}"], omega)
            assert torch.equal(lesson.memory[f"anchor.{coefficient}"], lesson.params[coefficient])
    moved = {k: torch.ones_like(v) for k, v in lesson.params.items()}
    pulled = method.adjust(moved, {k: v + 1 for k, v in lesson.params.items()}, lesson.memory, None)
    layer = where.net.hidden[-1]
    for coefficient in layer.parameters[2:]:
        expected = 1 + 0.5 * lesson.memory[f"omega.{layer.name}"]
        torch.testing.assert_close(pulled[coefficient], expected)


def test_a_huge_strength_holds_coefficients_and_none_is_finetuning():
    where = world(activation="sine_poly_gaussian")
    slow = Training(epochs=3, algorithm="sgd", rate=1e-9)
    quick = Training(epochs=3, algorithm="sgd", rate=1e-2)
    names = [k for k in where.net.shapes() if k.startswith("activations.")]
    held = Nai(strength=1e8, activation_stat="mean_abs")
    start = taught(where, held, [0])
    (after,) = learn([start], [1], where, held, training=slow, seeds=[Seeds()])
    free = dataclasses.replace(held, strength=0.0)
    (loose,) = learn([start], [1], where, free, training=quick, seeds=[Seeds()])
    assert max(float((after.params[k] - start.params[k]).abs().max()) for k in names) < 1e-6
    assert min(float((loose.params[k] - start.params[k]).abs().max()) for k in names) > 1e-5
    unheld, plain = (taught(where, method, [0, 1]).params for method in (free, Finetune()))
    assert all(torch.equal(unheld[k], plain[k]) for k in plain)


def test_negative_activations_have_importance_by_their_size_alone():
    where = world(activation="poly")
    by_mean, by_size = (
        taught(where, Nai(activation_stat=stat, normalization="none"), [0]).memory
        for stat in ("mean", "mean_abs")
    )
    first = where.net.hidden[0].name
    assert (by_mean[f"omega.{first}"] == 0).any() and (by_size[f"omega.{first}"] > 0).all()


@pytest.mark.parametrize(
    ("method", "moves"),
    [
        (Ewc(), True),
        (nai.Ucl(), True),
        (nai.AgsCl(sparsity=1.0), False),
        (nai.LatentReplay(size=20, above=1), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_methods_train_mixtures_or_let_their_neurons_rest_with_them(method, moves):
    where = world(activation="sine_poly_gaussian")
    first = taught(where, method, [0])
    (after,) = learn([first], [1], where, method, training=Training(epochs=2), seeds=[Seeds()])
    assert after.finite
    start = begin(where, method, Seeds()).params
    for name in where.net.hidden[0].parameters:
        assert not torch.equal(first.params[name], start[name])
        assert torch.equal(after.params[name], first.params[name]) != moves


def test_progressive_refuses_what_its_columns_have_no_coefficients_for():
    with pytest.raises(
        ValueError, match="no coefficients of activation 'rational' for them: use relu, poly_sin"
    ):
        begin(world(activation="rational"), nai.Progressive(), Seeds())
    assert taught(world(activation="poly_sin"), nai.Progressive(), [0, 1]).finite


def test_an_unknown_name_is_told_with_the_known_ones():
    for make in (activation, lambda name: Reproducing(name, 3), lambda name: NETS["conv"](activation=name)):
        with pytest.raises(
            ValueError, match="activation 'reul' is unknown: known are relu, leaky_relu, tanh"
        ):
            make("reul")


# ---------------------------------------------------------------- records
@pytest.mark.parametrize("model", ["conv", "resnet18"])
def test_older_records_of_models_that_had_no_choice_stay_true(model):
    def told(**options):
        trial = Trial(Named.of("split"), Named.of(model, **options), Finetune(), Training(), (0, 1))
        return settings(trial, "content")["model"]

    assert "activation" not in told()
    assert told() == told(activation="relu") != told(activation="tanh")
    assert told(activation="tanh")["activation"] == "tanh"


# ---------------------------------------------------------------- modules of one's own
def module(name):
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        Reproducing(name, 6, chance=generator(1)),
        nn.Flatten(),
        nn.Linear(6 * 64, 9),
        Reproducing(name, 9, chance=generator(2)),
        nn.Linear(9, 4),
    )


@pytest.mark.parametrize("name", OWN)
def test_a_module_has_its_neurons_on_the_axis_it_is_told(name):
    one, maps = (
        Reproducing(name, 6, chance=generator(1)),
        torch.randn(3, 6, 4, 5, generator=generator("maps")),
    )
    last = Reproducing(name, 6, axis=-1, chance=generator(1))
    assert torch.equal(one(maps), last(maps.movedim(1, -1)).movedim(-1, 1))
    assert torch.equal(one(maps)[:, :, 1, 2], one(maps[:, :, 1, 2]))


@pytest.mark.parametrize("name", OWN)
def test_deeplift_and_conductance_of_them_are_complete(name):
    inputs = torch.randn(5, 1, 8, 8, generator=generator("inputs"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = module(name)
    for measure in ("deeplift", "conductance"):
        found = nai.attribute(model, inputs, 1, measure=measure, steps=64)
        assert found.shares.keys() == {"1", "4"}
        for gap in found.gaps().values():
            assert gap.abs().max() < 1e-3 * found.difference.abs().max()
    chain = nn.Sequential(*[m for m in model if not isinstance(m, nn.Conv2d)][2:])
    gaps = nai.attribute(chain, inputs.flatten(1).repeat(1, 6), 1, measure="deeplift_reveal").gaps()
    assert max(gap.abs().max() for gap in gaps.values()) < 1e-5


def test_a_guard_holds_their_coefficients():
    model = module("sine_poly_gaussian")
    guard = nai.Guard(model, nai.Nai(strength=1e8, activation_stat="mean_abs"))
    chance = generator("data")
    data = [
        (torch.randn(16, 1, 8, 8, generator=chance), torch.randint(4, (16,), generator=chance))
        for _ in range(2)
    ]
    guard.after_task(data)
    start = {k: v.detach().clone() for k, v in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), 1e-9)
    for inputs, labels in data * 5:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        guard.adjust()
        optimizer.step()
    moved = {k: float((v - start[k]).detach().abs().max()) for k, v in model.named_parameters()}
    assert all(value < 1e-6 for value in moved.values())
    with torch.no_grad():
        model[1].wave += 1.0
    model[1].wave.grad.zero_()
    guard.adjust()
    assert model[1].wave.grad.abs().min() > 1e6
