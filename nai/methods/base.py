"""What a continual-learning method may decide: a frozen dataclass of hyperparameters with pure hooks."""

import dataclasses
from abc import ABC
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, get_args

import torch
from torch import Tensor
from torch.func import grad

from nai.models import Network, Params
from nai.seeds import Draw
from nai.tasks import Batch, Rows, Samples, Scenario

Memory = dict[str, Tensor]


class Context(NamedTuple):
    """What a hook may know beside weights and data.

    The first six differ between the lessons of a stack, the rest is the same for all.
    """

    task: Tensor  # [] home index; 0 while boundaries are hidden
    depth: Tensor  # [] tasks learnt before this one; 0 while boundaries are hidden
    steps: Tensor  # [] steps of an epoch
    heads: Tensor  # [tasks, outputs] bool: the outputs in use for a sample of each task
    noise: dict[str, Tensor]  # every draw that was asked for
    rows: Rows  # the step's samples, [batch]; none in hooks around a task or an epoch, nor in predictions
    epoch: int
    epochs: int
    step: int
    rate: float
    widest: int  # most outputs in use for one sample, over all tasks of the benchmark
    source: Samples
    net: Network  # for the hooks that are not handed it, such as `after_step`


STACKED = ("task", "depth", "steps", "heads", "noise", "rows")


class Spring(NamedTuple):
    """A quadratic penalty: its gradient is weight x (theta - anchor), for the parameters named."""

    anchor: Params
    weight: Params  # broadcasts over the parameter


class Span(NamedTuple):
    """Numbers from low to high worth searching, both included: whole if both are, on a log scale if asked."""

    low: float
    high: float
    log: bool = False


