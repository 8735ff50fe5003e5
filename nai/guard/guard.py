"""The guard of a plain module: the methods' own pure functions between `backward` and `step`."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nai.guard.measure import (
    Outputs,
    batches,
    check_source,
    looking,
    neuron_statistics,
    parameter_importance,
    watched,
)
from nai.guard.plain import (
    Call,
    Plain,
    bare,
    check_known,
    chosen_modules,
    hidden_layers,
    output_layers,
    parameters,
    trainable,
)
from nai.guard.state import check_state, described
from nai.guard.values import context, dense, number, scaled
from nai.guard.watch import FOREIGN, Watch
from nai.methods import Ewc, Mas, Nai, Si
from nai.methods.anchored import last_anchor, mean_anchor, penalty
from nai.methods.base import Context, Memory, overrides
from nai.models import Layer, Params
from nai.seeds import generator
from nai.tasks import Rows

Guarded = Nai | Ewc | Si | Mas
Chosen = str | type[nn.Module] | Sequence[str | type[nn.Module]]


class Guard:
    """Keeps what a module has learnt while a plain loop teaches it the next task.

    Call `adjust` between `backward` and the optimiser's `step`, and `after_task` with the task's data.
    method: Nai, Ewc, Si or Mas. head: for Nai, the output layers, which stay free (default: the layers that
    give the model's output). skip: modules to leave free, by name or class. seed: of what the method draws.
    Frozen parameters and buffers are never touched. ValueError names a module that Nai cannot guard.
    """

    def __init__(
        self, model: nn.Module, method: Guarded, *, head: Chosen = (), skip: Chosen = (), seed: int = 0
    ) -> None:
        if not isinstance(method, Guarded):
            raise TypeError(f"Guard takes Nai, Ewc, Si or Mas, got {type(method).__name__}")
        check_source(method)
        self.method: Guarded = method
        self.model, self.seed = bare(model), seed
        self.head = chosen_modules(self.model, head, "head")
        self.names = trainable(self.model, chosen_modules(self.model, skip, "skip"))
        self.memory: Memory = {}
        self.layers: tuple[Layer, ...] = ()
        self.outputs: tuple[Layer, ...] = ()
        self.depth = self.steps = self.epochs = 0
        self._ready = True  # whether `before_task` was called for this task, if it must be
        self._before: tuple[Params, Params] | None = None  # weights and gradients before the step under way
        if isinstance(method, Nai):
            check_known(self.model, self.names, self.head)
        elif self.head:
            raise ValueError(
                f"head acts with Nai alone: {type(method).__name__} guards it too; skip= leaves it free"
            )
        else:
            self._start()

    # ---------------------------------------------------------------- the loop
    @torch.no_grad()
    def before_task(self) -> None:
        """Draws weights anew before a later task, for Nai's `reset`; nothing for all others."""
        self._ready = True
        if isinstance(self.method, Nai) and self.method.reset != "none" and self.depth:
            net, memory = self._net(), self._here()
            context = self._context(noise=self._draws(net, "redraw"))
            params, _ = self.method.before_task(net, self._values(), context.rows, memory, context)
            self._write(params)

    @torch.no_grad()
    def adjust(self, scale: float = 1.0) -> None:
        """Adds the penalty's gradient to the parameters' `.grad`, in place; who has none is left out.

        scale: factor by which the gradients are scaled now (`scaler.get_scale()`), 1 after `unscale_`.
        """
        if not self._ready:
            raise RuntimeError(
                "reset draws weights anew: call guard.before_task() before the training of each task"
            )
        if self._before is not None:
            raise RuntimeError("Si follows every step: call guard.after_step() after optimizer.step()")
        live = {k: p for k, p in self._parameters().items() if p.grad is not None}
        raw = {k: scaled(dense(k, p.grad), 1 / scale) for k, p in live.items()}
        values = {k: number(p) for k, p in live.items()}
        if overrides(self.method, "after_step"):
            # a scaler skips the step if a gradient is not finite: no weight moves, and 0 x inf must not count
            steady = {k: torch.where(g.isfinite(), g, 0.0) for k, g in raw.items()}
            self._before = {k: v.clone() for k, v in values.items()}, steady
        if not self.depth or not self.method.strength:
            return
        ready = self.method.adjust(raw, values, self._about(live), self._context())
        for name, value in live.items():
            if ready[name] is not raw[name] and value.grad is not None:
                value.grad.copy_(scaled(ready[name], scale))

    @torch.no_grad()
    def after_step(self) -> None:
        """Follows the weights' path after an optimiser step, for Si; nothing for all others."""
        if not overrides(self.method, "after_step"):
            return
        if self._before is None:
            raise RuntimeError("call guard.adjust() before optimizer.step() and guard.after_step() after it")
        before, grads = self._before
        found = self._parameters()
        values = {k: number(found[k]) for k in before}
        _, memory = self.method.after_step(before, grads, values, self._about(before), self._context())
        self.memory = {**self.memory, **memory}
        self.steps += 1
        self._before = None

    @torch.no_grad()
    def after_epoch(self, rate: float) -> None:
        """Nai's proximal step for penalty 'group_l2' at the epoch's learning rate; nothing for all others."""
        self.epochs += 1
        if getattr(self.method, "sparsity", 0) and not self.layers:
            raise RuntimeError(
                "sparsity acts from the first task on: call guard.watch(inputs) before training"
            )
        if self.layers and overrides(self.method, "after_epoch"):
            params, _ = self.method.after_epoch(
                self._net(), self._values(), self._here(), self._context(rate=rate)
            )
            self._write(params)

    def after_task(
        self, loader: Iterable[Any] = (), *, forward: Call | None = None, outputs: Outputs | None = None
    ) -> None:
        """Remembers the task just learnt.

        loader: batches (inputs, labels, ...) of its training data; Si needs none. forward: how to run the
        model on a batch's inputs, such as `lambda model, x: model(x, task=2)`. outputs: indices of the
        outputs in use, for Ewc and Mas (default: all). The model runs in evaluation mode and uncompiled.
        """
        self._check_course(outputs)
        net, device = self._net(forward), self._device
        memory, values = self._here(), self._values()
        if isinstance(self.method, Si):
            nothing = Rows(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
            with torch.no_grad():
                _, new = self.method.after_task(net, values, nothing, memory, self._context())
        else:
            with looking(self.model):
                data = batches(loader, device)
                new = (
                    self._nai(net, data) if isinstance(self.method, Nai) else self._fresh(net, data, outputs)
                )
        self.memory = {k: v.detach().clone() for k, v in new.items()}
        self.depth += 1
        self.steps = self.epochs = 0
        self._ready = getattr(self.method, "reset", "none") == "none"

    # ---------------------------------------------------------------- to look at
    def watch(self, inputs: Any, *, forward: Call | None = None) -> dict[str, tuple[str, ...]]:
        """What is guarded: for Nai each layer with its parameters, as one batch of inputs shows them.

        Raises the errors that `after_task` would, before any training is spent.
        """
        if not isinstance(self.method, Nai):
            return {name: (name,) for name in self.names}
        with looking(self.model):
            seen, outputs = watched(self.model, self.method, inputs, forward or _plain_call)
        self._settle(self._found(seen, outputs))
        return {layer.name: layer.parameters for layer in self.layers}

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """The penalty itself, [], for logging: its gradient is what `adjust` adds."""
        if getattr(self.method, "penalty", "") == "group_l2":
            raise ValueError(
                "penalty 'group_l2' is a proximal step, not a term of the loss: log weights instead"
            )
        if not self.depth:
            return torch.zeros((), device=self._device)
        return penalty(self._values(), self._here(), self.method.strength)

    def state_dict(self) -> dict[str, Any]:
        """All that the guard remembers: tensors, numbers and names, for `torch.load(weights_only=True)`."""
        if self._before is not None:
            raise RuntimeError("a step is under way: call guard.after_step() before guard.state_dict()")
        return {
            **described(self.method),
            "depth": self.depth,
            "steps": self.steps,
            "epochs": self.epochs,
            "ready": self._ready,
            "layers": [[x.name, list(x.parameters), x.units, x.source] for x in self.layers],
            "outputs": [[x.name, list(x.parameters), x.units, x.source] for x in self.outputs],
            "memory": {k: v.clone() for k, v in self.memory.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over a state; ValueError if it belongs to another method or another model."""
        check_state(state, self.method, {k: p.shape for k, p in self._parameters().items()})
        self.depth, self.steps, self.epochs = state["depth"], state["steps"], state["epochs"]
        self._ready, self._before = state["ready"], None
        self.layers, self.outputs = (
            tuple(Layer(name, tuple(own), *rest) for name, own, *rest in state[kind])
            for kind in ("layers", "outputs")
        )
        self.memory = {k: v.to(self._device, copy=True) for k, v in state["memory"].items()}

    # ---------------------------------------------------------------- inside
    @property
    def _device(self) -> torch.device:
        return next(iter(self._parameters().values())).device

    def _parameters(self) -> dict[str, nn.Parameter]:
        found = parameters(self.model)
        return {name: found[name] for name in self.names}

    def _values(self) -> Params:
        return {k: number(p) for k, p in self._parameters().items()}

    @torch.no_grad()
    def _write(self, params: Params) -> None:
        for name, value in self._parameters().items():
            if value.requires_grad:
                value.copy_(params[name])

    def _here(self) -> Memory:
        """Memory on the device where the model is now."""
        device = self._device
        if any(v.device != device for v in self.memory.values()):
            self.memory = {k: v.to(device) for k, v in self.memory.items()}
        return self.memory

    def _about(self, names: Iterable[str]) -> Memory:
        names = set(names)
        return {k: v for k, v in self._here().items() if k.partition(".")[2] in names}

    def _net(self, forward: Call | None = None) -> Plain:
        call = forward or _plain_call
        return Plain(self.model, self.names, layers=self.layers, heads=self.outputs, call=call)

    def _start(self) -> None:
        values = self._values()
        heads = torch.ones(1, 1, dtype=torch.bool, device=self._device)
        net = self._net()
        self.method.suits(net, heads)
        _, memory = self.method.start(net, values, heads, generator(self.seed, "start"))
        self.memory = {k: v.clone() for k, v in memory.items()}

    def _draws(self, net: Plain, kind: str) -> dict[str, Tensor]:
        draws = {k: draw for k, draw in self.method.task_draws(net, 0).items() if k.startswith(kind + ".")}
        return {k: draw(generator(self.seed, self.depth, k)).to(self._device) for k, draw in draws.items()}

    def _context(self, *, noise: dict[str, Tensor] | None = None, rate: float = 0.0) -> Context:
        return context(self._net(), self.depth, self._device, noise=noise or {}, rate=rate)

    def _check_course(self, outputs: Outputs | None) -> None:
        method = self.method
        if isinstance(method, Si) and not self.steps:
            raise RuntimeError(
                "Si saw no step of this task: call guard.after_step() after every optimizer.step()"
            )
        if isinstance(method, Nai) and method.penalty == "group_l2" and self.depth and not self.epochs:
            raise RuntimeError(
                "penalty 'group_l2' saw no epoch of this task: call guard.after_epoch(rate) after each"
            )
        if outputs is not None and not isinstance(method, Ewc | Mas):
            raise ValueError(
                f"outputs acts with Ewc and Mas alone: {type(method).__name__} does not look at them"
            )

    def _found(self, watch: Watch, outputs: Any) -> tuple[Layer, ...]:
        heads = self.head or sorted(watch.origins(outputs))
        if not heads:
            raise ValueError("no layer was seen to give the model's output: name the output layer with head=")
        heads = [h for h in heads if h != FOREIGN]
        hidden = hidden_layers(self.model, watch.seen, self.names, heads)
        self.outputs = output_layers(self.model, watch.seen, self.names, heads=heads, hidden=hidden)
        return hidden

    def _settle(self, layers: tuple[Layer, ...]) -> None:
        if self.layers and layers != self.layers:
            old, new = (", ".join(layer.name for layer in group) for group in (self.layers, layers))
            raise ValueError(f"the guard remembers the layers {old}, but this pass ran {new}")
        if not self.layers:
            self.layers = layers
            self._start()

    def _nai(self, net: Plain, data: Iterable[Any]) -> Memory:
        assert isinstance(self.method, Nai)
        net.hidden, found = neuron_statistics(net, self.method, data, layers=self._found)
        self._settle(net.hidden)
        known = self._context(noise=self._draws(net, "shuffle"))
        with torch.no_grad():
            return self.method.remember(net, self._values(), self._here(), found=found, context=known)

    def _fresh(self, net: Plain, data: Iterable[Any], outputs: Outputs | None) -> Memory:
        assert isinstance(self.method, Ewc | Mas)
        chance = generator(self.seed, self.depth, "labels")
        new = parameter_importance(net, self.method, data, outputs=outputs, chance=chance)
        kept = mean_anchor if isinstance(self.method, Ewc) else last_anchor
        with torch.no_grad():
            return kept(self._here(), new, self._values())


def _plain_call(model: nn.Module, inputs: Any) -> Any:
    return model(inputs)
