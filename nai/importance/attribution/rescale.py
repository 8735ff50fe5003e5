"""DeepLIFT's rule Rescale, for every function of which it is known how it carries a difference."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vjp
from torch.overrides import TorchFunctionMode

from nai.importance.attribution.chain import SMALL
from nai.importance.attribution.question import Question

# fmt: off
ELEMENTWISE = frozenset([
    "relu", "relu6", "leaky_relu", "threshold", "elu", "celu", "selu", "gelu", "silu", "mish", "sigmoid",
    "logsigmoid", "log_sigmoid", "hardsigmoid", "hardswish", "tanh", "hardtanh", "softplus", "softsign",
    "tanhshrink", "hardshrink", "softshrink", "reproduced", "sin", "cos", "exp", "square", "abs", "clamp",
])
LINEAR = frozenset([
    "linear", "conv1d", "conv2d", "conv3d", "add", "radd", "iadd", "sub", "rsub", "isub", "neg", "mul",
    "rmul", "imul", "div", "truediv", "flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze",
    "transpose",
    "permute", "movedim", "contiguous", "clone", "detach", "to", "float", "double", "mean", "sum", "cat",
    "getitem", "get", "pad", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
    "feature_alpha_dropout", "batch_norm", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d",
])
# fmt: on
PRODUCTS = frozenset(["mul", "rmul", "imul", "div", "truediv"])
"""Linear only if one factor, or the divisor, is the same for every sample."""
POOLS: dict[str, Callable[..., Any]] = {
    "max_pool1d": F.max_pool1d,
    "max_pool2d": F.max_pool2d,
    "max_pool3d": F.max_pool3d,
}


def deeplift(question: Question) -> list[Tensor]:
    """Contributions by Rescale: through an activation, a slope is the quotient of its two differences.

    Inputs and reference go through the network side by side, once forward and once back, for all layers.
    ValueError names a function that the rule is not defined for.
    Source: Shrikumar, Greenside, Kundaje 2017, section 3.5.2; of maxima the difference goes to the neuron
    that is the larger of the two maxima, as in Captum.
    """
    count = len(question.inputs)
    both = torch.cat([question.inputs, question.reference])
    idle = torch.zeros_like(question.direction)
    paired = question._replace(inputs=both, direction=torch.cat([question.direction, idle]))

    def ruled(inputs: Tensor, gates: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        with Rules(2 * count):
            return question.view(inputs, gates)

    slopes, said = paired._replace(view=ruled).slopes(both, question.said(both))
    return [g[:count] * (x[:count] - x[count:]) for g, x in zip(slopes, said, strict=True)]


class Rules(TorchFunctionMode):
    """While it is active, activations and maxima of paired samples have quotients for slopes.

    batch: number of samples, the second half of which are the references of the first.
    """

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, given = getattr(func, "__name__", "").strip("_"), kwargs or {}
        paired = [x for x in _tensors((*args, *given.values())) if x.ndim > 1 and len(x) == self.batch]
        if name in POOLS and paired:
            return _pooled(POOLS[name], paired[0], args[1:], given)
        if name in ELEMENTWISE and len(paired) == 1:
            # a copy, since it may write into what it reads
            return _activated(lambda x: func(x.clone(), *args[1:], **given), paired[0])
        result = func(*args, **given)
        if paired and isinstance(result, Tensor) and result.is_floating_point():
            _check_linear(name, args, len(paired))
        return result


def _tensors(values: Any) -> list[Tensor]:
    """Tensors among arguments, lists of them included."""
    flat = [x for v in values for x in (v if isinstance(v, tuple | list) else (v,))]
    return [x for x in flat if isinstance(x, Tensor)]


def _check_linear(name: str, args: tuple[Any, ...], paired: int) -> None:
    product = name in PRODUCTS and (paired > 1 or ("div" in name and isinstance(args[1], Tensor)))
    if name not in LINEAR or product:
        what = f"the product or quotient of two activations ({name})" if product else f"the function {name}"
        raise ValueError(f"deeplift has no rule for {what}: use conductance or hidden_ig, which need none")


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    count = len(x) // 2
    return x[:count], x[count:]


def _carried(value: Tensor, slope: Tensor, read: Tensor) -> Tensor:
    """A value whose slope by what was read is another one; both halves have the same."""
    slope = torch.cat([slope, slope])
    return value.detach() + slope.detach() * (read - read.detach())


def _activated(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    value, pulled = vjp(function, x.detach())  # type: ignore[misc]
    slope = _halves(pulled(torch.ones_like(value))[0])[0]
    (high, low), (said, silent) = _halves(x.detach()), _halves(value)
    small = (high - low).abs() < SMALL
    quotient = (said - silent) / torch.where(small, 1.0, high - low)
    return _carried(value, torch.where(small, slope, quotient), x)


def _pooled(pool: Callable[..., Any], x: Tensor, args: tuple[Any, ...], given: dict[str, Any]) -> Tensor:
    options = {k: v for k, v in given.items() if k != "return_indices"}
    value, places = pool(x.detach(), *args, return_indices=True, **options)
    (said, silent), (here, there) = _halves(value), _halves(places)
    place = torch.where(said > silent, here, there)
    space = value.ndim - 2
    flat, place = x.flatten(-space), place.flatten(-space)
    read = flat.gather(-1, torch.cat([place, place])).view(value.shape)
    high, low = _halves(read.detach())
    small = (high - low).abs() < SMALL
    quotient = (said - silent) / torch.where(small, 1.0, high - low)
    return _carried(value, torch.where(small, 0.0, quotient), read)
