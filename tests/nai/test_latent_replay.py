"""Latent replay: what is stored, what stands still, and the loss against plain modules."""

import oracles
import pytest
import torch
from replays import LIVE, SHORT, assert_close, stand
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods import Finetune, LatentReplay
from nai.methods.latent_replay import answers, held
from nai.seeds import Seeds, generator
from nai.training import Training


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("above", [0, 1, 2])
def test_the_layers_above_answer_as_the_whole_network_does(above, activation):
    where = world(widths=[12, 8, 8], activation=activation)
    lesson = taught(where, Finetune(), (1,), training=SHORT)
    inputs, at = where.source.inputs[:7], 2 - above
    trace = where.net.trace(lesson.params, inputs)
    here = stand(LatentReplay(size=10))
    context = here.context._replace(source=where.source, noise={})
    found = answers(where.net, lesson.params, trace.units[at], above, context=context)
    torch.testing.assert_close(found, trace.logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("above", [0, 1])
@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_the_gradient_is_that_of_both_batches_the_old_one_from_its_layer_on(scenario, above):
    method = LatentReplay(size=30, replay=8, above=above)
    here = stand(method, scenario)
    model, old = here.model, here.chosen("replay", 8)
    latents = dict(zip(here.lesson.memory["slots"].tolist(), here.lesson.memory["latents"], strict=True))
    upper = model[4 - 2 * above :]
    total = sum(here.losses(model, here.own))
    for s in old:
        logits, used = upper(latents[s][None])[0], here.used(s)
        place = used.index(int(here.where.source.labels[s]))
        total = total + torch.nn.functional.cross_entropy(logits[used], torch.tensor(place))
    expected = here.autograd(total / (LIVE + 8), model)
    leaves = {k: v.clone().requires_grad_() for k, v in here.params.items()}
    loss = method.loss(here.where.net, leaves, here.batch, here.lesson.memory, here.context)
    assert_close(dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True)), expected)


@pytest.mark.parametrize("above", [0, 1])
def test_what_is_stored_stays_true_since_nothing_below_moves_after_the_first_task(above):
    where, method = world(widths=[12, 8]), LatentReplay(size=30, above=above)
    training = Training(epochs=2, batch=20, optimizer="kept")
    lesson = taught(where, method, (2,), training=training)
    first, still = lesson, held(where.net, above)
    assert still == ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"][: 4 - 2 * above]
    assert differing(lesson, begin(where, method, Seeds())._replace(optimizer=lesson.optimizer))
    for task in (0, 1):
        (lesson,) = learn([lesson], [task], where, method, training=training, seeds=[Seeds()])
        moved = {k for k, v in lesson.params.items() if not torch.equal(v, first.params[k])}
        assert moved == set(lesson.params) - set(still)
        said = where.net.trace(lesson.params, where.source.inputs[lesson.memory["slots"]]).units[1 - above]
        torch.testing.assert_close(lesson.memory["latents"], said, rtol=1e-5, atol=1e-6)


def test_a_slow_layer_takes_its_share_of_each_step():
    where, params = world(), begin(world(), LatentReplay(), Seeds()).params
    after = {k: v + torch.randn(v.shape, generator=generator(k)) for k, v in params.items()}
    here = stand(LatentReplay(size=10))
    for depth, slow, expected in ((0, 0.3, 1.0), (2, 0.3, 0.3), (2, 0.0, 0.0)):
        context = here.context._replace(depth=torch.tensor(depth), net=where.net)
        found, _ = LatentReplay(slow=slow).after_step(params, {}, after, {}, context)
        for name in params:
            share = expected if name in where.net.body() else 1.0
            torch.testing.assert_close(found[name], params[name] + share * (after[name] - params[name]))


def test_a_convolutional_net_replays_what_its_head_reads():
    benchmark = blobs((20, 33), features=(1, 8, 8))
    where, method = world(benchmark, "conv", widths=[4], dense_units=8), LatentReplay(size=12)
    lesson = taught(where, method, (1, 0), training=SHORT)
    said = where.net.trace(lesson.params, where.source.inputs[lesson.memory["slots"]]).inputs[-1]
    torch.testing.assert_close(lesson.memory["latents"], said, rtol=1e-5, atol=1e-6)
    words = "above 1 is for dense networks, ConvNet is not one: use above 0"
    with pytest.raises(ValueError, match=words):
        begin(where, LatentReplay(above=1), Seeds())


def test_a_layer_that_there_is_not_is_named():
    words = r"above 2 leaves none of 2 hidden layers to store: use 0\.\.1"
    with pytest.raises(ValueError, match=words):
        begin(world(), LatentReplay(above=2), Seeds())


def test_the_module_of_the_oracles_has_a_layer_and_an_activation_in_turn():
    model = oracles.plain_mlp(begin(world(), LatentReplay(), Seeds()).params)
    assert [type(part).__name__ for part in model] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
