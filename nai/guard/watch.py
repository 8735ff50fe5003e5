"""Watching one forward pass of a plain module: which layers have neurons, what feeds them, what they say.

A layer is recognised by the parameter that a `linear` or `conv` function reads, so it does not matter whether
the module's activations are modules or functions.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

AXIS = {"linear": -1, "conv1d": 1, "conv2d": 1, "conv3d": 1}
"""Functions of layers with neurons, and the axis of their output that counts these."""
NORMS = frozenset(["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"])
# fmt: off
ACTIVATIONS = frozenset([
    "relu", "relu6", "rrelu", "prelu", "leaky_relu", "threshold", "elu", "celu", "selu", "gelu", "silu",
    "mish", "sigmoid", "logsigmoid", "hardsigmoid", "hardswish", "tanh", "hardtanh", "softplus", "softsign",
    "tanhshrink", "hardshrink", "softshrink", "reproduced",
])
THROUGH = NORMS | {"add", "radd", "iadd", "contiguous", "to", "float", "half", "bfloat16"} | {
    f"{kind}{axes}"
    for kind in ("dropout", "max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool")
    for axes in ("", "1d", "2d", "3d")
} | {"alpha_dropout", "feature_alpha_dropout"}
# fmt: on
"""Functions that keep a neuron's place, so that its activation function may come after them."""
FOREIGN = "?"
"""Stands for a function with parameters of its own that is no layer with neurons."""


class Tag(NamedTuple):
    """Where a tensor comes from: layers with no other layer between, and those still without activation."""

    origins: frozenset[str]
    silent: frozenset[str]


@dataclass
class Seen:
    """What the pass showed of one layer."""

    units: int
    axis: int
    reads: frozenset[str]  # layers that feed it
    parameters: tuple[str, ...]  # the layer's own, then those of norms and of the activation after it
    said: Tensor  # [samples, units], after the activation and pooled; its size if there is no activation
    active: bool = False  # whether an activation function was seen
    times: int = 1


class Watch(TorchFunctionMode):
    """While it is active, follows every tensor from the layer that made it to its activation function.

    owners: names of the module's parameters by `id`. pool: [samples, units, *space] to [samples, units].
    """

    def __init__(self, owners: Mapping[int, str], pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.owners, self.pool = owners, pool
        self.seen: dict[str, Seen] = {}
        self.tags: Any = WeakTensorKeyDictionary()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if made := list(tensors(result)):
            name = getattr(func, "__name__", "").strip("_")  # relu_ and __add__ are relu and add
            self._follow(name, list(tensors((args, kwargs))), made)
        return result

    def origins(self, value: Any) -> frozenset[str]:
        """Layers whose output reaches a value with no other layer between."""
        return frozenset[str]().union(*(tag.origins for tag in self._tags(tensors(value))))

    def _tags(self, values: Iterator[Tensor] | list[Tensor]) -> list[Tag]:
        return [self.tags[v] for v in values if v in self.tags]

    def _follow(self, function: str, read: list[Tensor], made: list[Tensor]) -> None:
        names = tuple(self.owners[id(v)] for v in read if id(v) in self.owners)
        if names and function in AXIS:
            tag = self._layer(function, names, read, made[0])
        elif names and function not in NORMS and function not in ACTIVATIONS:
            tag = Tag(frozenset({FOREIGN}), frozenset())
        else:
            tag = self._passed(function, names, self._tags(read), made[0])
        if tag.origins:
            for value in made:
                self.tags[value] = tag

    def _layer(self, function: str, names: tuple[str, ...], read: list[Tensor], out: Tensor) -> Tag:
        name, axis = names[0].rpartition(".")[0], AXIS[function]
        if name in self.seen:
            self.seen[name].times += 1
        else:
            said = self._pooled(out, axis).abs()
            reads = self.origins(read[0])
            self.seen[name] = Seen(out.shape[axis], axis, reads, names, said)
        return Tag(frozenset({name}), frozenset({name}))

    def _passed(self, function: str, names: tuple[str, ...], tags: list[Tag], out: Tensor) -> Tag:
        origins = frozenset[str]().union(*(t.origins for t in tags))
        silent = frozenset[str]().union(*(t.silent for t in tags))
        silent = frozenset(n for n in silent if self._fits(n, out))
        if function in ACTIVATIONS:
            for seen in (self.seen[n] for n in silent if not self.seen[n].active):
                seen.said, seen.active = self._pooled(out, seen.axis), True
                seen.parameters += names  # coefficients, one a neuron
        elif function in THROUGH:
            if names and len(silent) == 1:
                self.seen[min(silent)].parameters += names
            return Tag(origins, silent)
        return Tag(origins, frozenset())

    def _fits(self, name: str, out: Tensor) -> bool:
        seen = self.seen[name]
        return out.ndim > 1 and out.shape[seen.axis] == seen.units

    def _pooled(self, out: Tensor, axis: int) -> Tensor:
        maps = out.detach().movedim(axis, 1)
        maps = maps.float() if maps.element_size() < 4 else maps
        # a copy where nothing is pooled: a later function may write into the same memory
        return self.pool(maps) if maps.ndim > 2 else maps.clone()


def tensors(value: Any) -> Iterator[Tensor]:
    """Tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors(part)
