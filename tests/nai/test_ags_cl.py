"""AGS-CL against its algorithm as plain loops over neurons, and what its exact steps promise."""

import dataclasses
import math

import oracles
import pytest
import torch
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn, padded
from nai.methods import AgsCl, Finetune
from nai.methods.anchored import effective_strength
from nai.methods.groups import emptied
from nai.seeds import Seeds, generator
from nai.tasks import Rows, gather
from nai.training import Training

HEADS = ((0, 1), (2, 3), (4, 5))
SPARSE = AgsCl(strength=20.0, sparsity=20.0, rho=0.5)  # some neurons fall silent, in every layer
TRAINING = Training(epochs=6, batch=30, rate=5e-3)
IMAGES = {"model": "conv", "widths": [8], "dense_units": 8, "dropout": 0.0, "dropout_dense": 0.0}


def images():
    return world(blobs((60, 33, 40), features=(1, 4, 4)), **IMAGES)


def wide():
    return world(widths=[24, 16])


def omegas(where, lesson):
    return [lesson.memory[f"importance.{layer.parameters[0]}"] for layer in where.net.hidden]


def group(values, layer, neuron):
    return torch.cat([values[name][neuron].flatten() for name in layer.parameters])


# ---------------------------------------------------------------- the algorithm as loops
def drawn(where, method, depth, seeds):
    draws = method.task_draws(where.net, padded(where.train))
    return {purpose: draw(generator(seeds.data, depth, purpose)) for purpose, draw in draws.items()}


def literal_task(where, method, state, task, depth):
    """One task of Jung et al. 2020 for an MLP of two hidden layers, neuron by neuron."""
    values, anchors, omega = state
    model = oracles.plain_mlp(values)
    own = oracles.named(model, values)
    optimizer = torch.optim.Adam(model.parameters(), lr=TRAINING.rate)
    (first, second), head = where.net.hidden, where.net.head
    steps = math.ceil(len(where.train[task]) / TRAINING.batch)
    for step, indices in enumerate(oracles.batches(where, task, TRAINING, Seeds(), depth), 1):
        optimizer.zero_grad()
        oracles.task_loss(model, where, indices, HEADS[task]).backward()
        optimizer.step()
        weight = own[second.parameters[0]].data
        for n, m in ((n, m) for n in range(second.units) for m in range(first.units)):
            if omega[1][n] > 0 and omega[0][m] == 0:
                weight[n, m] = 0
        if step % steps == 0:
            for layer, importance in zip((first, second), omega, strict=True):
                for n in range(layer.units):
                    theta, anchor = group(own, layer, n).detach(), group(anchors, layer, n)
                    if torch.equal(theta, anchor if importance[n] > 0 else torch.zeros_like(theta)):
                        continue  # it has arrived
                    moved = oracles.proximal(
                        theta,
                        anchor,
                        float(importance[n]),
                        strength=method.strength,
                        sparsity=method.sparsity,
                        rate=TRAINING.rate,
                    )
                    own[layer.parameters[0]].data[n] = moved[:-1]
                    own[layer.parameters[1]].data[n] = moved[-1]
    values = {k: v.detach().clone() for k, v in own.items()}
    said = oracles.activations(where, values, task)
    omega = [method.eta * old + x.abs().mean(0) for old, x in zip(omega, said, strict=True)]
    for n in (omega[0] == 0).nonzero().flatten():
        values[second.parameters[0]][:, n] = 0
    for n in (omega[1] == 0).nonzero().flatten():
        values[head.parameters[0]][list(HEADS[task]), n] = 0
    noise = drawn(where, method, depth, Seeds())
    for layer, importance in zip((first, second), omega, strict=True):
        silent = (importance == 0).nonzero().flatten().tolist()
        silent.sort(key=lambda n, name=layer.name: float(noise[f"lots.{name}"][n]))
        for n in silent[: len(silent) - int(len(silent) * (1 - method.rho))]:
            for name in layer.parameters:
                values[name][n] = noise[f"redraw.{name}"][n]
    return values, values, omega


