"""Buffers: what stays of a stream, against literal choices and by frequency over many seeds."""

import math

import pytest
import torch
from torch.func import vmap

from nai.methods import buffers
from nai.seeds import generator
from nai.tasks import Rows

CPU = torch.device("cpu")
LABELS = torch.tensor([0] * 25 + [1] * 3 + [2] * 12)  # of a stream of 40 samples


def steps(order, keys, batch=8):
    """The stream in padded batches: rows and their keys."""
    for part in order.split(batch):
        pad = batch - len(part)
        weights = torch.tensor([1 / len(part)] * len(part) + [0.0] * pad)
        rows = Rows(torch.nn.functional.pad(part, (0, pad)), weights)
        yield rows, torch.nn.functional.pad(keys[part], (0, pad))  # padding has the best key of all


def streamed(order, keys, size, labels=None):
    """The buffer after a stream."""
    memory = buffers.empty(size, CPU)
    for rows, own in steps(order, keys):
        if labels is None:
            memory, _ = buffers.reservoir(memory, rows, own)
        else:
            memory, _ = buffers.class_balanced(memory, rows, own, labels=labels)
    return memory


def content(memory):
    return sorted(s for s in memory["slots"].tolist() if s >= 0)


def drawn(seed, count=40):
    chance = generator("stream", seed)
    return torch.randperm(count, generator=chance), buffers.keys(count)(chance)


# ---------------------------------------------------------------- reservoir
@pytest.mark.parametrize("size", [1, 7, 40, 50])
def test_a_reservoir_holds_the_samples_with_the_smallest_keys(size):
    order, keys = drawn(0)
    for seen in (5, 23, 40):
        found = streamed(order[:seen], keys, size)
        best = sorted(order[:seen].tolist(), key=lambda s: keys[s])[:size]
        assert content(found) == sorted(best)
        assert found["slots"].eq(buffers.EMPTY).sum() == max(0, size - seen)
        assert found["keys"][: len(best)].tolist() == [keys[s] for s in best]


def test_a_reservoir_is_a_uniform_sample_of_the_stream():
    seeds, size = 4000, 10
    keys = torch.stack([buffers.keys(40)(generator("uniform", seed)) for seed in range(seeds)])
    slots = vmap(lambda own: streamed(torch.arange(40), own, size)["slots"])(keys)
    share = size / 40
    counts = slots.flatten().bincount(minlength=40)
    assert counts.sum() == seeds * size
    # five standard deviations: one of the 40 would leave them once in 40,000 tests
    assert (counts - seeds * share).abs().max() < 5 * math.sqrt(seeds * share * (1 - share))
    together = (slots == 0).any(1) & (slots == 39).any(1)  # first and last sample, drawn without replacement
    expected = share * 9 / 39
    assert abs(together.sum().item() - seeds * expected) < 5 * math.sqrt(seeds * expected)


def test_a_sample_shown_again_has_one_slot_and_its_smallest_key():
    order, first = drawn(1)
    passes = [first, *(drawn(seed)[1] for seed in (2, 3))]
    memory = buffers.empty(10, CPU)
    for keys in passes:
        for rows, own in steps(order, keys):
            before, fresh = buffers.without_repeats(memory, rows, own)
            memory, _ = buffers.reservoir(before, fresh, own)
    least = torch.stack(passes).amin(0)
    assert content(memory) == sorted(least.argsort()[:10].tolist())
    assert torch.equal(memory["keys"], least.sort().values[:10])


def test_k_showings_of_a_sample_are_k_chances_of_its_slot():
    """Ten samples shown six times, then sixty shown once: half of all showings each."""
    seeds, size = 2000, 8
    order = torch.cat([torch.arange(10).repeat(6), torch.arange(10, 70)])

    def held(keys):
        memory = buffers.empty(size, CPU)
        for part, own in zip(order.split(10), keys.split(10), strict=True):
            rows = Rows(part, torch.full((10,), 0.1))
            memory, _ = buffers.reservoir(*buffers.without_repeats(memory, rows, own), own)
        return memory["slots"]

    keys = torch.stack([buffers.keys(120)(generator("again", seed)) for seed in range(seeds)])
    found = (vmap(held)(keys) < 10).sum(1).double()
    # the 8 samples that come first in a random order of all 120 showings
    chance, drawn = generator("showings"), []
    for _ in range(seeds):
        first = dict.fromkeys(order[torch.randperm(120, generator=chance)].tolist())
        drawn.append(sum(s < 10 for s in list(first)[:size]))
    expected = torch.tensor(drawn).double()
    error = ((found.var() + expected.var()) / seeds).sqrt()
    assert abs(found.mean() - expected.mean()) < 5 * error
    assert found.mean() > 2 * size * 10 / 70  # more than as if each had been shown once


