"""bfloat16 changes how products round while training, and nothing else: every law holds for it as well."""

import dataclasses
import io

import pytest
import torch
from worlds import blobs, differing, marks, numbers, taught, world

from nai.learn import begin, learn
from nai.methods import Ewc, Finetune, Joint, Mas, Nai, Si
from nai.models import ConvNet, Mlp
from nai.seeds import Seeds, generator
from nai.stack import stackable
from nai.training import Training
from nai.trial import Named, Trial, fingerprint, settings
from nai.trial import run as run_trial

LOW = Training(epochs=2, precision="bfloat16")
HIGH = dataclasses.replace(LOW, precision="float32")
SIZES = (270, 70, 33, 200, 1)
METHODS = [Finetune(), Joint(), Nai(strength=0.3), Ewc(), Ewc(labels="sample"), Si(), Mas()]
GUARDED = [Nai(strength=0.0), Ewc(strength=0.0), Si(strength=0.0), Mas(strength=0.0)]
IMAGES = {"features": (3, 8, 8)}
NETS = {
    "light mlp": lambda: world(),
    "heavy mlp": lambda: world(blobs(features=(196,)), widths=[400, 64]),
    "conv": lambda: world(blobs((20, 33), **IMAGES), "conv", widths=[4, 8], dense_units=8),
    "resnet18": lambda: world(blobs((20, 33), **IMAGES), "resnet18", width=4, groups=2),
}


def name_of(value):
    return value if isinstance(value, str) else type(value).__name__.lower()


# ------------------------------------------------------------------ what it changes
@pytest.mark.parametrize("name", NETS)
def test_it_changes_training_and_leaves_every_stored_number_float32(name):
    where = NETS[name]()
    low, high = (taught(where, Si(), [0, 1], training=t) for t in (LOW, HIGH))
    assert all(v.dtype == torch.float32 for v in numbers(low).values() if v.is_floating_point())
    assert {"params." + k for k in low.params} <= set(differing(low, high))
    for key, value in low.params.items():
        torch.testing.assert_close(value, high.params[key], atol=0.02, rtol=0)  # steps are of 1e-3


def test_written_out_gradients_are_those_of_float32_up_to_eight_bits():
    # tanh, since a ReLU that rounding opens or shuts would be a larger change
    where = world(blobs(features=(64,)), widths=[40, 24], activation="tanh")
    lesson = begin(where, Finetune(), Seeds())
    inputs = where.source.inputs[:32]
    slope = torch.randn(32, 6, generator=generator("slope"))

    def found():
        return where.net.gradients(lesson.params, inputs, {}, lambda logits: slope)

    exact = found()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = found()
    errors = {key: float((rounded[key] - value).norm() / value.norm()) for key, value in exact.items()}
    assert all(value.dtype == torch.float32 for value in rounded.values())
    assert errors.pop("layers.2.bias") == 0  # a sum of the slope, without any product
    assert all(0 < error < 2**-6 for error in errors.values())


def test_importances_and_accuracies_are_float32_whatever_trained():
    where = world()
    low = taught(where, Ewc(), [0], training=LOW)
    with torch.no_grad():
        logits = where.net.trace(low.params, where.source.inputs[where.test[0]]).logits
    right = (logits[:, :2].argmax(1) == where.source.labels[where.test[0]]).float().mean()
    assert marks(low, where, Ewc()).test[0] == right
    batch_free = Training(epochs=1, precision="bfloat16", rate=1e-30)  # weights stay as they are
    still, exact = (
        taught(where, Ewc(), [0], training=t)
        for t in (batch_free, dataclasses.replace(batch_free, precision="float32"))
    )
    assert [k for k in differing(still, exact) if not k.startswith("optimizer")] == []


# ------------------------------------------------------------------ laws
@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_a_lesson_s_bits_do_not_depend_on_its_stack(method):
    where = world(blobs(SIZES), dropout=0.2)
    assert stackable(where.net, where.device)
    seeds = [Seeds(n % 2, n % 3) for n in range(32)]
    tasks = [n % 5 for n in range(32)]
    first = [
        taught(where, method, [(t + 1) % 5] * (n % 2), training=LOW, seeds=s)
        for n, (t, s) in enumerate(zip(tasks, seeds, strict=True))
    ]

    def learnt(at, size):
        some = slice(at, at + size)
        return learn(first[some], tasks[some], where, method, training=LOW, seeds=seeds[some])

    whole = learnt(0, 32)
    for size in (1, 2, 3, 7):
        parts = [lesson for at in range(0, 32, size) for lesson in learnt(at, size)]
        assert [differing(a, b) for a, b in zip(parts, whole, strict=True)] == [[]] * 32


