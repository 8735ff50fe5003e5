"""Gates over hidden neurons, learnt through embeddings, and what rests behind them."""

import torch
from torch import Tensor

from nai.methods.anchored import shaped
from nai.methods.groups import check_chain, columns
from nai.models import Network, Params

SATURATED = 50.0
"""Where a sigmoid's gradient is no longer compensated, as in the authors' code."""


def soft(embedding: Tensor, sharp: Tensor, smax: float) -> Tensor:
    """Gates sigmoid(s e) with the compensated gradient, both [units].

    What the compensation smax / s x (cosh(s e) + 1) / (cosh(e) + 1) leaves is the gradient of
    smax x sigmoid(e), whatever s is; so it needs no division, until s e is saturated.
    Source: Serrà et al. 2018, "embedding gradient compensation".
    """
    steep, shallow = sharp * embedding.detach(), smax * sigmoid(embedding)
    live = (SATURATED - steep.abs()).clamp(max=0).exp()
    return sigmoid(steep) + live * (shallow - shallow.detach())


def sigmoid(x: Tensor) -> Tensor:
    """By the hyperbolic tangent, which alone rounds alike in every stack."""
    return 0.5 + 0.5 * torch.tanh(x / 2)


def resting(net: Network, params: Params, used: dict[str, Tensor], place: Tensor, heads: Tensor) -> Params:
    """Whether a parameter belongs to the tasks learnt, 0 or 1, in a shape that broadcasts over it.

    A weight does if both its neurons do, the paper's min(A_l, A_l-1); place: of each task, [tasks].
    """
    held: Params = {}
    for layer in net.hidden:
        for name in layer.parameters:
            own = shaped(used[layer.name], params[name])
            if layer.source is not None and params[name].ndim > 1:
                own = torch.minimum(own, columns(used[net.hidden[layer.source].name], params[name]))
            held[name] = own
    outputs = (heads & (place > 0)[:, None]).any(0).float()
    rows = (torch.arange(len(place), device=place.device) < place.max()).float()
    held |= {name: shaped(outputs, params[name]) for name in net.head.parameters}
    return held | {k: shaped(rows, v) for k, v in params.items() if k.startswith("embedding.")}


def check_gates(net: Network) -> None:
    """ValueError unless the network is a chain whose neurons can be shut."""
    check_chain(net, "hat")
    if not net.gated:
        raise ValueError(
            f"{type(net).__name__} has no gates, which method hat needs: let its forward take `gates` and "
            "multiply what each hidden layer says by its own"
        )
