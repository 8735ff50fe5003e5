import dataclasses

import oracles
import pytest
import torch
from worlds import blobs, differing, marks, numbers, taught, world

from nai.feed import pad
from nai.learn import begin, learn, padded
from nai.methods import Ewc, Finetune, Mas, Method, Nai, Si
from nai.methods.anchored import penalty
from nai.seeds import Seeds
from nai.training import Training

HEADS = ((0, 1), (2, 3), (4, 5))
SHORT = Training(epochs=2)


def close(found, expected, atol=1e-5):
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=atol, msg=name)


@pytest.mark.parametrize("batch", [32, 7])
def test_finetuning_is_a_plain_pytorch_loop(batch):
    where, method, seeds = world(), Finetune(), Seeds(3, 4)
    training = Training(epochs=3, batch=batch)
    lesson = begin(where, method, seeds)
    for depth, task in enumerate((2, 0, 1)):
        expected, _ = oracles.plain_training(
            where, lesson.params, task, used=HEADS[task], training=training, seeds=seeds, depth=depth
        )
        (lesson,) = learn([lesson], [task], where, method, training=training, seeds=[seeds])
        close(lesson.params, expected)


@pytest.mark.parametrize("widths", [[9, 5], [248, 248]])  # alone because odd, and because heavy
def test_so_it_is_where_lessons_learn_alone(widths):
    where, method = world(widths=widths), Finetune()
    start = begin(where, method, Seeds())
    expected, _ = oracles.plain_training(where, start.params, 1, used=HEADS[1], training=SHORT)
    close(taught(where, method, (1,), training=SHORT).params, expected)


@pytest.mark.parametrize(
    "method",
    [
        Nai(strength=3.0),
        Nai(strength=3.0, group="incoming_no_bias", match_scale=False),
        Nai(strength=3.0, group="incoming_outgoing_mean", anchor="weighted_mean"),
        Ewc(strength=50.0),
        Mas(),
        Si(),
    ],
)
def test_a_penalty_in_plain_pytorch_gives_the_same_weights(method):
    where = world()
    before = taught(where, method, (0,), training=SHORT)
    expected, _ = oracles.plain_training(
        where,
        before.params,
        1,
        used=HEADS[1],
        training=SHORT,
        depth=1,
        penalty=lambda own: penalty(own, before.memory, method.strength),
    )
    close(taught(where, method, (0, 1), training=SHORT).params, expected, atol=3e-5)


@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_class_and_domain_training_use_all_outputs_met_so_far(scenario):
    where, method = world(blobs(scenario=scenario)), Finetune()
    lesson = taught(where, method, (2,), training=SHORT)
    used = (0, 1, 4, 5) if scenario == "class" else (0, 1)
    expected, _ = oracles.plain_training(where, lesson.params, 0, used=used, training=SHORT, depth=1)
    close(taught(where, method, (2, 0), training=SHORT).params, expected)


METHODS = [Finetune(), Nai(), Ewc(strength=1e5), Ewc(labels="true"), Si(), Mas()]


@pytest.mark.parametrize("optimizer", ["fresh", "kept"])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_idle_heads_do_not_move_at_all(method, optimizer):
    where, training = world(), Training(epochs=3, optimizer=optimizer)
    lesson = begin(where, method, Seeds())
    for depth, task in enumerate((1, 0, 2)):
        (after,) = learn([lesson], [task], where, method, training=training, seeds=[Seeds()])
        idle = [c for t in range(3) if t != task for c in HEADS[t]]
        for name in where.net.head.parameters:
            assert torch.equal(after.params[name][idle], lesson.params[name][idle]), (depth, name)
            assert not torch.equal(
                after.params[name][list(HEADS[task])], lesson.params[name][list(HEADS[task])]
            )
        lesson = after


@pytest.mark.parametrize("optimizer", ["fresh", "kept"])
def test_outputs_of_classes_not_met_do_not_move_and_are_never_predicted(optimizer):
    where, method = world(blobs(scenario="class")), Ewc()
    training = Training(epochs=2, optimizer=optimizer)
    start = begin(where, method, Seeds())
    lesson = taught(where, method, (1, 0), training=training)
    for name in where.net.head.parameters:
        assert torch.equal(lesson.params[name][4:], start.params[name][4:])
        assert not torch.equal(lesson.params[name][:4], start.params[name][:4])
    before = marks(lesson, where, method)
    lesson.params["layers.2.bias"][4:] = 1e6  # would win, were it asked
    assert torch.equal(marks(lesson, where, method).test, before.test)
    assert before.test.max() > 0
    assert before.test[2] == 0


