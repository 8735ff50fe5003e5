"""PackNet: each task owns some of the weights."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from nai.methods.anchored import below, shaped, under
from nai.methods.base import Context, Memory, Method, Span, within
from nai.methods.positions import check_own, learnt, own_outputs, position, unlearnt
from nai.models import Network, Params
from nai.tasks import Batch, Rows


@dataclass(frozen=True)
class PackNet(Method):
    """Each task trains the free weights, frees the smallest of them again, and retrains those it keeps.

    prune: share of each layer's free weights that a task frees again, one number or one a task of an order;
    None frees 1 - 1 / n where n tasks are left, this one included, so that each keeps as many.
    share: of a task's epochs, those before the weights are pruned.
    Biases and norms belong to the first task, of the output layer each task has its own rows, which are not
    pruned. A task is asked with the weights of it and the tasks before it, one not yet met with all.
    In memory: `owner.<parameter>`, the position of the task that it belongs to, 0 if it is free.
    Source: Mallya, Lazebnik 2018, section 3.
    Deviation: none of what belongs to other tasks moves under any optimiser, as `after_step` puts it back.
    """

    prune: float | tuple[float, ...] | None = None
    share: float = 2 / 3

    scenarios: ClassVar[frozenset[str]] = frozenset({"task"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"after_step"})
    least_epochs: ClassVar[int] = 2
    ranges = MappingProxyType({"share": Span(0.3, 0.9)})

    def __post_init__(self) -> None:
        if isinstance(self.prune, list):
            object.__setattr__(self, "prune", tuple(self.prune))  # as TOML and JSON have it
        for share in self.prune if isinstance(self.prune, tuple) else [self.prune or 0.0]:
            if not 0 <= share < 1:
                raise ValueError(f"prune {share} must be at least 0 and below 1, or a task keeps nothing")
        within(self.share, 0, 1, "share")

    def suits(self, net: Network, heads: Tensor) -> None:
        self.freed(len(heads))
        check_own(heads, "packnet")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        owners = {k: torch.zeros_like(v) for k, v in params.items()}
        return params, unlearnt(heads) | under("owner", owners)

    def predict(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        place, own = position(memory, context), dict(params)
        for name in pruned(net):
            # of those without an owner nothing is left: they are 0 once a task is learnt
            its = (place == 0) | (memory[f"owner.{name}"] <= place)
            own[name] = torch.where(its, params[name], 0.0)
        return net.trace(own, batch.inputs).logits

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        chosen = context.epoch >= self.cut(context.epochs)
        owner = context.depth + 1 if chosen else torch.zeros_like(context.depth)
        mine = {k: memory[f"owner.{k}"] == shaped(owner, v) for k, v in params.items()}
        return {k: torch.where(mine[k], v, before[k]) for k, v in params.items()}, memory

    def after_epoch(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        if context.epoch + 1 != self.cut(context.epochs):
            return params, memory
        out, owners, weights = dict(params), below("owner", memory), pruned(net)
        freed = torch.tensor(self.freed(len(context.heads)), dtype=torch.float64, device=context.depth.device)
        share = freed.gather(0, context.depth[None])[0]
        for name, owner in owners.items():
            kept = free = owner == 0
            if name in weights:
                kept = free & largest(params[name].abs(), free, share)
                out[name] = torch.where(free & ~kept, 0.0, params[name])
            elif name in net.head.parameters:
                kept = free & shaped(own_outputs(context), owner)
            owners[name] = torch.where(kept, (context.depth + 1).float(), owner)
        return out, memory | under("owner", owners)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return params, learnt(memory, context)

    # ---------------------------------------------------------------- the formulas
    def cut(self, epochs: int) -> int:
        """Epochs before the weights are pruned: at least one, and at least one is left."""
        return max(1, min(epochs - 1, round(self.share * epochs)))

    def freed(self, tasks: int) -> list[float]:
        """Share of the free weights that the task at each position frees again."""
        if self.prune is None:
            return [1 - 1 / left for left in range(tasks, 0, -1)]
        if isinstance(self.prune, float | int):
            return [self.prune] * tasks
        if len(self.prune) < tasks:
            few = f"prune {self.prune} has {len(self.prune)} shares for {tasks} tasks"
            raise ValueError(f"{few}: give one for all, one a task, or none")
        return list(self.prune[:tasks])


def pruned(net: Network) -> list[str]:
    """The parameters of which tasks own parts: weights below the head, not their biases and norms."""
    return [name for name, shape in net.shapes().items() if name in net.body() and len(shape) > 1]


def largest(size: Tensor, free: Tensor, share: Tensor) -> Tensor:
    """Which free numbers are left when a share of them, rounded, goes: the smallest, of equals the first."""
    ranked = torch.where(free, size, torch.inf).flatten().argsort(stable=True).argsort(stable=True)
    return ranked.view(size.shape) >= (share * free.sum()).round()
