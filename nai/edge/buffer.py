"""A buffer of latent features and labels that never takes more than its bytes, and the rules that fill it."""

from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

STORES: dict[str, torch.dtype] = {"float32": torch.float32, "float16": torch.float16, "uint8": torch.uint8}
"""How a number of a feature is kept; uint8: in 256 steps between the smallest and largest of its sample."""


class Change(NamedTuple):
    """Which rows of an experience go into which slots."""

    slots: Tensor  # [changes] int64, all different
    rows: Tensor  # [changes] int64


class Shown(NamedTuple):
    """What a rule may know."""

    labels: Tensor  # [rows] of the experience
    held: Tensor  # [filled] labels in the slots that are filled, which come first
    capacity: int
    number: int  # of this experience, from 1
    before: int  # samples shown before it


def share(shown: Shown, chance: torch.Generator) -> Change:
    """The i-th experience takes 1/i of the slots, at random: first empty ones, then those of others.

    Source: Pellegrini et al. 2020, as in their code: h = min(capacity // i, samples).
    """
    empty = shown.capacity - len(shown.held)
    most = shown.capacity if shown.number == 1 else shown.capacity // shown.number
    count = min(most, len(shown.labels))
    fresh = min(count, empty)
    others = torch.randperm(len(shown.held), generator=chance)[: count - fresh]
    slots = torch.cat([len(shown.held) + torch.arange(fresh), others])
    return Change(slots, torch.randperm(len(shown.labels), generator=chance)[:count])


def reservoir(shown: Shown, chance: torch.Generator) -> Change:
    """Every sample shown so far has an equal chance to be held. Source: Vitter 1985, algorithm R."""
    last = {}
    for row in range(len(shown.labels)):
        seen = shown.before + row
        drawn = int(torch.randint(seen + 1, (), generator=chance)) if seen >= shown.capacity else seen
        if drawn < shown.capacity:
            last[drawn] = row
    return _change(last)


def balanced(shown: Shown, chance: torch.Generator) -> Change:
    """Classes share the slots: once all are filled, a sample takes a slot of the class that has most.

    Source: Prabhu, Torr, Dokania 2020, algorithm 1 (greedy balancing sampler).
    """
    held, last = shown.held.tolist(), {}
    for row in torch.randperm(len(shown.labels), generator=chance).tolist():
        label = int(shown.labels[row])
        if len(held) < shown.capacity:
            slot = len(held)
            held.append(label)
        else:
            counts = {other: held.count(other) for other in set(held)}
            fullest = max(counts, key=lambda other: (counts[other], other))
            if counts.get(label, 0) >= counts[fullest]:
                continue
            places = [place for place, other in enumerate(held) if other == fullest]
            slot = places[int(torch.randint(len(places), (), generator=chance))]
            held[slot] = label
        last[slot] = row
    return _change(last)


RULES: dict[str, Callable[[Shown, torch.Generator], Change]] = {
    "share": share,
    "reservoir": reservoir,
    "balanced": balanced,
}


class LatentBuffer:
    """Features and labels in one block of at most `budget` bytes, as many as fit.

    A row is `width` numbers as `store` has them, the label in 1 or 2 bytes (by `classes`), and for uint8 two
    floats that say what its steps mean. What stands beside the block is a handful of counters.
    """

    def __init__(
        self, budget: int, width: int, classes: int, store: str = "float32", rule: str = "share"
    ) -> None:
        if store not in STORES:
            raise ValueError(f"store {store!r} is unknown: known are {', '.join(STORES)}")
        if rule not in RULES:
            raise ValueError(f"rule {rule!r} is unknown: known are {', '.join(RULES)}")
        if budget < 0 or not 1 <= classes <= 2**15:
            raise ValueError(f"{budget} bytes for {classes} classes: use 0 or more, and 1 to 32768")
        kinds = {"values": (STORES[store], width), "labels": _label(classes)}
        kinds |= {"steps": (torch.float32, 2)} if store == "uint8" else {}
        kinds = dict(sorted(kinds.items(), key=lambda kind: -kind[1][0].itemsize))  # so that all are aligned
        sizes = [kind.itemsize * count for kind, count in kinds.values()]
        self.row_bytes, self.capacity = sum(sizes), budget // sum(sizes)
        self.rule, self.filled, self.experiences, self.shown = rule, 0, 0, 0
        self._block = torch.zeros(self.capacity * self.row_bytes, dtype=torch.uint8)
        ends = list(accumulate(size * self.capacity for size in sizes))
        cut = zip(kinds.items(), [0, *ends], ends, strict=False)
        self._parts = {
            name: self._block[start:end].view(kind).view(self.capacity, count)
            for (name, (kind, count)), start, end in cut
        }

    @property
    def nbytes(self) -> int:
        """Bytes of the block, which holds every feature and label."""
        return self._block.untyped_storage().nbytes()

    def labels(self) -> Tensor:
        """Of the slots that are filled, [filled] int64."""
        return self._parts["labels"][: self.filled, 0].long()

    def features(self, slots: Tensor) -> Tensor:
        """What some slots hold, [slots, width] float32."""
        values: Tensor = self._parts["values"][slots].float()
        if "steps" not in self._parts:
            return values
        steps = self._parts["steps"][slots]
        return steps[:, :1] + values * steps[:, 1:]

    def show(self, features: Tensor, labels: Tensor, chance: torch.Generator) -> None:
        """Take in an experience, [samples, width] and [samples], as the rule has it."""
        self.experiences += 1
        asked = Shown(labels, self.labels(), self.capacity, self.experiences, self.shown)
        change = RULES[self.rule](asked, chance) if self.capacity else Change(*torch.zeros(2, 0).long())
        self._put(change.slots, features[change.rows], labels[change.rows])
        self.filled = max([self.filled, *(change.slots + 1).tolist()])
        self.shown += len(labels)

    def _put(self, slots: Tensor, features: Tensor, labels: Tensor) -> None:
        self._parts["labels"][slots, 0] = labels.to(self._parts["labels"].dtype)
        if "steps" in self._parts:
            least, most = features.amin(1, keepdim=True), features.amax(1, keepdim=True)
            step = ((most - least) / 255).clamp(min=torch.finfo(torch.float32).tiny)
            self._parts["steps"][slots] = torch.cat([least, step], 1)
            features = ((features - least) / step).round()
        self._parts["values"][slots] = features.to(self._parts["values"].dtype)


def _label(classes: int) -> tuple[torch.dtype, int]:
    return (torch.uint8 if classes <= 256 else torch.int16), 1


def _change(last: dict[int, int]) -> Change:
    slots, rows = torch.tensor([*last.keys()], dtype=torch.int64), torch.tensor([*last.values()])
    return Change(slots, rows.long())
