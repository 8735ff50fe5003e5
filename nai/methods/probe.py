"""Linear evaluation: a softmax layer learnt anew over the body, all classes shown equally often."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nai import views
from nai.methods.base import Context, Memory, cross_entropy_slope, one_of, positive, whole
from nai.methods.pairs import encoded, features
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows, gather
from nai.views import VIEWS

PROBES = ("viewed", "plain")
BALANCES = ("class", "task")
MOMENTUM = 0.9
FALLS, FALL = (0.6, 0.75, 0.9), 0.2
"""Shares of the epochs after which the rate falls, and to what part of it."""
CHUNK = 256
"""Samples of one forward pass."""


class Probe(NamedTuple):
    """The settings of a linear evaluation, as `nai.methods.co2l.Co2l` explains them."""

    epochs: int
    batch: int
    rate: float
    inputs: str
    balance: str

    def check(self) -> None:
        """ValueError for settings that it cannot work with."""
        whole(1, linear_epochs=self.epochs, linear_batch=self.batch)
        positive(linear_rate=self.rate)
        one_of(self.inputs, PROBES, "linear_inputs")
        one_of(self.balance, BALANCES, "linear_balance")

    def steps(self, samples: int) -> int:
        """Of all epochs, each of as many picks as there may be samples."""
        return self.epochs * -(-samples // self.batch)

    def draws(self, net: Network, rows: int, size: int, view: str) -> dict[str, Draw]:
        """Once a task: each step's samples and their views, and a head to start from.

        rows: padded size of a task. size: of the buffer.
        """
        leading = (self.steps(rows + size), self.batch)
        picks = {"probe": lambda chance: torch.rand(*leading, generator=chance, dtype=torch.float64)}
        fresh = {f"probe.{k}": _fresh(net, k) for k in net.head.parameters}
        if self.inputs == "plain":
            return picks | fresh
        return picks | fresh | views.draws("probe.view", VIEWS[view], features(net), leading)

    def fitted(
        self, net: Network, params: Params, samples: Rows, met: Tensor, context: Context, *, view: str
    ) -> Params:
        """The parameters with the head learnt on samples; rows of outputs not met stay as they are.

        met: [outputs] bool, the outputs that the softmax is over, in every scenario.
        Source: Cha, Lee, Shin 2021, section 4 and their code: SGD with momentum 0.9, the rate falling to a
        fifth after 60, 75 and 90 % of the epochs. Deviation: every epoch is as long as the largest task and a
        full buffer make it.
        """
        asked = context._replace(heads=met.expand_as(context.heads))
        places = self.places(samples, context)
        known = self._encodings(net, params, samples, context) if self.inputs == "plain" else None
        names = net.head.parameters
        head = {k: context.noise[f"probe.{k}"] for k in names}
        moving = {k: torch.zeros_like(v) for k, v in head.items()}
        weights = torch.full((self.batch,), 1 / self.batch, device=met.device)
        for step in range(len(places)):
            rows = Rows(samples.indices[places[step]], weights)
            batch = gather(context.source, rows)
            if known is None:
                batch = batch._replace(inputs=_seen(net, params, batch, context, (step, view)))
            else:
                batch = batch._replace(inputs=F.embedding(places[step], known))
            slopes = dict(zip(names, _slopes(head, names, batch, asked), strict=True))
            moving = {k: MOMENTUM * moving[k] + slopes[k] for k in names}
            rate = self._rate(step / len(places))
            head = {k: head[k] - rate * moving[k] for k in names}
        kept = {k: torch.where(met.view(-1, *[1] * (v.ndim - 1)), v, params[k]) for k, v in head.items()}
        return params | kept

    def places(self, samples: Rows, context: Context) -> Tensor:
        """Which samples each step takes, [steps, batch]: every class, or task, with the same chance."""
        of = context.source.labels if self.balance == "class" else context.source.tasks
        groups, live = of[samples.indices], (samples.weights > 0).double()
        counts = live.new_zeros(max(context.heads.shape)).scatter_add(0, groups, live)
        ends = (live / counts[groups].clamp(min=1)).cumsum(0)
        found = torch.searchsorted(ends, context.noise["probe"] * ends[-1], right=True)
        return found.clamp(max=len(ends) - 1)

    def _rate(self, done: float) -> float:
        falls = sum(done >= at for at in FALLS)
        return self.rate * float(FALL**falls)

    def _encodings(self, net: Network, params: Params, samples: Rows, context: Context) -> Tensor:
        parts = samples.indices.split(CHUNK)
        batches = (gather(context.source, Rows(p, torch.ones_like(p))) for p in parts)
        return torch.cat([encoded(net, params, batch.inputs) for batch in batches])


def pool(rows: Rows, memory: Memory) -> Rows:
    """A task's samples and those of the buffer; those that count have weight 1."""
    slots = memory["slots"]
    indices = torch.cat([rows.indices, slots.clamp(min=0)])
    return Rows(indices, torch.cat([(rows.weights > 0).float(), (slots >= 0).float()]))


def _fresh(net: Network, name: str) -> Draw:
    return lambda chance: net.draw(name, chance)


def _seen(net: Network, params: Params, batch: Batch, context: Context, at: tuple[int, str]) -> Tensor:
    """What the body says of a view of each sample."""
    step, view = at
    noise = {k: v[step] for k, v in context.noise.items() if k.startswith("probe.view.")}
    return encoded(
        net, params, views.viewed(batch.inputs, VIEWS[view], noise, "probe.view", source=context.source)
    )


def _slopes(head: Params, names: tuple[str, ...], batch: Batch, context: Context) -> tuple[Tensor, Tensor]:
    """Gradients of the cross-entropy by the head's weights and biases."""
    weight, bias = names
    slope = cross_entropy_slope(F.linear(batch.inputs, head[weight], head[bias]), batch, context)
    return slope.mT @ batch.inputs, slope.sum(0)
