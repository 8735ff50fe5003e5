"""Co2L: its losses against slow, literal ones, its buffer, its linear evaluation, and what a run of it is."""

import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from laws import Pupils
from replays import LIVE, assert_close, stand
from torch import nn
from worlds import blobs, differing, marks, taught, world

from nai.learn import begin, learn
from nai.methods import Co2l, ErProbe, Finetune
from nai.methods.contrast import relations_kept, supervised, unit
from nai.methods.probe import Probe, pool
from nai.seeds import Seeds, generator
from nai.tasks import Rows
from nai.training import Training

SMALL = {"size": 20, "views": "noise", "projection": 8, "linear_epochs": 2, "linear_batch": 16}
SHORT = Training(epochs=2, batch=20)


# ---------------------------------------------------------------- losses
def literal_supervised(z, groups, live, anchors, temperature, reduction):
    """Cha, Lee, Shin 2021, equation 2, view by view."""
    total = z.new_zeros(())
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i and live[k]]
        alike = [j for j in others if groups[j] == groups[i]]
        if not (live[i] and anchors[i] and alike):
            continue
        below = sum(torch.exp(z[i] @ z[k] / temperature) for k in others)
        total = total - sum(torch.log(torch.exp(z[i] @ z[j] / temperature) / below) for j in alike) / len(
            alike
        )
    counts = {
        "sum": 1,
        "views": int(live.sum()),
        "anchors": sum(bool(a and b) for a, b in zip(live, anchors, strict=True)),
    }
    return total / counts[reduction]


def literal_relations(now, past, live, warmth):
    """Cha, Lee, Shin 2021, equations 3 and 4, view by view."""
    total, alive = now.new_zeros(()), [i for i in range(len(now)) if live[i]]
    for i in alive:
        others = [k for k in alive if k != i]
        ours = [torch.exp(now[i] @ now[k] / warmth[0]) for k in others]
        theirs = [torch.exp(past[i] @ past[k] / warmth[1]) for k in others]
        for mine, other in zip(ours, theirs, strict=True):
            total = total - other / sum(theirs) * torch.log(mine / sum(ours))
    return total / len(alive)


