"""MIR against a literal search of the most harmed samples."""

import pytest
import torch
from replays import LIVE, assert_close, stand

from nai.methods import Mir


def harmed(here, method):
    """The candidates by how much the foreseen step raises their loss, most first, and by how much."""
    model = here.model
    grads = here.autograd(sum(here.losses(model, here.own)) / LIVE, model)
    candidates = here.chosen("replay", method.subsample)
    before = [v.item() for v in here.losses(model, candidates)]
    with torch.no_grad():
        for value, g in zip(model.parameters(), grads.values(), strict=True):
            value -= here.context.rate * g
    after = [v.item() for v in here.losses(model, candidates)]
    raised = {s: b - a for s, a, b in zip(candidates, before, after, strict=True)}
    return sorted(candidates, key=lambda s: -raised[s]), raised


@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_a_step_replays_exactly_the_samples_whose_loss_it_would_raise_most(scenario):
    method = Mir(size=40, replay=6, subsample=18)
    here = stand(method, scenario)
    order, raised = harmed(here, method)
    assert len(order) == 18
    assert raised[order[5]] - raised[order[6]] > 1e-6  # rounding does not decide
    model = here.model
    loss = (sum(here.losses(model, here.own)) + sum(here.losses(model, order[:6]))) / (LIVE + 6)
    found = method.gradients(here.where.net, here.params, here.batch, here.lesson.memory, here.context)
    assert_close(found, here.autograd(loss, model))
    others = [*order[:5], order[6]]  # which the next would tell from
    loss = (sum(here.losses(model, here.own)) + sum(here.losses(model, others))) / (LIVE + 6)
    with pytest.raises(AssertionError):
        assert_close(found, here.autograd(loss, model))


def test_a_buffer_of_fewer_samples_is_replayed_whole():
    method = Mir(size=4, replay=6, subsample=18)
    here = stand(method)
    model, old = here.model, here.lesson.memory["slots"].tolist()
    loss = (sum(here.losses(model, here.own)) + sum(here.losses(model, old))) / (LIVE + 4)
    found = method.gradients(here.where.net, here.params, here.batch, here.lesson.memory, here.context)
    assert_close(found, here.autograd(loss, model))


def test_it_chooses_from_no_fewer_than_it_replays():
    with pytest.raises(ValueError, match="subsample 9 is less than the 10 samples to choose from it: raise"):
        Mir(subsample=9)
    assert not Mir().needs_boundaries
