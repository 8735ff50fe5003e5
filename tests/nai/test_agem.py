"""A-GEM against its projection, written out over one long vector."""

import pytest
import torch
from replays import SHORT, assert_close, stand
from worlds import differing, taught, world

from nai.methods import Agem, Finetune
from nai.methods.agem import inner, projected
from nai.seeds import generator


def drawn(purpose):
    return {k: torch.randn(n, 4, generator=generator(purpose, k)) for k, n in (("a", 3), ("b", 5))}


def test_the_inner_product_with_the_reference_is_never_negative_and_the_rest_is_left_alone():
    conflicts = 0
    for seed in range(40):
        grads, reference = drawn(("grads", seed)), drawn(("reference", seed))
        along = inner(grads, reference, 0)
        found = projected(grads, reference, 0)
        if along >= 0:
            assert all(torch.equal(found[k], grads[k]) for k in grads)
            continue
        conflicts += 1
        assert inner(found, reference, 0).abs() < 1e-5
        moved = {k: found[k] - grads[k] for k in grads}  # along the reference, and no further than needed
        assert inner(moved, reference, 0) ** 2 == pytest.approx(
            (inner(moved, moved, 0) * inner(reference, reference, 0)).item(), rel=1e-4
        )
    assert 10 < conflicts < 30


def test_a_projection_worked_by_hand():
    grads, reference = {"w": torch.tensor([1.0, -2.0])}, {"w": torch.tensor([0.0, 3.0])}
    assert projected(grads, reference, 0)["w"].tolist() == [1, 0]
    assert projected(grads, {"w": torch.zeros(2)}, 0)["w"].tolist() == [1, -2]
    both = {"w": torch.tensor([[1.0, -2.0], [1.0, 2.0]])}  # two lessons
    found = projected(both, {"w": torch.tensor([[0.0, 3.0], [0.0, 3.0]])}, 1)
    assert found["w"].tolist() == [[1, 0], [1, 2]]
    small = {"w": 2.0**-20 * grads["w"]}  # opposed all the same
    assert projected(small, {"w": 2.0**-20 * reference["w"]}, 0)["w"].tolist() == [2.0**-20, 0]


@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_a_step_follows_equation_11(scenario):
    method = Agem(size=30, replay=8)
    here = stand(method, scenario)
    own, old = (
        here.autograd(sum(here.losses(model, samples)) / len(samples), model)
        for model, samples in ((here.model, here.own), (here.model, here.chosen("replay", 8)))
    )
    g, r = (torch.cat([v.flatten() for v in part.values()]) for part in (own, old))
    expected = g if g @ r >= 0 else g - (g @ r) / (r @ r) * r
    found = method.gradients(here.where.net, here.params, here.batch, here.lesson.memory, here.context)
    parts = expected.split([v.numel() for v in own.values()])
    assert_close(found, {k: p.view_as(own[k]) for k, p in zip(own, parts, strict=True)})


def test_without_slots_and_in_the_first_task_it_is_finetuning_bit_for_bit():
    where = world(dropout=0.3)
    for method, order in ((Agem(size=0), (2, 0, 1)), (Agem(size=20), (2,))):
        found = taught(where, method, order, training=SHORT)._replace(memory={})
        assert not differing(found, taught(where, Finetune(), order, training=SHORT))