def said(rows=10, seed=0):
    """What projections say of views, their groups, which are live, and which are anchors."""
    chance = generator("said", seed)
    z = unit(torch.randn(rows, 4, generator=chance, dtype=torch.float64))
    groups = torch.tensor([0, 0, 1, 2, 1] * (rows // 5))
    live = torch.ones(rows, dtype=torch.bool)
    live[3] = False
    return z, groups, live, torch.arange(rows) % 5 < 3


@pytest.mark.parametrize("reduction", ["views", "anchors", "sum"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_contrastive_loss_is_the_literal_one(reduction, symmetric, temperature):
    z, groups, live, anchors = said()
    anchors = torch.ones_like(anchors) if symmetric else anchors
    found = supervised(z, groups, live, anchors, temperature=temperature, reduction=reduction)
    torch.testing.assert_close(found, literal_supervised(z, groups, live, anchors, temperature, reduction))


@pytest.mark.parametrize("warmth", [(0.2, 0.1), (1.0, 0.5)])
def test_the_distillation_is_the_literal_one(warmth):
    (now, _, live, _), (past, *_) = said(), said(seed=1)
    torch.testing.assert_close(
        relations_kept(now, past, live, warmth=warmth), literal_relations(now, past, live, warmth)
    )


def test_both_losses_of_a_case_by_hand():
    # views of a current sample at right angles, those of a buffered one along the first, and against it
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    groups, live = torch.tensor([0, 1, 0, 1]), torch.ones(4, dtype=torch.bool)
    anchors = torch.tensor([True, False, True, False])
    first, second = (
        math.log(math.e + 1 + 1 / math.e),
        math.log(3),
    )  # of the two anchors; inner products 1, 0, -1
    found = supervised(z, groups, live, anchors, temperature=1.0, reduction="sum")
    assert float(found) == pytest.approx(first + second, rel=1e-6)
    assert float(supervised(z, groups, live, anchors, temperature=1.0, reduction="views")) == pytest.approx(
        (first + second) / 4, rel=1e-6
    )
    # where every view is as like one other as the next, any past costs the logarithm of their number
    alike = torch.eye(4)
    assert float(relations_kept(alike, z, live, warmth=(0.2, 0.01))) == pytest.approx(math.log(3), rel=1e-6)


def test_gradients_are_those_of_differences_and_rest_where_relations_are_as_they_were():
    z, groups, live, anchors = said(5)
    past = said(5, seed=1)[0]

    def losses(x):
        x = unit(x)
        apart = supervised(x, groups, live, anchors, temperature=0.5, reduction="views")
        return apart, relations_kept(x, past, live, warmth=(0.2, 0.5))

    assert torch.autograd.gradcheck(losses, (z.clone().requires_grad_(),))
    own = z.clone().requires_grad_()
    (at_rest,) = torch.autograd.grad(relations_kept(own, z, live, warmth=(0.3, 0.3)), own)
    assert float(at_rest.abs().max()) < 1e-12


def test_no_view_at_all_has_a_loss_of_nothing_and_a_finite_gradient():
    z = torch.zeros(4, 3, requires_grad=True)
    none = torch.zeros(4, dtype=torch.bool)
    groups = torch.arange(4)
    total = supervised(unit(z), groups, none, none, temperature=0.1, reduction="views")
    total = total + relations_kept(unit(z), z, none, warmth=(0.1, 0.01))
    assert total.item() == 0
    assert bool(torch.autograd.grad(total, z)[0].isfinite().all())


@pytest.mark.parametrize(
    ("anchors", "scenario"), [("current", "class"), ("all", "task"), ("current", "domain")]
)
def test_a_step_s_loss_is_that_of_two_views_of_its_samples_and_of_the_buffer_s(anchors, scenario):
    method = Co2l(**SMALL, replay=6, anchors=anchors, strength=0.7)
    here = stand(method, scenario)
    memory, source, noise = here.lesson.memory, here.where.source, here.context.noise
    samples = [*here.own, *here.chosen("replay", 6)]
    rows, count = len(here.batch.weights), len(noise["pairs.noise"]) // 2
    places = [*range(LIVE), *range(rows, rows + 6)]
    places += [count + place for place in places]
    plain = source.inputs[torch.tensor(samples * 2)]
    seen = (plain + 0.2 * noise["pairs.noise"][places]).where(noise["pairs.mask"][places] >= 0.2, 0.0)
    groups = [(int(source.tasks[s]), int(source.labels[s])) for s in samples * 2]
    current = torch.tensor([task == 1 or anchors == "all" for task, _ in groups])

    def projected(values):
        x = seen
        for layer in ("layers.0", "layers.1", "projection.0"):
            x = torch.relu(F.linear(x, values[f"{layer}.weight"], values[f"{layer}.bias"]))
        return F.normalize(F.linear(x, values["projection.1.weight"], values["projection.1.bias"]))

    def literal(values):
        z = projected(values)
        past = projected({k[5:]: v for k, v in memory.items() if k.startswith("past.")})
        live = torch.ones(len(z), dtype=torch.bool)
        apart = literal_supervised(z.double(), groups, live, current, 0.5, "views") * (0.5 / 0.07)
        return apart + 0.7 * literal_relations(z.double(), past.double(), live, (0.2, 0.01))

    def gradients(loss):
        own = {k: v.clone().requires_grad_() for k, v in here.params.items()}
        value = loss(own)
        found = torch.autograd.grad(value, list(own.values()), materialize_grads=True)
        return value, dict(zip(own, found, strict=True))

    value, found = gradients(lambda own: method.loss(here.where.net, own, here.batch, memory, here.context))
    expected, slopes = gradients(literal)
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-5)
    assert_close({k: v / 10 for k, v in found.items()}, {k: v / 10 for k, v in slopes.items()})
    assert all(not found[k].any() for k in here.where.net.head.parameters)


def test_the_control_s_loss_is_the_cross_entropy_of_the_same_views():
    settings = {k: v for k, v in SMALL.items() if k != "projection"}
    method = ErProbe(**settings, replay=6)
    here = stand(method)
    noise, rows = here.context.noise, len(here.batch.weights)
    samples = [*here.own, *here.chosen("replay", 6)]
    count = len(noise["pairs.noise"]) // 2
    places = [*range(LIVE), *range(rows, rows + 6)]
    losses = []
    for sample, place in zip(samples * 2, [*places, *(count + p for p in places)], strict=True):
        x = here.where.source.inputs[sample] + 0.2 * noise["pairs.noise"][place]
        x = x.where(noise["pairs.mask"][place] >= 0.2, 0.0)
        used = here.used(sample)
        label = torch.tensor(used.index(int(here.where.source.labels[sample])))
        losses.append(F.cross_entropy(here.model(x[None])[0, used], label))
    found = method.loss(here.where.net, here.params, here.batch, here.lesson.memory, here.context)
    torch.testing.assert_close(found, torch.stack(losses).mean(), rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- buffer
def test_the_buffer_shares_its_slots_out_to_the_classes_met_as_the_official_rule_does():
    where, method = world(blobs((40, 40, 40, 40), scenario="class")), Co2l(**SMALL)
    lesson, before = begin(where, method, Seeds()), set()
    for depth, task in enumerate((2, 0, 3, 1)):
        (lesson,) = learn([lesson], [task], where, method, training=SHORT, seeds=[Seeds()])
        slots = lesson.memory["slots"].tolist()
        counts = Counter(where.source.labels[slots].tolist())
        met = sorted(c for t in lesson.done for c in (2 * t, 2 * t + 1))
        # theirs: the old keep the share of their number of tasks, classes alike, fractions by chance
        share = method.size / (depth + 1) / 2
        assert sorted(counts) == met and sum(counts.values()) == method.size
        assert all(math.floor(share) <= n <= math.ceil(share) for n in counts.values())
        own = set(where.train[task].tolist())
        assert set(slots) - own <= before  # what was dropped does not come back
        before = set(slots)


# ---------------------------------------------------------------- linear evaluation
def after_two(method, scenario="class"):
    """A stand after two tasks, with the draws of a task made."""
    here = stand(method, scenario)
    rows = Rows(F.pad(here.where.train[1], (0, 7)), F.pad(torch.full((33,), 1 / 33), (0, 7)))
    drawn = {k: d(generator("probe", k)) for k, d in method.task_draws(here.where.net, 40).items()}
    return here, rows, here.context._replace(noise=here.context.noise | drawn)


@pytest.mark.parametrize("balance", ["class", "task"])
def test_every_class_or_task_is_shown_equally_often_and_padding_never(balance):
    method = Co2l(**SMALL | {"linear_batch": 4000}, linear_balance=balance)
    here, rows, context = after_two(method)
    samples = pool(rows, here.lesson.memory)
    places = method.probe.places(samples, context).flatten()
    assert bool((samples.weights[places] > 0).all())
    of = here.where.source.labels if balance == "class" else here.where.source.tasks
    shares = torch.bincount(of[samples.indices[places]]) / len(places)
    live = set(of[samples.indices[samples.weights > 0]].tolist())
    assert {c for c, share in enumerate(shares.tolist()) if share} == live
    torch.testing.assert_close(shares, torch.full((len(shares),), 1 / len(live)), atol=0.02, rtol=0)


def test_the_head_is_torch_s_own_descent_over_the_classes_met():
    method = Co2l(**SMALL | {"linear_epochs": 20, "linear_inputs": "plain", "linear_rate": 0.3})
    here, rows, context = after_two(method)
    samples, probe = pool(rows, here.lesson.memory), method.probe
    met = torch.tensor([True, True, True, False, True, True])
    found = probe.fitted(here.where.net, here.params, samples, met, context, view="noise")

    head = nn.Linear(8, 6)
    weight, bias = here.where.net.head.parameters
    with torch.no_grad():
        head.weight.copy_(context.noise[f"probe.{weight}"])
        head.bias.copy_(context.noise[f"probe.{bias}"])
    optimizer = torch.optim.SGD(head.parameters(), lr=0.3, momentum=0.9)
    each = probe.steps(60) // 20
    falls = torch.optim.lr_scheduler.MultiStepLR(optimizer, [12 * each, 15 * each, 18 * each], gamma=0.2)
    for places in probe.places(samples, context):
        own = samples.indices[places]
        said = here.where.net.trace(here.params, here.where.source.inputs[own]).units[-1]
        optimizer.zero_grad()
        logits = head(said).masked_fill(~met, -torch.inf)
        F.cross_entropy(logits, here.where.source.labels[own]).backward()
        optimizer.step()
        falls.step()
    torch.testing.assert_close(found[weight][met], head.weight[met].detach(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found[bias][met], head.bias[met].detach(), rtol=1e-3, atol=1e-5)
    assert torch.equal(found[weight][~met], here.params[weight][~met])
    assert all(found[k] is here.params[k] for k in here.params if k not in (weight, bias))


def test_views_of_the_linear_evaluation_are_new_in_each_step():
    probe = Probe(2, 16, 1.0, "viewed", "class")
    where = world()
    draws = probe.draws(where.net, 40, 20, "noise")
    assert draws["probe.view.noise"](generator(0)).shape == (2 * 4, 16, 12)
    assert not any(
        k.startswith("probe.view") for k in probe._replace(inputs="plain").draws(where.net, 40, 20, "noise")
    )


# ---------------------------------------------------------------- runs
def test_class_and_task_incremental_results_are_of_the_same_weights():
    training, method = Training(epochs=3, batch=20), Co2l(**SMALL)
    found = {}
    for scenario in ("class", "task"):
        where = world(blobs((60, 33, 90), scenario=scenario))
        lesson = taught(where, method, (2, 0, 1), training=training)
        found[scenario] = lesson, marks(lesson, where, method).test
    assert not differing(found["class"][0], found["task"][0])
    assert bool((found["task"][1] >= found["class"][1]).all())
    assert float(found["task"][1].mean()) > float(found["class"][1].mean())


def test_it_keeps_what_finetuning_forgets():
    where, training = world(blobs((80, 80, 80), scenario="class")), Training(epochs=6, batch=20)
    found = {}
    for method in (Co2l(**SMALL | {"linear_epochs": 20}), Finetune()):
        lesson = taught(where, method, (2, 0, 1), training=training)
        found[type(method)] = marks(lesson, where, method).test.mean().item()
    assert found[Co2l] > found[Finetune] + 0.3


@pytest.mark.parametrize("views", ["simclr", "simclr_blur", "crops"])
def test_pictures_in_stacks_have_the_bits_of_each_alone(views):
    method = Co2l(**SMALL | {"views": views, "linear_epochs": 1})
    where = world(blobs((9, 12, 8), features=(3, 4, 4), scenario="class"), "mlp", widths=[12, 8])
    one = Pupils([method], where, Training(epochs=1))
    whole = one.asked(list(range(9)))
    for n in (0, 4, 8):
        ((lesson, right),) = one.asked([n])
        assert not differing(lesson, whole[n][0]) and torch.equal(right.test, whole[n][1].test)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"views": "simclr"}, "use views 'noise'"),
        ({"temperature": 0.0}, "temperature 0 divides"),
        ({"projection": 6}, "projection 6 must be a multiple of 4"),
        ({"size": 0}, "size 0"),
        ({"linear_rate": -1.0}, "linear_rate"),
        ({"anchors": "old"}, "anchors 'old' is unknown"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(settings, word):
    with pytest.raises(ValueError, match=word):
        begin(world(), Co2l(**SMALL | settings), Seeds())
