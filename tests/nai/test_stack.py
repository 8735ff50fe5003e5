"""Bits: a lesson's result depends on nothing but the lesson, whatever else is in its stack."""

import io
from itertools import permutations

import pytest
import torch
from worlds import HELD_OUT, blobs, differing, numbers, taught, world

from nai.evaluate import evaluate
from nai.learn import Lesson, begin, learn
from nai.methods import Ewc, Finetune, Joint, Mas, Nai, OnlineMas, OnlineNai, OnlineSi, Si
from nai.seeds import Seeds, generator
from nai.stack import ALIGNED, LIGHT, flat, stackable, views, width
from nai.training import Training
from nai.trial import Named, load

SIZES = (270, 70, 33, 200, 1)
SHORT = Training(epochs=2)
METHODS = {
    "finetune": Finetune(),
    "joint": Joint(),
    "nai": Nai(strength=0.3),
    "nai both ends, random": Nai(
        strength=0.3,
        normalization="layer_softmax",
        group="incoming_outgoing_max",
        reset="unimportant",
        importance_source="random",
        anchor="weighted_mean",
    ),
    "nai proximal": Nai(
        strength=20.0,
        penalty="group_l2",
        sparsity=2.0,
        reset="unimportant+zero_outgoing",
        accumulation="decayed",
    ),
    "nai reset": Nai(strength=1.0, normalization="layer_std_all", reset="all", accumulation="average"),
    "ewc": Ewc(),
    "ewc true": Ewc(labels="true"),
    "ewc sample": Ewc(labels="sample"),
    "si": Si(),
    "mas": Mas(),
}


class Pupils:
    """Thirty-two lessons of one world that differ in history, next task, depth and seeds."""

    def __init__(self, where, method, training):
        self.where, self.method, self.training = where, method, training
        paths = sorted({order[:3] for order in permutations(range(len(where.train)))})
        chosen = torch.randperm(len(paths), generator=generator("pupils"))[:32].tolist()
        self.seeds = [Seeds(n % 2, n % 3) for n in range(32)]
        self.next = []
        self.lessons = []
        for n, (path, seeds) in enumerate(zip([paths[i] for i in chosen], self.seeds, strict=True)):
            self.next.append(path[n % 3])
            self.lessons.append(taught(where, method, path[: n % 3], training=training, seeds=seeds))

    def learn(self, who):
        learnt = learn(
            [self.lessons[i] for i in who],
            [self.next[i] for i in who],
            self.where,
            self.method,
            training=self.training,
            seeds=[self.seeds[i] for i in who],
        )
        return dict(
            zip(who, zip(learnt, evaluate(learnt, self.where, self.method), strict=True), strict=True)
        )

    def check(self):
        """In stacks of 1, 2, 3 and 7 and in other slots, all are what they are in a stack of 32."""
        assert stackable(self.where.net, self.where.device)
        everybody = list(range(32))
        whole = self.learn(everybody)
        stacks = [everybody[at : at + size] for size in (1, 2, 3, 7) for at in range(0, 32, size)]
        for who in [everybody[::-1], *stacks]:
            for i, (lesson, marks) in self.learn(who).items():
                assert not differing(lesson, whole[i][0]), f"lesson {i} in a stack of {len(who)}"
                assert torch.equal(marks.valid, whole[i][1].valid)
                assert torch.equal(marks.test, whole[i][1].test)
        assert all(lesson.finite for lesson, _ in whole.values())


@pytest.mark.parametrize("name", METHODS)
def test_a_lesson_gets_the_same_bits_in_every_stack_and_slot(name):
    Pupils(world(blobs(SIZES)), METHODS[name], SHORT).check()


@pytest.mark.parametrize("name", ["nai", "ewc", "mas"])
@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_so_it_does_in_other_scenarios_with_dropout_and_kept_moments(name, scenario):
    where = world(blobs(SIZES, scenario=scenario), dropout=0.3, activation="tanh")
    Pupils(where, METHODS[name], Training(epochs=2, optimizer="kept")).check()


@pytest.mark.parametrize("name", ["nai", "si"])
@pytest.mark.parametrize("optimizer", ["fresh", "kept"])
def test_so_it_does_by_descent_with_momentum_and_decay_in_steps(name, optimizer):
    training = Training(
        epochs=2, optimizer=optimizer, algorithm="sgd", rate=0.03, momentum=0.9, decay=1e-3, steps=5
    )
    Pupils(world(blobs(SIZES), dropout=0.2), METHODS[name], training).check()


