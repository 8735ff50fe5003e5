"""AR1*: CWR*'s output layer over a body that synaptic intelligence keeps from forgetting."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, pull, spring_of, under, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, positive
from nai.methods.cwr_star import class_counts, consolidated_head, empty_head, temporary_head
from nai.methods.si import consolidated, walked
from nai.models import Network, Params
from nai.tasks import Rows


@dataclass(frozen=True)
class Ar1Star(Method):
    """CWR*'s output layer, and below it weights that move less the more they have lowered the loss.

    strength: of strength / 2 x sum over the body of Omega (theta - theta*)^2, as in the paper's code.
    clip: the most that a weight's Omega may be. damping: the paper's xi.
    Source: Lomonaco, Maltoni, Pellegrini 2020, section 4 (AR1*); Omega as in `nai.methods.si`.
    Deviations: damping as in SI (their code has 1e-7 on CORe50); no batch renormalisation, since our nets
    have no batch normalisation; no latent replay.
    """

    strength: float = 1e3
    clip: float = 1e-3
    damping: float = 0.1

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust", "after_step"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "strength": Span(10.0, 1e7, log=True),
        "clip": Span(1e-4, 1.0, log=True),
    }

    def __post_init__(self) -> None:
        positive(strength=self.strength)
        for name, value in (("clip", self.clip), ("damping", self.damping)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} {value} must be a finite number above 0")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        path = {k: torch.zeros_like(params[k]) for k in net.body()}
        params, held = empty_head(net, params)
        return params, held | unguarded(params, path) | under("path", path)

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params | temporary_head(net, memory, class_counts(rows, context)), memory

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        return pull(grads, params, memory, self.strength)

    def spring(self, memory: Memory) -> Spring:
        return spring_of(memory, self.strength)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, memory | walked(before, grads, params, memory)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        guarded = consolidated(params, memory, self.damping)
        omega = {k: v.clamp(max=self.clip) for k, v in below("importance", guarded).items()}
        params, held = consolidated_head(net, params, memory, class_counts(rows, context))
        return params, guarded | under("importance", omega) | held
