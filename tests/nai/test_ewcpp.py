"""EWC++ against a plain loop with one backward pass a sample."""

import oracles
import pytest
import torch
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods.anchored import below
from nai.methods.base import overrides
from nai.methods.ewcpp import EwcPlusPlus
from nai.seeds import Seeds
from nai.training import Training

HEADS = ((0, 1), (2, 3), (4, 5))
SHORT = Training(epochs=2, batch=20)


def close(found, expected, prefix):
    for name, value in expected.items():
        torch.testing.assert_close(found[f"{prefix}.{name}"], value, rtol=2e-3, atol=1e-7, msg=name)


@pytest.mark.parametrize("every", [0, 3])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_fisher_information_is_a_moving_average_of_each_step_s_own(every, alpha):
    where, method = world(), EwcPlusPlus(strength=5.0, alpha=alpha, every=every)
    lesson, mean, seen = begin(where, method, Seeds()), {}, 0
    kept = [below("importance", lesson.memory), lesson.params]

    def penalty(own):
        return oracles.quadratic(own, [tuple(kept)], 5.0)

    for depth, task in enumerate((1, 2)):
        used, after = HEADS[task], lesson.params
        for indices, before, _, after in oracles.walked(
            where, lesson.params, task, used=used, training=SHORT, depth=depth, penalty=penalty
        ):
            new = oracles.squares(where, before, indices, used)
            mean = {k: alpha * v + (1 - alpha) * mean[k] for k, v in new.items()} if mean else new
            seen += 1
            if every and seen % every == 0:
                kept = [dict(mean), after]
        if not every:
            kept = [dict(mean), after]
        (lesson,) = learn([lesson], [task], where, method, training=SHORT, seeds=[Seeds()])
        close(lesson.memory, mean, "fisher")
        close(lesson.memory, kept[0], "importance")
        assert lesson.memory["seen"] == seen
        for name, value in kept[1].items():
            torch.testing.assert_close(lesson.memory[f"anchor.{name}"], value, rtol=1e-3, atol=1e-5, msg=name)
        mean, kept = (
            below("fisher", lesson.memory),
            [below(k, lesson.memory) for k in ("importance", "anchor")],
        )


def test_a_short_last_batch_counts_each_of_its_samples_as_much():
    where, method = world(blobs((21, 21))), EwcPlusPlus(alpha=1.0)
    lesson = taught(where, method, (0,), training=Training(epochs=1, batch=20))
    *_, (indices, before, _, _) = oracles.walked(
        where,
        begin(where, method, Seeds()).params,
        0,
        used=HEADS[0],
        training=Training(epochs=1, batch=20),
    )
    assert len(indices) == 1
    close(lesson.memory, oracles.squares(where, before, indices, HEADS[0]), "fisher")


@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_other_networks_carry_a_gradient_for_each_sample(model):
    options = {"mlp": {"widths": [8]}, "conv": {"widths": [4], "dense_units": 8}}[model]
    where = world(blobs((20, 20), features=(1, 4, 4)), model, **options)
    lesson = taught(where, EwcPlusPlus(alpha=1.0), (1,), training=Training(epochs=1, batch=20))
    start = begin(where, EwcPlusPlus(), Seeds()).params
    total = {k: torch.zeros_like(v) for k, v in start.items()}
    for index in where.train[1]:
        leaves = {k: v.clone().requires_grad_() for k, v in start.items()}
        logits = where.net.trace(leaves, where.source.inputs[index][None]).logits[:, 2:4]
        loss = torch.nn.functional.cross_entropy(logits, where.source.labels[index][None] - 2)
        for name, g in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True):
            total[name] += g**2 / 20
    close(lesson.memory, total, "fisher")


def test_consolidating_every_so_many_steps_needs_no_boundaries_and_acts_in_the_first_task():
    known, hidden = EwcPlusPlus(), EwcPlusPlus(every=2)
    assert known.needs_boundaries and not hidden.needs_boundaries
    assert not overrides(hidden, "after_task") and overrides(known, "after_task")
    assert known.late == {"strength"} and hidden.late == frozenset()
    where = world()
    for method, same in ((known, True), (hidden, False)):
        strong = type(method)(strength=1e6, every=method.every)
        firsts = [taught(where, m, (0,), training=SHORT) for m in (method, strong)]
        assert (not differing(*firsts)) is same


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"alpha": 1.5}, "alpha 1.5 must lie between 0 and 1"),
        ({"every": -1}, "every -1 must be a whole number of at least 0"),
        ({"every": 2.5}, "every 2.5 must be a whole number of at least 0"),
        ({"strength": -1.0}, "strength -1.0 must be"),
    ],
)
def test_wrong_hyperparameters_are_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        EwcPlusPlus(**wrong)
