"""Memory aware synapses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.importance.gradients import output_norm, per_sample, size
from nai.methods.anchored import last_anchor, pull, spring_of, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, mask_of, positive
from nai.models import Network, Params
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class Mas(Method):
    """Importance is how much a weight changes the squared length of the outputs; it needs no labels.

    strength: of strength / 2 x sum of Omega (theta - theta*)^2, so twice the paper's lambda.
    Source: Aljundi et al. 2018, eq. 4: mean over samples of the size of each sample's own gradient,
    summed over tasks.
    """

    strength: float = 2.0

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"strength": Span(2e-3, 2e2, log=True)}

    def __post_init__(self) -> None:
        positive(strength=self.strength)

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        return params, unguarded(params, net.shapes())

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        return pull(grads, params, memory, self.strength)

    def spring(self, memory: Memory) -> Spring:
        return spring_of(memory, self.strength)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        def mask(batch: Batch) -> Tensor:
            return mask_of(batch, context)

        new = per_sample(net, params, rows, context.source, score=output_norm(mask), power=size)
        return params, last_anchor(memory, new, params)
