"""Progressive networks: plain columns trained one after the other, and nothing of them is forgotten."""

from dataclasses import replace
from itertools import permutations

import oracles
import pytest
import torch
from torch import nn
from worlds import asked, blobs, marks, taught, world

from nai.evaluate import evaluate
from nai.learn import begin, learn
from nai.methods import Finetune
from nai.methods.columns import column_logits, column_of, column_shapes
from nai.methods.progressive import Progressive
from nai.seeds import Seeds, generator
from nai.tasks import Rows, gather
from nai.training import Training

SHORT = Training(epochs=3, rate=1e-2)
HEADS = ((0, 1), (2, 3), (4, 5))
TRAININGS = {
    "fresh moments": SHORT,
    "kept moments": replace(SHORT, optimizer="kept"),
    "sgd with decay": replace(SHORT, optimizer="kept", algorithm="sgd", momentum=0.9, decay=0.1),
}


# ---------------------------------------------------------------- equation 2, in modules
class Column(nn.Module):
    """h_i = f(W_i h_{i-1} + b_i + U_i f(V_i [alpha_j h_{i-1} of each earlier column j]))."""

    def __init__(self, params, earlier):
        super().__init__()
        self.earlier = earlier  # a tuple, so no parameters of this one
        k = len(earlier)
        self.values = nn.ParameterDict({name.replace(".", "/"): p.clone() for name, p in params.items()})
        self.prefix = f"columns/{k}/layers" if k else "layers"

    def part(self, i, kind):
        return self.values[f"{self.prefix}/{i}/{kind}"]

    def said(self, x):
        """What every layer says about one sample, [units] each; the last are the logits."""
        found = []
        others = [column.said(x) for column in self.earlier]
        for i in range(3):
            y = self.part(i, "weight") @ (found[-1] if found else x) + self.part(i, "bias")
            if i and self.earlier:
                scale = self.part(i, "scale")
                known = torch.cat([scale[j] * other[i - 1] for j, other in enumerate(others)])
                y = y + self.part(i, "up") @ torch.relu(self.part(i, "down") @ known)
            found.append(torch.relu(y) if i < 2 else y)
        return found

    def forward(self, inputs):
        return torch.stack([self.said(x)[-1] for x in inputs])


def grown(params, columns):
    """The columns as modules, each knowing those before."""
    made = []
    for k in range(columns):
        made.append(Column({n: p for n, p in params.items() if column_of(n) == k}, tuple(made)))
    return made


def of_column(params, k):
    return {name.replace(".", "/"): p for name, p in params.items() if column_of(name) == k}


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_column_is_equation_2(share):
    where = world(blobs((8, 8, 8)))
    method = Progressive(share)
    lesson = taught(where, method, (2, 0, 1))
    x = where.source.inputs[:5]
    context = asked(where, 0, 0)
    found = column_logits(where.net, lesson.params, x, context)
    expected = [column(x) for column in grown(lesson.params, 3)]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-5)
    assert lesson.memory["column"].tolist() == [1, 2, 0]
    # task 0 was learnt second, task 1 third, task 2 first
    for task, column in enumerate((1, 2, 0)):
        rows = where.test[task]
        batch = gather(where.source, Rows(rows, torch.ones(len(rows))))
        answer = method.predict(where.net, lesson.params, batch, lesson.memory, context)
        torch.testing.assert_close(answer, expected_logits(lesson.params, column, batch.inputs))


def expected_logits(params, column, inputs):
    with torch.no_grad():
        return grown(params, 3)[column](inputs)


def test_training_is_that_of_plain_modules_one_after_the_other():
    where, method = world(blobs((20, 11, 16))), Progressive()
    lesson, training = begin(where, method, Seeds()), replace(SHORT, epochs=2)
    for depth, task in enumerate((1, 2, 0)):
        model = grown(lesson.params, 3)[depth]
        optimizer = torch.optim.Adam(model.values.values(), lr=training.rate)
        for indices in oracles.batches(where, task, training, Seeds(), depth):
            optimizer.zero_grad()
            oracles.task_loss(model, where, indices, HEADS[task]).backward()
            optimizer.step()
        (lesson,) = learn([lesson], [task], where, method, training=training, seeds=[Seeds()])
        for name, value in of_column(lesson.params, depth).items():
            torch.testing.assert_close(value, model.values[name].detach(), rtol=1e-3, atol=2e-4, msg=name)


def test_no_gradient_goes_into_the_columns_that_are_read():
    where = world()
    lesson = begin(where, Progressive(), Seeds())
    context = asked(where, 0, 0)
    leaves = {k: v.clone().requires_grad_() for k, v in lesson.params.items()}
    logits = column_logits(where.net, leaves, where.source.inputs[:6], context)
    found = torch.autograd.grad(logits[2].square().sum(), list(leaves.values()), materialize_grads=True)
    for name, g in zip(leaves, found, strict=True):
        assert bool(g.any()) == (column_of(name) == 2), name


