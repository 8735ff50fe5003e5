"""What moves a flat buffer of weights: springs to anchors, and fused Adam, one row a lesson."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nai.methods.base import Spring
from nai.models import Params

BETAS = (0.9, 0.999)
EPS = 1e-8
CACHED = 2**16
"""Numbers that springs pull at once, few enough to stay in a core's cache between three passes."""


def fresh(buffer: Tensor) -> Params:
    """Moments `mean`, `square` [rows, numbers] and `step` [rows] before the first step."""
    return {
        "mean": torch.zeros_like(buffer),
        "square": torch.zeros_like(buffer),
        "step": torch.zeros(len(buffer), device=buffer.device),
    }


class Springs:
    """Adds a quadratic penalty's gradient, weight x (theta - anchor), to gradients in place.

    On a CPU in parts of the first axis that fit into its cache.
    """

    def __init__(self, spring: Spring, params: Params, grads: Params) -> None:
        self.parts: list[tuple[Tensor, ...]] = []
        for name, anchor in spring.anchor.items():
            most = CACHED // max(1, anchor[0].numel()) if anchor.device.type == "cpu" else len(anchor)
            weight = spring.weight[name]
            whole = (params[name], anchor, weight.expand(len(anchor), *weight.shape[1:]), grads[name])
            room = torch.empty_like(anchor[: max(1, most)])
            for part in zip(*(v.split(len(room)) for v in whole), strict=True):
                self.parts.append((*part, room[: len(part[1])]))

    def pull(self) -> None:
        """One pull from where the weights are now."""
        with torch.no_grad():
            for value, anchor, weight, grad, room in self.parts:
                # three roundings, never a fused one, as in `nai.methods.anchored.pull`
                torch.sub(value, anchor, out=room)
                grad.add_(room.mul_(weight))


class Adam:
    """Steps the live rows of a buffer along the gradients in its twin, in place."""

    def __init__(self, buffer: Tensor, twin: Tensor, state: Params, rate: float) -> None:
        self.columns = [list(x) for x in (buffer, twin, state["mean"], state["square"], state["step"])]
        self.steps, self.rate = state["step"], rate

    def step(self, live: Sequence[bool]) -> None:
        """One step; a row that is not live is not touched, nor is its step count."""
        columns = self.columns
        if all(live):
            self.steps.add_(1)
        else:
            columns = [[x for x, flag in zip(column, live, strict=True) if flag] for column in columns]
            self.steps.add_(torch.tensor(live, device=self.steps.device))
        values, grads, mean, square, step = columns
        with torch.no_grad():
            # what torch.optim.adam.adam calls, but for a step count that it adds to row by row
            torch._fused_adam_(
                values,
                grads,
                mean,
                square,
                [],
                step,
                amsgrad=False,
                lr=self.rate,
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=0.0,
                eps=EPS,
                maximize=False,
            )
