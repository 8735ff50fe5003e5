"""Fused Adam over the rows of a flat buffer: one row a lesson, each with its own step count."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

from nai.models import Params

BETAS = (0.9, 0.999)
EPS = 1e-8


def fresh(buffer: Tensor) -> Params:
    """Moments `mean`, `square` [rows, numbers] and `step` [rows] before the first step."""
    return {
        "mean": torch.zeros_like(buffer),
        "square": torch.zeros_like(buffer),
        "step": torch.zeros(len(buffer), device=buffer.device),
    }


class Adam:
    """Steps the live rows of a buffer along the gradients in its twin, in place."""

    def __init__(self, buffer: Tensor, twin: Tensor, state: Params, rate: float) -> None:
        self.columns = [list(x) for x in (buffer, twin, state["mean"], state["square"], state["step"])]
        self.rate = rate

    def step(self, live: Sequence[bool]) -> None:
        """One step; a row that is not live is not touched, nor is its step count."""
        columns = self.columns
        if not all(live):
            columns = [[x for x, flag in zip(column, live, strict=True) if flag] for column in columns]
        values, grads, mean, square, step = columns
        with torch.no_grad():
            adam(
                values,
                grads,
                mean,
                square,
                [],
                step,
                fused=True,
                foreach=False,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=self.rate,
                weight_decay=0.0,
                eps=EPS,
                maximize=False,
            )