class Method(ABC):  # noqa: B024  (every hook has a default: finetuning)
    """A method is a value: its fields are its hyperparameters, its hooks are pure functions of tensors.

    Hooks see one lesson; `learn` maps them over a stack. What a method must remember goes into `memory`,
    a flat dict of tensors; what it must draw is asked for in `step_draws` and `task_draws` and arrives in
    `context.noise`. Every hook's default is finetuning.
    """

    from_scratch: ClassVar[bool] = False  # each task starts anew, so the optimiser's moments do as well

    elementwise: ClassVar[frozenset[str]] = frozenset()
    """Hooks that take whole stacks, to save time: adjust and after_step if they treat each number alone, and
    gradients if it is written for both."""

    late: ClassVar[frozenset[str]] = frozenset()
    """Hyperparameters (numbers) that act only once a task has been learnt, such as a penalty's strength.

    Until the end of the first task, memory included, nothing may depend on them: so that task is learnt once
    for all their values. Lessons of one stack may differ in them: hooks then find a tensor in place of the
    number, [] as they see one lesson, [replicas] in the hooks of `elementwise`; draws, `pool`, `node` and
    `start` must not read them.
    """

    undecayed: ClassVar[tuple[str, ...]] = ()
    """How names of parameters begin that the training's `decay` leaves alone: what `start` has added and is
    no weight, such as gates."""

    revision: ClassVar[int] = 0
    """Raised by hand when a change of this method's code changes its results; part of the fingerprint."""

    added: ClassVar[frozenset[str]] = frozenset()
    """Hyperparameters that older records do not name: told only where they are not the default."""

    acts_with: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {}
    """Hyperparameters that are read only with some values of another: name to that other and these values."""

    scenarios: ClassVar[frozenset[str]] = frozenset(get_args(Scenario))
    """Scenarios that it can work in."""

    least_epochs: ClassVar[int] = 1
    """Fewest epochs of a task that it can work with."""

    ranges: ClassVar[Mapping[str, Span | tuple[str, ...]]] = MappingProxyType({})
    """What is worth searching of its hyperparameters: numbers from a span, or some of several names."""

    @property
    def needs_boundaries(self) -> bool:
        """Whether it must be told where a task begins or ends."""
        return overrides(self, "before_task") or overrides(self, "after_task")

    @property
    def stretch(self) -> int:
        """Steps after which `after_stretch` is called, counted along all tasks; 0: never."""
        return 0

    @property
    def idle(self) -> frozenset[str]:
        """Hooks of its own that change nothing with these hyperparameters, so they are not called."""
        return frozenset()

    def suits(self, net: Network, heads: Tensor) -> None:
        """ValueError, with the way out, where it cannot work with a network or so many tasks.

        heads: [tasks, outputs] bool, each task's own. A space asks it of a network without weights or data.
        """
        return None

    def step_draws(self, net: Network, batch: int) -> dict[str, Draw]:
        """Draws for every training step."""
        return {}

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        """Draws made once a task; rows: padded size of a task's training data."""
        return {}

    def pool(self, done: Sequence[int], task: int) -> tuple[int, ...]:
        """Home indices of the tasks whose training data are used."""
        return (task,)

    def node(self, done: Sequence[int]) -> tuple[int, ...]:
        """What of the tasks learnt so far decides the lesson: prefixes with the same node are learnt once."""
        return tuple(done)

    def start(
        self, net: Network, params: Params, heads: Tensor, chance: torch.Generator
    ) -> tuple[Params, Memory]:
        """Parameters (perhaps more than the net's) and memory before the first task."""
        return params, {}

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        """Changes before a task, such as re-drawn weights; rows are its training data, as in `after_task`."""
        return params, memory

    def predict(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        """Logits [batch, outputs] for evaluation."""
        return net.trace(params, batch.inputs).logits

    def loss(self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context) -> Tensor:
        """What depends on data, [] (batch weights sum to 1)."""
        return cross_entropy(net.trace(params, batch.inputs, context.noise).logits, batch, context)

    def gradients(
        self, net: Network, params: Params, batch: Batch, memory: Memory, context: Context
    ) -> Params:
        """Gradient of the loss; replace it for projections that need more than one."""
        found: Params = grad(lambda p: self.loss(net, p, batch, memory, context))(params)
        return found

    def adjust(self, grads: Params, params: Params, memory: Memory, context: Context) -> Params:
        """Adds what does not depend on data (a quadratic penalty, a mask), without autograd."""
        return grads

    def spring(self, memory: Memory) -> Spring | None:
        """What `adjust` adds, if that is a quadratic penalty and stays the same throughout a task or stretch.

        It is asked for once a task or stretch, for a whole stack, and spares the calls of `adjust`.
        """
        return None

    def after_step(
        self, before: Params, grads: Params, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        """Changes after an optimiser step; grads are those of the loss, before `adjust`.

        The next step moves params in place: what memory keeps of them must be a copy.
        """
        return params, memory

    def after_stretch(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        """Changes after every `stretch` steps, wherever tasks begin and end, such as a consolidation."""
        return params, memory

    def after_epoch(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        """Changes after an epoch, such as a proximal step."""
        return params, memory

    def after_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        """What the task leaves in memory; rows are its training data, weights summing to 1."""
        return params, memory


def overrides(method: Method, hook: str) -> bool:
    """Whether the method has its own version of a hook, and a use for it (else it costs nothing)."""
    return getattr(type(method), hook) is not getattr(Method, hook) and hook not in method.idle


def told(method: Method) -> dict[str, Any]:
    """Its hyperparameters as records name them: without those added later that are at their defaults."""
    fields = dataclasses.asdict(method)  # type: ignore[call-overload]
    return {k: v for k, v in fields.items() if k not in method.added or v != getattr(type(method), k)}


def described(method: Method, without: Collection[str] = ()) -> str:
    """The method as text, some hyperparameters left out: equal methods have equal texts."""
    kind = type(method)
    fields: tuple[dataclasses.Field[Any], ...] = (
        dataclasses.fields(method) if dataclasses.is_dataclass(method) else ()
    )
    named = [(f.name, getattr(method, f.name)) for f in fields if f.name not in without]
    whole = [(k, int(v) if isinstance(v, float) and v.is_integer() else v) for k, v in named]
    revision = f" revision {method.revision}" if method.revision else ""
    return f"{kind.__module__}:{kind.__qualname__}{whole}{revision}"


def no_rows(axes: Sequence[int], device: torch.device) -> Rows:
    """No samples, [*axes, 0]."""
    return Rows(*(torch.zeros(*axes, 0, dtype=kind, device=device) for kind in (torch.int64, torch.float32)))


def mask_of(batch: Batch, context: Context) -> Tensor:
    """Outputs in use for each sample, [..., batch, outputs] bool: its own task's head."""
    heads, tasks = context.heads, batch.tasks
    if heads.ndim == 3:  # whole rows of a stack are faster looked up than gathered one by one
        first = torch.arange(0, heads.shape[0] * heads.shape[1], heads.shape[1], device=heads.device)
        rows = heads.flatten(0, 1).index_select(0, (tasks + first[:, None]).flatten())
        return rows.view(*tasks.shape, heads.shape[-1])
    return heads.gather(-2, tasks[..., None].expand(*tasks.shape, heads.shape[-1]))


def cross_entropy(logits: Tensor, batch: Batch, context: Context) -> Tensor:
    """Weighted cross-entropy within each sample's head, [] or, for whole stacks, [replicas]."""
    # written out: F.cross_entropy is decomposed in Python under vmap
    logits = logits.masked_fill(~mask_of(batch, context), -torch.inf)
    own = logits.gather(-1, batch.labels[..., None])[..., 0]
    return ((logits.logsumexp(-1) - own) * batch.weights).sum(-1)


def cross_entropy_slope(logits: Tensor, batch: Batch, context: Context) -> Tensor:
    """Derivative of `cross_entropy` by the logits, of their shape."""
    masked = logits.masked_fill(~mask_of(batch, context), -torch.inf)
    slope = (
        masked - masked.amax(-1, keepdim=True)
    ).exp_()  # softmax by hand: torch's own is slow for few outputs
    slope.div_(slope.sum(-1, keepdim=True))
    labels = batch.labels[..., None]
    slope.scatter_add_(-1, labels, -torch.ones_like(labels, dtype=slope.dtype))
    return slope.mul_(batch.weights[..., None])


def positive(**values: float) -> None:
    """Checks hyperparameters that must not be negative."""
    for name, value in values.items():
        if not 0 <= value <= torch.finfo(torch.float32).max:
            raise ValueError(f"{name} {value} must be a finite number of at least 0")


def within(value: float, low: float, high: float, name: str) -> None:
    """Checks a hyperparameter with a range, ends included."""
    if not low <= value <= high:
        raise ValueError(f"{name} {value} must lie between {low} and {high}")


def whole(least: int, **values: int) -> None:
    """Checks hyperparameters that count something."""
    for name, value in values.items():
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name} {value} must be a whole number of at least {least}")


def one_of(value: str, known: Sequence[str], name: str) -> None:
    """Checks a hyperparameter that is a name."""
    if value not in known:
        raise ValueError(f"{name} {value!r} is unknown: known are {', '.join(known)}")
