"""HAT: the published step as a loop, its gates, and what rests."""

import math

import oracles
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from worlds import asked, blobs, taught, world

from nai.learn import begin, learn
from nai.methods import Hat
from nai.methods.anchored import below
from nai.methods.attention import resting, soft
from nai.models import Network
from nai.seeds import Seeds, generator
from nai.tasks import Rows, gather
from nai.training import Training

SGD = Training(epochs=2, rate=0.05, algorithm="sgd", momentum=0.9)


# ---------------------------------------------------------------- the published step
class Published:
    """The authors' loop in double precision, but for masks of 0 and 1 between tasks."""

    def __init__(self, where, start, method):
        self.where, self.method = where, method
        self.weights = {k: v.double().requires_grad_() for k, v in start.params.items()}
        self.names = [layer.name for layer in where.net.hidden]
        self.past = [torch.zeros(layer.units).double() for layer in where.net.hidden]

    def masks(self, place, s):
        return [torch.sigmoid(s * self.weights[f"embedding.{name}"][place]) for name in self.names]

    def loss(self, indices, task, place, s):
        x, masks = self.where.source.inputs[indices].double().flatten(1), self.masks(place, s)
        for name, mask in zip(self.names, masks, strict=True):
            x = torch.relu(F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])) * mask
        head = self.where.net.head.name
        logits = F.linear(x, self.weights[f"{head}.weight"], self.weights[f"{head}.bias"])
        own = self.where.heads[task].nonzero()[:, 0].tolist()
        targets = torch.tensor([own.index(int(c)) for c in self.where.source.labels[indices]])
        above = sum((m * (1 - a)).sum() for m, a in zip(masks, self.past, strict=True))
        room = sum((1 - a).sum() for a in self.past)
        return F.cross_entropy(logits[:, own], targets) + self.method.strength * above / room

    def compensate(self, s):
        """The gradient of embeddings, with the authors' clamp."""
        for name in self.names:
            e = self.weights[f"embedding.{name}"]
            numerator = torch.cosh(torch.clamp(s * e.data, -50, 50)) + 1
            e.grad *= self.method.smax / s * numerator / (torch.cosh(e.data) + 1)

    def protect(self):
        """The gradient of weights x [1 - min(A_l,i, A_l-1,j)]."""
        for layer, name in enumerate(self.names):
            weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            for i in range(weight.shape[0]):
                bias.grad[i] *= 1 - self.past[layer][i]
                for j in range(weight.shape[1]):
                    before = self.past[layer - 1][j] if layer else torch.tensor(1.0)
                    weight.grad[i, j] *= 1 - torch.minimum(self.past[layer][i], before)

    def learn(self, task, place):
        optimizer = torch.optim.SGD(self.weights.values(), lr=SGD.rate, momentum=SGD.momentum)
        steps = math.ceil(len(self.where.train[task]) / SGD.batch)
        smax = self.method.smax
        for number, indices in enumerate(oracles.batches(self.where, task, SGD, Seeds(), place)):
            s = (smax - 1 / smax) * (number % steps) / (steps - 1) + 1 / smax
            optimizer.zero_grad()
            self.loss(indices, task, place, s).backward()
            self.protect()
            self.compensate(s)
            optimizer.step()
            for name in self.names:
                self.weights[f"embedding.{name}"].data.clamp_(-6, 6)
        for past, mask in zip(self.past, self.masks(place, smax), strict=True):
            past.copy_(torch.maximum(past, (mask > 0.5).double()))


def test_training_is_the_published_loop():
    where, method = world(blobs((60, 40, 90)), widths=[12, 8]), Hat(strength=0.5, smax=8.0, gain=1.0)
    lesson = begin(where, method, Seeds())
    slow = Published(where, lesson, method)
    for place, task in enumerate((2, 0)):
        (lesson,) = learn([lesson], [task], where, method, training=SGD, seeds=[Seeds()])
        slow.learn(task, place)
        for name, value in slow.weights.items():
            torch.testing.assert_close(
                lesson.params[name].double(), value.data, rtol=1e-4, atol=1e-5, msg=name
            )
        for name, past in zip(slow.names, slow.past, strict=True):
            assert torch.equal(lesson.memory[f"used.{name}"].double(), past)
            assert past.any()
        assert place or not all(past.all() for past in slow.past)


