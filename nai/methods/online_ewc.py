"""Online elastic weight consolidation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, last_anchor, pull, spring_of, under, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, one_of, positive, within
from nai.methods.ewc import LABELS, STRENGTHS, fisher, label_draws
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Rows


@dataclass(frozen=True)
class OnlineEwc(Method):
    """One Fisher-weighted penalty for all tasks, around the latest weights; older tasks fade.

    strength: of strength / 2 x sum of F (theta - theta*)^2.
    gamma: share of the Fisher information that stays when that of another task is added.
    labels: whose likelihood the Fisher information takes, as in `Ewc`.
    Source: Schwarz et al. 2018, eqs. 8 and 9; Huszar 2018.
    Deviation: the paper weighs the penalty by gamma once more, which is a matter of strength here.
    """

    strength: float = 100.0
    gamma: float = 1.0
    labels: str = "exact"

    # without importance, as in the first task, strength x 0 is 0; and gamma x 0 is 0 at its end
    late: ClassVar[frozenset[str]] = frozenset({"strength", "gamma"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "strength": STRENGTHS,
        "gamma": Span(0.5, 1.0),
    }

    def __post_init__(self) -> None:
        positive(strength=self.strength)
        within(self.gamma, 0, 1, "gamma")
        one_of(self.labels, LABELS, "labels")

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        return label_draws(self.labels, rows)

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
        faded = {k: self.gamma * v for k, v in below("importance", memory).items()}
        new = fisher(net, params, rows, context, self.labels)
        return params, last_anchor(under("importance", faded), new, params)
