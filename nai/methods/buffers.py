"""Buffers of samples to replay: pure functions on a lesson's memory, whose shapes never depend on data.

A buffer holds indices into the benchmark's samples, never copies: `slots` [size] int64, -1 where empty, and
`keys` [size] float64, the random number in 0..1 that each sample was given when it was shown. The samples
with the smallest keys stay, which is a reservoir: a uniform draw without replacement from all that was shown.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nai.methods.base import Memory
from nai.seeds import Draw
from nai.tasks import Rows

NO_KEY = 2.0
"""The key of an empty slot: above every key that is drawn."""
EMPTY = -1
ALIGNED = 4
"""Replayed batches have a multiple of 4 rows, as all batches of a stack."""


class Picked(NamedTuple):
    """Some of a buffer's samples."""

    places: Tensor  # [rows] their slots
    rows: Rows  # weights sum to 1, or are all 0 where the buffer is empty


def empty(size: int, device: torch.device) -> Memory:
    """A buffer without samples."""
    slots = torch.full((size,), EMPTY, dtype=torch.int64, device=device)
    return {"slots": slots, "keys": torch.full((size,), NO_KEY, dtype=torch.float64, device=device)}


def keys(rows: int) -> Draw:
    """Draws a key for each row; in double precision, so that no two are equal."""
    return lambda chance: torch.rand(rows, generator=chance, dtype=torch.float64)


def uniform(size: int) -> Draw:
    """Draws what `picked` needs: a number in 0..1 for each slot."""
    return lambda chance: torch.rand(size, generator=chance)


def rows_for(count: int) -> int:
    """Rows of a batch for so many samples, padding included: as many as stay aligned in a stack."""
    return -(-count // ALIGNED) * ALIGNED


def reservoir(memory: Memory, rows: Rows, keys: Tensor) -> tuple[Memory, Tensor]:
    """The buffer once it was shown rows [rows] with their keys, and where each slot's sample lay before.

    The second: [size], places among the old slots followed by the rows. Source: Vitter 1985 (algorithm R) has
    the same distribution.
    """
    shown, given = _shown(memory, rows, keys)
    return _kept(memory, shown, given, given)


def class_balanced(memory: Memory, rows: Rows, keys: Tensor, *, labels: Tensor) -> tuple[Memory, Tensor]:
    """As `reservoir`, slots dealt out to classes in turn: counts of full classes differ by at most 1.

    labels: of all samples of the benchmark. Each class's samples are a uniform draw from its own. None that
    was dropped would ever be wanted again, since a class's share of the slots only falls.
    Source: Prabhu, Torr, Dokania 2020, algorithm 1 (greedy balancing sampler), with chance in place of the
    order of arrival.
    """
    shown, given = _shown(memory, rows, keys)
    turn = ranks(given, torch.where(shown >= 0, labels[shown.clamp(min=0)], -1))
    return _kept(memory, shown, given, torch.where(shown >= 0, turn + given, torch.inf))


def without_repeats(memory: Memory, rows: Rows, keys: Tensor) -> tuple[Memory, Rows]:
    """The buffer and rows, when some rows may be in the buffer already: a sample's key is its smallest.

    Steps that go through a task several times show each sample again. It has one slot at most, but each
    showing is a fresh chance: the buffer is a reservoir over all showings, in which k of them count as k
    samples, since what was dropped is forgotten.
    """
    again = (rows.indices[:, None] == memory["slots"]) & (rows.weights > 0)[:, None]
    least = torch.where(again, keys[:, None], NO_KEY).amin(0)
    fresh = rows.weights * ~again.any(1)
    return memory | {"keys": torch.minimum(memory["keys"], least)}, Rows(rows.indices, fresh)


def picked(memory: Memory, chance: Tensor, count: int) -> Picked:
    """So many different samples of the buffer, or all where it holds fewer; padding has weight 0.

    chance: [size], as `uniform` draws it. Whole stacks as well, with a leading axis each.
    """
    filled = memory["slots"] >= 0
    found = torch.where(filled, chance, NO_KEY).topk(min(count, chance.shape[-1]), largest=False).indices
    places = F.pad(found, (0, rows_for(count) - found.shape[-1]))
    held = filled.sum(-1, keepdim=True).clamp(max=count)
    live = torch.arange(places.shape[-1], device=places.device) < held
    weights = live / held.clamp(min=1)
    return Picked(places, Rows(memory["slots"].gather(-1, places).clamp(min=0), weights))


def marked(places: Tensor, live: Tensor, size: int) -> Tensor:
    """Which slots are among live places, [size] bool. Whole stacks as well, with a leading axis each."""
    hits = torch.zeros(*places.shape[:-1], size, device=places.device)
    return hits.scatter_add(-1, places, live.to(hits)) > 0


def carried(memory: Memory, origin: Tensor, held: Tensor, fresh: Tensor) -> Tensor:
    """What is stored beside each sample, [size, n], once the slots were filled anew; 0 where one is empty.

    origin: where each slot's content lay before. held: what was stored, which moves along with its sample.
    fresh: what to store for the samples that came in, by slot.
    """
    stayed = origin < len(held)
    found = torch.where(stayed[:, None], held[origin.clamp(max=len(held) - 1)], fresh)
    return torch.where(memory["slots"][:, None] >= 0, found, 0.0)


def ranks(keys: Tensor, groups: Tensor) -> Tensor:
    """The place of each among those of its group, smallest key first, [rows]."""
    order = keys.argsort(stable=True)
    order = order.gather(0, groups.gather(0, order).argsort(stable=True))
    sorted_groups, places = groups.gather(0, order), torch.arange(len(keys), device=keys.device)
    new = torch.cat([torch.ones_like(places[:1], dtype=torch.bool), sorted_groups[1:] != sorted_groups[:-1]])
    first = torch.where(new, places, 0).cummax(0).values
    return torch.zeros_like(places).scatter(0, order, places - first)


def _shown(memory: Memory, rows: Rows, keys: Tensor) -> tuple[Tensor, Tensor]:
    """All that may stay, old slots first: samples and keys."""
    live = rows.weights > 0
    samples = torch.cat([memory["slots"], torch.where(live, rows.indices, EMPTY)])
    return samples, torch.cat([memory["keys"], torch.where(live, keys, NO_KEY)])


def _kept(memory: Memory, shown: Tensor, keys: Tensor, turn: Tensor) -> tuple[Memory, Tensor]:
    """Fills the slots with what comes first in turn."""
    origin = turn.topk(len(memory["slots"]), largest=False).indices
    return memory | {"slots": shown[origin], "keys": keys[origin]}, origin
