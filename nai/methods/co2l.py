"""Contrastive continual learning: representations that are hard to forget, and a linear layer over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nai.methods import buffers
from nai.methods.anchored import below, under
from nai.methods.base import Context, Memory, Method, Span, one_of, positive, whole
from nai.methods.contrast import REDUCTIONS, relations_kept, supervised, unit
from nai.methods.pairs import Pairs, check_views, draws, encoded, pairs
from nai.methods.probe import Probe, pool
from nai.methods.replay import Store, shown
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows
from nai.views import VIEWS

ANCHORS = ("current", "all")
LENGTHS = ("unit", "free")
LAYERS = ("projection.0", "projection.1")


@dataclass(frozen=True)
class Co2l(Method):
    """Views of a class are drawn together, relations of views kept, and a linear layer learnt at the end.

    size, replay, selection: of the buffer, as in `Er`; it is shown a task at its end.
    views: how the two views of each sample are made, by a name of `nai.views.VIEWS`.
    temperature: of the contrastive loss, which is weighed by temperature / base_temperature.
    anchors: current: samples of the buffer are contrasted with, but are no anchors (asymmetric); all: they
    are (symmetric).
    reduction: see `nai.methods.contrast.supervised`.
    strength: of the distillation of relations, whose temperatures are current_temperature for the network as
    it is and past_temperature for that of the last task's end.
    projection: outputs of the projection over the body, hidden: its hidden units, 0: as many as it reads.
    lengths: unit: the projection's outputs are divided by their length; free: not, as on rotated MNIST.
    linear_epochs, linear_batch, linear_rate: of the head, learnt anew at the end of each task on its samples
    and the buffer. linear_inputs: viewed: on a new view in each step, plain: on the samples as they came.
    linear_balance: class, or task: which appear equally often.
    Source: Cha, Lee, Shin 2021, and their code; the defaults are those of its CIFAR-10. Deviations: buffer
    samples stand beside each batch in a fixed number rather than among its own; the classes met share the
    slots, to within one; the body keeps its own normalisation (theirs has batch norm).
    """

    size: int = 200
    replay: int = 0
    selection: str = "class_balanced"
    views: str = "simclr"
    temperature: float = 0.5
    base_temperature: float = 0.07
    anchors: str = "current"
    reduction: str = "views"
    strength: float = 1.0
    current_temperature: float = 0.2
    past_temperature: float = 0.01
    projection: int = 128
    hidden: int = 0
    lengths: str = "unit"
    linear_epochs: int = 100
    linear_batch: int = 256
    linear_rate: float = 1.0
    linear_inputs: str = "viewed"
    linear_balance: str = "class"

    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "temperature": Span(0.05, 1.0, log=True),
        "strength": Span(0.1, 10.0, log=True),
        "current_temperature": Span(0.05, 1.0, log=True),
        "past_temperature": Span(0.005, 0.5, log=True),
    }

    def __post_init__(self) -> None:
        self.store.check()
        self.probe.check()
        whole(1, size=self.size)
        whole(0, hidden=self.hidden, projection=self.projection)
        for name in ("projection", "hidden"):
            if getattr(self, name) % 4 or (name == "projection" and not self.projection):
                raise ValueError(
                    f"{name} {getattr(self, name)} must be a multiple of 4: lessons share stacks"
                )
        positive(strength=self.strength)
        for name in ("temperature", "base_temperature", "current_temperature", "past_temperature"):
            positive(**{name: getattr(self, name)})
            if not getattr(self, name):
                raise ValueError(f"{name} 0 divides by zero: use a number above 0")
        for name, known in (
            ("views", tuple(VIEWS)),
            ("anchors", ANCHORS),
            ("reduction", REDUCTIONS),
            ("lengths", LENGTHS),
        ):
            one_of(getattr(self, name), known, name)

    @property
    def store(self) -> Store:
        """The settings of its buffer."""
        return Store(self.size, self.replay, self.selection, "task")

    @property
    def probe(self) -> Probe:
        """The settings of its linear evaluation."""
        return Probe(
            self.linear_epochs, self.linear_batch, self.linear_rate, self.linear_inputs, self.linear_balance
        )

    def suits(self, net: Network, heads: Tensor) -> None:
        check_views(net, self.views)

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        return draws(net, VIEWS[self.views], self.size, batch=batch, replay=self.replay)

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        return self.store.task_draws(rows) | self.probe.draws(net, rows, self.size, self.views)

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        read = params[net.head.parameters[0]].shape[1]
        sizes = (read, self.hidden or read, self.projection)
        layers = projection(sizes, chance, heads.device)
        body = {k: params[k] for k in net.body()}
        met = {"met": torch.zeros(heads.shape[1], dtype=torch.bool, device=heads.device)}
        return params | layers, buffers.empty(self.size, heads.device) | met | under("past", body | layers)

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        seen = pairs(batch, memory, context, VIEWS[self.views], replay=self.replay)
        said = self.said(net, params, seen, seen.noise)
        past = self.said(net, params | below("past", memory), seen)
        apart = self.contrasted(said, seen, context)
        kept = relations_kept(said, past, seen.live, warmth=(self.current_temperature, self.past_temperature))
        return apart + torch.where(context.depth > 0, kept, 0.0) * self.strength

    def said(
        self, net: Network, params: Params, seen: Pairs, noise: dict[str, Tensor] | None = None
    ) -> Tensor:
        """What the projection says of each view, [views, outputs]."""
        x = encoded(net, params, seen.batch.inputs, noise)
        x = torch.relu(F.linear(x, params["projection.0.weight"], params["projection.0.bias"]))
        x = F.linear(x, params["projection.1.weight"], params["projection.1.bias"]).float()
        return unit(x) if self.lengths == "unit" else x

    def contrasted(self, said: Tensor, seen: Pairs, context: Context) -> Tensor:
        """The contrastive loss; alike are views of one class within one task."""
        groups = seen.batch.tasks * context.heads.shape[-1] + seen.batch.labels
        anchors = seen.own if self.anchors == "current" else torch.ones_like(seen.own)
        found = supervised(
            said, groups, seen.live, anchors, temperature=self.temperature, reduction=self.reduction
        )
        return found * (self.temperature / self.base_temperature)

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        met = memory["met"] | learnt(context)
        fitted = self.probe.fitted(net, params, pool(rows, memory), met, context, view=self.views)
        past = {k[len("past.") :]: params[k[len("past.") :]] for k in memory if k.startswith("past.")}
        memory, _ = shown(memory, rows, context, self.selection)
        return fitted, memory | {"met": met} | under("past", past)


def projection(sizes: tuple[int, int, int], chance: torch.Generator, device: torch.device) -> Params:
    """Two linear layers, drawn as PyTorch draws them by default."""
    drawn = {}
    for name, read, units in zip(LAYERS, sizes[:-1], sizes[1:], strict=True):
        for kind, shape in (("weight", (units, read)), ("bias", (units,))):
            drawn[f"{name}.{kind}"] = ((torch.rand(shape, generator=chance) * 2 - 1) / read**0.5).to(device)
    return drawn


def learnt(context: Context) -> Tensor:
    """The outputs of the task that was just learnt, [outputs] bool; in other scenarios all in use."""
    place = torch.arange(len(context.heads), device=context.heads.device) == context.task
    return (context.heads & place[:, None]).any(0)
