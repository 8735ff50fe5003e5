"""Hand-worked numbers for a layer of three neurons: means 1, 3, 0 (dead), standard deviations 0.5, 2, 0."""

import math

import pytest
import torch

from nai.normalise import NORMALISERS, matched, normalised

MEAN = torch.tensor([1.0, 3.0, 0.0])
SPREAD = torch.tensor([0.5, 2.0, 0.0])
TOTAL = math.e + math.e**3 + 1
BY_HAND = {
    "neuron_std": [2, 1.5, 0],
    "layer_std": [1 / math.sqrt(14 / 9), 3 / math.sqrt(14 / 9), 0],  # means have mean 4/3, variance 14/9
    "layer_mean": [0.75, 2.25, 0],
    "layer_max": [1 / 3, 1, 0],
    "layer_sum": [0.25, 0.75, 0],
    "layer_std_all": [1 / math.sqrt(14 / 9 + 4.25 / 3), 3 / math.sqrt(14 / 9 + 4.25 / 3), 0],
    "layer_softmax": [math.e / TOTAL, math.e**3 / TOTAL, 0],
    "none": [1, 3, 0],
}


@pytest.mark.parametrize("name", NORMALISERS)
def test_numbers_worked_by_hand(name):
    found = normalised(NORMALISERS[name], MEAN, SPREAD, 0.0)
    assert found.tolist() == pytest.approx(BY_HAND[name])


def test_the_spread_of_a_whole_layer_is_that_of_all_its_numbers():
    said = torch.tensor([[1.0, 4.0, 0.0], [3.0, 0.0, 2.0], [2.0, 5.0, 0.0]])
    found = normalised(NORMALISERS["layer_std_all"], said.mean(0), said.std(0, correction=0), 0.0)
    torch.testing.assert_close(found, said.mean(0) / said.std(correction=0))


def test_eps_stands_in_the_denominator_alone():
    assert normalised(NORMALISERS["neuron_std"], MEAN, SPREAD, 0.5).tolist() == pytest.approx([1, 1.2, 0])


@pytest.mark.parametrize("name", NORMALISERS)
def test_neurons_that_say_nothing_or_less_have_no_importance_and_no_one_has_less_than_none(name):
    mean = torch.tensor([-5.0, 1.0, -2.0, 0.0])  # of tanh, say: their sum is negative
    found = normalised(NORMALISERS[name], mean, torch.ones(4), 1e-6)
    assert found[[0, 2, 3]].tolist() == [0, 0, 0]
    assert found[1] > 0
    dead = normalised(NORMALISERS[name], torch.zeros(4), torch.zeros(4), 1e-6)
    assert dead.tolist() == [0, 0, 0, 0]


def test_matching_divides_the_whole_net_by_one_number():
    layers = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0])]
    assert [x.tolist() for x in matched(layers)] == [[0.25, 0.5, 0.75], [2.5]]
    assert [x.tolist() for x in matched([torch.zeros(2), torch.zeros(1)])] == [[0, 0], [0]]


def test_every_normalisation_stays_itself_on_layers_of_unequal_width():
    generator = torch.Generator().manual_seed(0)
    wide, narrow = (torch.rand(n, generator=generator) + 0.1 for n in (40, 5))
    spreads = [torch.rand(n, generator=generator) + 0.1 for n in (40, 5)]
    found = {}
    for name, rule in NORMALISERS.items():
        layers = [normalised(rule, m, s, 1e-6) for m, s in zip((wide, 10 * narrow), spreads, strict=True)]
        found[name] = torch.cat(matched(layers))
        assert found[name].mean().item() == pytest.approx(1, rel=1e-5)
    names = list(found)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert not torch.allclose(found[a], found[b], rtol=1e-2), (a, b)
