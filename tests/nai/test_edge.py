"""Learning on a device: bytes that are never exceeded, rules of replay, and heads that learn."""

import numpy as np
import pytest
import torch

from nai import edge
from nai.edge.buffer import RULES, Shown
from nai.edge.stream import parts
from nai.seeds import generator
from nai.tasks import Benchmark, Task

WIDTH = 6


def experience(seed, count, label):
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(count, WIDTH, generator=chance) + label, torch.full((count,), label)


def blobs(classes=4, each=24):
    """Classes far apart, one a batch, each met twice."""
    chance = np.random.default_rng(0)
    labels = np.tile(np.repeat(np.arange(classes), each), 2)
    inputs = (chance.normal(size=(len(labels), 8)) + 2 * np.eye(8)[labels] + 2).astype(np.float32)
    tasks = []
    for number, rows in enumerate(np.arange(len(labels)).reshape(-1, each)):
        tasks.append(Task(f"batch {number}", (number % classes,), rows[8:], rows[:2], rows[2:8]))
    return Benchmark.of("blobs", "class", tasks, inputs=inputs, labels=labels)


@pytest.mark.parametrize("store", edge.STORES)
@pytest.mark.parametrize("rule", edge.RULES)
@pytest.mark.parametrize("classes", [10, 300])
def test_a_buffer_takes_its_budget_and_not_a_byte_more(store, rule, classes):
    for budget in (0, 1, 30, 31, 257, 1000, 1001, 1002, 1003):
        buffer = edge.LatentBuffer(budget, WIDTH, classes, store, rule)
        assert buffer.nbytes <= budget < buffer.nbytes + buffer.row_bytes
        for number in range(4):
            buffer.show(*experience(number, 9, number), generator(number))
            assert buffer.nbytes <= budget and buffer.filled <= buffer.capacity
        if budget >= 257:
            assert buffer.filled > 0


@pytest.mark.parametrize("store", edge.STORES)
def test_what_a_buffer_holds_is_what_it_was_shown(store):
    buffer = edge.LatentBuffer(10_000, WIDTH, 10, store)
    features, labels = experience(0, 5, 7)
    buffer.show(features, labels, generator(0))
    held = buffer.features(torch.arange(buffer.filled))
    assert buffer.labels().tolist() == [7] * 5
    step = (features.amax(1) - features.amin(1)).max() / 255
    near = {"float32": 0.0, "float16": 4e-3, "uint8": float(step) / 2 + 1e-6}[store]
    found = (held[:, None] - features[None]).abs().amax(2)  # rows come in a drawn order
    assert found.amin(1).max() <= near and sorted(found.argmin(1).tolist()) == list(range(5))


def test_rows_have_the_bytes_that_are_counted_by_hand():
    sizes = [edge.LatentBuffer(0, 576, 10, store).row_bytes for store in ("float32", "float16", "uint8")]
    assert sizes == [576 * 4 + 1, 576 * 2 + 1, 576 + 8 + 1]
    assert edge.LatentBuffer(0, 576, 300).row_bytes == 576 * 4 + 2


def test_share_gives_the_ith_experience_an_ith_of_the_slots():
    """h = min(capacity // i, samples): by hand 12, 6, 4 and then 2 of 2 samples."""
    for number, samples, count in ((1, 20, 12), (2, 20, 6), (3, 20, 4), (4, 2, 2)):
        held = torch.zeros(0 if number == 1 else 12, dtype=torch.int64)
        shown = Shown(torch.ones(samples).long(), held, 12, number, 20)
        change = RULES["share"](shown, generator(number))
        assert len(change.slots) == len(change.rows) == count
        assert len(set(change.slots.tolist())) == len(set(change.rows.tolist())) == count
        assert max(change.slots) < 12 and max(change.rows) < samples


def test_share_fills_empty_slots_before_it_takes_from_others():
    shown = Shown(torch.ones(20).long(), torch.zeros(9).long(), 12, 2, 9)
    slots = RULES["share"](shown, generator(0)).slots.tolist()
    assert slots[:3] == [9, 10, 11] and len(slots) == 6 and max(slots[3:]) < 9


def test_a_reservoir_holds_every_sample_with_equal_chance():
    counts = torch.zeros(20)
    for seed in range(2000):
        held = torch.full((5,), -1)
        for number, before in enumerate((0, 8, 14)):
            rows = (8, 6, 6)[number]
            filled = min(5, before)
            shown = Shown(torch.zeros(rows).long(), held[:filled], 5, number + 1, before)
            change = RULES["reservoir"](shown, generator(seed, number))
            held[change.slots] = change.rows + before
        counts[held] += 1
    # each count is binomial(2000, 1/4): 5 deviations are 97
    assert (counts - 500).abs().max() < 97


