"""Online EWC: one penalty, one anchor, older tasks fade."""

import oracles
import pytest
import torch
from worlds import differing, taught, world

from nai.learn import begin, learn
from nai.methods import Ewc
from nai.methods.anchored import below
from nai.methods.online_ewc import OnlineEwc
from nai.seeds import Seeds
from nai.training import Training

HEADS = ((0, 1), (2, 3), (4, 5))


@pytest.mark.parametrize("gamma", [0.0, 0.6, 1.0])
def test_importance_is_the_faded_sum_of_every_task_s_fisher_information(gamma):
    where, method = world(), OnlineEwc(gamma=gamma)
    lesson, expected = begin(where, method, Seeds()), None
    for task in (2, 0, 1):
        (lesson,) = learn([lesson], [task], where, method, training=Training(epochs=2), seeds=[Seeds()])
        new = oracles.fisher(where, lesson.params, task, HEADS[task], lambda place, p: p)
        expected = {k: v + gamma * (expected[k] if expected else 0) for k, v in new.items()}
        for name, value in below("importance", lesson.memory).items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-8, msg=name)
        for name, anchor in below("anchor", lesson.memory).items():
            assert torch.equal(anchor, lesson.params[name])


@pytest.mark.parametrize("labels", ["exact", "true", "sample"])
def test_up_to_the_second_task_it_is_ewc(labels):
    where = world()
    one, other = (taught(where, kind(labels=labels), (1, 2)) for kind in (Ewc, OnlineEwc))
    assert not differing(one._replace(memory={}), other._replace(memory={}))


def test_lessons_of_other_gammas_share_a_stack_and_their_first_task():
    where, training = world(), Training(epochs=2)
    methods = [OnlineEwc(gamma=g, strength=s) for g, s in ((0.0, 30.0), (0.5, 100.0), (1.0, 1e4))]
    firsts = [taught(where, method, (2,)) for method in methods]
    assert not differing(firsts[0], firsts[1]) and not differing(firsts[0], firsts[2])
    lessons = firsts
    for task in (0, 1):
        lessons = learn(lessons, [task] * 3, where, methods, training=training, seeds=[Seeds()] * 3)
    for method, lesson in zip(methods, lessons, strict=True):
        assert not differing(lesson, taught(where, method, (2, 0, 1), training=training))


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_a_gamma_beyond_its_range_is_named(gamma):
    with pytest.raises(ValueError, match=f"gamma {gamma} must lie between 0 and 1"):
        OnlineEwc(gamma=gamma)
