"""The only training loop: a lesson and a task in, the next lesson out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nai import augment, footprint
from nai.feed import Address, Feed, pad
from nai.fitting import check_method, check_training
from nai.methods.base import Context, Memory, Method, cross_entropy_slope, no_rows, overrides
from nai.models import Network, Params
from nai.optimise import Decay, Springs, fresh, optimizer_of
from nai.seeds import Chance, Seeds, generator
from nai.stack import ALIGNED, Rule, chosen, each, flat, stackable, stacked, views
from nai.tasks import Batch, Rows, Samples
from nai.training import Training


class World(NamedTuple):
    """What all lessons share: the network's structure and the benchmark's data on one device."""

    net: Network
    source: Samples
    train: tuple[Tensor, ...]  # indices of each task's samples, by home index
    valid: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    heads: Tensor  # [tasks, outputs] bool: the outputs of each task's classes
    scenario: str
    blind: bool = False  # boundaries are hidden: every output is in use from the first task on
    digest: str = ""  # of all that decides results beside method, training, order and seeds; names states

    @property
    def device(self) -> torch.device:
        """Where everything lies."""
        return self.heads.device

    @property
    def widest(self) -> int:
        """Most outputs in use for one sample."""
        return int(self.heads.sum(1).max()) if self.scenario == "task" else self.heads.shape[1]

    def under(self, training: Training) -> "World":
        """The world as lessons see it, with boundaries hidden or known."""
        check_training(training, self.scenario)
        return self._replace(blind=training.boundaries == "hidden")

    def in_use(self, done: Sequence[int]) -> Tensor:
        """Outputs in use for a sample of each task once the given tasks were met, [tasks, outputs] bool.

        task: the sample's own head. class: every class met so far (all, before the first task).
        domain, or where boundaries are hidden: all outputs.
        """
        if self.scenario == "task":
            return self.heads
        if self.scenario == "domain" or self.blind or not done:
            return torch.ones_like(self.heads)
        return self.heads[list(done)].any(0).expand_as(self.heads)


class Lesson(NamedTuple):
    """Where a run stands after some tasks; also its checkpoint. Tensors only."""

    done: tuple[int, ...]
    params: Params
    memory: Memory
    optimizer: (
        Params  # of the algorithm, such as Adam's `mean`, `square` [numbers] and `step` []; {} at first
    )

    @property
    def finite(self) -> bool:
        """False once training has diverged."""
        return all(bool(v.isfinite().all()) for v in self.params.values())


def begin(world: World, method: Method, seeds: Seeds) -> Lesson:
    """The lesson before the first task; ValueError where the method does not suit network or tasks."""
    net = world.net
    method.suits(net, world.heads)
    params = {k: net.draw(k, generator(seeds.init, "weights", k)).to(world.device) for k in net.shapes()}
    params, memory = method.start(net, params, world.heads, generator(seeds.init, "start"))
    return Lesson((), params, memory, {})


def learn(
    lessons: Sequence[Lesson],
    tasks: Sequence[int],
    world: World,
    method: Method | Sequence[Method],
    *,
    training: Training,
    seeds: Sequence[Seeds],
) -> list[Lesson]:
    """Lessons, each one task further; every lesson's bits are those it would get alone.

    lessons: of one shape, each with its own history, next task and seeds. method: one for all, or one a
    lesson, which differ in late hyperparameters alone (else ValueError, as where it does not fit the world).
    """
    methods = [method] * len(lessons) if isinstance(method, Method) else method
    check_method(methods[0], training, world.scenario)
    world = world.under(training)
    together = [Pupil(*p) for p in zip(lessons, tasks, seeds, methods, strict=True)]
    many = stackable(world.net, world.device)
    # a CPU rounds bfloat16 products of several matrices by how many there are
    alone = not many or (training.precision == "bfloat16" and world.device.type == "cpu")
    places = [[n] for n in range(len(together))] if alone else _alike([p.depth for p in together], training)
    taught: dict[int, Lesson] = {}
    for some in places:
        pupils = [together[n] for n in some]
        whole = _Class(pupils, world, training.after(pupils[0].depth), many=many)
        taught |= dict(zip(some, whole.taught(), strict=True))
    return [taught[n] for n in range(len(together))]


def _alike(depths: Sequence[int], training: Training) -> list[list[int]]:
    """Places of lessons that train for equally many epochs."""
    if training.first_epochs is None:
        return [list(range(len(depths)))]
    parts = ([n for n, depth in enumerate(depths) if (depth == 0) is first] for first in (True, False))
    return [part for part in parts if part]


class Pupil(NamedTuple):
    """A lesson and what it learns next."""

    lesson: Lesson
    task: int
    seeds: Seeds
    method: Method

    @property
    def depth(self) -> int:
        """Tasks learnt before."""
        return len(self.lesson.done)


def padded(parts: Sequence[Tensor], multiple: int = 32) -> int:
    """Rows of the largest part, up to a multiple of 32, so that every lesson starts on a whole vector."""
    return -(-max(map(len, parts)) // multiple) * multiple


class _Class:
    """Lessons learning together: the working state of one call of `learn`.

    many: values carry a leading axis, one place a lesson; else there is one lesson and no such axis.
    """

    def __init__(self, pupils: Sequence[Pupil], world: World, training: Training, *, many: bool) -> None:
        self.pupils, self.world, self.training, self.many = pupils, world, training, many
        self.rule = Rule.of([p.method for p in pupils], world.device)
        self.method = method = self.rule.method
        first = pupils[0].lesson
        shapes = {k: v.shape for k, v in first.params.items()}
        buffer, twin = (flat(shapes, len(pupils), world.device) for _ in range(2))
        self.params, self.slots = (views(b if many else b[0], shapes) for b in (buffer, twin))
        self._put(self._together([p.lesson.params for p in pupils]))
        # autograd's leaves share the buffer's storage, so that they see every step
        self.leaves = {k: v.detach().requires_grad_() for k, v in self.params.items()}
        self.memory = self._together([p.lesson.memory for p in pupils])
        self.heads = torch.stack([world.in_use((*p.lesson.done, p.task)) for p in pupils])
        self.pools = [method.pool(p.lesson.done, p.task) for p in pupils]
        size = training.batch
        self.spare = -size % ALIGNED if many else 0
        places = [Address(p.seeds.data, p.depth, x) for p, x in zip(pupils, self.pools, strict=True)]
        self.feed = Feed(
            places, world.source, world.train, batch=size, spare=self.spare, many=many, steps=training.steps
        )
        self.counts, self.behind = self.feed.counts, [self._steps_of(p.lesson.done) for p in pupils]
        self.state = self._moments(buffer, shapes)
        self.optimizer = optimizer_of(training, buffer, twin, self.state)
        self.decay = self._decay(buffer, twin, shapes) if training.decay else None
        self.chance = Chance([p.seeds for p in pupils], [p.depth for p in pupils], world.device)
        self.context = self._context()
        self.adjusted, self.watched = overrides(method, "adjust"), overrides(method, "after_step")
        self.springs: Springs | None = None

    def taught(self) -> list[Lesson]:
        """All epochs of the task, and the hooks around them."""
        told = self.training.boundaries == "known"
        if told:
            self._hook_on_data("before_task")
        self._stretch_springs()
        for epoch in range(self.training.epochs):
            self.optimizer.rate = rate = self.training.rate_in(epoch)
            self.context = self.context._replace(epoch=epoch, rate=rate)
            self._epoch()
            self._hook("after_epoch")
        if told:
            self._hook_on_data("after_task")
        return [self._left(i, p) for i, p in enumerate(self.pupils)]

    def _stretch_springs(self) -> None:
        """From the anchors in memory, which the hooks around a task and a stretch alone may move."""
        spring = self.rule.whole.spring(self.memory)
        if spring is not None:
            self.springs = Springs(spring, self.params, self.slots)

    # ---------------------------------------------------------------- training
    def _epoch(self) -> None:
        rows = self.training.batch + self.spare
        often = self.world.net.draws(rows) | self.method.step_draws(self.world.net, rows)
        often |= augment.draws(self.training.augment, self.world.source.inputs.shape[1:], rows)
        chances = self.chance.open(often, self.context.epoch)
        for step, (where, batch) in enumerate(self.feed.batches(self.context.epoch)):
            noise = self.context.noise | self._drawn(self.chance.draw(often, chances))
            batch = batch._replace(inputs=augment.augmented(batch.inputs, noise, self.world.source))
            self._step(batch, self.context._replace(step=step, noise=noise, rows=where))

    def _step(self, batch: Batch, context: Context) -> None:
        live = [context.step < n for n in self.counts]
        self._fill(self._gradients(batch, context))
        raw = self.slots
        if self.watched and (self.adjusted or self.decay):
            raw = {k: v.clone() for k, v in self.slots.items()}
        if self.decay is not None:
            self.decay.pull()
        if self.springs is not None:
            self.springs.pull()
        elif self.adjusted:
            self._fill(self._each("adjust", context)(self.slots, self.params, self.memory))
        before = {k: v.clone() for k, v in self.params.items()} if self.watched else {}
        self.optimizer.step(live)
        if self.watched:
            self._take(live, *self._each("after_step", context)(before, raw, self.params, self.memory))
        if any(due := [flag and self._ends_stretch(i, context) for i, flag in enumerate(live)]):
            own = {k: v.clone() for k, v in self.params.items()}  # memory may keep them, and training goes on
            self._take(due, *self._each("after_stretch", context, self.world.net)(own, self.memory))
            self._stretch_springs()

    def _take(self, who: Sequence[bool], params: Params, memory: Memory) -> None:
        """New weights and memory of some places; the others keep theirs."""
        if not all(who):
            mask = torch.tensor(who, device=self.world.device)
            params, memory = chosen(mask, params, self.params), chosen(mask, memory, self.memory)
        self._put(params)
        self.memory = memory

    def _ends_stretch(self, place: int, context: Context) -> bool:
        """Whether the step is the last of a stretch."""
        steps = self.behind[place] + context.epoch * self.counts[place] + context.step + 1
        return self.method.stretch > 0 and steps % self.method.stretch == 0

    def _fill(self, grads: Params) -> None:
        """Gradients into their slots, unless they are there."""
        if grads is not self.slots:
            torch._foreach_copy_(list(self.slots.values()), [grads[k] for k in self.slots])

    def _gradients(self, batch: Batch, context: Context) -> Params:
        if self.training.precision == "float32":
            return self._slopes(batch, context)
        # weights are cast once a step anyway, and a cache does not reach through vmap
        with torch.autocast(self.world.device.type, torch.bfloat16, cache_enabled=False):
            return self._slopes(batch, context)

    def _slopes(self, batch: Batch, context: Context) -> Params:
        net, method = self.world.net, self.method
        if overrides(method, "gradients"):
            found: Params = self._each("gradients", context, net)(self.params, batch, self.memory)
            return found
        if net.dense and not overrides(method, "loss"):
            slope = partial(cross_entropy_slope, batch=batch, context=context)
            if self.training.precision != "float32":
                return net.gradients(self.params, batch.inputs, context.noise, slope)
            net.gradients(self.params, batch.inputs, context.noise, slope, out=self.slots)
            return self.slots
        # one ordinary backward pass of the summed losses: the bits of vmap(grad), in less time
        losses = self._each("loss", context, net)(self.leaves, batch, self.memory)
        grads = torch.autograd.grad(losses.sum(), list(self.leaves.values()), materialize_grads=True)
        return dict(zip(self.leaves, grads, strict=True))

    def _each(self, name: str, context: Context, *first: Network) -> Callable[..., Any]:
        """A hook for the whole stack, its first argument given where that is the network."""
        many = self.many and name not in self.method.elementwise
        net, features = self.world.net, self.world.source.inputs.shape[1:]
        heavy = name in ("before_task", "after_task")
        some = footprint.at_once(net, features, self.world.device) if heavy else None

        def hook(method: Method, *args: Any) -> Any:
            return getattr(method, name)(*first, *args)

        return each(hook, self.rule, context, many, at_once=some)

    def _hook_on_data(self, name: str) -> None:
        if overrides(self.method, name):
            largest = padded(self.world.train)  # a fact of the benchmark, not of the stack
            whole = [pad(self.world.train[p.task], largest) for p in self.pupils]
            self._hook(name, Rows(*(self._axis(v) for v in zip(*whole, strict=True))))

    def _hook(self, name: str, *rows: Rows) -> None:
        if overrides(self.method, name):
            hook = self._each(name, self.context, self.world.net)
            params, self.memory = hook(self.params, *rows, self.memory)
            self._put(params)

    # ---------------------------------------------------------------- setting up, handing over
    def _context(self) -> Context:
        once = self.method.task_draws(self.world.net, padded(self.world.train))
        told = self.training.boundaries == "known"
        numbers = ([told * p.task for p in self.pupils], [told * p.depth for p in self.pupils], self.counts)
        task, depth, steps = (torch.tensor(n, device=self.world.device) for n in numbers)
        return Context(
            task=task if self.many else task[0],
            depth=depth if self.many else depth[0],
            steps=steps if self.many else steps[0],
            heads=self.heads if self.many else self.heads[0],
            noise=self._drawn(self.chance.draw(once, self.chance.open(once))),
            rows=no_rows(task.shape if self.many else (), self.world.device),
            epoch=0,
            epochs=self.training.epochs,
            step=0,
            rate=self.training.rate,
            widest=self.world.widest,
            source=self.world.source,
            net=self.world.net,
        )

    def _steps_of(self, done: tuple[int, ...]) -> int:
        """Steps of all tasks learnt so far."""
        pools = [self.method.pool(done[:depth], task) for depth, task in enumerate(done)]
        sizes = [sum(len(self.world.train[task]) for task in pool) for pool in pools]
        steps = [self.training.steps or -(-size // self.training.batch) for size in sizes]
        return sum(self.training.after(depth).epochs * n for depth, n in enumerate(steps))

    def _moments(self, buffer: Tensor, shapes: dict[str, torch.Size]) -> Params:
        if self.training.optimizer == "fresh" or self.method.from_scratch:
            return fresh(buffer, self.training)
        none = {k: v[0] for k, v in fresh(buffer[:1], self.training).items()}
        state = stacked([p.lesson.optimizer or none for p in self.pupils])
        for moment in (v for v in state.values() if v.ndim > 1):
            self._still(moment, shapes)  # an idle output must not move on old moments
        return state

    def _decay(self, buffer: Tensor, twin: Tensor, shapes: dict[str, torch.Size]) -> Decay:
        rates = torch.full_like(buffer, self.training.decay)
        self._still(rates, shapes)
        for name, own in views(rates, shapes).items():
            if name.startswith(self.method.undecayed):
                own.zero_()
        return Decay(buffer, twin, rates)

    def _still(self, values: Tensor, shapes: dict[str, torch.Size]) -> None:
        """Sets what belongs to outputs that are not in use to 0, in a buffer [replicas, numbers]."""
        used = torch.stack([h[list(pool)].any(0) for h, pool in zip(self.heads, self.pools, strict=True)])
        named = views(values, shapes)
        for name in self.world.net.head.parameters:
            named[name].mul_(used.view(*used.shape, *[1] * (named[name].ndim - 2)))

    def _axis(self, values: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(values)) if self.many else values[0]

    def _together(self, values: Sequence[Params]) -> Params:
        return stacked(values) if self.many else dict(values[0])

    def _drawn(self, draws: dict[str, Tensor]) -> dict[str, Tensor]:
        return draws if self.many else {k: v[0] for k, v in draws.items()}

    def _put(self, params: Params) -> None:
        if params is not self.params:
            torch._foreach_copy_(list(self.params.values()), [params[k] for k in self.params])

    def _left(self, index: int, pupil: Pupil) -> Lesson:
        def own(values: Params, axis: bool) -> Params:
            return {k: (v[index] if axis else v).clone() for k, v in values.items()}

        done = (*pupil.lesson.done, pupil.task)
        return Lesson(done, own(self.params, self.many), own(self.memory, self.many), own(self.state, True))