def test_a_run_is_that_of_the_plain_loops():
    where = wide()
    lesson = begin(where, SPARSE, Seeds())
    state = (lesson.params, lesson.params, [torch.zeros(layer.units) for layer in where.net.hidden])
    silent = []
    for depth, task in enumerate((1, 0, 2)):
        state = literal_task(where, SPARSE, state, task, depth)
        (lesson,) = learn([lesson], [task], where, SPARSE, training=TRAINING, seeds=[Seeds()])
        for name, value in state[0].items():
            torch.testing.assert_close(lesson.params[name], value, rtol=1e-3, atol=2e-5, msg=name)
            assert torch.equal(lesson.params[name] == 0, value == 0)
        for found, expected in zip(omegas(where, lesson), state[2], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
            silent.append(int((found == 0).sum()))
        # from the same weights on: Adam blows rounding up to whole steps
        state = (lesson.params, lesson.params, omegas(where, lesson))
    assert all(silent[:2])  # the oracle has met silent neurons in both layers, and others
    assert silent[0] < 24
    assert silent[1] < 16


@pytest.mark.parametrize("make", [wide, images], ids=["mlp", "conv"])
def test_the_proximal_step_is_that_of_each_neuron_s_whole_group(make):
    where, method = make(), AgsCl(strength=40.0, sparsity=30.0)
    lesson = begin(where, method, Seeds())
    memory = dict(lesson.memory)
    for layer in where.net.hidden:
        omega = torch.rand(layer.units, generator=generator(layer.name)) * 4
        omega[::2] = 0
        memory |= {f"importance.{name}": omega for name in layer.parameters}
    params = {k: v + 0.2 * torch.randn(v.shape, generator=generator(k)) for k, v in lesson.params.items()}
    context = learn_context(where, rate=0.01)
    after, same = method.after_epoch(where.net, params, memory, context)
    assert same is memory
    for layer in where.net.hidden:
        omega = memory[f"importance.{layer.parameters[0]}"]
        for n in range(layer.units):
            expected = oracles.proximal(
                group(params, layer, n), group(lesson.params, layer, n), float(omega[n]),
                strength=40.0, sparsity=30.0, rate=0.01,
            )  # fmt: skip
            torch.testing.assert_close(group(after, layer, n), expected)
    for name in where.net.head.parameters:
        assert torch.equal(after[name], params[name])


def learn_context(where, **values):
    """A context of which the hooks under test read these values alone."""

    class Given:
        net, source, heads = where.net, where.source, where.heads

    for name, value in values.items():
        setattr(Given, name, value)
    return Given


# ---------------------------------------------------------------- laws
@pytest.mark.parametrize("make", [wide, images], ids=["mlp", "conv"])
def test_with_a_huge_strength_important_neurons_keep_their_incoming_weights_bit_for_bit(make):
    where, method = make(), AgsCl(strength=1e9, sparsity=10.0)
    first = taught(where, method, (0,), training=TRAINING)
    (held,) = learn([first], [2], where, method, training=TRAINING, seeds=[Seeds()])
    for layer, omega in zip(where.net.hidden, omegas(where, first), strict=True):
        assert (omega > 0).any()
        for name in layer.parameters:
            assert torch.equal(held.params[name][omega > 0], first.params[name][omega > 0])
    assert not torch.equal(
        held.params[where.net.head.parameters[0]], first.params[where.net.head.parameters[0]]
    )


@pytest.mark.parametrize("make", [wide, images], ids=["mlp", "conv"])
def test_then_old_tasks_are_not_forgotten_at_all(make):
    where, method = make(), AgsCl(strength=1e9, sparsity=10.0)
    first = taught(where, method, (0,), training=TRAINING)
    (held,) = learn([first], [2], where, method, training=TRAINING, seeds=[Seeds()])
    inputs = where.source.inputs[where.train[0]]
    before, after = (where.net.trace(x.params, inputs).logits[:, :2] for x in (first, held))
    torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [wide, images], ids=["mlp", "conv"])
def test_with_a_huge_sparsity_neurons_without_importance_are_exactly_0(make):
    where, method = make(), AgsCl(sparsity=1e9, rho=0.0)
    lesson = taught(where, method, (0,), training=TRAINING)
    for layer, omega in zip(where.net.hidden, omegas(where, lesson), strict=True):
        assert omega.eq(0).all()
        assert all(lesson.params[name].eq(0).all() for name in layer.parameters)


