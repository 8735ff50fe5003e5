"""A stack: equal-shaped lessons side by side on one tensor axis, with the bits that each would get alone.

What keeps the bits (measured, and tested for widths 1, 2, 3, 7, 32): parameters of a stack live in one flat
buffer whose rows are padded to 16 numbers, so that fused Adam's vector code meets no tail; hooks run under
`vmap`, a lone lesson's too; networks for which that does not pay run plain and alone, always.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.func import vmap

from nai.methods.base import STACKED, Context, Method, described
from nai.models import Network, Params

T = TypeVar("T")
Shapes = dict[str, torch.Size]

LIGHT = 100_000
"""Parameters up to which lessons of a dense net train as a stack on a CPU; above, a stack gains little and a
lone lesson loses.

Measured with benchmarks/crossover.py; part of what decides the bits, so a change raises NUMERICS.
"""
ALIGNED = 4
"""Matrices of a stack start at multiples of 16 bytes, or else MKL rounds some products by their slot.

So batches are padded to a multiple of 4 rows, and nets with weights of other sizes do not stack: widths that
are multiples of 4 always do.
"""
WIDEST = {"cpu": 32, "cuda": 256}
"""Lessons of one stack, by default: enough to hide the cost of a call, few enough for the cache."""


def stackable(net: Network, device: torch.device) -> bool:
    """Whether lessons share a stack: fixed by network and device alone, never by circumstances."""
    if device.type != "cpu":
        return True
    sizes = [s.numel() for s in net.shapes().values()]
    # a matrix of one row or column is multiplied otherwise where it stands alone
    aligned = all(s.numel() % ALIGNED == 0 and min(s) > 1 for s in net.shapes().values() if len(s) > 1)
    return net.dense and aligned and sum(sizes) <= LIGHT


def width(net: Network, device: torch.device, wanted: int | None = None) -> int:
    """Lessons of a stack: as wanted, or as many as pay; `nai.footprint` knows how many find room."""
    if not stackable(net, device):
        return 1
    return WIDEST.get(device.type, 32) if wanted is None else wanted


def flat(shapes: Shapes, replicas: int, device: torch.device) -> Tensor:
    """A zero buffer [replicas, numbers], numbers padded to a multiple of 16."""
    total = sum(s.numel() for s in shapes.values())
    return torch.zeros(replicas, -(-total // 16) * 16, device=device)


def views(buffer: Tensor, shapes: Shapes) -> Params:
    """Named views [..., *shape] of a flat buffer [..., numbers]."""
    named, at = {}, 0
    for name, shape in shapes.items():
        named[name] = buffer[..., at : at + shape.numel()].unflatten(-1, shape)
        at += shape.numel()
    return named


def stacked(dicts: Sequence[Params]) -> Params:
    """Dicts of equal names and shapes to one dict with a leading axis."""
    return {k: torch.stack([d[k] for d in dicts]) for k in dicts[0]}


def chosen(mask: Tensor, new: Params, old: Params) -> Params:
    """New values where mask [replicas] holds, else the old."""
    return {k: torch.where(mask.view(-1, *[1] * (v.ndim - 1)), v, old[k]) for k, v in new.items()}


def chunks(items: Sequence[T], width: int) -> Iterator[Sequence[T]]:
    """As few parts of at most `width` as will do, of even size."""
    parts = math.ceil(len(items) / width)
    for i in range(parts):
        yield items[i * len(items) // parts : (i + 1) * len(items) // parts]


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a device or this machine had no room for a tensor."""
    # on a CPU torch raises a plain RuntimeError, worded by the operating system
    words = ("can't allocate memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error) for w in words)


class Rule(NamedTuple):
    """The method of a stack, whose lessons may differ in late hyperparameters."""

    method: Method
    late: dict[str, Tensor]  # of those that do differ: a float32 number a lesson, [replicas]

    @classmethod
    def of(cls, methods: Sequence[Method], device: torch.device) -> "Rule":
        """One method a lesson; ValueError if they differ in more than late hyperparameters."""
        first = methods[0]
        others = [m for m in methods if m is not first]
        for other in others:
            if described(other, first.late) != described(first, first.late):
                late = ", ".join(sorted(first.late)) or "nothing"
                raise ValueError(f"methods of one stack may differ in {late} alone, got {first} and {other}")
        values = {k: [getattr(m, k) for m in methods] for k in sorted(first.late)} if others else {}
        return cls(
            first, {k: torch.tensor(v, device=device).float() for k, v in values.items() if len(set(v)) > 1}
        )

    @property
    def whole(self) -> Method:
        """The method as hooks for whole stacks see it."""
        return varied(self.method, self.late)


def varied(method: Method, late: Mapping[str, Tensor]) -> Method:
    """A copy with tensors in place of some hyperparameters, which were checked as numbers."""
    if not late:
        return method
    new = copy.copy(method)
    for name, value in late.items():
        object.__setattr__(new, name, value)  # the dataclass is frozen
    return new


def each(
    function: Callable[..., Any], rule: Rule, context: Context, many: bool, *, at_once: int | None = None
) -> Callable[..., Any]:
    """A hook of one lesson as a function of a stack: its ends, the method and the context, are set.

    many: map over the leading axis; else the hook takes the stack as it is, or there is no such axis.
    at_once: lessons to map over together, for hooks that take much memory; None for all.
    What the stack shares is closed over: vmap flattens every argument in Python.
    """
    if not many:
        method = rule.whole
        return lambda *args: function(method, *args, context)
    own = {name: getattr(context, name) for name in STACKED}

    def one(mine: dict[str, Any], late: dict[str, Tensor], *args: Any) -> Any:
        return function(varied(rule.method, late), *args, context._replace(**mine))

    return lambda *args: vmap(one, chunk_size=at_once)(own, rule.late, *args)