def test_the_first_column_is_the_net_itself():
    where = world(dropout=0.3)
    found, plain = (taught(where, method, (1,), training=SHORT) for method in (Progressive(), Finetune()))
    for name, value in plain.params.items():
        torch.testing.assert_close(found.params[name], value, rtol=1e-4, atol=1e-6, msg=name)


# ---------------------------------------------------------------- nothing is forgotten
@pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)
@pytest.mark.parametrize("options", [{}, {"widths": [320, 320]}], ids=["stacked", "alone"])
def test_a_task_moves_its_own_column_and_no_number_of_another(training, options):
    where = world(**options, dropout=0.2)
    states = [begin(where, Progressive(), Seeds())]
    for task in (1, 2, 0):
        states += learn([states[-1]], [task], where, Progressive(), training=training, seeds=[Seeds()])
    for depth in range(3):
        before, after = (s.params for s in states[depth : depth + 2])
        for name in before:
            same = torch.equal(before[name], after[name])
            assert same == (column_of(name) != depth), f"{name} while column {depth} learns"


@pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)
def test_what_was_learnt_is_answered_alike_for_ever(training):
    where, method = world(blobs((30, 33, 20, 8)), dropout=0.2, activation="tanh"), Progressive(share=0.7)
    context = asked(where, 0, 0)
    for order in [*permutations(range(4))][::7]:
        lesson, first = begin(where, method, Seeds()), {}
        for task in order:
            (lesson,) = learn([lesson], [task], where, method, training=training, seeds=[Seeds()])
            rows = where.test[task]
            batch = gather(where.source, Rows(rows, torch.ones(len(rows))))
            logits = method.predict(where.net, lesson.params, batch, lesson.memory, context)
            first[task] = marks(lesson, where, method).test[task], batch, logits
        last = marks(lesson, where, method).test
        for task, (accuracy, batch, logits) in first.items():
            assert last[task] == accuracy
            assert torch.equal(
                method.predict(where.net, lesson.params, batch, lesson.memory, context), logits
            )


def test_earlier_columns_do_not_drop_units_while_a_later_one_learns():
    where = world(dropout=0.5)
    lesson = begin(where, Progressive(share=0.5), Seeds())
    noise = {k: draw(generator("masks")) for k, draw in where.net.draws(6).items()}
    context = asked(where, 1, 0)
    with_masks, without = (
        column_logits(where.net, lesson.params, where.source.inputs[:6], context._replace(noise=n))
        for n in (noise, {})
    )
    assert torch.equal(with_masks[0], without[0])
    assert not torch.equal(with_masks[1], without[1])


# ---------------------------------------------------------------- size
def test_shapes_worked_by_hand():
    where = world(blobs((8, 8, 8)), widths=[12, 6])  # 12 features, 6 outputs
    found = column_shapes(where.net, 3, 1.0)
    plain = {k: tuple(v) for k, v in where.net.shapes().items()}
    assert {k: v for k, v in found.items() if column_of(k) == 0} == plain
    assert {k: v for k, v in found.items() if column_of(k) == 2} == {
        **{f"columns.2.{k}": v for k, v in plain.items()},
        "columns.2.layers.1.scale": (2,),
        "columns.2.layers.1.down": (12, 24),
        "columns.2.layers.1.up": (6, 12),
        "columns.2.layers.2.scale": (2,),
        "columns.2.layers.2.down": (8, 12),  # V has 6 units in the paper, here a multiple of 4
        "columns.2.layers.2.up": (6, 8),
    }
    narrow = column_shapes(where.net, 2, 0.5)
    assert [narrow[f"layers.{i}.weight"] for i in range(3)] == [(8, 12), (4, 8), (6, 4)]


def test_a_stack_of_columns_is_asked_as_each_alone():
    where, method = world(), Progressive()
    lessons = [taught(where, method, order) for order in ((0,), (2, 1), ())]
    together = evaluate(lessons, where, method)
    assert all(
        torch.equal(both.test, marks(one, where, method).test)
        for one, both in zip(lessons, together, strict=True)
    )


def test_what_cannot_be_says_so():
    with pytest.raises(ValueError, match=r"share 0 must lie between 0.01 and 1"):
        Progressive(share=0)
    where = world(blobs((20, 20), features=(1, 4, 4)), "conv", widths=[4], dense_units=8)
    with pytest.raises(ValueError, match="columns of linear layers, not of a ConvNet: use model mlp"):
        begin(where, Progressive(), Seeds())
    assert Progressive.scenarios == {"task"}
