"""Neuron activation importance, which this package is named after: all choices the paper leaves open."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from nai.importance.activation import POOLINGS, STATISTICS, Statistics, activation_statistics, shuffled
from nai.importance.attribution import BASELINES, COMPLETE, MEASURES, PATHS, TARGETS, Asked
from nai.importance.attribution.task import attribution_statistics, suited
from nai.methods.anchored import below, mean_anchor, pull, shaped, spring_of, under
from nai.methods.base import (
    Context,
    Memory,
    Method,
    Span,
    Spring,
    mask_of,
    one_of,
    positive,
    whole,
    within,
)
from nai.methods.groups import chained, columns, proximal
from nai.methods.redraw import redraws
from nai.models import Layer, Network, Params
from nai.normalise import NORMALISERS, matched, normalised
from nai.seeds import Draw
from nai.tasks import Rows

ACCUMULATIONS = ("sum", "max", "decayed", "average")
ANCHORS = ("last", "weighted_mean")
ENDS = {"max": torch.maximum, "min": torch.minimum, "mean": lambda a, b: (a + b) / 2}
GROUPS = ("incoming", "incoming_no_bias", *(f"incoming_outgoing_{end}" for end in ENDS))
PENALTIES = ("squared_l2", "group_l2")
RESETS = ("none", "all", "unimportant", "unimportant+zero_outgoing")
SOURCES = ("activation", *MEASURES, "random")


@dataclass(frozen=True)
class Nai(Method):
    """Neurons that speak much and steadily keep their incoming weights; the head is free.

    strength: of strength / 2 x sum over neurons of Omega ||theta - theta*||^2, so twice the paper's alpha.
    normalization: how mean activations become importances (see `nai.normalise`); eps: its denominator's.
    activation_stat: mean, or mean_abs for activations that may be negative. pooling: of convolutions' maps.
    accumulation: Omega over tasks: sum, max, decayed (eta x old + new), average.
    anchor: weights after the last task, or their importance-weighted mean (one penalty a task; sum only).
    group: which weights share a neuron's importance; incoming_outgoing joins the two ends of a weight.
    penalty: squared_l2 (the paper's), or group_l2 by one proximal step an epoch, which also shrinks
    neurons without importance by `sparsity`. reset: weights drawn anew before every later task: all, or the
    incoming ones of the share rho of least important neurons, with their outgoing weights zeroed if asked.
    importance_source: activation; the size of a neuron's share in the answers by conductance, hidden_ig,
    deeplift, deeplift_reveal or grad_x_act (`nai.attribute`); or random (activation's importances on
    shuffled neurons: a control). attribution_steps: of a path. attribution_target: the logit of the label
    (true), of the net's answer (predicted), or of the label less the mean of those in use (contrast).
    attribution_baseline: a path's start, zeros or the mean of the task's inputs. attribution_samples: at
    most so many of a task's samples, evenly spaced.
    match_scale: divide the net's importances by their mean, so that strengths compare.

    Source: Kim & Lee 2021, eqs. 1 to 4; group_l2 and zero_outgoing: Jung et al. 2020 (AGS-CL), section 3.
    Deviations: eps in the denominator only, and a neuron that never fires has no importance.
    """

    strength: float = 0.1
    normalization: str = "neuron_std"
    eps: float = 1e-6
    activation_stat: str = "mean"
    pooling: str = "gap"
    accumulation: str = "sum"
    eta: float = 0.9
    anchor: str = "last"
    group: str = "incoming"
    penalty: str = "squared_l2"
    sparsity: float = 0.0
    reset: str = "none"
    rho: float = 0.5
    importance_source: str = "activation"
    match_scale: bool = True
    attribution_steps: int = 16
    attribution_target: str = "true"
    attribution_baseline: str = "zeros"
    attribution_samples: int = 512

    added: ClassVar[frozenset[str]] = frozenset(
        {"attribution_steps", "attribution_target", "attribution_baseline", "attribution_samples"}
    )
    # without importance, as in the first task, strength x 0 is 0; and what is remembered does not ask for it
    late: ClassVar[frozenset[str]] = frozenset({"strength"})
    elementwise: ClassVar[frozenset[str]] = frozenset({"adjust"})
    acts_with: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        "eta": ("accumulation", ("decayed",)),
        "rho": ("reset", ("unimportant", "unimportant+zero_outgoing")),
        "activation_stat": ("importance_source", ("activation", "random")),
        "pooling": ("importance_source", ("activation", "random")),
        "attribution_steps": ("importance_source", PATHS),
        "attribution_target": ("importance_source", tuple(MEASURES)),
        "attribution_baseline": ("importance_source", COMPLETE),
        "attribution_samples": ("importance_source", tuple(MEASURES)),
    }
    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = {
        "strength": Span(1e-3, 1e1, log=True),
        "normalization": tuple(NORMALISERS),
        "reset": ("none", "unimportant", "all"),
        # those that every network of this package can be asked for
        "importance_source": ("activation", "conductance", "hidden_ig", "grad_x_act"),
    }

    def __post_init__(self) -> None:
        positive(strength=self.strength, eps=self.eps, sparsity=self.sparsity)
        within(self.eta, 0, 1, "eta")
        within(self.rho, 0, 1, "rho")
        one_of(self.normalization, list(NORMALISERS), "normalization")
        one_of(self.activation_stat, list(STATISTICS), "activation_stat")
        one_of(self.pooling, list(POOLINGS), "pooling")
        one_of(self.accumulation, ACCUMULATIONS, "accumulation")
        one_of(self.anchor, ANCHORS, "anchor")
        one_of(self.group, GROUPS, "group")
        one_of(self.penalty, PENALTIES, "penalty")
        one_of(self.reset, RESETS, "reset")
        one_of(self.importance_source, SOURCES, "importance_source")
        one_of(self.attribution_target, TARGETS, "attribution_target")
        one_of(self.attribution_baseline, BASELINES, "attribution_baseline")
        whole(1, attribution_steps=self.attribution_steps, attribution_samples=self.attribution_samples)
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.anchor == "weighted_mean" and self.accumulation != "sum":
            raise ValueError(
                "anchor 'weighted_mean' is exact for sums: use accumulation 'sum' or anchor 'last'"
            )
        if self.penalty == "group_l2" and (self.group != "incoming" or self.anchor != "last"):
            raise ValueError("penalty 'group_l2' moves whole neurons: use group 'incoming' and anchor 'last'")
        if self.reset.endswith("zero_outgoing") and self.penalty != "group_l2":
            raise ValueError(
                "reset 'unimportant+zero_outgoing' destroys neurons unless penalty is 'group_l2'"
            )
        if self.sparsity and self.penalty != "group_l2":
            raise ValueError(f"sparsity {self.sparsity} acts only with penalty 'group_l2'")

    # ---------------------------------------------------------------- hooks
    @property
    def idle(self) -> frozenset[str]:
        unused = {"adjust" if self.penalty == "group_l2" else "after_epoch"}
        return frozenset(unused | ({"before_task"} if self.reset == "none" else set()))

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        draws = {} if self.reset == "none" else redraws(net, net.body())
        if self.importance_source == "random":
            for layer in net.hidden:
                draws[f"shuffle.{layer.name}"] = _permutation(layer.units)
        return draws

    def suits(self, net: Network, heads: Tensor) -> None:
        _check_group(net, self)
        if self.importance_source in MEASURES:
            suited(net, self.importance_source)

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        omega = {layer.name: next(iter(params.values())).new_zeros(layer.units) for layer in net.hidden}
        anchors = {name: params[name] for layer in net.hidden for name in self._guarded(layer)}
        # `importance` is `omega` brought to the shape of each parameter, once a task and not once a step
        return params, under("omega", omega) | under("anchor", anchors) | self._spread(net, omega, params)

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        if self.reset == "none":
            return params, memory
        drawn, later, out = below("redraw", context.noise), context.depth > 0, dict(params)
        for layer in net.hidden:
            lost = later & self._unimportant(memory[f"omega.{layer.name}"])
            for name in layer.parameters:
                out[name] = torch.where(shaped(lost, params[name]), drawn[name], out[name])
        if self.reset.endswith("zero_outgoing"):
            out = self._zeroed_outgoing(net, out, memory, context)
        return out, memory

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        return grads if self.penalty == "group_l2" else pull(grads, params, memory, self.strength)

    def spring(self, memory: Memory) -> Spring | None:
        return None if self.penalty == "group_l2" else spring_of(memory, self.strength)

    def after_epoch(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        if self.penalty != "group_l2":
            return params, memory
        out = dict(params)
        for layer in net.hidden:
            out |= self._proximal(layer, params, memory, context.rate)
        return out, memory

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        found = self.measured(net, params, rows, context)
        return params, self.remember(net, params, memory, found=found, context=context)

    # ---------------------------------------------------------------- the formulas
    def measured(self, net: Network, params: Params, rows: Rows, context: Context) -> list[Statistics]:
        """What the hidden neurons of each layer said of a task, or contributed to its answers."""
        if self.importance_source not in MEASURES:
            return activation_statistics(
                net, params, rows, context.source, pooling=self.pooling, stat=self.activation_stat
            )
        asked = Asked(
            self.importance_source,
            self.attribution_steps,
            self.attribution_target,
            self.attribution_baseline,
            self.attribution_samples,
        )
        return attribution_statistics(
            net, params, rows, context.source, asked=asked, mask=partial(mask_of, context=context)
        )

    def remember(
        self, net: Network, params: Params, memory: Memory, *, found: list[Statistics], context: Context
    ) -> Memory:
        """Memory with the task just learnt, from what its hidden neurons said."""
        new = self.importances(net, found, context)
        omega = {
            layer.name: self._accumulated(memory[f"omega.{layer.name}"], added, context.depth)
            for layer, added in zip(net.hidden, new, strict=True)
        }
        if self.anchor == "weighted_mean":
            added = below("importance", self._spread(net, dict(zip(omega, new, strict=True)), params))
            return under("omega", omega) | mean_anchor(memory, added, params)
        anchors = {name: params[name] for name in below("anchor", memory)}
        return under("omega", omega) | under("anchor", anchors) | self._spread(net, omega, params)

    def importances(self, net: Network, found: list[Statistics], context: Context) -> list[Tensor]:
        """Importance [units] of each hidden layer's neurons for the task just learnt."""
        rule = NORMALISERS[self.normalization]
        layers = [normalised(rule, s.mean, s.spread, self.eps) for s in found]
        if self.importance_source == "random":
            layers = shuffled(layers, [context.noise[f"shuffle.{layer.name}"] for layer in net.hidden])
        return matched(layers) if self.match_scale else layers

    def _accumulated(self, old: Tensor, new: Tensor, depth: Tensor) -> Tensor:
        if self.accumulation == "max":
            return torch.maximum(old, new)
        if self.accumulation == "decayed":
            return self.eta * old + new
        if self.accumulation == "average":
            return (old * depth + new) / (depth + 1)
        return old + new

    def _guarded(self, layer: Layer) -> list[str]:
        bias = self.group != "incoming_no_bias"
        return [name for name in layer.parameters if bias or not name.endswith("bias")]

    def _spread(self, net: Network, omega: dict[str, Tensor], params: Params) -> Memory:
        """Importance of each guarded parameter, broadcastable to it."""
        out: Memory = {}
        for layer in net.hidden:
            for name in self._guarded(layer):
                own = shaped(omega[layer.name], params[name])
                joined = self.group.startswith("incoming_outgoing") and params[name].ndim > 1
                if joined and layer.source is not None:
                    before = omega[net.hidden[layer.source].name]
                    own = ENDS[self.group.rpartition("_")[2]](own, columns(before, params[name]))
                out[f"importance.{name}"] = own
        return out

    def _unimportant(self, omega: Tensor) -> Tensor:
        if self.reset == "all":
            return torch.ones_like(omega, dtype=torch.bool)
        place = omega.argsort(stable=True).argsort(stable=True)
        return place < int(self.rho * omega.shape[0])

    def _zeroed_outgoing(self, net: Network, params: Params, memory: Memory, context: Context) -> Params:
        out = dict(params)
        for layer in (*net.hidden, *net.outputs):
            if layer.source is not None:
                omega = memory[f"omega.{net.hidden[layer.source].name}"]
                lost = (context.depth > 0) & self._unimportant(omega) & (omega == 0)
                weight = layer.parameters[0]
                out[weight] = torch.where(columns(lost, params[weight]), 0.0, out[weight])
        return out

    def _proximal(self, layer: Layer, params: Params, memory: Memory, rate: float) -> Params:
        """One proximal step of a neuron's group towards its anchor, or towards 0 without importance."""
        omega = memory[f"omega.{layer.name}"]
        reach = torch.where(omega > 0, self.strength / 2 * omega, self.sparsity) * rate
        own = {name: params[name] for name in layer.parameters}
        return proximal(own, {name: memory[f"anchor.{name}"] for name in own}, omega, reach)


def _permutation(units: int) -> Draw:
    return lambda chance: torch.randperm(units, generator=chance)


def _check_group(net: Network, method: Nai) -> None:
    if not chained(net) and (
        method.group.startswith("incoming_outgoing") or method.reset.endswith("outgoing")
    ):
        raise ValueError(
            f"{type(net).__name__} has layers fed by several others: group {method.group!r} with reset "
            f"{method.reset!r} needs a chain; use group 'incoming' and reset 'none', 'all' or 'unimportant'"
        )
