"""UCL against its loss as a plain loop over weights, and its two learning rates against torch's own."""

import dataclasses
import math
from types import SimpleNamespace

import oracles
import pytest
import torch
from torch import nn
from worlds import blobs, differing, marks, taught, world

from nai.learn import begin, learn
from nai.methods import Finetune, Ucl
from nai.methods.anchored import below
from nai.methods.base import cross_entropy
from nai.methods.ucl import deviation
from nai.seeds import Seeds, generator
from nai.tasks import Batch
from nai.training import Training

HEADS = ((0, 1), (2, 3), (4, 5))
METHOD = Ucl(alpha=0.7, beta=0.05, ratio=0.3, lr_rho=0.02)
TRAINING = Training(epochs=3, batch=20)


def images():
    benchmark = blobs((60, 33, 40), features=(1, 4, 4))
    return world(benchmark, "conv", widths=[2], dense_units=3, dropout=0.0, dropout_dense=0.0)


# ---------------------------------------------------------------- the loss as loops
def softplus(rho):
    return math.log1p(math.exp(float(rho)))


def initial_deviation(weight, ratio):
    """A convolution's fan out, a linear layer's fan in, as in the authors' code."""
    fan = weight.shape[1] if weight.ndim == 2 else weight.shape[0] * weight[0, 0].numel()
    return math.sqrt(2 / fan * ratio)


