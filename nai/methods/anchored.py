"""The quadratic penalty of NAI, EWC, SI and MAS: strength / 2 x sum of importance x (theta - anchor)^2.

One convention for all of them, so that strengths compare (papers without the 1/2 need twice their number).
In memory: `importance.<parameter>` (broadcasts over the parameter's trailing axes) and `anchor.<parameter>`.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from nai.methods.base import Memory, Method, Spring
from nai.models import Params


def under(prefix: str, values: Params) -> Memory:
    """Names put below a prefix."""
    return {f"{prefix}.{k}": v for k, v in values.items()}


def below(prefix: str, memory: Memory) -> Params:
    """Values below a prefix, by their own names."""
    return {k[len(prefix) + 1 :]: v for k, v in memory.items() if k.startswith(prefix + ".")}


def unguarded(params: Params, names: Iterable[str]) -> Memory:
    """Memory before the first task: no importance, anchors at the initial weights."""
    names = list(names)
    return under("importance", {k: torch.zeros_like(params[k]) for k in names}) | under(
        "anchor", {k: params[k] for k in names}
    )


def shaped(importance: Tensor, value: Tensor) -> Tensor:
    """Importance with trailing axes added until it broadcasts over the value."""
    return importance.view(*importance.shape, *[1] * (value.ndim - importance.ndim))


def pull(grads: Params, params: Params, memory: Memory, strength: float | Tensor) -> Params:
    """Gradients plus that of the penalty: strength x importance x (theta - anchor).

    strength: a number, or one a lesson of a stack, [replicas].
    """
    out, spring = dict(grads), spring_of(memory, strength)
    for name, anchor in spring.anchor.items():
        # three roundings, never a fused one: a fused multiply-add rounds otherwise in vector and scalar code
        out[name] = (params[name] - anchor).mul_(spring.weight[name]).add_(grads[name])
    return out


def spring_of(memory: Memory, strength: float | Tensor) -> Spring:
    """The penalty whose gradient `pull` adds."""
    anchors, weights = below("anchor", memory), {}
    for name, anchor in anchors.items():
        importance = shaped(memory[f"importance.{name}"], anchor)
        weights[name] = importance * (
            shaped(strength, importance) if isinstance(strength, Tensor) else strength
        )
    return Spring(anchors, weights)


def penalty(params: Params, memory: Memory, strength: float) -> Tensor:
    """The penalty itself, []: for reports and tests; training uses its gradient, `pull`."""
    parts = [
        (shaped(memory[f"importance.{k}"], a) * (params[k] - a).square()).sum()
        for k, a in below("anchor", memory).items()
    ]
    return strength / 2 * torch.stack(parts).sum()


def mean_anchor(memory: Memory, new: Params, params: Params) -> Memory:
    """Importances summed, anchors at the importance-weighted mean of the weights after each task.

    By completing the square this equals one penalty a task, at the cost of one.
    """
    out: Memory = {}
    for name, added in new.items():
        anchor = memory[f"anchor.{name}"]
        old, added = shaped(memory[f"importance.{name}"], anchor), shaped(added, anchor)
        total = old + added
        mean = anchor + (params[name] - anchor) * (added / total)
        # exact where one of the two is 0: rounding leaves a tiny pull, which Adam blows up to whole steps
        out[f"anchor.{name}"] = torch.where(old > 0, mean, params[name])
        out[f"importance.{name}"] = memory[f"importance.{name}"] + new[name]
    return out


def last_anchor(memory: Memory, new: Params, params: Params) -> Memory:
    """Importances summed, anchors at the weights after the last task."""
    summed = {k: memory[f"importance.{k}"] + v for k, v in new.items()}
    return under("importance", summed) | under("anchor", {k: params[k] for k in new})


def mean_importance(memory: Memory) -> Tensor:
    """Mean importance over all guarded numbers, []; times strength it is the effective strength."""
    anchors = below("anchor", memory)
    total = torch.stack(
        [shaped(memory[f"importance.{k}"], a).expand(a.shape).sum() for k, a in anchors.items()]
    ).sum()
    return total / sum(a.numel() for a in anchors.values())


def effective_strength(method: Method, memory: Memory) -> float | None:
    """Strength x mean importance: what the penalty weighs, whatever the scale of the importances."""
    return weighed(method, guarded(memory))


def guarded(memory: Memory) -> float | None:
    """Mean importance of what is guarded, None where nothing is."""
    return mean_importance(memory).item() if any(k.startswith("importance.") for k in memory) else None


def weighed(method: Method, importance: float | None) -> float | None:
    """Mean importance times the method's strength, None without either."""
    strength = getattr(method, "strength", None)
    return None if strength is None or importance is None else float(strength) * importance