def test_kept_moments_go_on_and_fresh_ones_start_at_zero():
    where, method = world(), Finetune()
    first, second = (
        taught(where, method, (0, 1), training=Training(epochs=2, optimizer=o)) for o in ("fresh", "kept")
    )
    steps = [2 * -(-len(where.train[t]) // 32) for t in (0, 1)]
    assert first.optimizer["step"] == steps[1]
    assert second.optimizer["step"] == sum(steps)
    assert differing(first, second)
    one = Training(epochs=2, optimizer="kept")
    assert not differing(
        taught(where, method, (0,), training=SHORT), taught(where, method, (0,), training=one)
    )


def test_seeds_decide_what_they_say_and_nothing_else():
    where, method = world(dropout=0.4), Finetune()
    starts = {s: begin(where, method, s) for s in (Seeds(0, 0), Seeds(0, 1), Seeds(1, 0))}
    assert not differing(starts[Seeds(0, 0)], starts[Seeds(0, 1)])
    assert differing(starts[Seeds(0, 0)], starts[Seeds(1, 0)])
    ends = [taught(where, method, (0,), seeds=s) for s in starts]
    again = [taught(where, method, (0,), seeds=s) for s in starts]
    assert all(differing(ends[0], other) for other in ends[1:])
    assert not any(differing(a, b) for a, b in zip(ends, again, strict=True))


def test_dropout_is_on_in_training_and_off_in_evaluation():
    plain, dropped = world(), world(dropout=0.5)
    assert differing(taught(plain, Finetune(), (0,)), taught(dropped, Finetune(), (0,)))
    lesson = taught(dropped, Finetune(), (0, 1, 2))
    assert torch.equal(marks(lesson, plain, Finetune()).test, marks(lesson, dropped, Finetune()).test)


@dataclasses.dataclass(frozen=True)
class Reader(Method):
    """Keeps what its hooks were told: a count of each hook, and the last context."""

    def start(self, net, params, heads, chance):
        return params, {
            k: torch.zeros(()) for k in ("before", "step", "epoch", "after", "depth", "task", "steps")
        }

    def before_task(self, net, params, rows, memory, context):
        told = {"depth": context.depth.float(), "task": context.task.float(), "steps": context.steps.float()}
        return params, memory | told | {"before": memory["before"] + rows.weights.sum()}

    def after_step(self, before, grads, params, memory, context):
        return params, memory | {"step": memory["step"] + 1}

    def after_epoch(self, net, params, memory, context):
        return params, memory | {"epoch": memory["epoch"] + 1}

    def after_task(self, net, params, rows, memory, context):
        return params, memory | {"after": memory["after"] + rows.weights.sum()}


def test_hooks_run_as_often_as_they_should_for_each_lesson_of_a_stack():
    where, method = world(blobs((70, 33, 1))), Reader()
    (first,) = learn(
        [begin(where, method, Seeds())], [2], where, method, training=Training(epochs=3), seeds=[Seeds()]
    )
    lessons = [begin(where, method, Seeds()), first]
    learnt = learn(lessons, [0, 1], where, method, training=Training(epochs=3), seeds=[Seeds()] * 2)
    expected = [
        {"before": 1, "step": 9, "epoch": 3, "after": 1, "depth": 0, "task": 0, "steps": 3},
        {"before": 2, "step": 3 + 6, "epoch": 6, "after": 2, "depth": 1, "task": 1, "steps": 2},
    ]
    for lesson, told in zip(learnt, expected, strict=True):
        assert {k: pytest.approx(float(v)) for k, v in lesson.memory.items()} == told
    assert not differing(learnt[0], taught(where, method, (0,), training=Training(epochs=3)))


@dataclasses.dataclass(frozen=True)
class Census(Method):
    """Counts how often each sample was seen: in steps, and as the data before and after a task."""

    def start(self, net, params, heads, chance):
        return params, {k: torch.zeros(300) for k in ("steps", "before", "after")}

    def after_step(self, before, grads, params, memory, context):
        return params, memory | self.counted("steps", context.rows, memory)

    def before_task(self, net, params, rows, memory, context):
        return params, memory | self.counted("before", rows, memory)

    def after_task(self, net, params, rows, memory, context):
        return params, memory | self.counted("after", rows, memory)

    def counted(self, key, rows, memory):
        return {key: memory[key].scatter_add(0, rows.indices, (rows.weights > 0).float())}


def test_hooks_are_told_the_samples_of_the_step_and_of_the_task():
    where, method = world(blobs((70, 33, 1))), Census()
    seeds = [Seeds(n, n) for n in range(3)]
    lessons = [begin(where, method, s) for s in seeds]
    learnt = learn(lessons, [2, 0, 1], where, method, training=Training(epochs=3), seeds=seeds)
    for lesson in learnt:
        own = torch.zeros(300).scatter_(0, where.train[lesson.done[0]], 1.0)
        assert torch.equal(lesson.memory["steps"], 3 * own)
        assert torch.equal(lesson.memory["before"], own)
        assert torch.equal(lesson.memory["after"], own)


def test_padding_has_no_weight_and_live_samples_share_one():
    rows = pad(torch.tensor([7, 8, 9]), 8)
    assert rows.indices.tolist() == [7, 8, 9, 0, 0, 0, 0, 0]
    assert rows.weights.tolist() == pytest.approx([1 / 3] * 3 + [0] * 5)
    assert [padded([torch.zeros(n)]) for n in (1, 32, 33)] == [32, 32, 64]


def test_a_lesson_holds_tensors_of_its_own():
    where, method = world(), Si()
    lessons = learn(
        [begin(where, method, Seeds())] * 2, [0, 1], where, method, training=SHORT, seeds=[Seeds()] * 2
    )
    before = {k: v.clone() for k, v in numbers(lessons[1]).items()}
    for value in numbers(lessons[0]).values():
        value.fill_(7.0)
    assert all(torch.equal(v, before[k]) for k, v in numbers(lessons[1]).items())
