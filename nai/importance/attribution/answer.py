"""Attribution of a network's answers, or of a plain module's, to its hidden neurons."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nai.importance.attribution.chain import NEEDED, Chain, chain_of, chain_of_module
from nai.importance.attribution.measures import MEASURES
from nai.importance.attribution.plain import PlainView, activations, still
from nai.importance.attribution.question import Question, View, one_hot, view_of
from nai.models import Network, Params


class Attribution(NamedTuple):
    """How much every hidden neuron contributed to one output of each sample."""

    shares: dict[str, Tensor]  # by layer: [batch, units, *space]
    difference: Tensor  # [batch]: the output for the inputs less that for the reference

    def gaps(self) -> dict[str, Tensor]:
        """By layer, [batch]: sum of its shares less the difference.

        Near 0 where every path from inputs to output crosses the layer, but for `grad_x_act`, which starts
        from no reference.
        """
        return {name: x.flatten(1).sum(1) - self.difference for name, x in self.shares.items()}


def attribute(
    model: nn.Module,
    inputs: Tensor,
    target: Tensor | int | None = None,
    *,
    measure: str = "conductance",
    reference: Tensor | float = 0.0,
    steps: int = 32,
    params: Params | None = None,
    layers: Sequence[str] | None = None,
) -> Attribution:
    """Shares of the hidden neurons in an output, of all layers at once; nothing of the model changes.

    model: one of this package with its weights in `params`, or a plain module (in evaluation mode for the
    while) and its `layers`, the names of the modules whose outputs count (default: activation modules).
    inputs: [batch, *features]. target: an output, one a sample [batch], or weights of the outputs
    [batch, outputs]; None: the model's answer. measure: one of MEASURES. reference: what stands for no
    information, broadcasts over the inputs. steps: of a path (conductance, hidden_ig).
    ValueError says what cannot be attributed, and what can.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure {measure!r} is unknown: known are {', '.join(MEASURES)}")
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps {steps} must be a whole number of at least 1")
    if inputs.ndim < 2 or not inputs.is_floating_point():
        raise ValueError(f"inputs must be [batch, *features] and real, got {inputs.dtype} {[*inputs.shape]}")
    names, view, chain = _seen(model, params, layers)
    if measure == "deeplift_reveal" and chain is None:
        raise ValueError(NEEDED.format(type(model).__name__))
    with still(model) if params is None else nullcontext(), torch.no_grad():
        start = torch.as_tensor(reference, dtype=inputs.dtype, device=inputs.device).expand_as(inputs)
        ends = [view(x, ())[0] for x in (inputs, start)]
        direction = _direction(target, ends[0]).to(inputs.dtype)
        question = Question(view, inputs.detach(), start, direction, steps, chain)
        shares = MEASURES[measure](question)
    return Attribution(dict(zip(names, shares, strict=True)), ((ends[0] - ends[1]) * direction).sum(1))


def _seen(
    model: nn.Module, params: Params | None, layers: Sequence[str] | None
) -> tuple[Sequence[str], View, Chain | None]:
    """Names of the layers, the model as they are seen in it, and the model as a chain."""
    if not isinstance(model, Network):
        if params is not None:
            raise ValueError("a plain module has weights of its own: leave out params")
        plain = PlainView(model, layers)
        whole = [*plain.layers] == activations(model)
        return plain.layers, plain, chain_of_module(model) if whole else None
    if params is None:
        raise ValueError(f"{type(model).__name__} has no weights of its own: hand in params=lesson.params")
    if layers is not None:
        raise ValueError("layers= is for plain modules: a network of this package names its own")
    return [layer.name for layer in model.hidden], view_of(model, params), chain_of(model, params)


def _direction(target: Tensor | int | None, outputs: Tensor) -> Tensor:
    """Weights of the outputs, [batch, outputs]."""
    if isinstance(target, Tensor) and target.ndim == 2:
        if target.shape != outputs.shape:
            raise ValueError(f"target weighs {[*target.shape]} outputs, the model has {[*outputs.shape]}")
        return target.to(outputs)
    labels = outputs.argmax(1) if target is None else torch.as_tensor(target, device=outputs.device)
    labels = labels.expand(len(outputs)) if labels.ndim == 0 else labels
    if labels.shape != outputs.shape[:1] or labels.is_floating_point():
        got = f"{labels.dtype} {[*labels.shape]}"
        raise ValueError(f"target must be a whole number for each of {len(outputs)} samples, got {got}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < outputs.shape[1]:
        wrong = next(x for x in labels.tolist() if not 0 <= x < outputs.shape[1])
        raise ValueError(f"target {wrong} is none of the outputs 0..{outputs.shape[1] - 1}")
    return one_hot(labels, outputs.shape[1], outputs)
