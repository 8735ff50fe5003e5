"""What moves a flat buffer of weights: springs to anchors, decay, and fused steps, one row a lesson."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from nai.methods.base import Spring
from nai.models import Params
from nai.training import Training

BETAS = (0.9, 0.999)
EPS = 1e-8
CACHED = 2**16
"""Numbers that springs pull at once, few enough to stay in a core's cache between three passes."""


class Optimizer(Protocol):
    """Steps the live rows of a buffer along the gradients in its twin, in place, at its rate."""

    rate: float

    def step(self, live: Sequence[bool]) -> None:
        """One step; a row that is not live is not touched, nor are its moments."""


def fresh(buffer: Tensor, training: Training) -> Params:
    """What an optimiser remembers before the first step.

    Adam: `mean`, `square` [rows, numbers] and `step` [rows]. Descent with momentum: `momentum`, else nothing.
    """
    if training.algorithm == "adam":
        moments = {k: torch.zeros_like(buffer) for k in ("mean", "square")}
        return moments | {"step": torch.zeros(len(buffer), device=buffer.device)}
    return {"momentum": torch.zeros_like(buffer)} if training.momentum else {}


def optimizer_of(training: Training, buffer: Tensor, twin: Tensor, state: Params) -> Optimizer:
    """The optimiser that a training asks for; state as `fresh` makes it."""
    if training.algorithm == "adam":
        return Adam(buffer, twin, state, training.rate)
    return Sgd(buffer, twin, state, rate=training.rate, momentum=training.momentum)


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


class Decay:
    """Adds the gradient of decay / 2 x ||theta||^2 to gradients in place, row by row.

    rates: the decay of each number, of the buffer's shape.
    """

    def __init__(self, buffer: Tensor, twin: Tensor, rates: Tensor) -> None:
        self.buffer, self.twin, self.rates, self.room = buffer, twin, rates, torch.empty_like(buffer)

    def pull(self) -> None:
        """One pull from where the weights are now."""
        with torch.no_grad():
            # two roundings, never a fused one, so that no bit depends on the width of the stack
            self.twin.add_(torch.mul(self.buffer, self.rates, out=self.room))


class Adam:
    """Source: Kingma & Ba 2015, algorithm 1."""

    def __init__(self, buffer: Tensor, twin: Tensor, state: Params, rate: float) -> None:
        self.columns = [list(x) for x in (buffer, twin, state["mean"], state["square"], state["step"])]
        self.steps, self.rate = state["step"], rate

    def step(self, live: Sequence[bool]) -> None:
        """One step; a row that is not live is not touched, nor is its step count."""
        self.steps.add_(1 if all(live) else torch.tensor(live, device=self.steps.device))
        values, grads, mean, square, step = at(live, self.columns)
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


class Sgd:
    """Stochastic gradient descent; momentum m: v = m v + g, theta = theta - rate v, as in torch.optim.SGD."""

    def __init__(self, buffer: Tensor, twin: Tensor, state: Params, *, rate: float, momentum: float) -> None:
        self.columns = [list(x) for x in (buffer, twin, *state.values())]
        self.rate, self.momentum = rate, momentum

    def step(self, live: Sequence[bool]) -> None:
        """One step; a row that is not live is not touched, nor are its moments."""
        values, grads, *moments = at(live, self.columns)
        with torch.no_grad():
            torch._fused_sgd_(
                values,
                grads,
                moments[0] if moments else [],
                weight_decay=0.0,
                momentum=self.momentum,
                lr=self.rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,  # moments of 0 make the first step right
            )


def at(live: Sequence[bool], columns: Sequence[list[Tensor]]) -> Sequence[list[Tensor]]:
    """The live rows of each column."""
    if all(live):
        return columns
    return [[x for x, flag in zip(column, live, strict=True) if flag] for column in columns]
