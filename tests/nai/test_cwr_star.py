"""CWR*: the published loop over dicts, and what its output layer and body keep."""

from collections import Counter
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import oracles
import pytest
import torch
from worlds import asked, blobs, numbers, taught, world

from nai.learn import begin
from nai.methods import Method
from nai.methods.cwr_star import CwrStar, class_counts, consolidated_head, empty_head, temporary_head
from nai.seeds import Seeds
from nai.tasks import Benchmark, Rows, Task
from nai.training import Training

SHORT = Training(epochs=3, rate=1e-2)
WEIGHT, BIAS = "layers.2.weight", "layers.2.bias"


def mixed() -> Benchmark:
    """Four classes that tasks share in part, in other numbers: new samples and new classes alike."""
    parts = {0: (0, 0, 1), 1: (1, 2), 2: (0, 1, 2, 3, 3)}
    chance, labels, tasks = np.random.default_rng(5), [], []
    for number, shares in parts.items():
        count, at = 30 + 7 * number, len(labels)
        labels += [shares[i % len(shares)] for i in range(count + 16)]
        splits = np.split(np.arange(at, at + count + 16), [count, count + 8])
        tasks.append(Task(f"part {number}", tuple(range(4)), *splits))
    inputs = (chance.normal(size=(4, 12))[labels] + chance.normal(size=(len(labels), 12))).astype(np.float32)
    return Benchmark.of("mixed", "domain", tasks, inputs=inputs, labels=np.array(labels))


WORLDS = {
    **{
        name: lambda name=name: world(blobs(classes=3, scenario=name)) for name in ("task", "class", "domain")
    },
    "classes shared in part": lambda: world(mixed()),
}
worlds = pytest.mark.parametrize("where", [make() for make in WORLDS.values()], ids=WORLDS)


# ---------------------------------------------------------------- the published loop
@dataclass
class Saved:
    """What the published code keeps: a weight row, a bias and a number of samples for each class."""

    weights: dict
    biases: dict
    past: Counter


def trained(where, start, order, saved):
    """Weights after a task's steps, as torch.optim.Adam and autograd take them; at first the body too."""
    task, done = order[-1], order
    labels = where.source.labels[where.train[task]].tolist()
    theta = {k: v.clone() for k, v in start.items()}
    theta[WEIGHT].zero_()
    theta[BIAS].zero_()
    for j in set(labels) & set(saved.weights):
        theta[WEIGHT][j], theta[BIAS][j] = saved.weights[j], saved.biases[j]
    model = oracles.plain_mlp(theta)
    own = oracles.named(model, theta)
    optimizer = torch.optim.Adam([own[WEIGHT], own[BIAS]] if len(order) > 1 else own.values(), lr=SHORT.rate)
    used = where.in_use(done)[task].nonzero()[:, 0].tolist()
    for indices in oracles.batches(where, task, SHORT, Seeds(), len(order) - 1):
        optimizer.zero_grad()
        oracles.task_loss(model, where, indices, used).backward()
        optimizer.step()
    return {k: v.detach() for k, v in own.items()}, Counter(labels)


def consolidated(theta, cur, saved):
    """Algorithm 1, lines 11 to 14."""
    average = float(torch.stack([theta[WEIGHT][j] for j in cur]).mean())
    average_bias = sum(float(theta[BIAS][j]) for j in cur) / len(cur)
    for j in cur:
        wpast = sqrt(saved.past[j] / cur[j])
        old, old_bias = saved.weights.get(j, torch.zeros(8)), saved.biases.get(j, 0.0)
        saved.weights[j] = (old * wpast + (theta[WEIGHT][j] - average)) / (wpast + 1)
        saved.biases[j] = (old_bias * wpast + (float(theta[BIAS][j]) - average_bias)) / (wpast + 1)
        saved.past[j] += cur[j]


@worlds
def test_it_is_the_published_loop(where):
    saved, theta = Saved({}, {}, Counter()), begin(where, CwrStar(), Seeds()).params
    for depth, order in enumerate([(2,), (2, 0), (2, 0, 1)]):
        theta, cur = trained(where, theta, order, saved)
        consolidated(theta, cur, saved)
        lesson = taught(where, CwrStar(), order, training=SHORT)
        for name in where.net.body():
            torch.testing.assert_close(lesson.params[name], theta[name], rtol=1e-3, atol=1e-5)
        for j in range(where.heads.shape[1]):
            weight, bias = saved.weights.get(j, torch.zeros(8)), saved.biases.get(j, 0.0)
            torch.testing.assert_close(lesson.params[WEIGHT][j], weight, rtol=1e-3, atol=1e-4)
            assert float(lesson.params[BIAS][j]) == pytest.approx(bias, rel=1e-3, abs=1e-4)
            assert lesson.memory["past"][j] == saved.past[j]
        assert depth or len(saved.weights) == len(cur)