def test_a_balanced_buffer_ends_with_equal_counts():
    buffer = edge.LatentBuffer(12 * (WIDTH * 4 + 1), WIDTH, 10, rule="balanced")
    for number, label in enumerate((0, 1, 2, 0)):
        buffer.show(*experience(number, 30, label), generator(number))
    assert buffer.labels().bincount().tolist() == [4, 4, 4]


def test_batches_mix_new_and_held_samples_in_proportion():
    """40 new and 260 held in batches of 32: 300 // 32 = 9 batches, so 40 // 9 = 4 new ones in each."""
    found = list(parts(40, 260, 32, generator(0)))
    assert [len(part.rows) for part in found] == [4] * 10
    assert [len(part.slots) for part in found] == [28] * 10
    assert sorted(torch.cat([part.rows for part in found]).tolist()) == list(range(40))
    again = torch.cat([part.slots for part in found])  # 280 of 260: all once, then 20 again
    assert again.bincount(minlength=260).max() == 2 and len(set(again.tolist())) == 260


def test_without_a_buffer_batches_are_full_of_new_samples():
    found = list(parts(40, 0, 32, generator(0)))
    assert [(len(part.rows), len(part.slots)) for part in found] == [(32, 0), (8, 0)]


def test_few_samples_beside_a_small_buffer_make_one_batch():
    (part,) = parts(3, 2, 32, generator(0))
    assert len(part.rows) == 3 and sorted(part.slots.tolist()) == [0, 1]


@pytest.mark.parametrize("hidden", [0, 16])
def test_replay_keeps_what_a_head_alone_forgets(hidden):
    stream, reached = edge.Stream.of(blobs()), {}
    for budget in (0, 1200):
        trainee = edge.TorchHead(edge.Head(8, 4, hidden), 8, edge.Rates(0.01))
        buffer = edge.LatentBuffer(budget, 8, 4)
        found = list(edge.learn(stream, trainee, buffer, edge.Course(epochs=6)))
        assert [one.number for one in found] == list(range(1, 9)) and buffer.nbytes <= budget
        reached[budget] = edge.accuracy(trainee, stream)
    assert reached[0] + 0.3 < reached[1200]


def test_the_same_seed_gives_the_same_losses():
    stream, losses = edge.Stream.of(blobs()), []
    for seed in (0, 0, 1):
        trainee = edge.TorchHead(edge.Head(8, 4), 8, edge.Rates())
        found = edge.learn(stream, trainee, edge.LatentBuffer(600, 8, 4), edge.Course(2, seed))
        losses.append([loss for one in found for loss in one.losses])
    assert losses[0] == losses[1] != losses[2]


def test_padding_of_a_batch_changes_nothing():
    head = [edge.Head(8, 4), edge.Head(8, 4)]
    small, large = edge.TorchHead(head[0], 3, edge.Rates()), edge.TorchHead(head[1], 5, edge.Rates())
    features, labels = torch.randn(3, 8, generator=generator(0)), torch.tensor([0, 1, 2])
    one = small.step(features, labels, torch.full((3,), 1 / 3))
    filled = torch.cat([features, 9 * torch.ones(2, 8)]), torch.tensor([0, 1, 2, 3, 3])
    two = large.step(*filled, torch.tensor([1 / 3, 1 / 3, 1 / 3, 0, 0]))
    assert one == pytest.approx(two, abs=1e-6)
    assert torch.allclose(head[0].out.weight, head[1].out.weight, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: edge.LatentBuffer(10, 4, 3, "int4"), "store 'int4' is unknown: known are float32"),
        (lambda: edge.LatentBuffer(10, 4, 3, rule="fifo"), "rule 'fifo' is unknown: known are share"),
        (lambda: edge.LatentBuffer(-1, 4, 3), "use 0 or more"),
        (lambda: edge.Rates(rate=0), "rate must be above 0"),
        (lambda: edge.Course(epochs=0), "epochs 0 must be at least 1"),
        (lambda: edge.Head(4, 1), "no head has 4 features"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_stream_of_pictures_asks_for_a_backbone():
    pictures = np.zeros((8, 1, 2, 2), np.float32)
    task = Task("all", (0, 1), np.arange(4), np.arange(4, 6), np.arange(6, 8))
    made = Benchmark.of("pictures", "class", [task], inputs=pictures, labels=np.arange(8) % 2)
    with pytest.raises(ValueError, match="give the benchmark a backbone"):
        edge.Stream.of(made)
