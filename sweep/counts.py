"""How much a sweep asks for: settings, runs and task trainings, counted on the order tree."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sweep.jobs import Run, Settings, crossed
from sweep.space import Space

LATE = "method."


class Arm(NamedTuple):
    """So many settings that are run alike; `settings` stand for all of them."""

    settings: Settings
    alike: int
    rungs: tuple[tuple[Run, ...], ...]
    """Runs up to each rung; those of the last are all."""
    kin: bool = False
    """They differ in nothing that acts before the end of the first task, so that they share first tasks."""


class Phase(NamedTuple):
    """The search or the confirmation: settings, orders and seeds each, runs and task trainings in all.

    With rungs these are the most; `least` are the runs if all but the best end at the first rung.
    """

    settings: int
    orders: int
    seeds: int
    runs: int
    trainings: int
    separate: int
    """Task trainings that the same runs would take one by one, without the order tree."""
    least: int
    least_trainings: int


def searched(space: Space) -> list[Arm]:
    """The search of every method; nothing where settings are chosen while a net learns."""
    from sweep.contest import course

    if space.search.protocol == "continual":
        return []
    run = course(space, space.tasks())
    rungs = tuple(run.runs(rung) for rung in range(len(run.rungs)))
    names = [one.name for one in space.methods]
    return [
        Arm(space.first(name), space.suggestions(name), rungs, _kin(space, name))
        for name in names
        if space.suggestions(name)
    ]


def confirmed(space: Space) -> list[Arm]:
    """The best settings of each method, whose stand-ins are the first of all, and the baselines.

    With `until` there may be more orders than those counted.
    """
    if not space.confirm:
        return []
    from sweep.confirm import alone

    tasks = space.tasks()
    rungs = (crossed(space.confirm_orders(tasks), space.confirm_pairs) + alone(space, tasks),)
    names = space.confirm.methods or tuple(one.name for one in space.methods)
    best = [
        Arm(space.first(name), min(space.confirm.top, space.suggestions(name)), rungs, _kin(space, name))
        for name in names
    ]
    base = space.first(names[0])
    return best + [Arm(base | {"method": dict(one)}, 1, rungs) for one in space.baselines()]


def _kin(space: Space, method: str) -> bool:
    from nai.trial import method_of

    late = method_of(space.first(method)["method"]).late
    return all(key.startswith(LATE) and key[len(LATE) :] in late for key in space.parameters(method))


def phase(arms: Sequence[Arm]) -> Phase:
    """All arms of a stage together."""
    whole = [one.rungs[-1] for one in arms]
    longest = max((len(run.order) for runs in whole for run in runs), default=0)
    ordered = [
        run for runs in whole for run in runs if len(run.order) == longest
    ]  # nets of one task are none
    return Phase(
        settings=sum(one.alike for one in arms),
        orders=len({run.order for run in ordered}),
        seeds=len({run.seeds for run in ordered}),
        runs=sum(one.alike * len(runs) for one, runs in zip(arms, whole, strict=True)),
        trainings=sum(trainings(one) for one in arms),
        separate=sum(
            one.alike * len(run.order) for one, runs in zip(arms, whole, strict=True) for run in runs
        ),
        least=sum(len(one.rungs[-1]) + (one.alike - 1) * len(one.rungs[0]) for one in arms),
        least_trainings=sum(trainings(one, least=True) for one in arms),
    )


def trainings(arm: Arm, *, least: bool = False) -> int:
    """Task trainings of all of an arm's settings; least: all but one end at the first rung."""
    whole, others = (_tree(arm.settings, runs) for runs in (arm.rungs[-1], arm.rungs[0 if least else -1]))
    more = [key for key in others if len(key.done) > arm.kin]
    return sum(bool(key.done) for key in whole) + (arm.alike - 1) * len(more)


class Stack(NamedTuple):
    """Lessons that train together, and the tasks that they have learnt then."""

    depth: int
    lessons: int


def stacks(settings: Settings, runs: Sequence[Run], width: int) -> Iterator[Stack]:
    """The stacks that one worker trains for these runs, in the order of `nai.tree.grow`."""
    from nai.stack import chunks

    nodes = _tree(settings, runs)
    seen: set[Any] = set()
    open_ = [list(chunks([key for key in nodes if not key.done], width))]
    while open_:
        if not open_[-1]:
            open_.pop()
            continue
        some = open_[-1].pop(0)
        todo = list(dict.fromkeys(c for key in some for c in nodes[key].children if c not in seen))
        seen.update(todo)
        parts = list(chunks(todo, width))
        yield from (Stack(len(open_), len(part)) for part in parts)
        open_.append(parts)


def held(settings: Settings, runs: Sequence[Run], width: int) -> tuple[int, int]:
    """Lessons that a worker holds at most, a stack for each level of the tree, and those of the widest."""
    widest: dict[int, int] = {}
    for depth, lessons in stacks(settings, runs, width):
        widest[depth] = max(lessons, widest.get(depth, 0))
    return 1 + sum(widest.values()), max(widest.values())


def _tree(settings: Settings, runs: Sequence[Run]) -> dict[Any, Any]:
    from nai import prefixes
    from nai.seeds import Seeds
    from nai.trial import method_of

    method = method_of(settings["method"])
    return prefixes.plan([prefixes.Run(method, Seeds(*run.seeds), run.order) for run in runs])
