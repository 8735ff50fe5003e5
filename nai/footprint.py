"""What stacks take of memory, worked out from shapes: how wide one may be on a GPU, what a plan foretells.

The factors are measured on a CPU (benchmarks/memory.py), where a sweep's foretold peaks are within 30 %.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nai import stack
from nai.methods.base import Method
from nai.models import Network

FLOAT = 4
FILLED = 0.8
"""Share of a GPU's free memory that stacks are made for: the rest is for what no shape tells."""
AT_ONCE = 2**31
"""Bytes that a stack's importances, or answers, may take at a time on a GPU; the other lessons, or samples,
wait."""
ROWS = {"features": 512, "gradients": 32}
"""Samples of one pass of `nai.importance`: for activations, and for gradients of single samples."""


class Held(NamedTuple):
    """Bytes of a lesson, whatever it has learnt: of its parameters, and of what its method remembers."""

    params: int
    memory: int


def held(net: Network, method: Method, heads: Tensor) -> Held:
    """What a method makes of a network before the first task; heads: [tasks, outputs] bool."""
    zeros = {k: torch.zeros(shape) for k, shape in net.shapes().items()}
    started = method.start(net, zeros, heads.cpu(), torch.Generator())
    return Held(*(sum(v.nbytes for v in part.values()) for part in started))


def sample(net: Network, features: Sequence[int]) -> int:
    """Bytes that a forward pass leaves behind for one sample."""
    # real zeros: a forward pass on the meta device would load PyTorch's compiler, 150 MB
    trace = net.trace({k: torch.zeros(shape) for k, shape in net.shapes().items()}, torch.zeros(1, *features))
    return FLOAT * (sum(x.numel() for x in (*trace.units, trace.logits)) + torch.Size(features).numel())


def weights(net: Network) -> int:
    """Bytes of the parameters."""
    return FLOAT * sum(shape.numel() for shape in net.shapes().values())


def step(net: Network, features: Sequence[int], batch: int, own: Held) -> int:
    """Bytes of one lesson while it trains: buffers, moments and gradients, and what a step leaves behind.

    Of what a method adds, gradients and the weights before a step: buffers and moments are beside.
    """
    added = own.params - weights(net)
    return 8 * weights(net) + 2 * added + own.memory + 2 * batch * sample(net, features)


def importances(net: Network, features: Sequence[int]) -> int:
    """Bytes of one lesson while importances are taken: activations, or single samples' gradients."""
    activations = (3 if net.dense else 1.5) * ROWS["features"] * sample(net, features)
    gradients = 0 if net.dense else 4.5 * ROWS["gradients"] * weights(net)
    return int(max(activations, gradients))


def evaluation(net: Network, features: Sequence[int], rows: int) -> int:
    """Bytes of one lesson while it is asked about so many samples."""
    return int(1.2 * rows * sample(net, features))


def width(
    net: Network,
    device: torch.device,
    wanted: int | None,
    *,
    features: Sequence[int],
    batch: int,
    own: Callable[[], Held],
) -> int:
    """Lessons of a stack: as wanted, or as many as pay and, on a GPU, find room.

    own: what the largest of the lessons takes; asked for on a GPU alone.
    """
    pays = stack.width(net, device, wanted)
    if device.type != "cuda" or wanted is not None:
        return pays
    lesson = own()
    # memory is there twice, as it was and as a hook leaves it; both together count as four weights at least
    each = step(net, features, batch, lesson) + max(lesson.memory, 4 * weights(net) - lesson.memory)
    each += 4 * (lesson.params - weights(net))  # buffers and moments of what a method adds
    return max(1, min(pays, int((FILLED * room(device) - AT_ONCE) / each)))


def at_once(net: Network, features: Sequence[int], device: torch.device) -> int | None:
    """Lessons of a stack whose importances are taken together: None for all, as always on a CPU."""
    return max(1, AT_ONCE // importances(net, features)) if device.type == "cuda" else None


def asked(net: Network, features: Sequence[int], lessons: int, most: int) -> int:
    """Samples that so many lessons are asked about together on a GPU, at most so many."""
    return max(32, min(most, AT_ONCE // (lessons * evaluation(net, features, 1))))


def room(device: torch.device) -> int:
    """Bytes of a GPU that this process may still take: what is free, and at most its share of the whole."""
    free, total = torch.cuda.mem_get_info(device)
    held, used = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
    share = torch.cuda.get_per_process_memory_fraction(device)
    return int(min(free + held, share * total) - used)