def literal_terms(net, now, old, *, ratio, later):
    """Ahn et al. 2019, eq. 6 without the data: its quadratic, its absolute and its deviations' term.

    Weight by weight and neuron by neuron; the first layer is fed by inputs, which are certain of nothing.
    """
    square = size = sigmas = 0.0
    before = None
    for layer in [x for x in (*net.hidden, net.head) if f"rho.{x.name}" in now]:
        weight, bias = layer.parameters
        start = initial_deviation(now[weight], ratio)
        sure = [start / softplus(r) for r in old[f"rho.{layer.name}"]]
        for n in range(layer.units):
            columns = now[weight].shape[1]
            for m in range(columns):
                other = 0.0 if before is None else before[m // (columns // len(before))]
                strength = max(sure[n], other)
                for a, b in zip(now[weight][n, m].flatten(), old[weight][n, m].flatten(), strict=True):
                    square += (strength * float(a - b)) ** 2
                    size += start**2 * abs(float(b) ** 2 / (start / sure[n]) ** 2 * float(a - b))
            away, was = float(now[bias][n] - old[bias][n]), float(old[bias][n])
            square += (sure[n] * away) ** 2
            size += start**2 * abs(was**2 / (start / sure[n]) ** 2 * away)
            sigma, then = (softplus(x[f"rho.{layer.name}"][n]) ** 2 for x in (now, old))
            sigmas += sigma / then - math.log(sigma / then) + sigma - math.log(sigma)
        before = sure
    return square, size if later else 0.0, sigmas


def away_from(params, much=0.3):
    return {k: v + much * torch.randn(v.shape, generator=generator(k)) for k, v in params.items()}


@pytest.mark.parametrize("make", [world, images], ids=["mlp", "conv"])
@pytest.mark.parametrize("later", [False, True])
def test_what_holds_the_posterior_is_the_plain_loops_sum(make, later):
    where = make()
    lesson = begin(where, METHOD, Seeds())
    old, memory = lesson.params, lesson.memory
    if later:
        old = away_from(old)
        _, memory = METHOD.after_task(where.net, old, None, memory, None)
    now = away_from(old, 0.2)
    square, size, sigmas = literal_terms(where.net, now, old, ratio=0.3, later=later)
    expected = (1 if later else 0.7) / 2 * square + size + 0.05 / 2 * sigmas
    assert METHOD.held(now, memory).item() == pytest.approx(expected, rel=1e-4)
    assert min(square, sigmas) > 0
    assert (size > 0) == later


@pytest.mark.parametrize("make", [world, images], ids=["mlp", "conv"])
def test_the_loss_is_that_of_sampled_weights_and_the_hold_shared_among_the_batch(make):
    where = make()
    lesson = begin(where, METHOD, Seeds())
    params = away_from(lesson.params)
    noise = {k: draw(generator("noise", k)) for k, draw in METHOD.step_draws(where.net, 8).items()}
    live = torch.tensor([1.0] * 5 + [0.0] * 3) / 5  # the last three are padding
    rows = torch.arange(8)
    batch = Batch(where.source.inputs[rows], where.source.labels[rows], live, where.source.tasks[rows])
    context = SimpleNamespace(heads=where.heads, noise=noise)
    sampled = {k: v.clone() for k, v in params.items() if not k.startswith("rho.")}
    for layer in where.net.hidden:
        name = layer.parameters[0]
        for n in range(layer.units):
            sigma = softplus(params[f"rho.{layer.name}"][n])
            sampled[name][n] = params[name][n] + sigma * noise[f"sample.{name}"][n]
    told = cross_entropy(where.net.trace(sampled, batch.inputs).logits, batch, context)
    expected = told + METHOD.held(params, lesson.memory) / 5
    found = METHOD.loss(where.net, params, batch, lesson.memory, context)
    torch.testing.assert_close(found, expected)


# ---------------------------------------------------------------- two learning rates
class Noisy(nn.Module):
    """An MLP whose hidden weights are sampled: means, deviations and heads as ordinary parameters."""

    def __init__(self, params):
        super().__init__()
        self.names = {k: k.replace(".", "_") for k in params}
        for k, v in params.items():
            self.register_parameter(self.names[k], nn.Parameter(v.clone()))

    def own(self):
        return {k: getattr(self, name) for k, name in self.names.items()}

    def forward(self, x, noise):
        own = self.own()
        for i in range(2):
            sigma = nn.functional.softplus(own[f"rho.layers.{i}"])
            weight = own[f"layers.{i}.weight"] + sigma[:, None] * noise[f"sample.layers.{i}.weight"]
            x = torch.relu(x @ weight.mT + own[f"layers.{i}.bias"])
        return x @ own["layers.2.weight"].mT + own["layers.2.bias"]


def plain_task(where, lesson, task, depth, training, make):
    """A task by autograd and torch's own optimiser, deviations in a group with their own rate."""
    model = Noisy(lesson.params)
    rhos = [p for k, p in model.own().items() if k.startswith("rho.")]
    rest = [p for k, p in model.own().items() if not k.startswith("rho.")]
    groups = [{"params": rest}, {"params": rhos, "lr": METHOD.lr_rho}]
    optimizer = make(groups, training.rate)
    draws = METHOD.step_draws(where.net, training.batch)
    steps = math.ceil(len(where.train[task]) / training.batch)
    chances = {}
    for step, indices in enumerate(oracles.batches(where, task, training, Seeds(), depth)):
        if step % steps == 0:
            chances = {k: generator(0, depth, k, step // steps) for k in draws}
        noise = {k: draw(chances[k]) for k, draw in draws.items()}
        optimizer.zero_grad()
        logits = model(where.source.inputs[indices], noise)[:, list(HEADS[task])]
        places = torch.tensor([HEADS[task].index(int(c)) for c in where.source.labels[indices]])
        told = nn.functional.cross_entropy(logits, places)
        (told + METHOD.held(model.own(), lesson.memory) / len(indices)).backward()
        optimizer.step()
    return {k: v.detach() for k, v in model.own().items()}


@pytest.mark.parametrize("algorithm", ["adam", "sgd"])
def test_lr_rho_is_the_deviations_learning_rate(algorithm):
    where, training = world(), dataclasses.replace(TRAINING, algorithm=algorithm)
    make = {
        "adam": lambda groups, rate: torch.optim.Adam(groups, lr=rate),
        "sgd": lambda groups, rate: torch.optim.SGD(groups, lr=rate, momentum=0.5),
    }[algorithm]
    if algorithm == "sgd":
        training = dataclasses.replace(training, rate=0.01, momentum=0.5)
    lesson = begin(where, METHOD, Seeds())
    for depth, task in enumerate((1, 0, 2)):
        expected = plain_task(where, lesson, task, depth, training, make)
        started = lesson.params
        (lesson,) = learn([lesson], [task], where, METHOD, training=training, seeds=[Seeds()])
        for name, value in expected.items():
            torch.testing.assert_close(lesson.params[name], value, rtol=1e-3, atol=5e-5, msg=name)
        for layer in where.net.hidden:
            assert not torch.equal(started[f"rho.{layer.name}"], lesson.params[f"rho.{layer.name}"])


def test_lr_rho_0_lets_deviations_be():
    where, method = world(), dataclasses.replace(METHOD, lr_rho=0.0)
    start, end = begin(where, method, Seeds()), taught(where, method, (0, 1))
    for layer in where.net.hidden:
        assert torch.equal(start.params[f"rho.{layer.name}"], end.params[f"rho.{layer.name}"])


# ---------------------------------------------------------------- laws
def test_without_noise_and_hold_the_first_task_is_plain_training():
    where = world()
    lesson = begin(where, Ucl(alpha=0.0, beta=0.0, ratio=1e-12), Seeds())
    expected, _ = oracles.plain_training(
        where, {k: lesson.params[k] for k in where.net.shapes()}, 1, used=HEADS[1], training=TRAINING
    )
    found = taught(where, Ucl(alpha=0.0, beta=0.0, ratio=1e-12), (1,), training=TRAINING)
    for name, value in expected.items():
        torch.testing.assert_close(found.params[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_initial_variance_is_2_over_fan_shared_by_mean_and_noise():
    where = world(widths=[320, 64])
    params = begin(where, Ucl(ratio=0.3), Seeds()).params
    for name, rho, fan in (("layers.0", "rho.layers.0", 12), ("layers.1", "rho.layers.1", 320)):
        weight = params[f"{name}.weight"]
        assert weight.var().item() == pytest.approx(2 / fan * 0.7, rel=0.05)
        assert weight.abs().max().item() <= math.sqrt(3 * 2 / fan * 0.7)
        torch.testing.assert_close(
            deviation(params[rho]), torch.full((len(weight),), math.sqrt(2 / fan * 0.3))
        )
        assert params[f"{name}.bias"].eq(0).all()
    plain = begin(where, Finetune(), Seeds()).params
    for name in where.net.head.parameters:
        assert torch.equal(params[name], plain[name])
    conv = images()
    params = begin(conv, Ucl(ratio=0.5), Seeds()).params
    torch.testing.assert_close(
        deviation(params["rho.convs.0"]), torch.full((2,), math.sqrt(2 / (2 * 9) * 0.5))
    )


def test_the_output_layer_is_uncertain_where_all_tasks_share_it():
    assert "rho.layers.2" not in begin(world(), Ucl(), Seeds()).params
    assert "rho.layers.2" not in begin(world(blobs(scenario="class")), Ucl(), Seeds()).params
    where = world(blobs(scenario="domain"))
    start, end = begin(where, Ucl(), Seeds()), taught(where, Ucl(), (0, 1))
    assert not torch.equal(start.params["rho.layers.2"], end.params["rho.layers.2"])
    assert torch.equal(end.memory["anchor.layers.2.weight"], end.params["layers.2.weight"])


def test_the_output_layer_is_uncertain_where_only_some_tasks_share_outputs():
    """A last task of fewer classes, in scenario domain."""
    net = world(blobs(scenario="domain", classes=3)).net
    params = {k: net.draw(k, generator(k)) for k in net.shapes()}
    heads = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0]]).bool()
    assert "rho.layers.2" in Ucl().start(net, params, heads, generator(0))[0]
    assert "rho.layers.2" not in Ucl().start(net, params, torch.eye(3).bool(), generator(0))[0]


def test_decay_draws_weights_to_0_and_no_deviation():
    where, one = world(), Training(epochs=1, batch=64, algorithm="sgd", rate=0.1)  # a single step
    start = begin(where, METHOD, Seeds()).params
    free, drawn = (
        taught(where, METHOD, (0,), training=dataclasses.replace(one, decay=d)).params for d in (0.0, 0.5)
    )
    assert all(torch.equal(free[k], drawn[k]) for k in free if k.startswith("rho."))
    for layer in where.net.hidden:
        weight = layer.parameters[0]
        torch.testing.assert_close(drawn[weight], free[weight] - 0.1 * 0.5 * start[weight])


def test_evaluation_takes_the_means():
    where = world()
    lesson = taught(where, METHOD, (0, 1))
    model = oracles.plain_mlp({k: lesson.params[k] for k in where.net.shapes()})
    for task in range(3):
        indices = where.test[task]
        logits = model(where.source.inputs[indices])[:, list(HEADS[task])]
        right = torch.tensor(HEADS[task])[logits.argmax(1)] == where.source.labels[indices]
        assert marks(lesson, where, METHOD).test[task].item() == pytest.approx(right.float().mean().item())


def test_certain_neurons_are_held_more_after_the_first_task_and_all_are_held():
    where = world()
    lesson = begin(where, METHOD, Seeds())
    assert all(v.eq(0).all() for v in below("size", lesson.memory).values())
    for v in below("square", lesson.memory).values():
        torch.testing.assert_close(v, torch.full_like(v, 0.7))
    params = dict(lesson.params)
    params["rho.layers.1"] = params["rho.layers.1"].clone()
    params["rho.layers.1"][:4] -= 2.0  # less deviation: certain
    _, memory = METHOD.after_task(where.net, params, None, lesson.memory, None)
    square = memory["square.layers.1.weight"]
    assert square[:4].min() > 1.5 * square[4:].max()
    end = taught(where, METHOD, (1,), training=TRAINING)
    for v in (*below("square", end.memory).values(), *below("size", end.memory).values()):
        assert (v >= 0).all()
        assert v.sum() > 0


@pytest.mark.parametrize("scenario", ["task", "domain"])
def test_bits_do_not_depend_on_the_stack(scenario):
    where = world(blobs((60, 33, 90), scenario=scenario), widths=[20, 36], dropout=0.2)
    training, seeds = Training(epochs=1, batch=33, optimizer="kept"), [Seeds(n, n) for n in range(7)]
    lessons = [taught(where, METHOD, (n % 3,), training=training, seeds=s) for n, s in enumerate(seeds)]

    def learnt(who):
        some = [lessons[n] for n in who], [(n + 1) % 3 for n in who]
        return learn(*some, where, METHOD, training=training, seeds=[seeds[n] for n in who])

    whole = learnt(range(7))
    for who in ((0,), (6,), (4, 2), (1, 3, 5)):
        for n, lesson in zip(who, learnt(who), strict=True):
            assert not differing(lesson, whole[n])


def test_noise_is_drawn_by_the_seed_of_the_data_and_first_weights_by_the_initial_one():
    where = world()
    once, again = (taught(where, METHOD, (0,)) for _ in range(2))
    assert not differing(once, again)
    assert differing(once, taught(where, METHOD, (0,), seeds=Seeds(0, 1)))
    one, other = begin(where, METHOD, Seeds(0, 0)), begin(where, METHOD, Seeds(0, 1))
    assert not differing(one, other)
    assert differing(one, begin(where, METHOD, Seeds(1, 0)))


def test_nets_that_are_no_chain_are_named():
    where = world(blobs((4,), features=(1, 8, 8)), "resnet18", width=2, groups=1)
    with pytest.raises(ValueError, match="ResNet18 has layers fed by several others: method ucl needs a"):
        begin(where, Ucl(), Seeds())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ucl(alpha=-1), "alpha -1 must be a finite number of at least 0"),
        (lambda: Ucl(beta=float("nan")), "beta nan must be"),
        (lambda: Ucl(lr_rho=-1e-3), "lr_rho -0.001 must be"),
        (lambda: Ucl(ratio=1.0), "ratio 1.0 must lie between 0 and 1, both excluded"),
        (lambda: Ucl(ratio=0.0), "ratio 0.0 must lie"),
    ],
)
def test_wrong_hyperparameters_are_named_with_the_rule(make, words):
    with pytest.raises(ValueError, match=words):
        make()
