"""Bits: a lesson's result depends on nothing but the lesson, whatever else is in its stack."""

import pytest
import torch
from laws import Pupils
from method_cases import CASES
from worlds import blobs, differing, world

from nai.learn import begin, learn
from nai.methods import Ewc, Finetune, Mas, Nai, OnlineMas, OnlineNai, OnlineSi, Si
from nai.seeds import Seeds
from nai.stack import ALIGNED, LIGHT, flat, stackable, views, width
from nai.training import Training
from nai.trial import Named, load

SIZES = (270, 70, 33, 200, 1)
SHORT = Training(epochs=2)
METHODS = {"nai": Nai(strength=0.3), "ewc": Ewc(), "si": Si(), "mas": Mas()}


def check(where, method, training):
    """The law of `tests/laws.py` that every method keeps, in another world and training."""
    Pupils([method], where, training).check()


@pytest.mark.parametrize("name", ["nai", "ewc", "mas"])
@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_so_it_does_in_other_scenarios_with_dropout_and_kept_moments(name, scenario):
    where = world(blobs(SIZES, scenario=scenario), dropout=0.3, activation="tanh")
    check(where, METHODS[name], Training(epochs=2, optimizer="kept"))


@pytest.mark.parametrize("name", ["nai", "si"])
@pytest.mark.parametrize("optimizer", ["fresh", "kept"])
def test_so_it_does_by_descent_with_momentum_and_decay_in_steps(name, optimizer):
    training = Training(
        epochs=2, optimizer=optimizer, algorithm="sgd", rate=0.03, momentum=0.9, decay=1e-3, steps=5
    )
    check(world(blobs(SIZES), dropout=0.2), METHODS[name], training)


@pytest.mark.parametrize(
    ("method", "algorithm"),
    [
        (Finetune(), "adam"),
        (Finetune(), "sgd"),
        (OnlineSi(every=3), "adam"),
        (OnlineMas(every=3), "sgd"),
        (OnlineNai(every=3), "adam"),
    ],
)
def test_so_it_does_where_boundaries_are_hidden(method, algorithm):
    training = Training(
        epochs=1, batch=10, optimizer="kept", algorithm=algorithm, rate=0.01, boundaries="hidden"
    )
    check(world(blobs((90, 33, 1, 50, 20), scenario="class")), method, training)


@pytest.mark.parametrize(
    ("batch", "widths", "activation"),
    [(5, [12, 8], "relu"), (33, [4], "leaky_relu"), (50, [20, 36], "tanh"), (32, [100, 100], "relu")],
)
def test_so_it_does_with_odd_batches_and_other_nets(batch, widths, activation):
    where = world(blobs(SIZES), widths=widths, activation=activation, dropout=0.2)
    check(where, Ewc(labels="true"), Training(epochs=1, batch=batch))


@pytest.mark.full
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_so_it_does_on_digits(case):
    digits = load(Named.of("split", dataset="digits", classes=2, scenario=case.scenario))
    check(world(digits, widths=[100, 100]), case.method, Training(epochs=3))


def test_nets_that_are_heavy_odd_or_convolutional_run_alone_on_a_cpu_and_together_on_a_gpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    light = world().net
    heavy = world(widths=[320, 320]).net
    odd = world(widths=[9, 5]).net
    images = blobs((8,), features=(1, 8, 8))
    conv = world(images, "conv", widths=[4], dense_units=4).net
    assert sum(s.numel() for s in heavy.shapes().values()) > LIGHT
    assert odd.shapes()["layers.1.weight"].numel() % ALIGNED
    assert [stackable(net, cpu) for net in (light, heavy, odd, conv)] == [True, False, False, False]
    assert all(stackable(net, gpu) for net in (light, heavy, odd, conv))
    assert [width(light, cpu), width(light, cpu, 5), width(heavy, cpu, 5)] == [32, 5, 1]
    assert 1 < width(light, gpu) <= 256


def test_flat_rows_are_whole_vectors_and_their_views_share_memory():
    shapes = {"a": torch.Size((3, 5)), "b": torch.Size((7,))}
    buffer = flat(shapes, 4, torch.device("cpu"))
    named = views(buffer, shapes)
    assert buffer.shape == (4, 32)
    assert {k: tuple(v.shape) for k, v in named.items()} == {"a": (4, 3, 5), "b": (4, 7)}
    named["a"][2] = 1.0
    named["b"][3] = 2.0
    assert buffer.sum(1).tolist() == [0, 0, 15, 14]


def test_a_diverged_neighbour_changes_nothing():
    where, method = world(), Ewc()
    good = begin(where, method, Seeds(0, 0))
    bad = begin(where, method, Seeds(1, 0))
    bad.params["layers.0.weight"].fill_(float("nan"))
    together = learn([bad, good], [0, 1], where, method, training=SHORT, seeds=[Seeds(1, 0), Seeds(0, 0)])
    (alone,) = learn([good], [1], where, method, training=SHORT, seeds=[Seeds(0, 0)])
    assert [x.finite for x in together] == [False, True]
    assert not differing(together[1], alone)