def test_gates_are_sigmoids_with_the_compensated_gradient():
    """As the paper multiplies it, but in exact arithmetic and far into saturation."""
    for s in (1 / 400, 1.0, 30.0, 400.0):
        e = torch.tensor(
            [-6.0, -1.5, -0.3, -0.126, -0.1, 0.0, 0.01, 0.124, 0.5, 2.0, 6.0], requires_grad=True
        )
        gates = soft(e, torch.tensor(s), 400.0)
        gates.sum().backward()
        for x, gate, slope in zip(e.tolist(), gates.tolist(), e.grad.tolist(), strict=True):
            steep = min(abs(s * x), 700.0)
            assert gate == pytest.approx(1 / (1 + math.exp(-math.copysign(steep, x))), abs=1e-6)
            own = s / (2 * (math.cosh(steep) + 1))
            factor = 400 / s * (math.cosh(min(steep, 50.0)) + 1) / (math.cosh(x) + 1)
            assert slope == pytest.approx(own * factor, rel=1e-4, abs=1e-30)


def test_gain_makes_embeddings_move_faster_and_nothing_else():
    """Under SGD, gain g is the paper's rule with a rate g^2 times as high for embeddings."""
    where, s = world(), torch.tensor(3.0)
    plain, fast = (begin(where, Hat(gain=g), Seeds()) for g in (1.0, 10.0))
    for name, value in plain.params.items():
        torch.testing.assert_close(value, fast.params[name] * (10 if "embedding" in name else 1))
    e = plain.params["embedding.layers.0"][0].requires_grad_()
    p = fast.params["embedding.layers.0"][0].requires_grad_()
    (slow,) = torch.autograd.grad(soft(e, s, 400.0).sum(), e)
    (quick,) = torch.autograd.grad(soft(10 * p, s, 400.0).sum(), p)
    torch.testing.assert_close(quick, 10 * slow)


def test_gates_grow_steep_within_each_epoch():
    where, method = world(), Hat(smax=50.0)
    context = asked(where, 0, 0)
    found = [float(method.sharpness(context._replace(steps=torch.tensor(5), step=b))) for b in range(5)]
    assert found == pytest.approx([1 / 50 + (50 - 1 / 50) * b / 4 for b in range(5)])
    assert float(method.sharpness(context._replace(steps=torch.tensor(1)))) == 50


def test_training_drops_units_and_evaluation_does_not():
    """With every unit of the last layer dropped the output layer's biases alone decide."""
    where, method = world(widths=[12, 8], dropout=0.5), Hat(strength=0.0)
    lesson, context = begin(where, method, Seeds()), asked(where, 0, 1)
    masks = {k: torch.zeros_like(draw(generator(k))) for k, draw in where.net.draws(8).items()}
    batch = gather(where.source, Rows(where.train[1][:8], torch.full((8,), 1 / 8)))
    loss = method.loss(where.net, lesson.params, batch, lesson.memory, context._replace(noise=masks))
    own = where.heads[1].nonzero()[:, 0].tolist()
    biases = lesson.params[where.net.head.parameters[1]]
    bias = biases[own].log_softmax(0)
    assert loss.item() == pytest.approx(-sum(bias[own.index(int(c))] for c in batch.labels).item() / 8)
    logits = method.predict(where.net, lesson.params, batch, lesson.memory, context)
    assert torch.equal(
        logits, method.predict(where.net, lesson.params, batch, lesson.memory, context._replace(noise=masks))
    )
    assert (logits - biases).abs().min() > 0


def test_embeddings_are_drawn_once_standard_normal_and_stay_within_6():
    where, method = world(widths=[400, 200]), Hat(gain=20.0)
    start = begin(where, method, Seeds(3, 0))
    drawn = torch.cat([20 * v.flatten() for v in below("embedding", start.params).values()])
    assert drawn.mean().item() == pytest.approx(0, abs=0.1)
    assert drawn.std().item() == pytest.approx(1, abs=0.05)
    hot = taught(where, method, (0,), training=Training(epochs=4, rate=1.0))
    assert max(20 * v.abs().max() for v in below("embedding", hot.params).values()) <= 6