@pytest.mark.parametrize("make", [wide, images], ids=["mlp", "conv"])
def test_importance_is_decayed_and_added_at_least_0_and_positive_after_the_first_task(make):
    where, method = make(), AgsCl(strength=3.0, sparsity=0.1, eta=0.6, rho=0.0)
    lesson = begin(where, method, Seeds())
    assert effective_strength(method, lesson.memory) == 0
    for task in (1, 2):
        old = omegas(where, lesson)
        (lesson,) = learn([lesson], [task], where, method, training=TRAINING, seeds=[Seeds()])
        rows = Rows(where.train[task], torch.full((len(where.train[task]),), 1 / len(where.train[task])))
        said = where.net.trace(lesson.params, gather(where.source, rows).inputs).units
        for was, now, x in zip(old, omegas(where, lesson), said, strict=True):
            added = x.mean(tuple(range(2, x.ndim))).abs().mean(0) if x.ndim > 2 else x.abs().mean(0)
            torch.testing.assert_close(now, 0.6 * was + added, rtol=1e-4, atol=1e-6)
            assert (now >= 0).all()
            assert now.sum() > 0


def test_what_a_neuron_says_against_its_activation_counts_as_well():
    where = world(widths=[24, 16], activation="tanh")
    method = AgsCl(sparsity=0.0, rho=0.0)
    lesson = taught(where, method, (1,), training=TRAINING)
    for found, x in zip(
        omegas(where, lesson), oracles.activations(where, lesson.params, 1, torch.nn.Tanh), strict=True
    ):
        torch.testing.assert_close(found, x.abs().mean(0), rtol=1e-4, atol=1e-6)
        assert (x.mean(0).abs() < 0.9 * found).any()


def test_importance_is_taken_without_dropout():
    where = world(widths=[24, 16], dropout=0.5)
    method = AgsCl(sparsity=0.0, rho=0.0)
    lesson = taught(where, method, (1,), training=TRAINING)
    said = oracles.activations(where, lesson.params, 1)
    for found, x in zip(omegas(where, lesson), said, strict=True):
        torch.testing.assert_close(found, x.mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [wide, images], ids=["mlp", "conv"])
def test_nothing_leaves_a_silent_neuron_and_important_ones_stay_closed_to_it(make):
    where, method = make(), dataclasses.replace(SPARSE, rho=1.0)
    first = taught(where, method, (1,), training=TRAINING)
    (second,) = learn([first], [0], where, method, training=TRAINING, seeds=[Seeds()])
    omega = omegas(where, first)
    layers = (*where.net.hidden, where.net.head)
    seen = 0
    for i, layer in enumerate(layers[1:]):
        weight = first.params[layer.parameters[0]]
        fed = weight.shape[1] // len(omega[i])
        silent = (omega[i] == 0).repeat_interleave(fed)  # a flattened map: channel after channel
        rows = torch.tensor(HEADS[1]) if layer is where.net.head else (omega[i + 1] > 0).nonzero().flatten()
        assert weight[rows][:, silent].eq(0).all()
        if layer is not where.net.head:
            assert second.params[layer.parameters[0]][rows][:, silent].eq(0).all()
            seen += int(silent.any())
            assert first.memory[f"shut.{layer.parameters[0]}"].sum() == len(rows) * int(silent.sum())
    assert seen == len(where.net.hidden) - 1
    others = [0, 1, 4, 5]
    assert first.params[where.net.head.parameters[0]][others].ne(0).all()


def test_dense_layers_are_emptied_of_all_pixels_of_a_silent_map():
    where = images()
    params = begin(where, Finetune(), Seeds()).params
    net = where.net
    omega = {layer.name: torch.ones(layer.units) for layer in net.hidden}
    omega["convs.1"] = torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    omega["dense_layer"] = torch.tensor([0.0] + [1.0] * 7)
    out = emptied(net, params, omega, torch.tensor([True, True, False, False, False, False]))
    expected = {k: v.clone() for k, v in params.items()}
    pixels = params["dense_layer.weight"].shape[1] // 8
    assert pixels == 4
    expected["dense_layer.weight"][:, 4:8] = 0
    expected["dense_layer.weight"][:, 12:16] = 0
    expected["out.weight"][:2, 0] = 0
    assert all(torch.equal(out[k], v) for k, v in expected.items())