def test_no_bit_depends_on_the_stack_where_a_cpu_s_products_of_several_matrices_would_round_otherwise():
    blob = blobs((41, 7, 30, 18), classes=3, scenario="class")
    where = world(blob, widths=[20, 28], activation="leaky_relu")
    training = dataclasses.replace(LOW, batch=10, rate=0.01)
    orders = [(2, 0, 1), (0, 1, 3), (3, 2, 0), (1, 3, 2), (0, 2, 3), (2, 1, 0), (1, 0, 2)]
    for first in range(0, 42, 7):
        seeds = [Seeds(n, n) for n in range(first, first + 7)]
        alone = [
            taught(where, Finetune(), order, training=training, seeds=own)
            for order, own in zip(orders, seeds, strict=True)
        ]
        lessons = [begin(where, Finetune(), own) for own in seeds]
        for tasks in zip(*orders, strict=True):
            lessons = learn(lessons, tasks, where, Finetune(), training=training, seeds=seeds)
        assert [differing(a, b) for a, b in zip(alone, lessons, strict=True)] == [[]] * 7


@pytest.mark.parametrize("method", GUARDED, ids=name_of)
@pytest.mark.parametrize("name", NETS)
def test_strength_zero_is_finetuning(name, method):
    where = NETS[name]()
    guarded, free = (taught(where, m, [1, 0], training=LOW) for m in (method, Finetune()))
    for key, value in free.params.items():
        assert torch.equal(guarded.params[key], value)


@pytest.mark.parametrize("name", NETS)
def test_killed_and_resumed_equals_uninterrupted(name):
    where = NETS[name]()
    whole = taught(where, Si(), [1, 0], training=LOW)
    stored = io.BytesIO()
    half = taught(where, Si(), [1], training=LOW)
    torch.save(half._asdict(), stored)
    stored.seek(0)
    resumed = type(half)(**torch.load(stored, weights_only=True))
    (end,) = learn([resumed], [0], where, Si(), training=LOW, seeds=[Seeds()])
    assert differing(end, whole) == []


def test_a_net_of_linear_layers_has_the_same_gradients_written_out_and_by_autograd():
    where = world(blobs(features=(64,)), widths=[40, 24])
    net, lesson = where.net, begin(where, Finetune(), Seeds())
    leaves = {k: v.clone().requires_grad_() for k, v in lesson.params.items()}
    inputs, labels = where.source.inputs[:32], torch.arange(32) % 6
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        loss = torch.nn.functional.cross_entropy(net.trace(leaves, inputs).logits, labels)
    expected = torch.autograd.grad(loss, list(leaves.values()))

    def slope(logits):
        return (logits.softmax(1) - torch.nn.functional.one_hot(labels, 6)) / 32

    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        found = net.gradients(lesson.params, inputs, {}, slope)
    for value, other in zip(found.values(), [expected[list(leaves).index(k)] for k in found], strict=True):
        torch.testing.assert_close(value, other, atol=2**-8 * other.abs().max().item(), rtol=0)


# ------------------------------------------------------------------ fingerprints
def trial(precision, model="mlp"):
    return Trial(
        Named.of("split", dataset="digits"),
        Named.of(model),
        Finetune(),
        Training(epochs=1, precision=precision),
        (0, 1, 2, 3, 4),
    )


def test_float32_is_left_out_of_the_fingerprint_so_that_older_records_are_found():
    before = {"epochs": 1, "batch": 32, "rate": 1e-3, "optimizer": "fresh"}
    assert settings(trial("float32"), "digest")["training"] == before
    assert settings(trial("bfloat16"), "digest")["training"] == before | {"precision": "bfloat16"}
    assert fingerprint(trial("float32"), "digest") != fingerprint(trial("bfloat16"), "digest")


def test_a_network_s_revision_changes_its_fingerprints_and_no_others(monkeypatch):
    assert ConvNet.revision > 0 == Mlp.revision
    mlp, conv = (fingerprint(trial("float32", model), "digest") for model in ("mlp", "conv"))
    monkeypatch.setattr(ConvNet, "revision", ConvNet.revision + 1)
    assert fingerprint(trial("float32"), "digest") == mlp
    assert fingerprint(trial("float32", "conv"), "digest") != conv


def test_an_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="precision 'float16' is unknown: known are float32, bfloat16"):
        Training(precision="float16")


def test_digits_are_learnt_as_well_as_in_float32():
    low, high = (
        torch.stack([run_trial(dataclasses.replace(t, seeds=Seeds(n, n))).result.test[-1] for n in range(4)])
        for t in (trial("bfloat16"), trial("float32"))
    )
    assert low.shape == (4, 5)
    assert abs((low - high).mean()) < 0.03
