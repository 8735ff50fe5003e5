"""Where in its order each task was learnt, for methods that keep parts of a network for each."""

import torch
from torch import Tensor

from nai.methods.base import Context, Memory


def check_own(heads: Tensor, method: str) -> None:
    """ValueError if tasks share outputs, which none of them can then keep; heads: [tasks, outputs] bool."""
    if heads.sum(0).max() > 1:
        shared = int(heads.sum(0).argmax())
        raise ValueError(
            f"output {shared} belongs to several tasks, but {method} keeps each task's outputs as they are: "
            "use scenario 'task' with outputs of its own for each"
        )


def unlearnt(heads: Tensor) -> Memory:
    """Memory before the first task."""
    return {"position": torch.zeros(len(heads), dtype=torch.int64, device=heads.device)}


def learnt(memory: Memory, context: Context) -> Memory:
    """Memory with the position of the task just learnt."""
    position = memory["position"]
    now = torch.arange(len(position), device=position.device) == context.task
    return memory | {"position": torch.where(now, context.depth + 1, position)}


def position(memory: Memory, context: Context) -> Tensor:
    """Of the task in question, []: 1 if it was learnt first, 2 if second, ..., 0 if it is not yet met."""
    return memory["position"].gather(0, context.task[None])[0]


def own_outputs(context: Context) -> Tensor:
    """Outputs of the task's own head, [outputs] bool."""
    return context.heads.index_select(0, context.task[None])[0]
