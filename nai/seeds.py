"""The only door to chance: every draw has an address, so it is the same on any worker and in any grouping."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Draw = Callable[[torch.Generator], Tensor]
"""Makes one lesson's tensor from a generator."""


class Seeds(NamedTuple):
    """The two seeds of a run; the third, that of the order, ends when the order is drawn.

    init: initial weights (and what a method draws with them).
    data: everything drawn while training: batches, dropout, replay, re-drawn weights.
    """

    init: int = 0
    data: int = 0


def generator(*address: object) -> torch.Generator:
    """A generator whose state depends on nothing but its address (numbers and names)."""
    digest = hashlib.sha256(repr(address).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


class Chance:
    """The draws of a stack of lessons, made once for every different (seed, depth) in it.

    Draws are made on the CPU and moved, so that a GPU sees the same chance.
    """

    def __init__(self, seeds: Sequence[Seeds], depths: Sequence[int], device: torch.device) -> None:
        own = [(s.data, d) for s, d in zip(seeds, depths, strict=True)]
        self.addresses = sorted(set(own))
        self.device = device
        self.slots = torch.tensor([self.addresses.index(a) for a in own])

    def open(self, purposes: Iterable[str], *address: object) -> dict[str, list[torch.Generator]]:
        """Generators of each purpose at an address below (seed, depth), such as an epoch."""
        return {p: [generator(*own, p, *address) for own in self.addresses] for p in purposes}

    def draw(
        self, makers: Mapping[str, Draw], chances: Mapping[str, Sequence[torch.Generator]]
    ) -> dict[str, Tensor]:
        """The next draw of every purpose, [lessons, *shape]."""
        return {purpose: self._stacked(maker, chances[purpose]) for purpose, maker in makers.items()}

    def _stacked(self, maker: Draw, chances: Sequence[torch.Generator]) -> Tensor:
        drawn = torch.stack([maker(c) for c in chances])
        if len(chances) == 1:
            return drawn.to(self.device).expand(len(self.slots), *drawn.shape[1:])
        return drawn[self.slots].to(self.device)
