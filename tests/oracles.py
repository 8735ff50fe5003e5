"""Slow versions of the core, literal from the papers: plain modules, plain loops, one sample at a time."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nai.learn import World
from nai.seeds import Seeds, generator
from nai.training import Training

Params = dict[str, Tensor]


def plain_mlp(params: Params, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """An ordinary MLP with the given weights; parameter i is the i-th of the dict."""
    values = list(params.values())
    layers: list[nn.Module] = []
    for weight, bias in zip(values[::2], values[1::2], strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data.copy_(weight)
        linear.bias.data.copy_(bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])


def named(model: nn.Module, params: Params) -> dict[str, nn.Parameter]:
    """The module's parameters by the names that the core gives them."""
    return dict(zip(params, model.parameters(), strict=True))


def batches(where: World, task: int, training: Training, seeds: Seeds, depth: int) -> Iterator[Tensor]:
    """Indices of every step's samples: each pass in an order drawn by address, its last batch ragged."""
    rows = where.train[task]

    def shuffled(epoch: int) -> Iterator[Tensor]:
        for number in itertools.count():
            address = (seeds.data, depth, "batches", epoch, *([number] if number else []))
            order = torch.randperm(len(rows), generator=generator(*address))
            yield from rows[order].split(training.batch)

    for epoch in range(training.epochs):
        yield from itertools.islice(shuffled(epoch), training.steps or -(-len(rows) // training.batch))


def task_loss(model: nn.Module, where: World, indices: Tensor, used: Sequence[int]) -> Tensor:
    """Mean cross-entropy among the outputs in use."""
    outputs = list(used)
    logits = model(where.source.inputs[indices].flatten(1))[:, outputs]
    places = torch.tensor([outputs.index(int(c)) for c in where.source.labels[indices]])
    return F.cross_entropy(logits, places)


def plain_optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """What PyTorch has for the training's algorithm."""
    if training.algorithm == "adam":
        return torch.optim.Adam(model.parameters(), lr=training.rate, weight_decay=training.decay)
    return torch.optim.SGD(
        model.parameters(), lr=training.rate, momentum=training.momentum, weight_decay=training.decay
    )


def plain_training(
    where: World,
    start: Params,
    task: int,
    *,
    used: Sequence[int],
    training: Training,
    seeds: Seeds = Seeds(),  # noqa: B008
    depth: int = 0,
    penalty: Callable[[dict[str, nn.Parameter]], Tensor] | None = None,
) -> tuple[Params, Params]:
    """Weights after a task by torch.optim and autograd, and SI's path integral along the way."""
    model = plain_mlp(start)
    own = named(model, start)
    optimizer = plain_optimizer(model, training)
    path = {k: torch.zeros_like(v) for k, v in start.items()}
    for indices in batches(where, task, training, seeds, depth):
        loss = task_loss(model, where, indices, used)
        grads = torch.autograd.grad(loss, list(own.values()), retain_graph=True)
        before = {k: v.detach().clone() for k, v in own.items()}
        optimizer.zero_grad()
        (loss if penalty is None else loss + penalty(own)).backward()
        optimizer.step()
        for (name, value), g in zip(own.items(), grads, strict=True):
            path[name] -= g * (value.detach() - before[name])
    return {k: v.detach() for k, v in own.items()}, path


def quadratic(
    own: dict[str, nn.Parameter], tasks: Sequence[tuple[Params, Params]], strength: float
) -> Tensor:
    """Kirkpatrick et al. 2017, eq. 3, summed over (importance, anchor) of each task."""
    total = torch.zeros(())
    for importance, anchor in tasks:
        for name in anchor:
            total = total + strength / 2 * (importance[name] * (own[name] - anchor[name]) ** 2).sum()
    return total


def gradients_of(model: nn.Module, value: Tensor) -> list[Tensor]:
    """Gradient of one number for every parameter."""
    return list(torch.autograd.grad(value, list(model.parameters()), retain_graph=True))


def fisher(
    where: World,
    params: Params,
    task: int,
    used: Sequence[int],
    weigh: Callable[[int, Tensor], Sequence[float]],
) -> Params:
    """Mean over a task's samples of sum over labels of weight x squared gradient of the log-likelihood.

    weigh: place of the sample and probabilities of the outputs in use -> weight of each of them.
    """
    model = plain_mlp(params)
    total = [torch.zeros_like(p) for p in model.parameters()]
    for place, index in enumerate(where.train[task]):
        logp = F.log_softmax(model(where.source.inputs[index].flatten()[None])[0, list(used)], 0)
        for c, weight in enumerate(weigh(place, logp.detach().exp())):
            for sum_, g in zip(total, gradients_of(model, logp[c]), strict=True):
                sum_ += weight * g**2
    return {k: t / len(where.train[task]) for k, t in zip(params, total, strict=True)}


def sensitivity(where: World, params: Params, task: int, used: Sequence[int]) -> Params:
    """Aljundi et al. 2018, eq. 4: mean over samples of |gradient of the squared length of the outputs|."""
    model = plain_mlp(params)
    total = [torch.zeros_like(p) for p in model.parameters()]
    for index in where.train[task]:
        outputs = model(where.source.inputs[index].flatten()[None])[0, list(used)]
        for sum_, g in zip(total, gradients_of(model, (outputs**2).sum()), strict=True):
            sum_ += g.abs()
    return {k: t / len(where.train[task]) for k, t in zip(params, total, strict=True)}


def activations(
    where: World, params: Params, task: int, activation: type[nn.Module] = nn.ReLU
) -> list[Tensor]:
    """What each hidden layer of an MLP says about all samples of a task, [samples, units] each."""
    x = where.source.inputs[where.train[task]].flatten(1)
    said = []
    for layer in list(plain_mlp(params, activation))[:-1]:
        x = layer(x)
        if isinstance(layer, activation):
            said.append(x.detach())
    return said


def proximal(
    theta: Tensor, anchor: Tensor, omega: float, *, strength: float, sparsity: float, rate: float
) -> Tensor:
    """Jung et al. 2020, eqs. 7 and 8, for one neuron's group; strength / 2 is the paper's lambda."""
    if omega > 0:
        away = theta - anchor
        return anchor + max(0.0, 1 - strength / 2 * omega * rate / float(away.norm())) * away
    return max(0.0, 1 - sparsity * rate / float(theta.norm())) * theta


def walked(
    where: World,
    start: Params,
    task: int,
    *,
    used: Sequence[int],
    training: Training,
    depth: int = 0,
    penalty: Callable[[dict[str, nn.Parameter]], Tensor] | None = None,
) -> Iterator[tuple[Tensor, Params, Params, Params]]:
    """Each step of `plain_training`: its samples, weights before, gradient of the task loss, weights after.

    penalty is asked for at every step, when what the steps before have left is known.
    """
    model = plain_mlp(start)
    own = named(model, start)
    optimizer = torch.optim.Adam(model.parameters(), lr=training.rate)
    for indices in batches(where, task, training, Seeds(), depth):
        before = {k: v.detach().clone() for k, v in own.items()}
        loss = task_loss(model, where, indices, used)
        grads = torch.autograd.grad(loss, list(own.values()), retain_graph=True)
        optimizer.zero_grad()
        (loss if penalty is None else loss + penalty(own)).backward()
        optimizer.step()
        after = {k: v.detach().clone() for k, v in own.items()}
        yield indices, before, dict(zip(own, grads, strict=True)), after


def squares(where: World, params: Params, indices: Tensor, used: Sequence[int]) -> Params:
    """Mean over samples of the squared gradient of each one's own log-likelihood, a backward pass each."""
    model = plain_mlp(params)
    total = [torch.zeros_like(p) for p in model.parameters()]
    for index in indices:
        for sum_, g in zip(
            total, gradients_of(model, task_loss(model, where, index[None], used)), strict=True
        ):
            sum_ += g**2
    return {k: t / len(indices) for k, t in zip(params, total, strict=True)}
