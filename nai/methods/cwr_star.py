"""CWR*: an output layer whose rows are learnt from zero and blended, over a body that stands still."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import shaped, under
from nai.methods.base import Context, Memory, Method
from nai.models import Network, Params
from nai.tasks import Rows


@dataclass(frozen=True)
class CwrStar(Method):
    """Copy weights with re-init: the body learns from the first task alone, the output layer from each.

    Source: Lomonaco, Maltoni, Pellegrini 2020, algorithm 1 (CWR*); the consolidated layer answers.
    Deviation: the layer's bias is treated as its weights are, with an average of its own (the paper's
    layer has none).
    """

    elementwise: ClassVar[frozenset[str]] = frozenset({"after_step"})

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        return empty_head(net, params)

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params | temporary_head(net, memory, class_counts(rows, context)), memory

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        # gradients of 0 would not do: kept moments move a weight in spite of them
        first, head = context.depth == 0, context.net.head.parameters
        kept = {k: v if k in head else torch.where(shaped(first, v), v, before[k]) for k, v in params.items()}
        return kept, memory

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return consolidated_head(net, params, memory, class_counts(rows, context))


def class_counts(rows: Rows, context: Context) -> Tensor:
    """How many of the rows each output is the label of, [outputs]; padding is nobody's."""
    live, labels = (rows.weights > 0).float(), context.source.labels[rows.indices]
    return torch.zeros(context.heads.shape[-1], device=live.device).scatter_add(0, labels, live)


def empty_head(net: Network, params: Params) -> tuple[Params, Memory]:
    """An output layer of zeros, in use and consolidated, and no samples seen of any class."""
    zeros = {k: torch.zeros_like(params[k]) for k in net.head.parameters}
    past = torch.zeros(net.head.units, device=next(iter(zeros.values())).device)
    return params | zeros, under("consolidated", zeros) | {"past": past}


def temporary_head(net: Network, memory: Memory, counts: Tensor) -> Params:
    """The output layer that a task learns: consolidated rows of the task's classes, zeros for all others."""
    held = {k: memory[f"consolidated.{k}"] for k in net.head.parameters}
    return {k: torch.where(shaped(counts > 0, v), v, 0.0) for k, v in held.items()}


def consolidated_head(net: Network, params: Params, memory: Memory, counts: Tensor) -> tuple[Params, Memory]:
    """Blends what a task has learnt into the rows of its classes, and puts the consolidated layer in use.

    Less their average over the task's classes, which makes rows of different tasks comparable; the past
    weighs as the square root of its share of samples.
    """
    present, past = counts > 0, (memory["past"] / counts.clamp(min=1)).sqrt()
    new: Params = {}
    for name in net.head.parameters:
        learnt, held = params[name], memory[f"consolidated.{name}"]
        own, weight = shaped(present, learnt), shaped(past, learnt)
        average = torch.where(own, learnt, 0.0).sum() / own.expand_as(learnt).sum()
        new[name] = torch.where(own, (held * weight + (learnt - average)) / (weight + 1), held)
    return params | new, under("consolidated", new) | {"past": memory["past"] + counts}
