"""Accuracy of lessons on every task's validation and test data."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nai import footprint
from nai.learn import Lesson, World
from nai.methods.base import Context, Memory, Method, mask_of, no_rows, overrides
from nai.models import Network, Params
from nai.stack import Rule, each, stackable, stacked
from nai.tasks import Batch, Rows, gather

CHUNK = 2048
"""Samples of one forward pass: a constant, so that circumstances decide nothing; fewer in stacks on a GPU."""


class Accuracy(NamedTuple):
    """Shares of right answers, [tasks] by home index."""

    valid: Tensor
    test: Tensor


def evaluate(lessons: Sequence[Lesson], world: World, method: Method | Sequence[Method]) -> list[Accuracy]:
    """Accuracy of each lesson on every task, met or not; it draws nothing and changes nothing.

    method: one for all, or one a lesson, as in `learn`.
    """
    methods = [method] * len(lessons) if isinstance(method, Method) else method
    if not stackable(world.net, world.device) and len(lessons) > 1:
        return [evaluate([x], world, m)[0] for x, m in zip(lessons, methods, strict=True)]
    rule = Rule.of(methods, world.device)
    # [2, lessons, tasks]
    hits = torch.stack([_hits(lessons, world, rule, t) for t in range(len(world.test))], 2)
    totals = torch.tensor([[len(v) for v in part] for part in (world.valid, world.test)])
    shares = hits.cpu() / totals[:, None]
    return [Accuracy(shares[0, i], shares[1, i]) for i in range(len(lessons))]


def _hits(lessons: Sequence[Lesson], world: World, rule: Rule, task: int) -> Tensor:
    """Right answers on one task's validation and test samples, [2, lessons]."""
    many = stackable(world.net, world.device)
    params, memory = (
        stacked([getattr(x, part) for x in lessons]) if many else getattr(lessons[0], part)
        for part in ("params", "memory")
    )
    context = _asking(lessons, world, task, many)
    # a dense net's own prediction takes whole stacks
    mapped = many and (overrides(rule.method, "predict") or not world.net.dense)
    right = each(lambda method, *args: _right(world.net, method, *args), rule, context, mapped)
    valid, test = world.valid[task], world.test[task]
    both = torch.cat([valid, test])
    both = torch.nn.functional.pad(both, (0, -len(both) % 32))
    answers = []
    for some in both.split(_size(world, len(lessons))):
        batch = gather(world.source, Rows(some, torch.ones_like(some)))
        batch = Batch(*(v.expand(len(lessons), *v.shape) for v in batch)) if many else batch
        answers.append(right(params, batch, memory))
    found = torch.cat(answers, -1).view(len(lessons), -1)
    return torch.stack([found[:, : len(valid)].sum(1), found[:, len(valid) : len(valid) + len(test)].sum(1)])


def _size(world: World, lessons: int) -> int:
    if world.device.type == "cpu":
        return CHUNK
    return footprint.asked(world.net, world.source.inputs.shape[1:], lessons, CHUNK)


def _right(
    net: Network, method: Method, params: Params, batch: Batch, memory: Memory, context: Context
) -> Tensor:
    logits = method.predict(net, params, batch, memory, context)
    return logits.masked_fill(~mask_of(batch, context), -torch.inf).argmax(-1) == batch.labels


def _asking(lessons: Sequence[Lesson], world: World, task: int, many: bool) -> Context:
    heads = torch.stack([world.in_use(x.done) for x in lessons])
    depth = torch.tensor([len(x.done) for x in lessons], device=world.device)
    asked = torch.full_like(depth, task)
    return Context(
        task=asked if many else asked[0],
        depth=depth if many else depth[0],
        steps=depth if many else depth[0],
        heads=heads if many else heads[0],
        noise={},
        rows=no_rows(depth.shape if many else (), world.device),
        epoch=0,
        epochs=1,
        step=0,
        rate=0.0,
        widest=world.widest,
        source=world.source,
        net=world.net,
    )
