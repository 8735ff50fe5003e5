"""Experience replay against its loss sample by sample, and the scenarios and streams that it serves."""

import dataclasses

import pytest
import torch
from replays import LIVE, SHORT, assert_close, stand
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods import Er, Finetune
from nai.seeds import Seeds
from nai.training import Training

ONLINE = Training(epochs=1, batch=10, algorithm="sgd", rate=0.1, optimizer="kept", boundaries="hidden")


@pytest.mark.parametrize("weighting", ["mean", "shares"])
@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_the_gradient_is_that_of_both_batches_losses(scenario, weighting):
    method = Er(size=30, replay=6, weighting=weighting)
    here = stand(method, scenario)
    model, old = here.model, here.chosen("replay", 6)
    assert len({int(here.where.source.tasks[s]) for s in old}) == 2  # from both tasks before
    new, kept = sum(here.losses(model, here.own)), sum(here.losses(model, old))
    loss = (new + kept) / (LIVE + 6) if weighting == "mean" else new / LIVE / 3 + 2 / 3 * kept / 6
    found = method.gradients(here.where.net, here.params, here.batch, here.lesson.memory, here.context)
    assert_close(found, here.autograd(loss, model))


def test_a_convolutional_net_takes_the_gradient_of_a_joined_batch():
    where = world(blobs((20, 33), features=(1, 8, 8)), "conv", widths=[4], dense_units=8, dropout=0.0)
    lesson = taught(where, Er(size=8), (1,), training=SHORT)
    (other,) = learn([lesson], [0], where, Er(size=8), training=SHORT, seeds=[Seeds()])
    assert other.finite
    assert differing(other, taught(where, Finetune(), (1, 0), training=SHORT)._replace(memory=other.memory))


def test_without_slots_it_is_finetuning_bit_for_bit():
    where = world(dropout=0.3)
    for fill in ("task", "step"):
        found = taught(where, Er(size=0, fill=fill), (2, 0, 1), training=SHORT)._replace(memory={})
        assert not differing(found, taught(where, Finetune(), (2, 0, 1), training=SHORT))


def test_a_first_task_without_anything_to_replay_is_finetuning_bit_for_bit():
    where = world(dropout=0.3)
    for method in (Er(size=9), Er(size=9, weighting="shares"), Er(size=9, weighting="shares", fill="step")):
        found = taught(where, method, (1,), training=SHORT)._replace(memory={})
        assert not differing(found, taught(where, Finetune(), (1,), training=SHORT))


@pytest.mark.parametrize("selection", ["reservoir", "class_balanced"])
@pytest.mark.parametrize("fill", ["task", "step"])
def test_each_sample_is_shown_once_however_many_epochs_and_passes(fill, selection):
    where = world(blobs(scenario="class"))
    method = Er(size=500, fill=fill, selection=selection)
    every = sorted(where.train[0].tolist() + where.train[2].tolist())
    for training in (SHORT, dataclasses.replace(SHORT, steps=11)):
        slots = taught(where, method, (2, 0), training=training).memory["slots"]
        assert sorted(slots[slots >= 0].tolist()) == every


def test_only_the_first_epoch_is_shown_step_by_step():
    where, method = world(), Er(size=20, fill="step")
    one, many = (
        taught(where, method, (2, 0), training=dataclasses.replace(SHORT, epochs=n)).memory for n in (1, 4)
    )
    assert all(torch.equal(one[k], many[k]) for k in one)


def test_balanced_classes_hold_as_many_samples_each():
    where = world(blobs(scenario="class"))
    memory = taught(where, Er(size=15, selection="class_balanced"), (2, 0, 1), training=SHORT).memory
    counts = where.source.labels[memory["slots"]].bincount(minlength=6)
    assert counts.max() - counts.min() == 1 and counts.sum() == 15


def test_a_stream_without_boundaries_is_learnt_in_a_single_pass():
    where = world(blobs((200, 200, 200), scenario="class"))
    right = {}
    for method in (Finetune(), Er(size=60, replay=10, fill="step")):
        lesson = taught(where, method, (2, 0, 1), training=ONLINE)
        inputs, labels = (v[torch.cat(where.test)] for v in where.source[:2])
        right[type(method)] = (
            where.net.trace(lesson.params, inputs).logits.argmax(1).eq(labels).float().mean()
        )
    assert right[Er] > right[Finetune] + 0.2


def test_shares_and_task_ends_need_boundaries():
    assert Er().needs_boundaries and Er(fill="step", weighting="shares").needs_boundaries
    assert not Er(fill="step").needs_boundaries


def test_memory_is_sixteen_bytes_a_sample():
    lesson = begin(world(), Er(size=200), Seeds())
    assert sum(v.nbytes for v in lesson.memory.values()) == 16 * 200


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"size": -1}, "size -1 must be a whole number of at least 0"),
        ({"fill": "end"}, "fill 'end' is unknown: known are task, step"),
        ({"selection": "first"}, "selection 'first' is unknown: known are reservoir, class_balanced"),
        ({"weighting": "sum"}, "weighting 'sum' is unknown: known are mean, shares"),
    ],
)
def test_wrong_hyperparameters_are_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        Er(**wrong)
