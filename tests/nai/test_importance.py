import math

import oracles
import pytest
import torch
from torch import nn
from worlds import blobs, taught, world

from nai.feed import pad
from nai.importance import activation, gradients
from nai.importance.activation import POOLINGS, activation_statistics, shuffled
from nai.importance.gradients import (
    expected_likelihood,
    likelihood,
    output_norm,
    over_scores,
    per_sample,
    size,
    square,
)
from nai.learn import begin
from nai.methods import Ewc, Finetune, Mas, Nai
from nai.methods.ewc import drawn_labels
from nai.seeds import Seeds, generator
from nai.training import Training

HEADS = ((0, 1), (2, 3), (4, 5))


def everything(where, task, rows=96):
    return pad(where.train[task], rows)


@pytest.mark.parametrize("chunk", [32, 48, 4096])
@pytest.mark.parametrize("stat", ["mean", "mean_abs"])
def test_statistics_in_chunks_are_those_of_all_samples_at_once(monkeypatch, chunk, stat):
    monkeypatch.setattr(activation, "CHUNK", chunk)  # the last chunks hold nothing but padding
    where = world(blobs((90, 33)), activation="tanh")
    params = begin(where, Finetune(), Seeds()).params
    for task in (0, 1):
        found = activation_statistics(
            where.net, params, everything(where, task, 128), where.source, stat=stat
        )
        for layer, said in zip(found, oracles.activations(where, params, task, nn.Tanh), strict=True):
            said = said.abs() if stat == "mean_abs" else said
            torch.testing.assert_close(layer.mean, said.mean(0), rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(layer.spread, said.std(0, correction=0), rtol=1e-4, atol=1e-6)


def test_maps_become_one_number_a_neuron():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 5.0]]]])
    assert POOLINGS["gap"](maps).tolist() == [[2.5, 1.25]]
    assert POOLINGS["max"](maps).tolist() == [[4, 5]]
    assert POOLINGS["spatial_l2"](maps).tolist() == [[pytest.approx(math.sqrt(30)), 5]]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_convolutions_speak_through_their_pooled_maps(pooling):
    where = world(blobs((20,), features=(1, 4, 4)), "conv", widths=[4], dense_units=3)
    params = begin(where, Finetune(), Seeds()).params
    found = activation_statistics(where.net, params, everything(where, 0), where.source, pooling=pooling)
    x = where.source.inputs[where.train[0]]
    first = torch.relu(nn.functional.conv2d(x, params["convs.0.weight"], params["convs.0.bias"], padding=1))
    said = {"gap": first.mean((2, 3)), "max": first.amax((2, 3)), "spatial_l2": first.norm(dim=(2, 3))}
    torch.testing.assert_close(found[0].mean, said[pooling].mean(0))
    torch.testing.assert_close(found[0].spread, said[pooling].std(0, correction=0))
    assert [len(layer.mean) for layer in found] == [4, 4, 3]


def test_the_random_control_moves_importances_to_other_neurons_of_the_same_layer():
    where = world(widths=[40, 20])
    plain, control = (taught(where, Nai(importance_source=s), (0,)) for s in ("activation", "random"))
    for layer in where.net.hidden:
        a, b = (x.memory[f"omega.{layer.name}"] for x in (plain, control))
        assert torch.equal(a.sort().values, b.sort().values)
        assert not torch.equal(a, b)
    order = torch.tensor([2, 0, 1])
    assert shuffled([torch.tensor([5.0, 6.0, 7.0])], [order])[0].tolist() == [7, 5, 6]


def test_neurons_that_never_fire_have_no_importance():
    where = world()
    lesson = begin(where, Nai(), Seeds())
    lesson.params["layers.0.bias"][:3] = -1e3
    found = activation_statistics(where.net, lesson.params, everything(where, 0), where.source)
    for rule in ("neuron_std", "layer_softmax"):
        omega = Nai(normalization=rule).importances(where.net, found, None)
        assert omega[0][:3].tolist() == [0, 0, 0]
        assert (omega[0][3:] >= 0).all() and omega[0].sum() > 0


def mask(where, task):
    return lambda batch: where.heads[batch.tasks]


WAYS = {"likelihood": (likelihood, square), "norm": (output_norm, size)}


@pytest.mark.parametrize("score", WAYS)
@pytest.mark.parametrize("chunk", [32, 256])
def test_the_algebra_of_linear_layers_equals_one_gradient_a_sample(monkeypatch, score, chunk):
    monkeypatch.setattr(gradients, "CHUNK", chunk)
    where = world(activation="tanh")
    params = begin(where, Finetune(), Seeds()).params
    make, power = WAYS[score]
    args = (params, everything(where, 2), where.source)
    fast = per_sample(where.net, *args, score=make(mask(where, 2)), power=power)
    where.net.dense = False
    slow = per_sample(where.net, *args, score=make(mask(where, 2)), power=power)
    for name in params:
        torch.testing.assert_close(fast[name], slow[name], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("chunk", [32, 4096])
def test_several_scores_at_once_are_the_sum_of_each(monkeypatch, dense, chunk):
    monkeypatch.setattr(gradients, "CHUNK_SCORES", chunk)
    where = world(blobs(scenario="class"), activation="tanh")
    where.net.dense = dense
    args = (where.net, begin(where, Finetune(), Seeds()).params, everything(where, 1), where.source)
    scores = [expected_likelihood(torch.tensor(c), mask(where, 1)) for c in (2, 3, 5)]
    at_once = over_scores(*args, scores=scores, power=square)
    each = [per_sample(*args, score=score, power=square) for score in scores]
    for name, value in at_once.items():
        expected = torch.stack([one[name] for one in each]).sum(0)
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-9)


