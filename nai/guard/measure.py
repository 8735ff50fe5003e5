"""What a plain module shows of a task: statistics of its neurons, sizes of its per-sample gradients."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nai.guard.plain import Call, Plain, parameters
from nai.guard.watch import Watch
from nai.importance.activation import (
    POOLINGS,
    STATISTICS,
    Moments,
    Statistics,
    merged,
    moments,
    statistics,
)
from nai.importance.attribution import MEASURES
from nai.importance.gradients import (
    CHUNK_VMAP,
    Score,
    by_vmap,
    expected_likelihood,
    likelihood,
    output_norm,
    size,
    square,
)
from nai.methods import Ewc, Mas, Method, Nai
from nai.methods.ewc import drawn_labels
from nai.models import Layer, Params
from nai.tasks import Batch

GRADIENT_NUMBERS = 2**27
"""Numbers that the per-sample gradients of one pass may hold together."""

Outputs = slice | Sequence[int] | Tensor
Layers = Callable[[Watch, Any], tuple[Layer, ...]]


def check_source(method: Method) -> None:
    """ValueError for an importance that is not measured of a plain module."""
    if isinstance(method, Nai) and method.importance_source in MEASURES:
        raise ValueError(
            f"Guard does not measure importance_source {method.importance_source!r}: use 'activation' or "
            "'random'; nai.attribute gives the shares of a plain module's neurons"
        )


@contextmanager
def looking(model: nn.Module) -> Iterator[None]:
    """The module in evaluation mode and not compiled, and as it was afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    with ExitStack() as stack:
        # importing dynamo takes seconds; who has not imported it has compiled nothing
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            model.eval()
            yield
        finally:
            for module, flag in flags:
                module.training = flag


def batches(loader: Iterable[Any], device: torch.device) -> Iterator[tuple[Any, Tensor | None]]:
    """Inputs and labels (if any) of every batch, on the device; what follows the labels is left out."""
    empty = True
    for batch in loader:
        empty = False
        parts = list(batch) if isinstance(batch, tuple | list) else [batch]
        labels = parts[1] if len(parts) > 1 and isinstance(parts[1], Tensor) else None
        yield _moved(parts[0], device), None if labels is None else labels.to(device)
    if empty:
        raise ValueError("the loader gave no batch: hand in the data of the task just learnt")


def _moved(value: Any, device: torch.device) -> Any:
    if callable(getattr(value, "to", None)):  # tensors, packed sequences, tokenisers' batches
        return value.to(device)
    if isinstance(value, dict):
        return {k: _moved(v, device) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)([_moved(v, device) for v in value])
    return value


def watched(model: nn.Module, method: Nai, inputs: Any, call: Call) -> tuple[Watch, Any]:
    """One forward pass and what it showed."""
    owners = {id(value): name for name, value in parameters(model).items()}
    with torch.no_grad(), Watch(owners, POOLINGS[method.pooling]) as watch:
        outputs = call(model, inputs)
    return watch, outputs


def neuron_statistics(
    net: Plain, method: Nai, data: Iterable[tuple[Any, Tensor | None]], *, layers: Layers
) -> tuple[tuple[Layer, ...], list[Statistics]]:
    """Hidden layers, and mean and spread of their neurons over the data; every batch must run the same."""
    first: tuple[Layer, ...] = ()
    state: list[Moments] = []
    for inputs, _ in data:
        watch, outputs = watched(net.model, method, inputs, net.call)
        found = layers(watch, outputs)
        said = [STATISTICS[method.activation_stat](watch.seen[layer.name].said) for layer in found]
        new = [moments(x, x.new_ones(len(x))) for x in said]
        if first and found != first:
            raise ValueError(f"batches run different layers: {_names(first)}, then {_names(found)}")
        state = [merged(a, b) for a, b in zip(state, new, strict=True)] if state else new
        first = found
    return first, [statistics(x) for x in state]


def _names(layers: Sequence[Layer]) -> str:
    return ", ".join(layer.name for layer in layers)


def parameter_importance(
    net: Plain,
    method: Ewc | Mas,
    data: Iterable[tuple[Any, Tensor | None]],
    *,
    outputs: Outputs | None,
    chance: torch.Generator,
) -> Params:
    """Mean over samples of the squared (Ewc) or absolute (Mas) gradient of each parameter, in float32."""
    found = parameters(net.model)
    params = {name: found[name].detach() for name in net.names}
    chunk = max(1, min(CHUNK_VMAP, GRADIENT_NUMBERS // sum(p.numel() for p in params.values())))
    total: Params = {}
    count = 0
    for inputs, labels in data:
        with torch.no_grad():
            logits = _checked(
                net.trace(params, inputs).logits if isinstance(inputs, Tensor) else None, inputs
            )
        used = torch.zeros(1, logits.shape[1], dtype=torch.bool, device=logits.device)
        used[:, slice(None) if outputs is None else outputs] = True
        goal = _labels(method, logits.masked_fill(~used, -torch.inf), labels, used, chance)
        weights, tasks = logits.new_ones(len(goal), dtype=torch.float32), torch.zeros_like(goal)
        whole = Batch(inputs, goal, weights, tasks)
        for at in range(0, len(goal), chunk):
            batch = Batch(*(x[at : at + chunk] for x in whole))
            for score in _scores(method, used):
                part = by_vmap(net, params, batch, score, square if isinstance(method, Ewc) else size)
                total = {
                    k: total.get(k, 0) + (v.float() if v.element_size() < 4 else v) for k, v in part.items()
                }
        count += len(goal)
    return {k: v / count for k, v in total.items()}


def _scores(method: Ewc | Mas, used: Tensor) -> list[Score]:
    """What to differentiate for a batch, one after the other; used: outputs in use, [1, outputs] bool."""

    def mask(batch: Batch) -> Tensor:
        return used[batch.tasks]

    if isinstance(method, Mas):
        return [output_norm(mask)]
    if method.labels == "exact":
        return [expected_likelihood(label, mask) for label in used[0].nonzero()[:, 0]]
    return [likelihood(mask)]


def _labels(
    method: Ewc | Mas, logits: Tensor, labels: Tensor | None, used: Tensor, chance: torch.Generator
) -> Tensor:
    """The label of each sample, [batch]; zeros where the method asks for none."""
    if isinstance(method, Ewc) and method.labels == "sample":
        return drawn_labels(logits.float(), torch.rand(len(logits), generator=chance).to(logits.device))
    if isinstance(method, Mas) or method.labels == "exact":
        return torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    if labels is None:
        raise ValueError("Ewc(labels='true') needs labels: let the loader give (inputs, labels)")
    if strange := sorted({int(x) for x in labels if not (0 <= x < used.shape[1] and used[0, x])}):
        raise ValueError(
            f"label {strange[0]} is none of the outputs in use, {used[0].nonzero()[:, 0].tolist()}"
        )
    return labels


def _checked(logits: Any, inputs: Any) -> Tensor:
    if logits is None:
        kind = type(inputs).__name__
        raise TypeError(f"per-sample gradients need inputs in one tensor [batch, ...], got {kind}")
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(inputs):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(
            f"per-sample gradients need outputs [batch, outputs], got {got}: "
            "hand in forward=lambda model, inputs: ..., which gives them"
        )
    return logits
