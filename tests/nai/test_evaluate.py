import oracles
import pytest
import torch
from worlds import blobs, taught, world

from nai import evaluate as evaluation
from nai.evaluate import evaluate
from nai.learn import begin
from nai.methods import Ewc, Finetune
from nai.seeds import Seeds

USED = {
    "task": lambda task, done: [2 * task, 2 * task + 1],
    "class": lambda task, done: [c for t in sorted(done or (0, 1, 2)) for c in (2 * t, 2 * t + 1)],
    "domain": lambda task, done: [0, 1],
}


def counted(where, lesson, indices, used):
    """Share of right answers, one sample at a time."""
    model = oracles.plain_mlp(lesson.params)
    right = 0
    for index in indices:
        logits = model(where.source.inputs[index].flatten()[None])[0].detach()
        right += max(used, key=lambda c: float(logits[c])) == int(where.source.labels[index])
    return right / len(indices)


@pytest.mark.parametrize("chunk", [32, 2048])
@pytest.mark.parametrize("scenario", USED)
def test_accuracy_is_the_share_of_right_answers_of_each_split(monkeypatch, scenario, chunk):
    monkeypatch.setattr(evaluation, "CHUNK", chunk)
    plain = world(blobs(scenario=scenario))
    # splits of unequal and odd sizes, some over several chunks, first and last samples included
    where = plain._replace(
        valid=tuple(x[: 30 + t] for t, x in enumerate(plain.train)),
        test=tuple(torch.cat([x[-3:], y]) for x, y in zip(plain.train, plain.test, strict=True)),
    )
    lessons = [begin(where, Ewc(), Seeds(1, 0)), *(taught(where, Ewc(), o) for o in ((2,), (1, 0)))]
    for lesson, found in zip(lessons, evaluate(lessons, where, Ewc()), strict=True):
        for task in range(3):
            used = USED[scenario](task, lesson.done)
            for split, share in (("valid", found.valid), ("test", found.test)):
                expected = counted(where, lesson, getattr(where, split)[task], used)
                assert share[task].item() == pytest.approx(expected), (split, task)


def test_padding_is_never_counted():
    where = world()
    lesson = taught(where, Finetune(), (0, 1, 2))
    bad = where.source.labels.clone()
    bad[0] = 99  # padding repeats sample 0, which is in no held-out split
    changed = where._replace(source=where.source._replace(labels=bad))
    one, other = (evaluate([lesson], w, Finetune())[0] for w in (where, changed))
    assert torch.equal(one.test, other.test)
    assert torch.equal(one.valid, other.valid)
