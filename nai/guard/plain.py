"""A plain module seen as a network: its layers with neurons, and the hooks' view of it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from nai.activations import Reproducing
from nai.guard.watch import Seen
from nai.models import Gates, Layer, Network, Params, Trace

NEURONS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
KNOWN = "Linear, Conv1d to Conv3d, the norms that follow them, and nai.activations.Reproducing"
COMPILED = "_orig_mod"

Call = Callable[[nn.Module, Any], Any]
"""Runs a module on the inputs of a batch."""
SHOWN = 4
"""Modules that an error names at most."""


def bare(model: nn.Module) -> nn.Module:
    """The module inside `torch.compile` and data parallel wrappers."""
    while True:
        inner = getattr(model, COMPILED, None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def plainly(name: str) -> str:
    """A name without the marks of compiled parts, so that it is the same compiled or not."""
    return ".".join(part for part in name.split(".") if part != COMPILED)


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter by its plain name, shared ones once."""
    return {plainly(name): value for name, value in model.named_parameters()}


def modules(model: nn.Module) -> dict[str, nn.Module]:
    """Every module by its plain name."""
    return {plainly(name): module for name, module in model.named_modules()}


def owner(parameter: str) -> str:
    """Name of the module that holds a parameter."""
    return parameter.rpartition(".")[0]


def covered(name: str, chosen: Iterable[str]) -> bool:
    """Whether a module or parameter is one of the chosen or lies inside one."""
    return any(c in (name, owner(name)) or name.startswith(c + ".") for c in chosen)


def chosen_modules(model: nn.Module, wanted: str | type[nn.Module] | Sequence[Any], option: str) -> list[str]:
    """Names of the modules (or parameters) that an option means; ValueError for one that the model lacks."""
    found: list[str] = []
    names: dict[str, object] = {**modules(model), **parameters(model)}
    for want in [wanted] if isinstance(wanted, str | type) else wanted:
        hits = [n for n, m in names.items() if (n == want if isinstance(want, str) else isinstance(m, want))]
        if not hits:
            has = ", ".join(n for n in modules(model) if n)
            raise ValueError(f"{option} {want!r} is no module of the model: it has {has}")
        found += hits
    return found


def trainable(model: nn.Module, skip: Sequence[str]) -> tuple[str, ...]:
    """Names of the parameters to guard: those that learn and are not skipped."""
    found = parameters(model)
    if lazy := [n for n, p in found.items() if isinstance(p, nn.parameter.UninitializedParameter)]:
        raise ValueError(f"parameter {lazy[0]} has no shape yet: run one batch through the model first")
    return tuple(n for n, p in found.items() if p.requires_grad and not covered(n, skip))


def check_known(model: nn.Module, names: Iterable[str], head: Sequence[str]) -> None:
    """ValueError naming the modules whose trainable parameters belong to no neuron that Nai knows."""
    all_modules = modules(model)
    wanted = [n for n in names if not covered(n, head)]
    if strange := [
        n for n in wanted if not isinstance(all_modules[owner(n)], (*NEURONS, *NORMS, Reproducing))
    ]:
        _refuse(model, strange, f"Nai knows the neurons of {KNOWN}")


def hidden_layers(
    model: nn.Module, seen: Mapping[str, Seen], names: Sequence[str], heads: Sequence[str]
) -> tuple[Layer, ...]:
    """The layers to guard in the order in which they ran; every trainable parameter is in one or in a head.

    names: trainable parameters. ValueError names what does not fit, and the way out.
    """
    free = [n for n in names if not covered(n, heads)]
    found = {n: s for n, s in seen.items() if n not in heads and any(p in free for p in s.parameters)}
    layers = tuple(Layer(n, _own(s, free), s.units, _source(model, n, s, found)) for n, s in found.items())
    held = [p for layer in layers for p in layer.parameters]
    if again := [p for s in found.values() if _repeated(s) for p in _own(s, free)]:
        _refuse(
            model, again, "one forward pass calls it more than once, so its neurons have no single activation"
        )
    if shared := [p for p in held if held.count(p) > 1]:
        _refuse(model, shared, "layers share it")
    if lost := [p for p in free if p not in held]:
        _refuse(model, lost, "this pass did not run it, or it is a norm that follows no layer with neurons")
    if not layers:
        raise ValueError(f"the model has no hidden layer to guard beside its head {', '.join(heads)}")
    return layers


