"""Adaptive group sparse regularisation."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from nai.importance.activation import activation_statistics
from nai.methods.anchored import below, shaped, under
from nai.methods.base import Context, Memory, Method, Span, positive, within
from nai.methods.groups import check_chain, columns, emptied, proximal
from nai.methods.redraw import redraws
from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Rows


@dataclass(frozen=True)
class AgsCl(Method):
    """Neurons that have spoken are held as they are, silent ones are emptied and used again.

    A neuron's Omega is eta x Omega + mean |activation| over the task (of a map: its average). One proximal
    step an epoch, at the learning rate, makes groups of silent neurons exactly 0 and others rest exactly.
    strength: of strength / 2 x sum over neurons of Omega ||theta - theta*||, twice the paper's lambda.
    sparsity: the paper's mu, of the sum of ||theta|| over neurons with Omega = 0.
    rho: share of the silent neurons that are drawn anew after each task.

    Source: Jung, Ahn, Cha, Moon 2020, section 3. Deviations from the authors' code: importance is taken in
    evaluation mode (theirs leaves dropout on); the learning rate is constant and the last weights are kept
    (theirs lowers it on plateaus and goes back to the best epoch on validation data).
    """

    strength: float = 800.0
    sparsity: float = 10.0
    eta: float = 0.9
    rho: float = 0.3

    # as long as no neuron has importance, as in the first task, all are shrunk by sparsity alone
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"after_step"})
    revision: ClassVar[int] = 1  # with rho 0.8 or 0.9 one neuron less is drawn anew
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "strength": Span(1.0, 1e5, log=True),
        "sparsity": Span(0.1, 100.0, log=True),
        "eta": Span(0.5, 1.0),
        "rho": Span(0.0, 1.0),
    }

    def __post_init__(self) -> None:
        positive(strength=self.strength, sparsity=self.sparsity)
        within(self.eta, 0, 1, "eta")
        within(self.rho, 0, 1, "rho")

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        lots = {f"lots.{layer.name}": _lots(layer.units) for layer in net.hidden}
        return lots | redraws(net, [name for layer in net.hidden for name in layer.parameters])

    def suits(self, net: Network, heads: Tensor) -> None:
        check_chain(net, "ags_cl")

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        omega = {layer.name: next(iter(params.values())).new_zeros(layer.units) for layer in net.hidden}
        return params, _remembered(net, params, omega)

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        shut = below("shut", memory)
        return params | {k: torch.where(closed, 0.0, params[k]) for k, closed in shut.items()}, memory

    def after_epoch(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        out, anchors = dict(params), below("anchor", memory)
        for layer in net.hidden:
            omega = memory[f"importance.{layer.parameters[0]}"]
            reach = torch.where(omega > 0, self.strength / 2 * omega, self.sparsity) * context.rate
            out |= proximal({k: params[k] for k in layer.parameters}, anchors, omega, reach)
        return out, memory

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        found = activation_statistics(net, params, rows, context.source, stat="mean_abs")
        omega = {
            layer.name: self.eta * memory[f"importance.{layer.parameters[0]}"] + said.mean
            for layer, said in zip(net.hidden, found, strict=True)
        }
        out = emptied(net, params, omega, context.heads[context.task[None]][0])
        for layer in net.hidden:
            again = self._chosen(omega[layer.name] == 0, context.noise[f"lots.{layer.name}"])
            for name in layer.parameters:
                out[name] = torch.where(shaped(again, out[name]), context.noise[f"redraw.{name}"], out[name])
        return out, _remembered(net, out, omega)

    def _chosen(self, silent: Tensor, lots: Tensor) -> Tensor:
        """The silent neurons to draw anew, [units] bool: those with the smallest lots."""
        place = torch.where(silent, lots, 2.0).argsort(stable=True).argsort(stable=True)
        count = silent.sum()
        # 0.07 x 100 is 7.000000000000001: what is rounding must not be rounded up
        return place < (count.double() * self.rho - 1e-9).ceil()


def _lots(units: int) -> Draw:
    return lambda chance: torch.rand(units, generator=chance)


def _remembered(net: Network, params: Params, omega: dict[str, Tensor]) -> Memory:
    """Each group's importance and anchor, and which weights lead from silent neurons to others."""
    importance = {name: omega[layer.name] for layer in net.hidden for name in layer.parameters}
    shut = {}
    for before, layer in pairwise(net.hidden):
        weight = layer.parameters[0]
        silent = columns(omega[before.name] == 0, params[weight])
        shut[weight] = shaped(omega[layer.name] > 0, params[weight]) & silent
    anchors = {name: params[name] for name in importance}
    return under("importance", importance) | under("anchor", anchors) | under("shut", shut)
