"""Methods on a stream of small batches, each sample seen once: against slow loops that know no tasks."""

import itertools

import numpy as np
import oracles
import pytest
import torch
from torch.nn.functional import cross_entropy
from worlds import blobs, differing, taught, world

from nai.learn import begin
from nai.methods import Finetune, Mas, Nai, OnlineMas, OnlineNai, OnlineSi, Si
from nai.normalise import NORMALISERS
from nai.seeds import Seeds
from nai.training import Training

ONCE = Training(epochs=1, batch=10, rate=0.01, optimizer="kept", boundaries="hidden")
ORDER = (2, 0, 1)
EVERY = 4  # no task has that many batches, or a multiple of them
ALPHA, ETA = 0.3, 0.5


def where():
    return world(blobs((50, 33, 61), classes=3, scenario="domain"))


class Stream:
    """A plain loop over the batches of some tasks, one after the other, with a quadratic penalty."""

    def __init__(self, method):
        self.where, self.strength, self.every = where(), method.strength, method.every
        self.start = begin(self.where, method, Seeds()).params
        self.model = oracles.plain_mlp(self.start)
        self.own = oracles.named(self.model, self.start)
        self.anchor = {k: v.clone() for k, v in self.start.items()}
        self.importance = {k: torch.zeros_like(v) for k, v in self.start.items()}

    def run(self):
        optimizer = torch.optim.Adam(self.model.parameters(), lr=ONCE.rate)
        batches = (
            oracles.batches(self.where, task, ONCE, Seeds(), depth) for depth, task in enumerate(ORDER)
        )
        for step, indices in enumerate(itertools.chain(*batches), 1):
            source = self.where.source
            loss = cross_entropy(self.model(source.inputs[indices]), source.labels[indices])
            grads = oracles.gradients_of(self.model, loss)
            self.see(indices)
            before = {k: v.detach().clone() for k, v in self.own.items()}
            optimizer.zero_grad()
            (loss + oracles.quadratic(self.own, [(self.importance, self.anchor)], self.strength)).backward()
            optimizer.step()
            self.walk(before, grads)
            if step % self.every == 0:
                self.consolidate()
                self.anchor = {k: v.detach().clone() for k, v in self.own.items()}
        return {k: v.detach() for k, v in self.own.items()}

    def see(self, indices):
        """What is taken from a batch before the step."""

    def walk(self, before, grads):
        """What is taken from the step."""

    def check(self, method):
        expected, lesson = self.run(), taught(self.where, method, ORDER, training=ONCE)
        for name, value in expected.items():
            torch.testing.assert_close(lesson.params[name], value, rtol=1e-3, atol=1e-5, msg=name)
            if f"anchor.{name}" in lesson.memory:
                found = lesson.memory[f"importance.{name}"].expand(value.shape)
                torch.testing.assert_close(found, self.importance[name], rtol=1e-3, atol=1e-5)
                torch.testing.assert_close(
                    lesson.memory[f"anchor.{name}"], self.anchor[name], atol=1e-5, rtol=1e-3
                )


class SiStream(Stream):
    def run(self):
        self.path = {k: torch.zeros_like(v) for k, v in self.start.items()}
        return super().run()

    def walk(self, before, grads):
        for (name, value), grad in zip(self.own.items(), grads, strict=True):
            self.path[name] -= grad * (value.detach() - before[name])

    def consolidate(self):
        for name, path in self.path.items():
            moved = self.own[name].detach() - self.anchor[name]
            self.importance[name] += path.clamp(min=0) / (moved**2 + 0.1)
            self.path[name] = torch.zeros_like(path)


class MasStream(Stream):
    average = None

    def see(self, indices):
        total = [torch.zeros_like(p) for p in self.model.parameters()]
        for index in indices:
            outputs = self.model(self.where.source.inputs[index][None])
            for sum_, grad in zip(total, oracles.gradients_of(self.model, (outputs**2).sum()), strict=True):
                sum_ += grad.abs() / len(indices)
        if self.average is None:
            self.average = total
        self.average = [ALPHA * t + (1 - ALPHA) * a for t, a in zip(total, self.average, strict=True)]

    def consolidate(self):
        for (name, old), new in zip(self.importance.items(), self.average, strict=True):
            self.importance[name] = ETA * old + new