@pytest.mark.parametrize(
    ("method", "algorithm"),
    [
        (Finetune(), "adam"),
        (Finetune(), "sgd"),
        (OnlineSi(every=3), "adam"),
        (OnlineMas(every=3), "sgd"),
        (OnlineNai(every=3), "adam"),
    ],
)
def test_so_it_does_where_boundaries_are_hidden(method, algorithm):
    training = Training(
        epochs=1, batch=10, optimizer="kept", algorithm=algorithm, rate=0.01, boundaries="hidden"
    )
    Pupils(world(blobs((90, 33, 1, 50, 20), scenario="class")), method, training).check()


@pytest.mark.parametrize(
    ("batch", "widths", "activation"),
    [(5, [12, 8], "relu"), (33, [4], "leaky_relu"), (50, [20, 36], "tanh"), (32, [100, 100], "relu")],
)
def test_so_it_does_with_odd_batches_and_other_nets(batch, widths, activation):
    where = world(blobs(SIZES), widths=widths, activation=activation, dropout=0.2)
    Pupils(where, Ewc(labels="true"), Training(epochs=1, batch=batch)).check()


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_so_it_does_on_digits(name):
    digits = load(Named.of("split", dataset="digits", classes=2))
    Pupils(world(digits, widths=[100, 100]), METHODS[name], Training(epochs=3)).check()


@pytest.mark.parametrize("name", ["nai", "ewc", "si"])
def test_a_lesson_goes_through_bytes_and_on_as_if_nothing_had_happened(name):
    where, method = world(blobs(SIZES)), METHODS[name]
    training = Training(epochs=1, optimizer="kept")
    half = taught(where, method, (0, 2), training=training)
    file = io.BytesIO()
    torch.save(half._asdict(), file)
    file.seek(0)
    read = Lesson(**torch.load(file, weights_only=True))
    assert not differing(half, read)
    on = [learn([x], [1], where, method, training=training, seeds=[Seeds()])[0] for x in (half, read)]
    assert on[0].done == on[1].done == (0, 2, 1)
    assert not differing(*on)


def test_learning_leaves_the_lesson_that_it_started_from_as_it_was():
    where, method = world(), Nai()
    lesson = taught(where, method, (0,))
    before = {k: v.clone() for k, v in numbers(lesson).items()}
    learn([lesson, lesson], [1, 2], where, method, training=SHORT, seeds=[Seeds()] * 2)
    assert all(torch.equal(v, before[k]) for k, v in numbers(lesson).items())


def test_nets_that_are_heavy_odd_or_convolutional_run_alone_on_a_cpu_and_together_on_a_gpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    light = world().net
    heavy = world(widths=[320, 320]).net
    odd = world(widths=[9, 5]).net
    images = blobs((8,), features=(1, 8, 8))
    conv = world(images, "conv", widths=[4], dense_units=4).net
    assert sum(s.numel() for s in heavy.shapes().values()) > LIGHT
    assert odd.shapes()["layers.1.weight"].numel() % ALIGNED
    assert [stackable(net, cpu) for net in (light, heavy, odd, conv)] == [True, False, False, False]
    assert all(stackable(net, gpu) for net in (light, heavy, odd, conv))
    assert [width(light, cpu), width(light, cpu, 5), width(heavy, cpu, 5)] == [32, 5, 1]
    assert 1 < width(light, gpu) <= 256


def test_flat_rows_are_whole_vectors_and_their_views_share_memory():
    shapes = {"a": torch.Size((3, 5)), "b": torch.Size((7,))}
    buffer = flat(shapes, 4, torch.device("cpu"))
    named = views(buffer, shapes)
    assert buffer.shape == (4, 32)
    assert {k: tuple(v.shape) for k, v in named.items()} == {"a": (4, 3, 5), "b": (4, 7)}
    named["a"][2] = 1.0
    named["b"][3] = 2.0
    assert buffer.sum(1).tolist() == [0, 0, 15, 14]


def test_a_diverged_neighbour_changes_nothing():
    where, method = world(), Ewc()
    good = begin(where, method, Seeds(0, 0))
    bad = begin(where, method, Seeds(1, 0))
    bad.params["layers.0.weight"].fill_(float("nan"))
    together = learn([bad, good], [0, 1], where, method, training=SHORT, seeds=[Seeds(1, 0), Seeds(0, 0)])
    (alone,) = learn([good], [1], where, method, training=SHORT, seeds=[Seeds(0, 0)])
    assert [x.finite for x in together] == [False, True]
    assert not differing(together[1], alone)


def test_held_out_samples_take_part_in_no_training():
    one, other = blobs(), blobs()
    inputs = other.inputs.copy()
    for task in other.tasks:
        inputs[task.valid] += 100
        inputs[task.test] -= 100
    changed = type(other).of("changed", "task", other.tasks, inputs=inputs, labels=other.labels)
    assert len(other.tasks[0].valid) == HELD_OUT
    for method in (Nai(), Ewc(), Mas()):
        a, b = (taught(world(x), method, (2, 0)) for x in (one, changed))
        assert not differing(a, b)
