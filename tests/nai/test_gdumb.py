"""GDumb: what its buffer holds, and that nothing else is learnt from."""

import pytest
import torch
from replays import SHORT, assert_close, stand
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods import GDumb
from nai.seeds import Seeds, generator
from nai.training import Training


def unseen(here):
    """The memory at the beginning of a pass."""
    memory = here.lesson.memory
    return memory | {"seen": torch.zeros_like(memory["seen"])}


@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_a_step_learns_from_the_buffer_alone(scenario):
    method = GDumb(size=30, replay=8)
    here = stand(method, scenario)
    model = here.model
    expected = here.autograd(sum(here.losses(model, here.chosen("replay", 8))) / 8, model)
    for batch in (here.batch, here.batch._replace(inputs=here.batch.inputs + 9)):
        found = method.gradients(here.where.net, here.params, batch, unseen(here), here.context)
        assert_close(found, expected)


def test_a_task_is_in_the_buffer_before_it_is_learnt_and_weights_start_anew():
    where, method = world(blobs(scenario="class")), GDumb(size=15)
    lesson, start = taught(where, method, (2, 0), training=SHORT), begin(where, method, Seeds())
    assert all(torch.equal(lesson.memory[f"initial.{k}"], v) for k, v in start.params.items())
    counts = where.source.labels[lesson.memory["slots"]].bincount(minlength=6).tolist()
    assert counts[2:4] == [0, 0] and sorted(counts[:2] + counts[4:]) == [3, 4, 4, 4]
    away = lesson._replace(params={k: v + 1 for k, v in lesson.params.items()})
    one, other = (learn([x], [1], where, method, training=SHORT, seeds=[Seeds()])[0] for x in (lesson, away))
    assert not differing(one, other)


def walked(method, here, steps):
    """The buffer's samples that each of so many steps sees, from the beginning of a pass."""
    memory = unseen(here)
    for number in range(steps):
        draws = method.step_draws(here.where.net, 12)
        noise = {k: draw(generator("pass", number, k)) for k, draw in draws.items()}
        context = here.context._replace(noise=noise)
        own = method._next(memory, context)
        live = own.batch.weights > 0
        assert own.batch.weights.sum().item() == pytest.approx(1)
        yield memory["slots"][own.places[live]].tolist()
        _, memory = method.after_step({}, {}, {}, memory, context)


@pytest.mark.parametrize(("size", "count"), [(30, 8), (30, 10), (500, 7), (5, 8)])
def test_steps_go_through_the_buffer_in_shuffled_passes(size, count):
    method = GDumb(size=size, replay=count)
    here = stand(method)
    held = sorted(s for s in here.lesson.memory["slots"].tolist() if s >= 0)
    steps = -(-len(held) // count)
    parts = list(walked(method, here, 3 * steps))
    passes = [parts[n : n + steps] for n in range(0, len(parts), steps)]
    for one in passes:
        assert sorted(s for part in one for s in part) == held
        assert [len(part) for part in one[:-1]] == [count] * (steps - 1)
    assert passes[0] != passes[1] != passes[2]


def test_a_pass_goes_on_in_the_next_epoch_and_not_in_the_next_task():
    where, method = world(blobs((40, 40))), GDumb(size=30, replay=4)
    two, seven = (Training(epochs=n, steps=1, batch=20) for n in (2, 7))
    assert taught(where, method, (0,), training=two).memory["seen"].sum() == 8
    first = taught(where, method, (0,), training=seven)
    assert first.memory["seen"].sum() == 28
    second = learn([first], [1], where, method, training=two, seeds=[Seeds()])[0]
    assert second.memory["seen"].sum() == 8


def test_a_large_buffer_holds_every_sample():
    where, method = world(), GDumb(size=500)
    for order in ((2,), (2, 0), (2, 0, 1)):
        slots = taught(where, method, order, training=SHORT).memory["slots"]
        every = sorted(s for t in order for s in where.train[t].tolist())
        assert sorted(slots[slots >= 0].tolist()) == every


def test_it_needs_a_buffer():
    with pytest.raises(ValueError, match="size 0 must be a whole number of at least 1"):
        GDumb(size=0)
    assert GDumb().needs_boundaries
