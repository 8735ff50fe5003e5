"""Progressive networks: a column of layers for each task, which reads the columns of the tasks before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import shaped
from nai.methods.base import Context, Memory, Method, Span, cross_entropy, within
from nai.methods.columns import column_logits, column_of, column_shapes, initial, perceptron
from nai.models import Network, Params
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class Progressive(Method):
    """The k-th task learns a column of its own, beside frozen columns that it reads through adapters.

    share: units of every column's hidden layers, as a share of the model's, to a multiple of 4.
    All columns are there from the start, and every step computes them all. A task not yet learnt is asked of
    the first.
    Source: Rusu et al. 2016, eq. 2. Deviations: a factor alpha for each earlier column; dropout in the
    column that learns alone.
    """

    share: float = 1.0

    scenarios: ClassVar[frozenset[str]] = frozenset({"task"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"after_step"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {"share": Span(0.1, 1.0)}

    def __post_init__(self) -> None:
        within(self.share, 0.01, 1.0, "share")

    def suits(self, net: Network, heads: Tensor) -> None:
        perceptron(net)

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        shapes = column_shapes(perceptron(net), len(heads), self.share)
        drawn = {k: initial(k, shapes, chance).to(heads.device) for k in shapes}
        first = params if self.share == 1 else {}
        return drawn | first, {"column": torch.zeros(len(heads), dtype=torch.long, device=heads.device)}

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        column = memory["column"]
        own = torch.arange(len(column), device=column.device) == context.task
        return params, {"column": torch.where(own, context.depth, column)}

    def predict(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        logits = column_logits(perceptron(net), params, batch.inputs, context)
        own = memory["column"].gather(0, batch.tasks)
        return logits.gather(0, own[None, :, None].expand(1, *logits.shape[1:]))[0]

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        return cross_entropy(self.predict(net, params, batch, memory, context), batch, context)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        # gradients of 0 would not do: kept moments and decay move a weight in spite of them
        learns = {k: shaped(context.depth == column_of(k), v) for k, v in params.items()}
        return {k: torch.where(learns[k], v, before[k]) for k, v in params.items()}, memory
