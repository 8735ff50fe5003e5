"""LwF against plain distillation, head by head, and what it knows in each scenario."""

import oracles
import pytest
import torch
import torch.nn.functional as F
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods import Finetune
from nai.methods.anchored import below
from nai.methods.base import Context, no_rows
from nai.methods.lwf import Lwf, distance, distance_slope
from nai.seeds import Seeds, generator
from nai.tasks import Rows, gather
from nai.training import Training

SHORT = Training(epochs=2, batch=20)
SCENARIOS = ("task", "class", "domain")
# heads of the old tasks, once 1 and 2 were learnt of three tasks of two classes
OLD = {"task": [[2, 3], [4, 5]], "class": [[2, 3, 4, 5]], "domain": [[0, 1]]}


def distilled(new, old, heads, temperature):
    """T^2 x KL divergence, by PyTorch's own functions, [] for each head."""
    parts = []
    for head in heads:
        now = F.log_softmax(new[:, head] / temperature, 1)
        was = F.softmax(old[:, head] / temperature, 1)
        parts.append(temperature**2 * F.kl_div(now, was, reduction="batchmean"))
    return parts


def third_step(scenario, method):
    """World, lesson before the third task, a batch of it and the context of that step."""
    where = world(blobs(scenario=scenario))
    lesson = taught(where, method, (1, 2), training=SHORT)
    rows = Rows(where.train[0][:32], torch.full((32,), 1 / 32))
    context = Context(
        task=torch.tensor(0), depth=torch.tensor(2), steps=torch.tensor(3),
        heads=where.in_use((1, 2, 0)), noise={}, rows=no_rows((), where.device), epoch=0, epochs=1, step=0,
        rate=0.01, widest=where.widest, source=where.source, net=where.net,
    )  # fmt: skip
    away = {k: v + 0.3 * torch.randn(v.shape, generator=generator(k)) for k, v in lesson.params.items()}
    return where, lesson, away, gather(where.source, rows), context


