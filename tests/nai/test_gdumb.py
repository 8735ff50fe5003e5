"""GDumb: what its buffer holds, and that nothing else is learnt from."""

import pytest
import torch
from replays import SHORT, assert_close, stand
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods import GDumb
from nai.seeds import Seeds


@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_a_step_learns_from_the_buffer_alone(scenario):
    method = GDumb(size=30, replay=8)
    here = stand(method, scenario)
    model = here.model
    expected = here.autograd(sum(here.losses(model, here.chosen("replay", 8))) / 8, model)
    for batch in (here.batch, here.batch._replace(inputs=here.batch.inputs + 9)):
        found = method.gradients(here.where.net, here.params, batch, here.lesson.memory, here.context)
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