@pytest.mark.parametrize("tenths", [0, 1, 2, 3, 5, 7, 8, 9, 10])
@pytest.mark.parametrize("silent", [0, 1, 7, 10])
def test_the_share_rho_of_the_silent_neurons_rounded_up_is_drawn_anew(tenths, silent):
    quiet = torch.zeros(16, dtype=torch.bool)
    quiet[torch.randperm(16, generator=generator("quiet"))[:silent]] = True
    lots = torch.rand(16, generator=generator("lots"))
    chosen = AgsCl(rho=tenths / 10)._chosen(quiet, lots)
    assert int(chosen.sum()) == -(-silent * tenths // 10)
    # 0.07 x 100 is a little above 7 in double precision
    assert int(AgsCl(rho=0.07)._chosen(torch.ones(100, dtype=torch.bool), torch.arange(100) / 100).sum()) == 7
    assert not (chosen & ~quiet).any()
    spared = quiet & ~chosen
    if chosen.any() and spared.any():
        assert lots[chosen].max() <= lots[spared].min()


def test_a_neuron_drawn_anew_has_the_initial_distribution_and_says_nothing_yet():
    where = world(widths=[320, 20])
    method = AgsCl(sparsity=1e9, rho=1.0)
    lesson = taught(where, method, (0,), training=Training(epochs=1))
    weight = lesson.params["layers.0.weight"]
    bound = 1 / math.sqrt(12)
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert abs(weight.mean().item()) < 0.02
    again = taught(where, method, (0,), training=Training(epochs=1), seeds=Seeds(1, 0))
    assert torch.equal(weight, again.params["layers.0.weight"])
    other = taught(where, method, (0,), training=Training(epochs=1), seeds=Seeds(0, 1))
    assert not torch.equal(weight, other.params["layers.0.weight"])
    inputs = where.source.inputs[where.train[0]]
    said = where.net.trace(lesson.params, inputs)
    assert said.units[1].ne(0).any()
    assert torch.equal(said.logits[:, :2], lesson.params["layers.2.bias"][:2].expand(len(inputs), 2))


def test_without_sparsity_and_chance_the_first_task_is_finetuning_but_for_dead_neurons():
    where = world(widths=[24, 16], activation="tanh")  # of which none is dead
    method = AgsCl(sparsity=0.0, rho=0.0)
    found = taught(where, method, (1,), training=TRAINING)
    assert not differing(found._replace(memory={}), taught(where, Finetune(), (1,), training=TRAINING))


def test_bits_do_not_depend_on_the_stack():
    where = world(widths=[24, 16], dropout=0.2)
    training, seeds = dataclasses.replace(TRAINING, optimizer="kept"), [Seeds(n, n) for n in range(7)]
    lessons = [taught(where, SPARSE, (n % 3,), training=training, seeds=s) for n, s in enumerate(seeds)]

    def learnt(who):
        some = [lessons[n] for n in who], [(n + 1) % 3 for n in who]
        return learn(*some, where, SPARSE, training=training, seeds=[seeds[n] for n in who])

    whole = learnt(range(7))
    assert any(omega.eq(0).any() for lesson in whole for omega in omegas(where, lesson))
    for who in ((0,), (6,), (4, 2), (1, 3, 5)):
        for n, lesson in zip(who, learnt(who), strict=True):
            assert not differing(lesson, whole[n])


def test_nets_that_are_no_chain_are_named():
    where = world(blobs((4,), features=(1, 8, 8)), "resnet18", width=2, groups=1)
    with pytest.raises(ValueError, match="ResNet18 has layers fed by several others: method ags_cl needs a"):
        begin(where, AgsCl(), Seeds())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AgsCl(strength=-1), "strength -1 must be a finite number of at least 0"),
        (lambda: AgsCl(sparsity=float("inf")), "sparsity inf must be"),
        (lambda: AgsCl(eta=1.1), "eta 1.1 must lie between 0 and 1"),
        (lambda: AgsCl(rho=-0.1), "rho -0.1 must lie between 0 and 1"),
    ],
)
def test_wrong_hyperparameters_are_named_with_the_rule(make, words):
    with pytest.raises(ValueError, match=words):
        make()
