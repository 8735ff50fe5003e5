"""Two views of each sample of a step, of its own batch and of a buffer."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nai import views
from nai.methods import buffers
from nai.methods.anchored import below
from nai.methods.base import Context, Memory
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, gather
from nai.views import View


class Pairs(NamedTuple):
    """A step's views, first those of all samples, then a second one of each."""

    batch: Batch  # weights sum to 1, all live views alike
    own: Tensor  # [views] bool: of the step's own batch
    noise: dict[str, Tensor]  # dropout masks

    @property
    def live(self) -> Tensor:
        """Which are no padding, [views] bool."""
        return self.batch.weights > 0


def draws(net: Network, view: View, size: int, *, batch: int, replay: int) -> dict[str, Draw]:
    """What `pairs` needs in each step for so many samples of its own and of the buffer."""
    rows = 2 * (batch + buffers.rows_for(replay or batch))
    masks = {f"pairs.{k}": v for k, v in net.draws(rows).items()}
    wanted = {"replay": buffers.uniform(size)}
    return wanted | masks | views.draws("pairs", view, features(net), (rows,))


def pairs(batch: Batch, memory: Memory, context: Context, view: View, *, replay: int) -> Pairs:
    """The views, as the draws say; replay: samples of the buffer, 0 for as many as the step's own."""
    count = replay or batch.weights.shape[-1]
    old = gather(context.source, buffers.picked(memory, context.noise["replay"], count).rows)
    twice = (batch, old, batch, old)
    joined = Batch(*(torch.cat(parts) for parts in zip(*twice, strict=True)))
    live = (joined.weights > 0).float()
    seen = views.viewed(joined.inputs, view, context.noise, "pairs", source=context.source)
    place = torch.arange(len(live), device=live.device) % (len(live) // 2)
    return Pairs(
        joined._replace(inputs=seen, weights=live / live.sum().clamp(min=1)),
        place < len(batch.weights),
        below("pairs", context.noise),
    )


def features(net: Network) -> Sequence[int]:
    """The shape of one sample, () where a network of the user's own does not say."""
    told = getattr(net, "features", ())
    return told if isinstance(told, (tuple, list, torch.Size)) else ()


def check_views(net: Network, name: str) -> None:
    """ValueError, with the way out, where views of that name cannot be made of a network's samples."""
    view, shape = views.VIEWS[name], features(net)
    if not shape and (view.noise or view.mask):
        raise ValueError(
            f"views {name!r} need the shape of a sample, which {type(net).__name__} does not tell: "
            "set its attribute `features`"
        )
    if shape and view.pictures and len(shape) != 3:
        raise ValueError(
            f"views {name!r} are of images [channels, height, width], but samples have shape {list(shape)}: "
            "use views 'noise'"
        )


def encoded(net: Network, params: Params, inputs: Tensor, noise: dict[str, Tensor] | None = None) -> Tensor:
    """What the head reads, [batch, units]."""
    return net.trace(params, inputs, noise).inputs[-1].float()
