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
    ) -> None:
        self.source, self.batch, self.spare, self.many = source, batch, spare, many
        self.addresses = list(dict.fromkeys(places))
        found = {own: torch.cat([data[task] for task in own.pool]) for own in self.addresses}
        self.sizes = [len(found[own]) for own in self.addresses]
        self.counts = [-(-len(found[own]) // batch) for own in places]
        device = source.labels.device
        self.slots = torch.tensor([self.addresses.index(own) for own in places], device=device)
        rows = [pad(some, max(self.counts) * batch, batch) for some in found.values()]
        self.rows = Rows(*(torch.stack(v) for v in zip(*rows, strict=True)))

    def batches(self, epoch: int) -> Iterator[tuple[Rows, Batch]]:
        """Each step's batch of an epoch and where its samples lie; lessons with less data see padding last."""
        most = max(self.counts)
        shuffled = self.rows.indices.gather(1, torch.stack(self._shuffles(epoch, most * self.batch)))
        indices, weights = (  # [addresses, steps, rows]
            F.pad(v.unflatten(1, (most, self.batch)), (0, self.spare)) for v in (shuffled, self.rows.weights)
        )
        for step in range(most):
            rows = Rows(indices[:, step], weights[:, step])
            yield Rows(*self._placed(rows)), Batch(*self._placed(gather(self.source, rows)))

    def _placed(self, values: Iterable[Tensor]) -> Iterator[Tensor]:
        """What every place of the stack gets, from what every address has."""
        if not self.many:
            return (v[0] for v in values)
        shared = len(self.addresses) < len(self.slots)
        return (v.index_select(0, self.slots) if shared else v for v in values)

    def _shuffles(self, epoch: int, size: int) -> list[Tensor]:
        """Each address's order of its rows, padding last; equal for data of equal size."""
        drawn: dict[tuple[int, int, int], Tensor] = {}
        keys = [(own.seed, own.depth, n) for own, n in zip(self.addresses, self.sizes, strict=True)]
        for seed, depth, count in set(keys):
            chance = generator(seed, depth, "batches", epoch)
            order = torch.cat([torch.randperm(count, generator=chance), torch.arange(count, size)])
            drawn[seed, depth, count] = order.to(self.slots.device)
        return [drawn[key] for key in keys]


def pad(indices: Tensor, size: int, batch: int | None = None) -> Rows:
    """Indices filled up to a size; weights sum to 1 over all rows, or over each batch that has any."""
    live = (torch.arange(size, device=indices.device) < len(indices)).float().view(-1, batch or size)
    weights = live / live.sum(1, keepdim=True).clamp(min=1)
    return Rows(F.pad(indices, (0, size - len(indices))), weights.view(-1))