def weigh_true(where, task):
    first = HEADS[task][0]
    return lambda place, p: [
        float(where.source.labels[where.train[task][place]] - first == c) for c in (0, 1)
    ]


@pytest.mark.parametrize("task", [0, 2])
def test_fisher_information_is_that_of_a_loop_over_samples(task):
    where = world()
    for labels, weigh in {"true": weigh_true(where, task), "exact": lambda place, p: p}.items():
        lesson = taught(where, Ewc(labels=labels), (task,))
        expected = oracles.fisher(where, lesson.params, task, HEADS[task], weigh)
        for name, value in expected.items():
            torch.testing.assert_close(lesson.memory[f"importance.{name}"], value, rtol=1e-4, atol=1e-8)


def test_fisher_information_of_sampled_labels_uses_one_uniform_number_a_row():
    where, task = world(), 1
    lesson = taught(where, Ewc(labels="sample"), (task,))
    chance = torch.rand(96, generator=generator(0, 0, "labels"))
    weigh = lambda place, p: [float(chance[place] < p[0]), float(chance[place] >= p[0])]  # noqa: E731
    expected = oracles.fisher(where, lesson.params, task, HEADS[task], weigh)
    for name, value in expected.items():
        torch.testing.assert_close(lesson.memory[f"importance.{name}"], value, rtol=1e-4, atol=1e-8)


def test_sampled_labels_follow_the_net_s_own_probabilities():
    logits = torch.tensor([[0.0, 1.0, -torch.inf, -1.0]])
    chance = torch.linspace(0, 1, 10_001)[:-1]
    drawn = drawn_labels(logits.expand(10_000, 4), chance)
    shares = torch.bincount(drawn, minlength=4) / 10_000
    torch.testing.assert_close(shares, logits.softmax(1)[0], atol=2e-4, rtol=0)
    last = torch.tensor([1 - 2**-24])
    for one in (logits, torch.randn(1, 4).mul(30), torch.tensor([[-torch.inf, 3.0, -torch.inf, -torch.inf]])):
        assert one[0, drawn_labels(one, last)] > -torch.inf
        assert one[0, drawn_labels(one, torch.zeros(1))] > -torch.inf


def test_heads_of_unequal_size_count_their_own_outputs_alone():
    benchmark = blobs((40, 40))
    first = benchmark.tasks[0]
    merged = first._replace(classes=(0, 1, 4))
    unequal = type(benchmark).of(
        "unequal", "task", [merged, benchmark.tasks[1]], inputs=benchmark.inputs, labels=benchmark.labels
    )
    where = world(unequal)
    lesson = taught(where, Ewc(), (1,))
    expected = oracles.fisher(where, lesson.params, 1, (2, 3), lambda place, p: p)
    for name, value in expected.items():
        torch.testing.assert_close(lesson.memory[f"importance.{name}"], value, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("task", [0, 2])
def test_memory_aware_synapses_are_those_of_a_loop_over_samples(task):
    where = world()
    lesson = taught(where, Mas(), (task,))
    expected = oracles.sensitivity(where, lesson.params, task, HEADS[task])
    for name, value in expected.items():
        torch.testing.assert_close(lesson.memory[f"importance.{name}"], value, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("model", ["conv", "resnet18"])
def test_nets_with_convolutions_take_one_gradient_a_sample(model):
    options = {"conv": {"widths": [3], "dense_units": 3}, "resnet18": {"width": 2, "groups": 1}}[model]
    where = world(blobs((5,), features=(1, 8, 8)), model, **options)
    training = Training(epochs=1)
    for method, value_of in {
        Ewc(labels="true"): lambda logits, label: logits.log_softmax(1)[0, label],
        Mas(): lambda logits, label: logits.square().sum(),
    }.items():
        lesson = taught(where, method, (0,), training=training)
        leaves = {k: v.clone().requires_grad_() for k, v in lesson.params.items()}
        total = {k: torch.zeros_like(v) for k, v in leaves.items()}
        for index in where.train[0]:
            logits = where.net.trace(leaves, where.source.inputs[index][None]).logits
            value = value_of(logits, where.source.labels[index])
            for name, g in zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True):
                total[name] += g.square() if isinstance(method, Ewc) else g.abs()
        for name in leaves:
            found = lesson.memory[f"importance.{name}"]
            torch.testing.assert_close(found, total[name] / 5, rtol=1e-3, atol=1e-7)
