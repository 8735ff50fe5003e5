"""PackNet: the published loop, who owns what, and how many weights a task keeps."""

from collections import Counter

import oracles
import pytest
import torch
from worlds import asked, blobs, taught, world

from nai.learn import begin, learn
from nai.methods import PackNet
from nai.methods.anchored import below, shaped
from nai.methods.packnet import largest, pruned
from nai.seeds import Seeds, generator
from nai.tasks import Rows, gather
from nai.training import Training

ADAM = Training(epochs=4, rate=1e-2)
SGD = Training(epochs=4, rate=0.05, algorithm="sgd", momentum=0.9)


# ---------------------------------------------------------------- the published loop
class Published:
    """Masks over a plain net: where they are 0, gradients are made 0, and weights are put back."""

    def __init__(self, where, start, method):
        self.where, self.method = where, method
        self.params = {k: v.clone() for k, v in start.params.items()}
        self.owner = {k: torch.zeros_like(v) for k, v in self.params.items() if k in pruned(where.net)}

    def movable(self, name, index, place, cut):
        if name in self.where.net.head.parameters:
            return True  # rows of other tasks have no gradient
        if name not in self.owner:
            return place == 1
        return self.owner[name][index] == (place if cut else 0)

    def masks(self, model, place, cut):
        out = {}
        for name, value in oracles.named(model, self.params).items():
            out[name] = torch.zeros_like(value.data)
            for index in torch.cartesian_prod(*(torch.arange(n) for n in value.shape)).reshape(
                -1, value.ndim
            ):
                at = tuple(index.tolist())
                out[name][at] = float(self.movable(name, at, place, cut))
        return out

    def prune(self, model, place, share):
        """Sort the free weights of each layer, the smallest first, and free the first of them again."""
        for name, value in oracles.named(model, self.params).items():
            if name in self.owner:
                free = [
                    (abs(float(value.data[i, j])), int(i), int(j))
                    for i, j in (self.owner[name] == 0).nonzero()
                ]
                for n, (_, i, j) in enumerate(sorted(free)):
                    if n < round(share * len(free)):
                        value.data[i, j] = 0
                    else:
                        self.owner[name][i, j] = place

    def learn(self, task, place, training):
        model = oracles.plain_mlp(self.params)
        optimizer = oracles.plain_optimizer(model, training)
        used = self.where.heads[task].nonzero()[:, 0].tolist()
        steps = list(oracles.batches(self.where, task, training, Seeds(), place - 1))
        first = len(steps) // training.epochs * self.method.cut(training.epochs)
        masks = self.masks(model, place, cut=False)
        for number, indices in enumerate(steps):
            if number == first:
                self.prune(model, place, self.method.freed(len(self.where.heads))[place - 1])
                masks = self.masks(model, place, cut=True)
            optimizer.zero_grad()
            oracles.task_loss(model, self.where, indices, used).backward()
            own = oracles.named(model, self.params)
            before = {k: v.data.clone() for k, v in own.items()}
            for name, value in own.items():
                value.grad *= masks[name]
            optimizer.step()
            for name, value in own.items():
                value.data.copy_(masks[name] * value.data + (1 - masks[name]) * before[name])
        self.params = {k: v.detach().clone() for k, v in own.items()}


@pytest.mark.parametrize("training", [ADAM, SGD], ids=["adam", "sgd"])
@pytest.mark.parametrize("prune", [None, 0.5, (0.75, 0.2, 0.4)])
def test_training_is_the_published_loop(training, prune):
    where, method = world(blobs((60, 40, 90)), widths=[12, 8]), PackNet(prune=prune, share=0.5)
    lesson = begin(where, method, Seeds())
    slow = Published(where, lesson, method)
    for place, task in enumerate((2, 0, 1), 1):
        (lesson,) = learn([lesson], [task], where, method, training=training, seeds=[Seeds()])
        slow.learn(task, place, training)
        for name, value in slow.params.items():
            torch.testing.assert_close(lesson.params[name], value, rtol=1e-3, atol=1e-4, msg=name)
        for name, owner in slow.owner.items():
            assert torch.equal(lesson.memory[f"owner.{name}"], owner)


