"""Batches of a stack: what lessons of equal seeds, depth and data see alike is drawn and gathered once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nai.seeds import generator
from nai.tasks import Batch, Rows, Samples, gather


class Address(NamedTuple):
    """What decides a lesson's batches, together with the epoch."""

    seed: int
    depth: int
    pool: tuple[int, ...]  # home indices of the tasks whose data it sees


class Feed:
    """Batches for each place of a stack; many: with a leading axis, one place a lesson.

    data: training samples of each task. batch: samples of a step. spare: rows of padding in each batch.
    steps: of an epoch, in reshuffled passes one after the other; None: one whole pass.
    """

    def __init__(
        self,
        places: Sequence[Address],
        source: Samples,
        data: Sequence[Tensor],
        *,
        batch: int,
        spare: int,
        many: bool,
        steps: int | None = None,
    ) -> None:
        self.source, self.batch, self.spare, self.many = source, batch, spare, many
        self.addresses = list(dict.fromkeys(places))
        found = [torch.cat([data[task] for task in own.pool]) for own in self.addresses]
        sizes = {own: len(rows) for own, rows in zip(self.addresses, found, strict=True)}
        self.endless, self.block = steps is not None, max(-(-n // batch) for n in sizes.values())
        self.counts = [steps or -(-sizes[own] // batch) for own in places]
        device = source.labels.device
        self.sizes = torch.tensor(list(sizes.values()), device=device)
        self.keys = [(own.seed, own.depth, n) for own, n in sizes.items()]
        self.slots = torch.tensor([self.addresses.index(own) for own in places], device=device)
        self.indices = torch.stack([F.pad(rows, (0, self.block * batch - len(rows))) for rows in found])

    def batches(self, epoch: int) -> Iterator[tuple[Rows, Batch]]:
        """Each step's batch of an epoch and where its samples lie; lessons with less data end in padding."""
        last = max(self.counts)
        for first in range(0, last, self.block):
            rows = self._rows(epoch, first, min(last, first + self.block))
            for indices, weights in zip(*(v.unbind(1) for v in rows), strict=True):
                own = Rows(indices, weights)
                yield Rows(*self._placed(own)), Batch(*self._placed(gather(self.source, own)))

    def _rows(self, epoch: int, first: int, last: int) -> Rows:
        """What every address sees in some steps of an epoch, [addresses, steps, rows]."""
        drawn = {key: self._order(key, epoch, first, last) for key in set(self.keys)}
        orders = torch.stack([drawn[key] for key in self.keys])
        live = (orders < self.sizes[:, None]).float().unflatten(1, (-1, self.batch))
        weights = live / live.sum(2, keepdim=True).clamp(min=1)
        indices = self.indices.gather(1, orders).view(live.shape)
        return Rows(*(F.pad(v, (0, self.spare)) for v in (indices, weights)))

    def _order(self, key: tuple[int, int, int], epoch: int, first: int, last: int) -> Tensor:
        """Places of some steps' samples among an address's own; those beyond its data are padding."""
        seed, depth, count = key
        steps = -(-count // self.batch)  # of one pass
        begun, ended = (first // steps, -(-last // steps)) if self.endless else (0, 1)
        parts = []
        for number in range(begun, ended):
            chance = generator(seed, depth, "batches", epoch, *([number] if number else []))
            own = torch.randperm(count, generator=chance)
            parts += [own, torch.arange(count, steps * self.batch)]
        start, end = ((step - begun * steps) * self.batch for step in (first, last))
        drawn = sum(map(len, parts))
        padding = torch.arange(drawn, max(drawn, end))
        whole = torch.cat([*parts, padding])
        return whole[start:end].to(self.slots.device)

    def _placed(self, values: Iterable[Tensor]) -> Iterator[Tensor]:
        """What every place of the stack gets, from what every address has."""
        if not self.many:
            return (v[0] for v in values)
        shared = len(self.addresses) < len(self.slots)
        return (v.index_select(0, self.slots) if shared else v for v in values)


def pad(indices: Tensor, size: int) -> Rows:
    """Indices filled up to a size; weights sum to 1."""
    live = (torch.arange(size, device=indices.device) < len(indices)).float()
    return Rows(F.pad(indices, (0, size - len(indices))), live / live.sum().clamp(min=1))
