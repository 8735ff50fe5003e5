"""DER and DER++ against their losses, sample by sample, and what they store."""

import dataclasses

import oracles
import pytest
import torch
from replays import LIVE, SHORT, assert_close, stand
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods import Der, DerPlusPlus, Finetune
from nai.seeds import Seeds
from nai.training import Training


def distance(here, model, samples):
    """Sum over samples of the mean squared distance of logits in use from those stored."""
    stored = dict(zip(here.lesson.memory["slots"].tolist(), here.lesson.memory["logits"], strict=True))
    total = 0.0
    for s in samples:
        used = here.used(s)
        said = model(here.where.source.inputs[s][None])[0]
        total = total + sum((said[c] - stored[s][c]) ** 2 for c in used) / len(used)
    return total


@pytest.mark.parametrize("kind", [Der, DerPlusPlus])
@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_the_gradient_is_that_of_the_papers_loss(scenario, kind):
    method = kind(size=30, replay=8, alpha=0.7, **({"beta": 0.3} if kind is DerPlusPlus else {}))
    here = stand(method, scenario)
    model = here.model
    loss = sum(here.losses(model, here.own)) / LIVE
    loss = loss + 0.7 * distance(here, model, here.chosen("replay", 8)) / 8
    if kind is DerPlusPlus:
        again = here.chosen("second", 8)
        assert again != here.chosen("replay", 8)
        loss = loss + 0.3 * sum(here.losses(model, again)) / 8
    found = method.gradients(here.where.net, here.params, here.batch, here.lesson.memory, here.context)
    assert_close(found, here.autograd(loss, model))


@pytest.mark.parametrize("fill", ["task", "step"])
def test_without_beta_the_one_is_the_other_bit_for_bit(fill):
    where = world(dropout=0.3)
    one = taught(where, Der(size=25, fill=fill), (2, 0, 1), training=SHORT)
    assert not differing(
        one, taught(where, DerPlusPlus(size=25, fill=fill, beta=0.0), (2, 0, 1), training=SHORT)
    )


@pytest.mark.parametrize("kind", [Der, DerPlusPlus])
def test_without_slots_or_weight_it_is_finetuning_bit_for_bit(kind):
    where, none = world(dropout=0.3), {"beta": 0.0} if kind is DerPlusPlus else {}
    plain = taught(where, Finetune(), (2, 0, 1), training=SHORT)
    for method in (kind(size=0), kind(size=0, fill="step"), kind(size=20, alpha=0.0, **none)):
        assert not differing(taught(where, method, (2, 0, 1), training=SHORT)._replace(memory={}), plain)


def test_logits_are_those_of_the_end_of_the_task_that_a_sample_came_with():
    where, method = world(blobs(scenario="class")), Der(size=30)
    lesson, told = begin(where, method, Seeds()), {}
    for task in (2, 0, 1):
        (lesson,) = learn([lesson], [task], where, method, training=SHORT, seeds=[Seeds()])
        logits = oracles.plain_mlp(lesson.params)(where.source.inputs)
        told |= {s: logits[s] for s in where.train[task].tolist()}
        for slot, stored in zip(*(lesson.memory[k] for k in ("slots", "logits")), strict=True):
            torch.testing.assert_close(stored, told[int(slot)].detach(), rtol=1e-5, atol=1e-6)
    assert where.source.tasks[lesson.memory["slots"]].unique().tolist() == [0, 1, 2]


def test_logits_of_a_stream_are_those_before_the_step_that_showed_the_sample():
    where, method = world(blobs((60, 33, 90), scenario="class")), Der(size=200, fill="step", alpha=0.0)
    training = Training(epochs=1, batch=20, algorithm="sgd", rate=0.1)
    lesson = taught(where, method, (0,), training=training)
    weights = dict(begin(where, method, Seeds()).params)
    stored = dict(zip(lesson.memory["slots"].tolist(), lesson.memory["logits"], strict=True))
    for rows in oracles.batches(where, 0, training, Seeds(), 0):
        model = oracles.plain_mlp(weights)
        logits = model(where.source.inputs[rows])
        for s, said in zip(rows.tolist(), logits, strict=True):
            torch.testing.assert_close(stored[s], said.detach(), rtol=1e-4, atol=1e-5)
        grads = torch.autograd.grad(oracles.task_loss(model, where, rows, (0, 1)), list(model.parameters()))
        weights = {k: v - 0.1 * g for (k, v), g in zip(weights.items(), grads, strict=True)}
    assert len([s for s in stored if s >= 0]) == 60
    assert lesson.memory["logits"][lesson.memory["slots"] < 0].eq(0).all()


def test_later_epochs_change_nothing_that_is_stored():
    where, method = world(), Der(size=20, fill="step", alpha=0.0)
    one, many = (
        taught(where, method, (2,), training=dataclasses.replace(SHORT, epochs=n)).memory for n in (1, 3)
    )
    assert all(torch.equal(one[k], many[k]) for k in one)


def test_alpha_and_beta_share_first_tasks_where_the_task_s_end_fills_the_buffer():
    assert Der().late == {"alpha"} and DerPlusPlus().late == {"alpha", "beta"}
    assert not Der(fill="step").late and not DerPlusPlus(fill="step").late
    where = world()
    methods = [DerPlusPlus(25, 0, a, b) for a, b in ((0.0, 1.0), (0.5, 0.5), (2.0, 0.0))]
    lessons = [begin(where, m, Seeds()) for m in methods]
    for task in (2, 0, 1):
        lessons = learn(lessons, [task] * 3, where, methods, training=SHORT, seeds=[Seeds()] * 3)
    for method, lesson in zip(methods, lessons, strict=True):
        assert not differing(lesson, taught(where, method, (2, 0, 1), training=SHORT))