@pytest.mark.parametrize("weighting", ["sum", "shares"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_loss_is_cross_entropy_and_plain_distillation_of_every_old_head(scenario, weighting):
    method = Lwf(strength=0.7, temperature=3.0, weighting=weighting)
    where, lesson, away, batch, context = third_step(scenario, method)
    old, new = (oracles.plain_mlp(params)(batch.inputs) for params in (lesson.params, away))
    kept = distilled(new, old, OLD[scenario], 3.0)
    used = {"task": [0, 1], "class": list(range(6)), "domain": [0, 1]}[scenario]
    fresh = F.cross_entropy(new[:, used], batch.labels)
    expected = fresh + 0.7 * sum(kept) if weighting == "sum" else fresh / 3 + 2 / 3 * sum(kept) / len(kept)
    found = method.loss(where.net, away, batch, lesson.memory, context)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighting", ["sum", "shares"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_gradients_written_out_are_those_of_the_loss(scenario, weighting):
    method = Lwf(strength=0.7, weighting=weighting)
    where, lesson, away, batch, context = third_step(scenario, method)
    leaves = {k: v.clone().requires_grad_() for k, v in away.items()}
    loss = method.loss(where.net, leaves, batch, lesson.memory, context)
    expected = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    found = method.gradients(where.net, away, batch, lesson.memory, context)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_strength_zero_and_the_first_task_are_finetuning_bit_for_bit(scenario):
    where = world(blobs(scenario=scenario), dropout=0.3)
    cases = [(Lwf(strength=0.0), (2, 0, 1)), (Lwf(), (2,)), (Lwf(weighting="shares"), (2,))]
    for method, order in cases:
        found = taught(where, method, order, training=SHORT)._replace(memory={})
        assert not differing(found, taught(where, Finetune(), order, training=SHORT))


def test_networks_without_gradients_of_their_own_take_autograd_s():
    where = world(blobs((20, 33), features=(1, 8, 8)), "conv", widths=[4], dense_units=8)
    plain = taught(where, Finetune(), (1, 0), training=SHORT)
    zero, one = (taught(where, Lwf(strength=s), (1, 0), training=SHORT) for s in (0.0, 1.0))
    assert not differing(zero._replace(memory={}), plain)
    assert differing(one._replace(memory={}), plain)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_known_after_each_task(scenario):
    where, method = world(blobs(scenario=scenario)), Lwf()
    lesson = begin(where, method, Seeds())
    assert not lesson.memory["known"].any()
    done = []
    for task in (1, 2, 0):
        (lesson,) = learn([lesson], [task], where, method, training=SHORT, seeds=[Seeds()])
        done.append(task)
        heads = [row.nonzero()[:, 0].tolist() for row in lesson.memory["known"] if row.any()]
        met = sorted(c for t in done for c in (2 * t, 2 * t + 1))
        every = {"task": [[2 * t, 2 * t + 1] for t in sorted(done)], "class": [met], "domain": [[0, 1]]}
        assert heads == every[scenario]
        assert all(torch.equal(v, lesson.params[k]) for k, v in below("old", lesson.memory).items())


def test_tasks_that_share_a_head_distil_it_once():
    where = world(blobs(scenario="domain"))
    where = where._replace(scenario="task")  # heads of its own, by name: they are all the same
    lesson = taught(where, Lwf(), (2, 0), training=SHORT)
    assert lesson.memory["known"].any(1).sum() == 1


def test_distance_worked_by_hand():
    old, new = torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([[2.0, 0.0, -9.0]])
    heads = torch.tensor([[True, True, False], [False, False, False]])
    p = 1 / (1 + torch.exp(torch.tensor(-1.0)))  # of the first output, at temperature 2
    expected = 4 * (0.5 * (0.5 / p).log() + 0.5 * (0.5 / (1 - p)).log())
    assert distance(new, old, heads, 2.0).item() == pytest.approx(expected.item())
    slope = distance_slope(new, old, heads, 2.0)
    torch.testing.assert_close(slope, 2 * torch.tensor([[p - 0.5, 0.5 - p, 0.0]]))
    assert distance(new, old, heads & False, 2.0).tolist() == [0]
    assert distance_slope(new, old, heads & False, 2.0).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("scenario", ["task", "class"])
def test_a_huge_strength_holds_the_old_answers_on_new_data(scenario):
    where, training = world(blobs(scenario=scenario)), Training(epochs=20)
    moved = {}
    for strength in (0.0, 1e3):
        method = Lwf(strength=strength)
        first = taught(where, method, (1,), training=training)
        (second,) = learn([first], [0], where, method, training=training, seeds=[Seeds()])
        inputs = where.source.inputs[where.train[0]]
        old, new = (where.net.trace(x.params, inputs).logits for x in (first, second))
        moved[strength] = distance(new, old, first.memory["known"], 2.0).mean().item()
    assert moved[1e3] < moved[0.0] / 20


def test_lessons_of_other_strengths_and_temperatures_share_a_stack():
    where = world()
    for weighting in ("sum", "shares"):
        methods = [Lwf(s, t, weighting) for s, t in ((0.0, 2.0), (1.0, 1.0), (5.0, 4.0))]
        lessons = [begin(where, m, Seeds()) for m in methods]
        for task in (2, 0, 1):
            lessons = learn(lessons, [task] * 3, where, methods, training=SHORT, seeds=[Seeds()] * 3)
        for method, lesson in zip(methods, lessons, strict=True):
            assert not differing(lesson, taught(where, method, (2, 0, 1), training=SHORT))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"temperature": 0}, "temperature 0 divides by zero: use a number above 0"),
        ({"strength": -1}, "strength -1 must be a finite number of at least 0"),
        ({"weighting": "half"}, "weighting 'half' is unknown: known are sum, shares"),
    ],
)
def test_wrong_hyperparameters_are_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        Lwf(**wrong)
