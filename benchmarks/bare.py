"""A plain PyTorch loop for one run of finetuning, EWC, SI or MAS, as fast as a careful researcher makes it.

Tensors in memory, fused Adam, penalties by their gradient and without autograd, one anchor for all tasks,
importances by the algebra of linear layers, SI in place. Used by benchmarks/avalanche.py.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nai.learn import World
from nai.training import Training

CHUNK = 1024
"""Samples of one importance pass."""
Importance = Callable[[Sequence[nn.Linear], Tensor, slice], list[Tensor]]


class Past(NamedTuple):
    """What a penalty remembers, a tensor a parameter: strength x importance, anchor, and SI's path."""

    weights: list[Tensor]
    anchors: list[Tensor]
    path: list[Tensor]


def run(
    world: World, order: Sequence[int], training: Training, *, method: str, strength: float, seed: int
) -> Tensor:
    """Test accuracy of one run, [tasks + 1, tasks]; tasks of two classes, a head each."""
    torch.manual_seed(seed)
    sizes = [
        world.source.inputs[0].numel(),
        *(layer.units for layer in world.net.hidden),
        world.heads.shape[1],
    ]
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    net = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]
    values = list(net.parameters())
    past = Past(*([torch.zeros_like(v) for v in values] for _ in range(3)))
    inputs = world.source.inputs.flatten(1)
    rows = [accuracies(net, inputs, world)]
    for depth, task in enumerate(order):
        learn(net, inputs, world, training, task=task, past=past, method=method, penalised=depth > 0)
        with torch.no_grad():
            remember(layers, values, inputs[world.train[task]], head(task), past, method, strength)
        rows.append(accuracies(net, inputs, world))
    return torch.stack(rows)


def head(task: int) -> slice:
    """The outputs of a task."""
    return slice(2 * task, 2 * task + 2)


def learn(
    net: nn.Module,
    inputs: Tensor,
    world: World,
    training: Training,
    *,
    task: int,
    past: Past,
    method: str,
    penalised: bool,
) -> None:
    """All epochs of one task."""
    values, labels, rows = list(net.parameters()), world.source.labels - 2 * task, world.train[task]
    optimizer = torch.optim.Adam(values, lr=training.rate, fused=True)
    for _ in range(training.epochs):
        for part in rows[torch.randperm(len(rows))].split(training.batch):
            optimizer.zero_grad()
            F.cross_entropy(net(inputs[part])[:, head(task)], labels[part]).backward()
            with torch.no_grad():
                step(optimizer, values, past, method, penalised)


def step(
    optimizer: torch.optim.Optimizer, values: list[nn.Parameter], past: Past, method: str, penalised: bool
) -> None:
    """The penalty's gradient onto the loss's, Adam, and SI's sum along the path."""
    raw = [v.grad for v in values]
    if penalised and method != "finetune":
        pull = torch._foreach_sub(values, past.anchors)
        torch._foreach_mul_(pull, past.weights)
        torch._foreach_add_(pull, raw)
        for value, total in zip(values, pull, strict=True):
            value.grad = total
    if method != "si":
        optimizer.step()
        return
    before = torch._foreach_clone(values)
    optimizer.step()
    torch._foreach_sub_(before, values)
    torch._foreach_addcmul_(past.path, raw, before)


def remember(
    layers: Sequence[nn.Linear],
    values: list[nn.Parameter],
    inputs: Tensor,
    outputs: slice,
    past: Past,
    method: str,
    strength: float,
) -> None:
    """What a task leaves: weights and anchors changed in place."""
    if method == "si":
        for value, weight, anchor, path in zip(values, *past, strict=True):
            weight += strength * path.clamp(min=0) / ((value - anchor).square() + 0.1)
            anchor.copy_(value)
            path.zero_()
    if method == "mas":
        torch._foreach_add_(past.weights, over(output_norm, layers, inputs, outputs), alpha=strength)
        torch._foreach_copy_(past.anchors, values)
    if method == "ewc":
        found = torch._foreach_mul(over(fisher, layers, inputs, outputs), strength)
        for value, weight, anchor, new in zip(values, past.weights, past.anchors, found, strict=True):
            weight += new
            anchor += torch.where(weight > 0, (value - anchor) * new / weight, value - anchor)


def over(importance: Importance, layers: Sequence[nn.Linear], inputs: Tensor, outputs: slice) -> list[Tensor]:
    """Mean of an importance over the samples, a tensor a parameter."""
    parts = [importance(layers, some, outputs) for some in inputs.split(CHUNK)]
    return [sum(column) / len(inputs) for column in zip(*parts, strict=True)]


def forward(layers: Sequence[nn.Linear], inputs: Tensor) -> tuple[list[Tensor], Tensor]:
    """What each layer reads, and the logits."""
    read = [inputs]
    for layer in layers[:-1]:
        read.append(layer(read[-1]).relu_())
    return read, layers[-1](read[-1])


def backward(layers: Sequence[nn.Linear], read: Sequence[Tensor], slope: Tensor) -> list[Tensor]:
    """Each layer's gradient by what it says, from that of the logits, [samples, units] each."""
    slopes = [slope]
    for layer, x in zip(reversed(layers), reversed(read[1:]), strict=False):
        slopes.insert(0, (slopes[0] @ layer.weight) * (x > 0))
    return slopes


def fisher(layers: Sequence[nn.Linear], inputs: Tensor, outputs: slice) -> list[Tensor]:
    """Sum over samples of squared gradients of log-likelihoods, every label weighted by its probability.

    The squares of all labels share one product with the squared inputs.
    """
    read, logits = forward(layers, inputs)
    shares = logits[:, outputs].softmax(1)
    total = [torch.zeros(len(inputs), layer.out_features) for layer in layers]
    for label in range(shares.shape[1]):
        slope = torch.zeros_like(logits)
        slope[:, outputs] = -shares
        slope[:, outputs.start + label] += 1
        for sums, found in zip(total, backward(layers, read, slope), strict=True):
            sums.addcmul_(found.square_(), shares[:, label, None])
    return [m for sums, x in zip(total, read, strict=True) for m in (sums.T @ x.square(), sums.sum(0))]


def output_norm(layers: Sequence[nn.Linear], inputs: Tensor, outputs: slice) -> list[Tensor]:
    """Sum over samples of the size of the gradient of the outputs' squared length."""
    read, logits = forward(layers, inputs)
    slope = torch.zeros_like(logits)
    slope[:, outputs] = 2 * logits[:, outputs]
    slopes = backward(layers, read, slope)
    return [m for s, x in zip(slopes, read, strict=True) for m in (s.abs_().T @ x.abs(), s.sum(0))]


@torch.no_grad()
def accuracies(net: nn.Module, inputs: Tensor, world: World) -> Tensor:
    """Test accuracy on every task, [tasks]; validation data are evaluated as well, as in ours."""
    found = []
    for task, (valid, test) in enumerate(zip(world.valid, world.test, strict=True)):
        rows = torch.cat([valid, test])
        right = net(inputs[rows])[:, head(task)].argmax(1) + 2 * task == world.source.labels[rows]
        found.append(right[len(valid) :].float().mean())
    return torch.stack(found)
