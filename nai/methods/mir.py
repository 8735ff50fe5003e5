"""Maximally interfered retrieval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods import buffers
from nai.methods.base import Context, Memory, Method, Span, one_of, whole
from nai.methods.replay import (
    SELECTIONS,
    Replayed,
    Store,
    draws,
    plus,
    replayed,
    sample_losses,
    shares,
    task_gradients,
    weighed,
)
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch


@dataclass(frozen=True)
class Mir(Method):
    """Experience replay of those samples whose loss the step's own gradient would raise most.

    size and selection: of the buffer, as in `Er`; it is shown the batch of every step of the first epoch.
    replay: samples of a step from it. subsample: samples drawn from it, of which these are chosen.
    The loss is the mean over all samples of both batches.
    Source: Aljundi et al. 2019 (NeurIPS), algorithm 1 (ER-MIR), scores s_MI-1: the foreseen step is one of
    plain descent by the training's rate, whatever its algorithm.
    """

    size: int = 200
    replay: int = 10
    subsample: int = 50
    selection: str = "reservoir"

    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"subsample": Span(20, 200, log=True)}

    def __post_init__(self) -> None:
        whole(0, size=self.size)
        whole(1, replay=self.replay, subsample=self.subsample)
        one_of(self.selection, SELECTIONS, "selection")
        if self.subsample < self.replay:
            raise ValueError(
                f"subsample {self.subsample} is less than the {self.replay} samples to choose from it: "
                "raise it, or lower replay"
            )

    @property
    def store(self) -> Store:
        """The settings of its buffer."""
        return Store(self.size, self.replay, self.selection, "step")

    @property
    def idle(self) -> frozenset[str]:
        return self.store.idle

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        # slots are drawn for all candidates, dropout for those that are chosen
        return draws("replay", net, self.size, count=self.replay) | {"keys": buffers.keys(batch)}

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        return params, buffers.empty(self.size, heads.device)

    def gradients(
        self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context
    ) -> Params:
        own = task_gradients(net, params, batch, noise=context.noise, context=context)
        foreseen = {k: v - context.rate * own[k] for k, v in params.items()}
        old = self._chosen(params, foreseen, memory, context)
        new, kept = shares(batch, old.batch)
        return plus(
            {k: new * v for k, v in own.items()},
            task_gradients(net, params, weighed(old.batch, kept), noise=old.noise, context=context),
        )

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        found = self.store.after_step(memory, context)
        return params, found[0] if found else memory

    def _chosen(self, params: Params, foreseen: Params, memory: Memory, context: Context) -> Replayed:
        """The samples whose loss the foreseen weights raise most."""
        drawn = replayed("replay", memory, context, count=self.subsample)
        before, after = (
            sample_losses(context.net.trace(p, drawn.batch.inputs).logits, drawn.batch, context)
            for p in (params, foreseen)
        )
        live = drawn.batch.weights > 0
        harm = torch.where(live, after - before, -torch.inf)
        return worst(drawn, harm, self.replay)


def worst(drawn: Replayed, harm: Tensor, count: int) -> Replayed:
    """The samples that are harmed most, so many or all; padding has weight 0."""
    at = harm.topk(buffers.rows_for(count)).indices
    chosen = Batch(*(v[at] for v in drawn.batch))
    live = (chosen.weights > 0) & (torch.arange(len(at), device=at.device) < count)
    weights = live / live.sum().clamp(min=1)
    return Replayed(chosen._replace(weights=weights), drawn.noise, drawn.places[at])