# ---------------------------------------------------------------- who owns what
def test_by_default_every_task_keeps_as_many_weights_and_none_are_left():
    where = world(blobs((40, 40, 40, 40)), widths=[20, 12])
    lesson = taught(where, PackNet(), (3, 0, 2, 1))
    for name in pruned(where.net):
        counts = Counter(lesson.memory[f"owner.{name}"].flatten().tolist())
        assert counts.keys() == {1, 2, 3, 4}
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_default_for_ten_tasks_is_the_published_list():
    published = [0.90, 0.88, 0.87, 0.85, 0.83, 0.80, 0.75, 0.66, 0.50, 0]
    assert PackNet().freed(10) == pytest.approx(published, abs=0.01)
    assert PackNet(prune=0.75).freed(3) == [0.75] * 3
    assert PackNet(prune=[0.9, 0.5, 0.1]).freed(2) == [0.9, 0.5]
    assert PackNet(prune=[0.9, 0.5]) == PackNet(prune=(0.9, 0.5))


def test_freed_weights_are_0_and_what_is_kept_is_not():
    where = world(widths=[20, 12])
    lesson = taught(where, PackNet(), (1, 2))
    for name in pruned(where.net):
        free = lesson.memory[f"owner.{name}"] == 0
        assert 0 < free.sum() < free.numel()
        assert not lesson.params[name][free].any()
        assert lesson.params[name][~free].all()


def test_biases_belong_to_the_first_task_and_output_rows_to_their_own():
    where = world()
    lesson = taught(where, PackNet(), (2, 0))
    for name, owner in below("owner", lesson.memory).items():
        if name in where.net.head.parameters:
            rows = torch.tensor([2.0, 2, 0, 0, 1, 1])
            assert torch.equal(owner, shaped(rows, owner).expand_as(owner))
        elif owner.ndim == 1:
            assert owner.eq(1).all()


def test_a_task_is_asked_with_the_weights_of_it_and_earlier_ones_and_an_unknown_one_with_all():
    where, method = world(), PackNet()
    lesson = taught(where, method, (2, 0))
    batch = gather(where.source, Rows(where.test[0], torch.ones(len(where.test[0]))))
    for task, place in ((2, 1), (0, 2), (1, 3)):
        model = dict(lesson.params)
        for name in pruned(where.net):
            owner = lesson.memory[f"owner.{name}"]
            model[name] = model[name] * ((owner > 0) & (owner <= place))
        found = method.predict(where.net, lesson.params, batch, lesson.memory, asked(where, 2, task))
        assert torch.equal(found, where.net.trace(model, batch.inputs).logits)


def test_the_smallest_go_and_of_equals_the_first():
    chance = generator("sizes")
    for share in (0.0, 0.1, 0.5, 2 / 3, 0.99):
        size = torch.randint(0, 4, (7, 9), generator=chance).float()
        free = torch.rand(7, 9, generator=chance) < 0.6
        found = largest(size, free, torch.tensor(share, dtype=torch.float64))
        places = sorted((float(size[i, j]), int(i), int(j)) for i, j in free.nonzero())
        gone = {(i, j) for _, i, j in places[: round(share * len(places))]}
        for i in range(7):
            for j in range(9):
                assert (bool(found[i, j]) and bool(free[i, j])) == (bool(free[i, j]) and (i, j) not in gone)


def test_pruning_falls_between_the_first_epoch_and_the_last():
    assert [PackNet().cut(n) for n in (2, 3, 6, 20)] == [1, 2, 4, 13]
    assert [PackNet(share=0.0).cut(n) for n in (2, 5)] == [1, 1]
    assert [PackNet(share=1.0).cut(n) for n in (2, 5)] == [1, 4]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PackNet(prune=1.0), r"prune 1.0 must be at least 0 and below 1"),
        (lambda: PackNet(prune=(0.5, -0.1)), r"prune -0.1 must be at least 0"),
        (lambda: PackNet(share=1.5), "share 1.5 must lie between 0 and 1"),
        (lambda: begin(world(), PackNet(prune=(0.5, 0.1)), Seeds()), r"has 2 shares for 3 tasks: give one"),
        (
            lambda: taught(world(), PackNet(), (0,), training=Training(epochs=1)),
            "PackNet needs at least 2 epochs a task, got epochs = 1",
        ),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
