"""Elastic weight consolidation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.importance.gradients import (
    CHUNK,
    Score,
    expected_likelihood,
    likelihood,
    over_scores,
    per_sample,
    square,
)
from nai.methods.anchored import mean_anchor, pull, spring_of, unguarded
from nai.methods.base import Context, Memory, Method, Span, Spring, mask_of, one_of, positive
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows, gather

LABELS = ("exact", "true", "sample")
STRENGTHS = Span(1.0, 1e12, log=True)
"""Worth searching: up to 1e7 where tasks have heads of their own, beyond that in other scenarios."""


@dataclass(frozen=True)
class Ewc(Method):
    """One Fisher-weighted quadratic penalty per task, kept exactly in two buffers.

    strength: of strength / 2 x sum over tasks of F (theta - theta*)^2.
    labels: whose likelihood the Fisher information takes: every label weighted by the net's own
    probability (exact), the data's (true, the empirical Fisher), or one sampled from the net (sample).
    Source: Kirkpatrick et al. 2017, eq. 3; F by per-sample gradients, mean over the task's training data.
    """

    strength: float = 100.0
    labels: str = "exact"

    revision: ClassVar[int] = 1  # one product a layer for the squares of all labels

    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"strength": STRENGTHS}

    def __post_init__(self) -> None:
        positive(strength=self.strength)
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
        return params, mean_anchor(memory, fisher(net, params, rows, context, self.labels), params)


def label_draws(labels: str, rows: int) -> dict[str, Draw]:
    """What sampled labels take: one uniform number a row; a chunk of rows finds its own by position."""
    return {"labels": lambda chance: torch.rand(rows, generator=chance)} if labels == "sample" else {}


def fisher(net: Network, params: Params, rows: Rows, context: Context, labels: str) -> Params:
    """Diagonal of the Fisher information over the rows, the shape of each parameter."""

    def summed(score: Score, given: Tensor | None = None) -> Params:
        return per_sample(net, params, rows, context.source, score=score, power=square, labels=given)

    def mask(batch: Batch) -> Tensor:
        return mask_of(batch, context)

    if labels == "true":
        return summed(likelihood(mask))
    if labels == "sample":
        return summed(likelihood(mask), sampled_labels(net, params, rows, context))
    used = context.heads[context.task[None]][0].int().argsort(descending=True, stable=True)
    scores = [expected_likelihood(used[c], mask) for c in range(context.widest)]
    return over_scores(net, params, rows, context.source, scores=scores, power=square)


def sampled_labels(net: Network, params: Params, rows: Rows, context: Context) -> Tensor:
    """A label for each row, drawn from the net's own prediction within the head, [rows]."""
    drawn = []
    for at in range(0, rows.indices.shape[0], CHUNK):
        batch = gather(context.source, Rows(rows.indices[at : at + CHUNK], rows.weights[at : at + CHUNK]))
        logits = net.trace(params, batch.inputs).logits.masked_fill(~mask_of(batch, context), -torch.inf)
        drawn.append(drawn_labels(logits, context.noise["labels"][at : at + CHUNK]))
    return torch.cat(drawn)


def drawn_labels(logits: Tensor, chance: Tensor) -> Tensor:
    """The label that a uniform number [rows] picks by the net's own probabilities, [rows]."""
    reached = logits.softmax(1).cumsum(1)
    return (reached <= chance[:, None] * reached[:, -1:]).sum(1)