# ---------------------------------------------------------------- balance
def dealt(samples, keys, labels, size):
    """Slots dealt to classes in turn, each giving its sample with the next smallest key."""
    queues = {}
    for s in sorted(samples, key=lambda s: keys[s]):
        queues.setdefault(int(labels[s]), []).append(s)
    kept = []
    while any(queues.values()) and len(kept) < size:
        turn = sorted((q.pop(0) for q in queues.values() if q), key=lambda s: keys[s])
        kept += turn[: size - len(kept)]
    return sorted(kept)


@pytest.mark.parametrize("size", [1, 8, 13, 40])
@pytest.mark.parametrize("seed", range(5))
def test_a_balanced_buffer_is_what_dealing_the_whole_stream_would_leave(size, seed):
    order, keys = drawn(seed)
    order = order if seed else torch.arange(40)  # class by class
    for seen in (6, 20, 33, 40):
        found = streamed(order[:seen], keys, size, LABELS)
        assert content(found) == dealt(order[:seen].tolist(), keys, LABELS, size)


def test_counts_of_full_classes_differ_by_at_most_one():
    for seed in range(30):
        order, keys = drawn(seed)
        counts = LABELS[streamed(order, keys, 13, LABELS)["slots"]].bincount(minlength=3)
        assert counts[1] == 3  # all that there are
        assert counts.sum() == 13 and (counts[0] - counts[2]).abs() == 0
        counts = LABELS[streamed(order, keys, 8, LABELS)["slots"]].bincount(minlength=3)
        assert counts.max() - counts.min() == 1


def test_each_class_has_a_uniform_sample_of_its_own():
    seeds, size = 3000, 9
    keys = torch.stack([buffers.keys(40)(generator("balanced", seed)) for seed in range(seeds)])
    slots = vmap(lambda own: streamed(torch.arange(40), own, size, LABELS)["slots"])(keys)
    counts = slots.flatten().bincount(minlength=40)
    for label, members in enumerate((25, 3, 12)):
        share = 3 / members
        spread = math.sqrt(seeds * share * (1 - share))
        assert (counts[label == LABELS] - seeds * share).abs().max() <= 5 * spread


def test_ranks_worked_by_hand():
    keys = torch.tensor([0.5, 0.1, 0.9, 0.3, 0.2])
    assert buffers.ranks(keys, torch.tensor([4, 7, 4, 4, 7])).tolist() == [1, 0, 2, 0, 1]


# ---------------------------------------------------------------- what is beside the samples
def test_what_is_stored_moves_with_its_sample():
    memory = {"slots": torch.tensor([8, 5, -1])}
    held, fresh = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0], [20.0], [30.0]])
    # the first slot's sample lay in the second slot, the second came in, the third is empty
    found = buffers.carried(memory, torch.tensor([1, 4, 2]), held, fresh)
    assert found.tolist() == [[2], [20], [0]]


# ---------------------------------------------------------------- drawing from it
@pytest.mark.parametrize(("filled", "count"), [(0, 4), (3, 4), (12, 4), (12, 6), (5, 30)])
def test_samples_picked_are_different_and_as_many_as_wanted_or_there(filled, count):
    memory = streamed(torch.arange(filled), drawn(0)[1], 12) if filled else buffers.empty(12, CPU)
    for seed in range(20):
        places, rows = buffers.picked(memory, buffers.uniform(12)(generator("pick", seed)), count)
        assert len(rows.indices) == len(places) == buffers.rows_for(count) == 4 * math.ceil(count / 4)
        live, wanted = rows.weights > 0, min(filled, count)
        assert live.sum() == wanted
        assert rows.weights.tolist() == pytest.approx(
            [1 / max(wanted, 1)] * wanted + [0] * (len(live) - wanted)
        )
        found = rows.indices[live].tolist()
        assert len(set(found)) == wanted and set(found) <= set(content(memory))
        assert torch.equal(memory["slots"][places[live]], rows.indices[live])


def test_every_sample_of_the_buffer_is_picked_equally_often():
    memory, seeds = streamed(torch.arange(9), drawn(0)[1], 12), 3000
    chance = torch.stack([buffers.uniform(12)(generator("often", seed)) for seed in range(seeds)])
    found = vmap(lambda own: buffers.picked(memory, own, 4).rows.indices)(chance)
    counts = found.flatten().bincount(minlength=9)
    assert (counts - seeds * 4 / 9).abs().max() < 5 * math.sqrt(seeds * 4 / 9 * 5 / 9)


def test_a_stack_is_asked_with_or_without_vmap():
    memory = streamed(torch.arange(9), drawn(0)[1], 12)
    both = {k: torch.stack([v, v]) for k, v in memory.items()}
    chance = torch.rand(2, 12, generator=generator("both"))
    whole = buffers.picked(both, chance, 5)
    for i in range(2):
        alone = buffers.picked(memory, chance[i], 5)
        assert torch.equal(whole.places[i], alone.places)
        assert all(torch.equal(a[i], b) for a, b in zip(whole.rows, alone.rows, strict=True))
