"""Weights, gradients and the course of a plain loop as methods read them."""

import torch
from torch import Tensor

from nai.methods.base import Context, no_rows
from nai.models import Network
from nai.tasks import Samples


def number(value: Tensor) -> Tensor:
    """Detached, and in float32 if it has less."""
    return value.detach().float() if value.element_size() < 4 else value.detach()


def scaled(value: Tensor, factor: float) -> Tensor:
    """Times a factor; itself if that is 1."""
    return value if factor == 1 else value * factor


def dense(name: str, grad: Tensor | None) -> Tensor:
    """A parameter's gradient; ValueError if it is sparse."""
    if grad is None or grad.layout != torch.strided:
        raise ValueError(
            f"{name} has a sparse gradient, which a penalty fills: make its layer with sparse=False"
        )
    return number(grad)


def context(
    net: Network, depth: int, device: torch.device, *, noise: dict[str, Tensor], rate: float
) -> Context:
    """What a plain loop lets a method know: tasks learnt so far, draws and learning rate."""
    zero = torch.zeros((), dtype=torch.int64, device=device)
    return Context(
        task=zero,
        depth=zero + depth,
        steps=zero,
        heads=torch.ones(1, 1, dtype=torch.bool, device=device),
        noise=noise,
        rows=no_rows((), device),
        epoch=0,
        epochs=0,
        step=0,
        rate=rate,
        widest=1,
        source=Samples(zero[None], zero[None], zero[None], None, None),
        net=net,
    )
