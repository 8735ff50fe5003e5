"""Gradient-based sample selection, greedy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nai.methods import buffers
from nai.methods.base import Context, Memory, Method, Span, whole
from nai.methods.likeness import likeness
from nai.methods.replay import Store, plus, shares, task_gradients, weighed
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch

LEAST = 1e-30
"""Stands in for 0 where something is divided."""


@dataclass(frozen=True)
class Gss(Method):
    """Experience replay from a buffer of samples whose gradients point to as many sides as possible.

    size: samples in the buffer. replay: samples of a step from it; 0: as many as its own; the loss is the
    mean over all of both. subset: samples of the buffer that a new one is compared with.
    Source: Aljundi, Lin, Goujaud, Bengio 2019 (NeurIPS), algorithm 2 (GSS-Greedy).
    Deviations, as in the authors' code: subset and candidates are drawn once for a step's batch, no candidate
    twice, and a batch that finds room fills it, or drops its rest. Gradients are those after the step, and
    samples are shown in the first epoch only.
    """

    size: int = 200
    replay: int = 0
    subset: int = 10

    elementwise: ClassVar[frozenset[str]] = frozenset({"gradients"})  # which takes whole stacks
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"subset": Span(5, 50, log=True)}

    def __post_init__(self) -> None:
        self.store.check()
        whole(1, subset=self.subset)

    @property
    def store(self) -> Store:
        """The settings of its buffer."""
        return Store(self.size, self.replay, "reservoir", "step")

    @property
    def idle(self) -> frozenset[str]:
        return self.store.idle

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        return self.store.step_draws(net, batch) | {
            "subset": buffers.uniform(self.size),
            "race": lambda chance: torch.empty(self.size).exponential_(generator=chance),
            "accept": lambda chance: torch.rand(batch, generator=chance),
        }

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        slots = torch.full((self.size,), buffers.EMPTY, dtype=torch.int64, device=heads.device)
        return params, {"slots": slots, "scores": torch.zeros(self.size, device=heads.device)}

    def gradients(
        self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context
    ) -> Params:
        old = self.store.replayed(batch, memory, context)
        new, kept = shares(batch, old.batch)
        return plus(
            task_gradients(net, params, weighed(batch, new), noise=context.noise, context=context),
            task_gradients(net, params, weighed(old.batch, kept), noise=old.noise, context=context),
        )

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        if context.epoch:
            return params, memory
        subset = buffers.picked(memory, context.noise["subset"], self.subset).rows
        alike = likeness(params, context.rows, subset, context)
        fresh = (context.rows.weights > 0) & ~(context.rows.indices[:, None] == memory["slots"]).any(1)
        return params, updated(memory, context.rows.indices, alike + 1, fresh, noise=context.noise)


def updated(
    memory: Memory, samples: Tensor, scores: Tensor, fresh: Tensor, *, noise: dict[str, Tensor]
) -> Memory:
    """The buffer after samples [batch] were offered, with scores 0..2, those that are fresh.

    Where there is room, they take it. Else each is set against a slot drawn by its score, and takes its place
    by chance, if it is unlike enough (score below 1).
    """
    size, filled = len(memory["slots"]), (memory["slots"] >= 0).sum()
    room = torch.where(fresh, filled + fresh.cumsum(0) - 1, size)
    # the first of a race of exponential times is drawn by rate, and so is each next among the rest
    race = noise["race"][:size] / memory["scores"].clamp(min=LEAST)
    rivals = race.topk(min(size, len(samples)), largest=False).indices
    rivals = F.pad(rivals, (0, len(samples) - len(rivals)), value=size)
    theirs = F.pad(memory["scores"], (0, 1))[rivals]
    wins = noise["accept"] * (theirs + scores) < theirs
    swapped = torch.where(fresh & (scores < 1) & wins, rivals, size)
    target = torch.where(filled < size, room.clamp(max=size), swapped)
    pairs = {"slots": samples, "scores": scores}
    return {k: F.pad(memory[k], (0, 1)).scatter(0, target, v)[:size] for k, v in pairs.items()}
