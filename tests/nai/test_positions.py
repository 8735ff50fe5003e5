"""Methods that keep parts of a network for each task: nothing that a task has learnt ever changes."""

from itertools import permutations

import pytest
import torch
from worlds import asked, blobs, taught, world

from nai.evaluate import evaluate
from nai.learn import begin, learn
from nai.methods import Hat, PackNet
from nai.methods.positions import check_own, learnt, own_outputs, position, unlearnt
from nai.seeds import Seeds
from nai.tasks import Rows, gather
from nai.training import Training
from nai.trial import Named, load

HEADS = torch.tensor([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]).bool()
KEEPERS = {
    "hat": Hat(strength=0.01, smax=50.0, gain=3.0),
    "hat slow": Hat(strength=0.01, gain=1.0),
    "packnet": PackNet(),
    "packnet half": PackNet(prune=0.5, share=0.3),
}
TRAININGS = {
    "adam": Training(epochs=3, rate=1e-2),
    "adam, moments kept": Training(epochs=3, rate=1e-2, optimizer="kept"),
    "adam, decay": Training(epochs=3, rate=1e-2, decay=1e-2),
    "sgd, momentum kept, decay": Training(
        epochs=3, rate=5e-2, algorithm="sgd", momentum=0.9, decay=1e-2, optimizer="kept"
    ),
}
keepers = pytest.mark.parametrize("method", KEEPERS.values(), ids=KEEPERS)


def answers(where, method, lesson, task):
    """Logits of the task's own outputs for its test samples."""
    rows = Rows(where.test[task], torch.ones(len(where.test[task])))
    context = asked(where, len(lesson.done), task)
    logits = method.predict(where.net, lesson.params, gather(where.source, rows), lesson.memory, context)
    return logits[:, where.heads[task]]


def check_nothing_is_forgotten(where, method, orders, training):
    """R[T, j] == R[j, j], and the logits behind it, bit for bit; learnt side by side in one stack."""
    seeds = [Seeds(n, n) for n in range(len(orders))]
    lessons, first, marks = [begin(where, method, s) for s in seeds], {}, {}
    for place in range(len(orders[0])):
        now = [order[place] for order in orders]
        lessons = learn(lessons, now, where, method, training=training, seeds=seeds)
        found = evaluate(lessons, where, method)
        for n, (lesson, order) in enumerate(zip(lessons, orders, strict=True)):
            first[n, order[place]] = said = answers(where, method, lesson, order[place])
            assert (said != said[0]).any(0).all()  # with every neuron shut this would be no law
            marks[n, order[place]] = found[n].test[order[place]]
            for task in order[: place + 1]:
                assert torch.equal(answers(where, method, lesson, task), first[n, task]), (order, place, task)
                assert found[n].test[task] == marks[n, task]
    return torch.stack([mark.test for mark in found])


@keepers
@pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)
def test_nothing_is_forgotten_whatever_moves_the_weights(method, training):
    where = world(blobs((60, 33, 90)), widths=[32, 20], dropout=0.2)
    check_nothing_is_forgotten(where, method, list(permutations(range(3)))[::2], training)


@pytest.mark.parametrize("method", [Hat(), PackNet()], ids=["hat", "packnet"])
def test_nothing_is_forgotten_on_digits(method):
    where = world(load(Named.of("split", dataset="digits")), widths=[100, 100])
    orders = [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3), (1, 4, 0, 3, 2)]
    test = check_nothing_is_forgotten(where, method, orders, Training(epochs=8))
    assert test.mean() > 0.92


SMALL = {"widths": [8, 12], "dense_units": 16}
IMAGES = {
    "hat conv": (Hat(strength=0.01, gain=1.0), "conv", SMALL),
    "packnet conv": (PackNet(), "conv", SMALL),
    "packnet resnet18": (PackNet(), "resnet18", {"width": 4, "groups": 2}),
}
for_images = pytest.mark.parametrize(("method", "model", "options"), IMAGES.values(), ids=IMAGES)


@for_images
def test_nothing_is_forgotten_by_networks_for_images(method, model, options):
    where = world(blobs((40, 33, 40), features=(3, 8, 8)), model, **options)
    check_nothing_is_forgotten(where, method, [(2, 0, 1)], Training(epochs=2, rate=1e-2, optimizer="kept"))


@for_images
def test_images_learn_in_stacks_what_they_learn_alone_to_rounding(method, model, options, monkeypatch):
    """What a GPU does always, on this CPU."""
    where = world(blobs((40, 33), features=(3, 8, 8)), model, **options)
    seeds = [Seeds(n, n) for n in range(3)]

    def taught_in(many):
        for room in ("learn", "evaluate"):
            monkeypatch.setattr(f"nai.{room}.stackable", lambda net, device: many)
        lessons = [begin(where, method, s) for s in seeds]
        for tasks in ([0, 1, 0], [1, 0, 1]):
            lessons = learn(lessons, tasks, where, method, training=Training(epochs=2), seeds=seeds)
        return lessons, torch.stack([marks.test for marks in evaluate(lessons, where, method)])

    (alone, marks), (stacked, others) = taught_in(False), taught_in(True)
    for one, other in zip(alone, stacked, strict=True):
        for name, value in one.params.items():
            torch.testing.assert_close(other.params[name], value, rtol=1e-3, atol=1e-4)
    assert (others - marks).abs().max() < 0.13  # two of a task's sixteen


@keepers
def test_what_is_free_goes_on_learning(method):
    where = world(widths=[20, 12])
    first, then = (taught(where, method, order, training=Training(epochs=10)) for order in ((1,), (1, 2)))
    for name in where.net.body():
        moved = first.params[name] != then.params[name]
        if isinstance(method, PackNet) and moved.ndim == 1:  # the biases of the first task
            assert not moved.any()
        else:
            assert moved.any()
            assert not moved.all()


# ---------------------------------------------------------------- positions
def test_a_task_s_position_is_how_many_were_learnt_up_to_it():
    where = world()
    memory = unlearnt(where.heads)
    for depth, task in enumerate((2, 0)):
        memory = learnt(memory, asked(where, depth, task))
    assert [int(position(memory, asked(where, 2, task))) for task in range(3)] == [2, 0, 1]
    assert torch.equal(own_outputs(asked(where, 2, 1)), where.heads[1])


def test_tasks_that_share_an_output_are_named():
    shared = HEADS.clone()
    shared[1, 4] = True
    with pytest.raises(ValueError, match="output 4 belongs to several tasks, but hat keeps"):
        check_own(shared, "hat")
    check_own(HEADS, "hat")
    assert unlearnt(HEADS)["position"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("scenario", ["class", "domain"])
@pytest.mark.parametrize("method", [Hat(), PackNet()], ids=["hat", "packnet"])
def test_only_the_task_scenario_tells_which_parts_to_ask(method, scenario):
    where = world(blobs(scenario=scenario))
    with pytest.raises(ValueError, match=r"(use scenario 'task')"):
        taught(where, method, (0,))