def output_layers(
    model: nn.Module,
    seen: Mapping[str, Seen],
    names: Sequence[str],
    *,
    heads: Sequence[str],
    hidden: Sequence[Layer],
) -> tuple[Layer, ...]:
    """The trainable output layers, each with the hidden layer that feeds it."""
    found = {layer.name: seen[layer.name] for layer in hidden}
    own = {h: _own(seen[h], names) for h in heads if h in seen}
    return tuple(Layer(h, p, seen[h].units, _source(model, h, seen[h], found)) for h, p in own.items() if p)


def _repeated(seen: Seen) -> bool:
    return seen.times > 1 or len(set(seen.parameters)) < len(seen.parameters)


def _own(seen: Seen, free: Sequence[str]) -> tuple[str, ...]:
    return tuple(p for p in dict.fromkeys(seen.parameters) if p in free)


def _source(model: nn.Module, name: str, seen: Seen, found: Mapping[str, Seen]) -> int | None:
    """Index of the one hidden layer that feeds another, if each of its neurons has its own columns."""
    if len(seen.reads) != 1 or (before := min(seen.reads)) not in found:
        return None
    columns = parameters(model)[seen.parameters[0]].shape[1]
    return None if columns % found[before].units else list(found).index(before)


def _refuse(model: nn.Module, names: Iterable[str], why: str) -> NoReturn:
    """Names at most a few of the parameters' modules, and the ways out."""
    all_modules = modules(model)
    blamed: dict[str, str] = {}
    for name in names:
        holder = all_modules[owner(name)]
        # skipping a module of one's own with more modules inside would leave those free too
        alone = type(holder).__module__.startswith("torch.nn.") or not any(holder.children())
        blamed[owner(name) if alone and owner(name) else name] = type(holder).__name__
    more = len(blamed) - SHOWN
    named = ", ".join(f"{n} ({kind})" for n, kind in list(blamed.items())[:SHOWN])
    quoted = ", ".join(repr(n) for n in list(blamed)[:SHOWN])
    named, quoted = (named + f" and {more} more", quoted + ", ...") if more > 0 else (named, quoted + ",")
    kinds = ", ".join(dict.fromkeys(blamed.values()))
    raise ValueError(
        f"Guard cannot guard {named}: {why}. Leave it free with skip=({quoted}) "
        f"or by class ({kinds}), name it in head= if it is an output layer, "
        "or use Ewc, Si or Mas, which guard every parameter"
    )


class Plain(Network):
    """A plain module behind the face that methods know; its parameters go by their plain names."""

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        *,
        layers: Sequence[Layer],
        heads: Sequence[Layer],
        call: Call,
    ) -> None:
        super().__init__()
        self.model, self.names, self.hidden, self.call = model, tuple(names), tuple(layers), call
        self.heads = tuple(heads)

    @property
    def outputs(self) -> tuple[Layer, ...]:
        return self.heads

    def forward(
        self, inputs: Any, noise: Mapping[str, Tensor], taps: Sequence[Tensor] | None = None
    ) -> Trace:
        return Trace(self.call(self.model, inputs), (), ())

    def trace(
        self,
        params: Params,
        inputs: Tensor,
        noise: Mapping[str, Tensor] | None = None,
        taps: Sequence[Tensor] | None = None,
        *,
        gates: Gates | None = None,
    ) -> Trace:
        real = {plainly(n): n for n, _ in self.model.named_parameters()}
        return super().trace(
            {f"model.{real[k]}": v for k, v in params.items()}, inputs, noise, taps, gates=gates
        )

    def shapes(self) -> dict[str, torch.Size]:
        found = parameters(self.model)
        return {name: found[name].shape for name in self.names}

    def body(self) -> list[str]:
        return [name for layer in self.hidden for name in layer.parameters]

    def draw(self, name: str, chance: torch.Generator) -> Tensor:
        """PyTorch's own default for linear layers, convolutions and norms."""
        module, shape = modules(self.model)[owner(name)], parameters(self.model)[name].shape
        if isinstance(module, NORMS):
            return torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
        fan_in = next(module.parameters(recurse=False))[0].numel()
        return (torch.rand(shape, generator=chance) * 2 - 1) / math.sqrt(fan_in)
