"""Batches: a lesson sees the same samples whoever shares its stack, each of them once an epoch."""

import pytest
import torch
from worlds import blobs, world

from nai import feed
from nai.feed import Address, Feed

WORLD = world(blobs((70, 33, 90, 1)))
PLACES = [
    Address(0, 0, (0,)),
    Address(0, 1, (1,)),
    Address(0, 0, (0,)),
    Address(3, 1, (1,)),
    Address(0, 0, (3,)),
    Address(0, 2, (0, 1, 3)),
    Address(0, 1, (1,)),
]


def fed(places, *, many=True, spare=0, batch=32, steps=None):
    return Feed(places, WORLD.source, WORLD.train, batch=batch, spare=spare, many=many, steps=steps)


@pytest.mark.parametrize("steps", [None, 1, 5, 30])
@pytest.mark.parametrize("batch", [32, 8])
def test_every_place_gets_what_it_gets_alone(batch, steps):
    together = fed(PLACES, batch=batch, steps=steps)
    for epoch in range(2):
        batches = list(together.batches(epoch))
        for place, address in enumerate(PLACES):
            alone = fed([address], batch=batch, steps=steps)
            lone = fed([address], batch=batch, steps=steps, many=False)
            (count,) = alone.counts
            assert count == steps or steps is None
            assert together.counts[place] == count
            for step, (one, bare) in enumerate(zip(alone.batches(epoch), lone.batches(epoch), strict=True)):
                for mine, his, its in zip(*((*r, *b) for r, b in (batches[step], one, bare)), strict=True):
                    assert torch.equal(mine[place], his[0])
                    assert torch.equal(his[0], its)
            assert all(bool((b.weights[place] == 0).all()) for _, b in batches[count:])


@pytest.mark.parametrize("steps", [3, 4, 5, 13])
def test_steps_of_an_epoch_are_one_reshuffled_pass_after_the_other(steps):
    for address in PLACES:
        (length,) = fed([address]).counts
        whole = [rows for rows, _ in fed([address]).batches(2)]
        found = [rows for rows, _ in fed([address], steps=steps).batches(2)]
        assert len(found) == steps
        for one, other in zip(found, whole, strict=False):  # the first pass is the only one without steps
            assert torch.equal(one.indices, other.indices)
            assert torch.equal(one.weights, other.weights)
        for at in range(0, steps - length + 1, length):
            seen = torch.cat([r.indices[r.weights > 0] for r in found[at : at + length]])
            wanted = torch.cat([WORLD.train[task] for task in address.pool])
            assert torch.equal(seen.sort().values, wanted.sort().values)
            if at and len(wanted) > 1:
                first = torch.cat([r.indices[r.weights > 0] for r in found[:length]])
                assert not torch.equal(seen, first)
        assert all(r.weights.sum().item() == pytest.approx(1.0) for r in found)


def test_rows_say_where_a_batch_s_samples_lie():
    for rows, batch in fed(PLACES, spare=3).batches(0):
        assert torch.equal(WORLD.source.inputs[rows.indices], batch.inputs)
        assert torch.equal(rows.weights, batch.weights)


def test_an_epoch_is_every_sample_of_the_pool_once():
    for address in PLACES:
        batches = [batch for _, batch in fed([address], spare=3).batches(0)]
        wanted = WORLD.source.inputs[torch.cat([WORLD.train[t] for t in address.pool])]
        seen = torch.cat([b.inputs[0][b.weights[0] > 0] for b in batches])
        assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, wanted.tolist()))
        assert all(b.inputs.shape[1] == 35 for b in batches)
        assert [b.weights[0].sum().item() for b in batches] == pytest.approx([1.0] * len(batches))


def test_the_order_of_samples_changes_with_the_epoch_seed_and_depth():
    first = next(fed(PLACES[1:2]).batches(0))[1].inputs
    for other, epoch in ((PLACES[1], 1), (PLACES[3], 0), (Address(0, 2, (1,)), 0)):
        assert not torch.equal(next(fed([other]).batches(epoch))[1].inputs, first)


def test_batches_that_are_alike_are_gathered_once(monkeypatch):
    gathered, plain = [], feed.gather

    def counted(source, rows):
        gathered.append(len(rows.indices))
        return plain(source, rows)

    monkeypatch.setattr(feed, "gather", counted)
    list(fed(PLACES).batches(0))
    assert gathered == [len(set(PLACES))] * 4  # steps of the largest pool