@pytest.mark.parametrize("optimizer", ["fresh", "kept"])
def test_decay_moves_no_embedding_of_a_task_to_come(optimizer):
    """Adam's step is as long for the smallest gradient as for any, so the least decay would empty them."""
    where, training = world(), Training(epochs=4, decay=1e-6, optimizer=optimizer)
    start, end = begin(where, Hat(), Seeds()), taught(where, Hat(), (2,), training=training)
    for name, rows in below("embedding", start.params).items():
        found = end.params[f"embedding.{name}"]
        assert torch.equal(found[1:], rows[1:])
        assert not torch.equal(found[0], rows[0])


# ---------------------------------------------------------------- what rests
@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_a_weight_rests_if_learnt_tasks_use_both_its_neurons(model):
    options = {"widths": [4, 6], "dense_units": 5} if model == "conv" else {"widths": [7, 5]}
    net = world(blobs(features=(3, 8, 8)), model, **options).net
    params = {k: net.draw(k, generator(k)) for k in net.shapes()} | {"embedding.a": torch.zeros(3, 4)}
    used = {n.name: (torch.rand(n.units, generator=generator(n.name)) < 0.5).float() for n in net.hidden}
    heads = torch.tensor([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]).bool()
    held = resting(net, params, used, torch.tensor([2, 0, 1]), heads)
    for layer in net.hidden:
        weight, bias = layer.parameters
        full = held[weight].expand_as(params[weight])
        own = used[layer.name]
        for i in range(layer.units):
            assert held[bias][i] == own[i]
            for j in range(full.shape[1]):
                before = 1
                if layer.source is not None:
                    feeding = used[net.hidden[layer.source].name]
                    before = feeding[j * len(feeding) // full.shape[1]]
                assert full[i, j].eq(min(own[i], before)).all()
    for name in net.head.parameters:
        assert held[name].flatten().tolist() == [1, 1, 0, 0, 1, 1]
    assert held["embedding.a"].flatten().tolist() == [1, 1, 0]
    assert held.keys() == params.keys()


def test_the_stronger_the_fewer_neurons_are_used():
    where = world(widths=[40, 40])
    shares = []
    for strength in (0.0, 0.3, 3.0):
        lesson = taught(where, Hat(strength=strength), (0,), training=Training(epochs=10))
        shares.append(float(torch.cat(list(below("used", lesson.memory).values())).mean()))
    assert shares[0] > shares[1] > shares[2]


def test_a_task_not_yet_met_is_asked_with_the_row_that_it_would_start_from():
    where, method = world(), Hat()
    lesson = taught(where, method, (2, 0))
    for task, row in ((2, 0), (0, 1), (1, 2)):
        found = method.hard(where.net, lesson.params, lesson.memory, asked(where, 2, task))
        for layer, gate in zip(where.net.hidden, found, strict=True):
            embedding = lesson.params[f"embedding.{layer.name}"][row]
            assert torch.equal(gate, (torch.sigmoid(method.smax * method.gain * embedding) > 0.5).float())


class Ungated(Network):
    """A network of a user's own without gates."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head, self.out = (), None, nn.Identity()

    def forward(self, inputs, noise, taps=None):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Hat(strength=-1.0), "strength -1.0 must be a finite number of at least 0"),
        (lambda: Hat(smax=0.5), "smax 0.5 must be at least 1"),
        (lambda: Hat(gain=0.0), "gain 0.0 more than 0"),
        (
            lambda: begin(world(blobs(features=(3, 8, 8)), "resnet18", width=4), Hat(), Seeds()),
            "ResNet18 has layers fed by several others: method hat needs a chain",
        ),
        (
            lambda: Hat().suits(Ungated(), torch.eye(2).bool()),
            "Ungated has no gates, which method hat needs: let its forward take `gates`",
        ),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
