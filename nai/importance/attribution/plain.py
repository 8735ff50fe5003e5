"""A plain module as attribution sees it: hooks on the modules whose outputs are the neurons."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nai.activations import Reproducing
from nai.models import Gate

ACTIVATIONS = "torch.nn.modules.activation"
NONE_EACH = (nn.MultiheadAttention, nn.Softmax, nn.Softmin, nn.LogSoftmax, nn.Softmax2d)
"""Of that file, but no activation of single neurons."""


def activations(model: nn.Module) -> list[str]:
    """Names of the modules that are activations of single neurons."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, Reproducing)
        or (type(module).__module__ == ACTIVATIONS and not isinstance(module, NONE_EACH))
    ]


class PlainView:
    """A plain module with its own weights; layers: names of modules, by default all activation modules.

    ValueError for a name that it lacks, or if there is no activation module.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str] | None = None) -> None:
        self.model, known = model, dict(model.named_modules())
        self.layers = tuple(activations(model) if layers is None else layers)
        has = f"it has {', '.join(n for n in known if n) or 'none'}"
        if strange := [name for name in self.layers if name not in known]:
            raise ValueError(f"layer {strange[0]!r} is no module of the model: {has}")
        if not self.layers:
            raise ValueError(
                f"the model has no activation module: name layers=[...] whose outputs count; {has}"
            )
        self.modules = [known[name] for name in self.layers]

    def __call__(self, inputs: Tensor, gates: Sequence[Gate | None]) -> tuple[Tensor, tuple[Tensor, ...]]:
        said: dict[int, Tensor] = {}
        wanted = gates or [None] * len(self.modules)
        hooks = [
            module.register_forward_hook(partial(self._heard, i, gate, said))
            for i, (module, gate) in enumerate(zip(self.modules, wanted, strict=True))
        ]
        try:
            outputs = self.model(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        self._check(outputs, said, inputs)
        return outputs, tuple(said[i] for i in range(len(self.modules)))

    def _heard(self, index: int, gate: Gate | None, said: dict[int, Tensor], *call: Any) -> Tensor | None:
        output, name = call[-1], self.layers[index]
        if not isinstance(output, Tensor) or output.ndim < 2:
            raise ValueError(f"layer {name!r} gives no tensor [batch, units, ...]: name another in layers=")
        if index in said:
            raise ValueError(f"layer {name!r} runs more than once, so its neurons have no single value")
        said[index] = output.clone()  # what follows may write into it
        return gate(output) if callable(gate) else None

    def _check(self, outputs: object, said: dict[int, Tensor], inputs: Tensor) -> None:
        if silent := [name for i, name in enumerate(self.layers) if i not in said]:
            raise ValueError(f"layer {silent[0]!r} did not run: leave it out of layers=")
        if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != len(inputs):
            got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ValueError(f"attribution needs outputs [batch, outputs], got {got}: wrap the model")


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """The module in evaluation mode and without gradients of its own, and as it was afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            yield
    finally:
        for module, flag in flags:
            module.training = flag
