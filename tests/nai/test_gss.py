"""GSS-greedy against its algorithm as a loop over samples, with gradients one at a time."""

import pytest
import torch
import torch.nn.functional as F
from replays import LIVE, SHORT, assert_close, stand
from worlds import blobs, taught, world

from nai.methods import Gss
from nai.methods.base import Context, no_rows
from nai.methods.gss import updated
from nai.methods.likeness import gradient_products
from nai.seeds import generator
from nai.tasks import Rows, gather


def gradient(here, sample):
    """One sample's, as one long vector."""
    model = here.model
    grads = torch.autograd.grad(here.losses(model, [sample])[0], list(model.parameters()))
    return torch.cat([g.flatten() for g in grads])


def literal(slots, scores, offered, noise):
    """The buffer after samples were offered: pairs of sample and score."""
    slots, scores, size = list(slots), list(scores), len(slots)
    room = slots.count(-1)
    if room:  # the first take it
        first = size - room
        for i, (sample, score) in enumerate(offered[:room]):
            slots[first + i], scores[first + i] = sample, score
        return slots, scores
    times = [float(t) / s if s > 0 else float("inf") for t, s in zip(noise["race"], scores, strict=True)]
    rivals = sorted(range(size), key=lambda i: times[i])
    old = list(scores)
    for (sample, score), rival, u in zip(offered, rivals, noise["accept"].tolist(), strict=False):
        if score < 1 and u < old[rival] / (old[rival] + score):
            slots[rival], scores[rival] = sample, score
    return slots, scores


@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
@pytest.mark.parametrize("size", [25, 155])
def test_a_step_s_update_is_algorithm_2(scenario, size):
    method = Gss(size=size, subset=5)
    here = stand(method, scenario)
    memory = here.lesson.memory
    assert (memory["slots"] < 0).sum() == max(0, size - 150)  # room for five of nine, or for none
    subset = [gradient(here, s) for s in here.chosen("subset", 5)]
    offered = []
    for s in here.own:
        g = gradient(here, s)
        offered.append((s, 1 + max(F.cosine_similarity(g, other, dim=0).item() for other in subset)))
    slots, scores = literal(memory["slots"].tolist(), memory["scores"].tolist(), offered, here.context.noise)
    _, found = method.after_step({}, {}, here.params, memory, here.context)
    assert found["slots"].tolist() == slots
    assert scenario != "class" or slots != memory["slots"].tolist()
    assert found["scores"].tolist() == pytest.approx(scores, abs=1e-4)


def test_replacement_worked_by_hand():
    memory = {"slots": torch.tensor([10, 11, 12]), "scores": torch.tensor([1.0, 0.5, 0.0])}
    noise = {"race": torch.tensor([1.0, 0.1, 1.0]), "accept": torch.tensor([0.6, 0.6, 0.0, 0.0])}
    # times 1, .2 and never: slot 1 against the first, slot 0 against the second, slot 2 against the third
    offers, scores = torch.tensor([20, 21, 22, 23]), torch.tensor([0.5, 0.5, 0.5, 0.1])
    live = torch.tensor([True, True, True, True])
    found = updated(memory, offers, scores, live, noise=noise)
    # .5 / 1 < .6; 1 / 1.5 > .6; a score of 0 never wins; none is left for the last
    assert found["slots"].tolist() == [21, 11, 12]
    assert found["scores"].tolist() == [0.5, 0.5, 0.0]
    unlike = updated(memory, offers, torch.full((4,), 1.0), live, noise=noise)
    assert unlike["slots"].tolist() == [10, 11, 12]
    none = updated(memory, offers, scores, ~live, noise=noise)
    assert none["slots"].tolist() == [10, 11, 12]


def test_room_is_taken_by_those_that_come_first():
    memory = {"slots": torch.tensor([10, -1, -1]), "scores": torch.tensor([1.0, 0.0, 0.0])}
    noise = {"race": torch.ones(3), "accept": torch.zeros(4)}
    fresh = torch.tensor([False, True, True, True])
    found = updated(memory, torch.tensor([20, 21, 22, 23]), torch.full((4,), 1.5), fresh, noise=noise)
    assert found["slots"].tolist() == [10, 21, 22]
    assert found["scores"].tolist() == [1.0, 1.5, 1.5]


def test_what_is_offered_replaces_slots_in_proportion_to_their_scores():
    seeds, scores = 4000, torch.tensor([0.2, 0.6, 1.2])
    memory = {"slots": torch.tensor([10, 11, 12]), "scores": scores}
    lost = torch.zeros(3)
    for seed in range(seeds):
        chance = generator("race", seed)
        noise = {"race": torch.empty(3).exponential_(generator=chance), "accept": torch.zeros(1)}
        found = updated(memory, torch.tensor([20]), torch.tensor([0.5]), torch.tensor([True]), noise=noise)
        lost += found["slots"] == 20
    share = scores / scores.sum()
    assert ((lost - seeds * share).abs() < 5 * (seeds * share * (1 - share)).sqrt()).all()


def test_products_of_gradients_are_those_of_single_samples():
    here = stand(Gss(size=20), "class")
    found = gradient_products(here.where.net, here.params, here.batch, here.context)
    single = torch.stack([gradient(here, s) for s in here.context.rows.indices.tolist()])
    torch.testing.assert_close(found, single @ single.mT, rtol=1e-4, atol=1e-5)


def test_networks_that_are_not_dense_have_the_same_products_by_vmap():
    where = world(blobs((20, 33), features=(1, 8, 8)), "conv", widths=[4], dense_units=8)
    lesson = taught(where, Gss(size=20), (1,), training=SHORT)
    context = Context(
        task=torch.tensor(1), depth=torch.tensor(1), steps=torch.tensor(1), heads=where.in_use((1,)),
        noise={}, rows=no_rows((), where.device), epoch=0, epochs=1, step=0, rate=0.1, widest=2,
        source=where.source, net=where.net,
    )  # fmt: skip
    batch = gather(where.source, Rows(where.train[1][:5], torch.ones(5)))
    found = gradient_products(where.net, lesson.params, batch, context)
    rows = []
    for s in where.train[1][:5].tolist():
        leaves = {k: v.clone().requires_grad_() for k, v in lesson.params.items()}
        logits = where.net.trace(leaves, where.source.inputs[s][None]).logits[:, 2:4]
        loss = F.cross_entropy(logits, where.source.labels[s][None] - 2)
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(leaves.values()))]))
    single = torch.stack(rows)
    torch.testing.assert_close(found, single @ single.mT, rtol=1e-4, atol=1e-5)


def test_a_step_learns_from_both_batches_and_no_sample_is_kept_twice():
    method = Gss(size=25, replay=6)
    here = stand(method)
    model = here.model
    loss = (sum(here.losses(model, here.own)) + sum(here.losses(model, here.chosen("replay", 6)))) / (
        LIVE + 6
    )
    found = method.gradients(here.where.net, here.params, here.batch, here.lesson.memory, here.context)
    assert_close(found, here.autograd(loss, model))
    slots = here.lesson.memory["slots"]
    assert len(slots.unique()) == len(slots)
    assert not method.needs_boundaries