class NaiStream(Stream):
    def run(self):
        self.said = [[], []]  # of each hidden layer: what its neurons said to each batch so far
        self.omega = [np.zeros(n) for n in (12, 8)]
        return super().run()

    def see(self, indices):
        x = self.where.source.inputs[indices]
        for number, layer in enumerate(list(self.model)[:-1]):
            x = layer(x)
            if number % 2:
                self.said[number // 2].append(x.detach().double().numpy())

    def statistics(self, batches):
        """Mean and deviation of all samples so far, a batch of age a weighing alpha (1 - alpha)^a."""
        ages = np.arange(len(batches))[::-1]
        shares = np.where(ages == len(batches) - 1, 1.0, ALPHA) * (1 - ALPHA) ** ages
        weights = np.concatenate([np.full(len(b), s / len(b)) for b, s in zip(batches, shares, strict=True)])
        values = np.concatenate(batches)
        mean = (weights[:, None] * values).sum(0)
        return mean, np.sqrt((weights[:, None] * (values - mean) ** 2).sum(0))

    def consolidate(self):
        found = []
        for mean, deviation in map(self.statistics, self.said):
            found.append(np.where(mean > 0, mean / (deviation + 1e-6), 0.0))
        scale = np.concatenate(found).mean()
        for number, new in enumerate(found):
            self.omega[number] = ETA * self.omega[number] + new / scale
            rows = torch.tensor(self.omega[number], dtype=torch.float32)
            weight, bias = list(self.importance)[2 * number : 2 * number + 2]
            self.importance[weight] = rows[:, None].expand_as(self.importance[weight])
            self.importance[bias] = rows


SLOW = {
    "si": (SiStream, OnlineSi(strength=30.0, every=EVERY)),
    "mas": (MasStream, OnlineMas(strength=1.0, every=EVERY, alpha=ALPHA, eta=ETA)),
    "nai": (NaiStream, OnlineNai(strength=0.5, every=EVERY, alpha=ALPHA, eta=ETA)),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_stream_without_boundaries_is_a_plain_loop_that_knows_no_tasks(name):
    slow, method = SLOW[name]
    slow(method).check(method)


def same(found, expected, names):
    for name in names:
        assert torch.equal(found.memory[name], expected.memory[name]), name
    assert all(torch.equal(found.params[k], v) for k, v in expected.params.items())


@pytest.mark.parametrize("optimizer", ["fresh", "kept"])
@pytest.mark.parametrize("every", [0, 8])  # 0, or as many steps as each task has
def test_si_consolidated_where_tasks_end_is_si_bit_for_bit(every, optimizer):
    training = Training(epochs=2, batch=16, optimizer=optimizer)
    place = world(blobs((64, 64, 64)))
    expected = taught(place, Si(), (1, 2, 0), training=training)
    found = taught(place, OnlineSi(every=every), (1, 2, 0), training=training)
    same(found, expected, expected.memory)


def test_statistics_of_one_batch_of_all_samples_are_those_of_nai():
    place, still = world(blobs((60, 60))), Training(epochs=3, batch=60, rate=1e-12)
    expected = taught(place, Nai(), (0,), training=still)
    found = taught(place, OnlineNai(alpha=1.0, eta=0.0), (0,), training=still)
    for name in (k for k in expected.memory if k.startswith("omega.")):
        torch.testing.assert_close(found.memory[name], expected.memory[name], rtol=1e-4, atol=1e-5)


def test_sizes_of_one_batch_of_all_samples_are_those_of_mas():
    place, still = world(blobs((60, 60))), Training(epochs=3, batch=60, rate=1e-12)
    expected = taught(place, Mas(), (0,), training=still)
    found = taught(place, OnlineMas(alpha=1.0, eta=0.0), (0,), training=still)
    for name in (k for k in expected.memory if k.startswith("importance.")):
        torch.testing.assert_close(found.memory[name], expected.memory[name], rtol=1e-4, atol=1e-6)


METHODS = [OnlineSi, OnlineMas, OnlineNai]


@pytest.mark.parametrize("kind", METHODS)
def test_without_strength_it_is_finetuning_bit_for_bit(kind):
    expected = taught(where(), Finetune(), ORDER, training=ONCE)
    found = taught(where(), kind(strength=0.0, every=EVERY), ORDER, training=ONCE)
    assert all(torch.equal(found.params[k], v) for k, v in expected.params.items())


@pytest.mark.parametrize("kind", METHODS)
def test_where_boundaries_are_known_they_change_nothing(kind):
    known = Training(epochs=1, batch=10, rate=0.01, optimizer="kept")
    hidden = taught(where(), kind(every=EVERY), ORDER, training=ONCE)
    assert not differing(hidden, taught(where(), kind(every=EVERY), ORDER, training=known))


@pytest.mark.parametrize("kind", METHODS)
def test_until_it_is_first_consolidated_nothing_is_held(kind):
    lesson = taught(where(), kind(every=10_000), ORDER, training=ONCE)
    plain = taught(where(), Finetune(), ORDER, training=ONCE)
    assert all(torch.equal(lesson.params[k], v) for k, v in plain.params.items())


@pytest.mark.parametrize("kind", METHODS)
def test_its_strength_acts_late_only_where_it_waits_for_a_task_s_end(kind):
    assert kind().late == {"strength"}
    assert kind(every=1).late == frozenset()
    assert kind().needs_boundaries
    assert not kind(every=1).needs_boundaries


@pytest.mark.parametrize("rule", NORMALISERS)
def test_every_normalisation_holds_some_neuron(rule):
    lesson = taught(where(), OnlineNai(every=2, normalization=rule), (0,), training=ONCE)
    for layer in ("layers.0", "layers.1"):
        omega = lesson.memory[f"omega.{layer}"]
        assert bool((omega >= 0).all())
        assert omega.sum() > 0


@pytest.mark.parametrize(
    ("make", "mistake"),
    [
        (lambda: OnlineSi(every=-1), "every -1 must be a whole number of at least 0"),
        (lambda: OnlineSi(damping=0.0), "damping 0 divides by zero"),
        (lambda: OnlineNai(alpha=1.5), "alpha 1.5 must lie between 0 and 1"),
        (lambda: OnlineNai(normalization="layer"), "normalization 'layer' is unknown"),
        (lambda: OnlineMas(eta=-0.5), "eta -0.5 must lie between 0 and 1"),
    ],
)
def test_a_mistake_names_value_and_rule(make, mistake):
    with pytest.raises(ValueError, match=mistake):
        make()