# ---------------------------------------------------------------- laws
@worlds
def test_one_task_alone_is_plain_training_up_to_a_shift_of_all_its_classes(where):
    found = taught(where, CwrStar(), (1,), training=SHORT).params
    start = begin(where, CwrStar(), Seeds()).params
    assert start[WEIGHT].eq(0).all()
    used = where.in_use((1,))[1].nonzero()[:, 0].tolist()
    plain, _ = oracles.plain_training(where, start, 1, used=used, training=SHORT)
    present = where.source.labels[where.train[1]].unique()
    shift = plain[WEIGHT][present] - found[WEIGHT][present]
    torch.testing.assert_close(shift, plain[WEIGHT][present].mean().expand_as(shift), rtol=1e-3, atol=1e-5)
    x = where.source.inputs[where.test[1]]
    answers = [oracles.plain_mlp(p)(x)[:, present].log_softmax(1) for p in (found, plain)]
    torch.testing.assert_close(*answers, rtol=1e-3, atol=1e-4)
    assert shift.abs().min() > 1e-4  # two classes learn from 0 with opposite signs, three do not


@pytest.mark.parametrize(
    "training",
    [
        SHORT,
        replace(SHORT, optimizer="kept"),
        replace(SHORT, optimizer="kept", algorithm="sgd", momentum=0.9, decay=0.1),
    ],
    ids=["fresh moments", "kept moments", "sgd with decay"],
)
@pytest.mark.parametrize("model", [{"widths": [12, 8]}, {"widths": [320, 320]}], ids=["stacked", "alone"])
def test_the_body_stands_still_after_the_first_task_bit_for_bit(training, model):
    where = world(**model, dropout=0.2)
    first, last = (taught(where, CwrStar(), order, training=training) for order in ((1,), (1, 0, 2)))
    begun = begin(where, CwrStar(), Seeds())
    for name in where.net.body():
        assert torch.equal(first.params[name], last.params[name])
        assert not torch.equal(first.params[name], begun.params[name])
    assert not torch.equal(first.params[WEIGHT], last.params[WEIGHT])


@worlds
def test_rows_of_classes_that_a_task_lacks_do_not_change(where):
    before, after = (taught(where, CwrStar(), order, training=SHORT).params for order in ((2, 0), (2, 0, 1)))
    present = where.source.labels[where.train[1]].unique()
    absent = [j for j in range(where.heads.shape[1]) if j not in present]
    for name in (WEIGHT, BIAS):
        assert torch.equal(before[name][absent], after[name][absent])
        assert (before[name][present] != after[name][present]).any(-1).all()


def test_a_task_starts_from_consolidated_rows_of_its_classes_and_zeros():
    memory = {
        f"consolidated.{WEIGHT}": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        f"consolidated.{BIAS}": torch.tensor([1.0, 2.0, 3.0]),
    }
    found = temporary_head(world().net, memory, torch.tensor([0.0, 7.0, 1.0]))
    assert found[WEIGHT].tolist() == [[0, 0], [3, 4], [5, 6]]
    assert found[BIAS].tolist() == [0, 2, 3]


def test_consolidation_worked_by_hand():
    net = world().net
    memory = {
        f"consolidated.{WEIGHT}": torch.tensor([[1.0, 2.0], [3.0, 5.0], [0.0, 0.0]]),
        f"consolidated.{BIAS}": torch.tensor([1.0, 1.0, 0.0]),
        "past": torch.tensor([8.0, 16.0, 0.0]),
    }
    learnt = {WEIGHT: torch.tensor([[9.0, 9.0], [6.0, 2.0], [3.0, 5.0]]), BIAS: torch.tensor([9.0, 2.0, 4.0])}
    params, after = consolidated_head(net, learnt, memory, torch.tensor([0.0, 4.0, 5.0]))
    # the average of the second and third rows is 4, of their biases 3; the second's past weighs sqrt(16 / 4)
    assert params[WEIGHT].flatten().tolist() == pytest.approx([1, 2, (6 + 2) / 3, (10 - 2) / 3, -1, 1])
    assert params[BIAS].tolist() == pytest.approx([1, (2 - 1) / 3, 1])
    assert after["past"].tolist() == [8, 20, 5]
    assert all(torch.equal(after[f"consolidated.{k}"], params[k]) for k in (WEIGHT, BIAS))


def test_samples_are_counted_by_class_without_padding():
    where = world()
    rows = Rows(torch.tensor([3, 5, 4, 0, 0]), torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.0, 0.0]))
    labels = where.source.labels[[3, 5, 4]].tolist()
    assert class_counts(rows, asked(where, 0, 0)).tolist() == [labels.count(j) for j in range(6)]


def test_it_serves_any_net_that_has_an_output_layer():
    where = world(blobs((20, 20), features=(1, 4, 4)), "conv", widths=[4], dense_units=8)
    first, last = (taught(where, CwrStar(), order, training=SHORT) for order in ((0,), (0, 1)))
    moved = {k for k, v in last.params.items() if not torch.equal(v, first.params[k])}
    assert moved == {"out.weight", "out.bias"}
    params, memory = empty_head(where.net, first.params)
    assert all(v.eq(0).all() for v in memory.values())
    assert {k for k in params if not torch.equal(params[k], first.params[k])} == moved
    assert issubclass(CwrStar, Method) and set(numbers(first)) == set(numbers(last))
