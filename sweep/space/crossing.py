"""What is wrong between the tables of a space: the search beside what it searches, orders beside tasks."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from sweep.space import conditions, hanging, hints, shapes
from sweep.space.hanging import Paths, placed
from sweep.space.mistakes import Finding, Path, shown, suggestion, unknown
from sweep.space.names import found
from sweep.space.objective import OF_SEVERAL, OF_TASKS
from sweep.space.plan import Space
from sweep.space.published import published
from sweep.space.settings import Choice, Range, tried

OF_TWO = ("forgetting", "backward_transfer", "forward_transfer", "min_accuracy")
"""Metrics that one task does not have."""
OF_A_PAIR = ("tpe", "nsga2", "random", "grid", "qmc", "gp")
"""Samplers that improve two objectives at once."""


def findings(space: Space, methods: list[tuple[Path, Any]], known: list[Finding]) -> list[Finding]:
    """All that is wrong between the tables of a space of right form, but for keys known to be wrong."""
    paths = {table["name"]: path for path, table in methods}
    hung = hanging.findings(space, paths)
    wrong = [*hung, *_unread(space, paths), *_named(space)]
    if not hung:  # else nobody can say what is searched
        wrong += [*_priors(space), *_defaults(space, paths), *_sampler(space), *_continual(space, paths)]
        wrong += _ahead(space)
    if not any(finding.path[0] in ("benchmark", "orders", "confirm") for finding in known):
        tasks = space.tasks()
        wrong += [*_stopping(space, tasks), *_first_tasks(space, tasks), *_confirm(space, tasks)]
        wrong += _augment(space)
    told = {finding.path for finding in known}
    return [finding for finding in wrong if finding.path not in told]


def _unread(space: Space, paths: Paths) -> Iterator[Finding]:
    """Settings of a method that no part of this model gives anything to do."""
    baselines = space.confirm.baselines if space.confirm else ()
    asked = [((*paths[m.name], "pooling"), m.name, m.options) for m in space.methods]
    for i, one in enumerate(baselines):
        asked.append((("confirm", "baselines", f"[{i}]", "pooling"), one.name, one.model_dump()))
    for path, name, options in asked:
        if name == "nai" and "pooling" in options and space.model.name == "mlp":
            rule = "acts only with models that have maps, such as conv, and an mlp has none: leave it out"
            yield Finding(path, rule)


def _augment(space: Space) -> Iterator[Finding]:
    """An augmentation of what is no picture."""
    asked = space.training.options.get("augment", "none")
    if all(name == "none" for name in tried(asked)):
        return
    benchmark = {key: tried(setting)[0] for key, setting in space.benchmark.options.items()}
    features = shapes.shape(space.benchmark.name, benchmark).features
    if len(features) != 3:
        rule = (
            f"needs images [channels, height, width], but samples have shape {list(features)}: leave it out"
        )
        yield Finding(("training", "augment"), rule)


def _named(space: Space) -> Iterator[Finding]:
    """Methods that the search and the confirming name."""
    known = [one.name for one in space.methods]
    for name in space.search.budgets:
        if name not in known:
            yield Finding(("search", "budgets", name), unknown("method of this space", name, known))
    for i, name in enumerate((space.confirm.methods or ()) if space.confirm else ()):
        if name not in known:
            path = ("confirm", "methods", f"[{i}]")
            yield Finding(path, unknown("method of this space", name, known))


# ------------------------------------------------------------------ values to try first
def _priors(space: Space) -> Iterator[Finding]:
    known = [one.name for one in space.methods]
    for i, prior in enumerate(space.search.first):
        path = ("search", "first", f"[{i}]")
        if prior.method is None and len(known) > 1:
            yield Finding((*path, "method"), f"is missing: name one of {', '.join(known)}")
        elif prior.method is not None and prior.method not in known:
            yield Finding((*path, "method"), unknown("method of this space", prior.method, known))
        else:
            for name, value in prior.values.items():
                if rule := _untriable(space, prior.method, name, value):
                    yield Finding((*path, name.removeprefix("method.")), rule)


def _untriable(space: Space, method: str | None, name: str, value: Any) -> str | None:
    """Why a value cannot be tried first; None when it can."""
    settings = space.flat(method)
    if name not in settings:
        searched = [key.removeprefix("method.") for key in space.parameters(method)]
        return f"unknown key; {suggestion(name.removeprefix('method.'), searched)}"
    setting = settings[name]
    if not isinstance(setting, Choice | Range):
        return f"{name} is fixed to {shown(setting)}, so nothing else is tried: leave it out, or search it"
    try:
        setting.drawn(value)
    except ValueError as error:
        return str(error)
    return None


def _defaults(space: Space, paths: Paths) -> Iterator[Finding]:
    """Published defaults that the space would never draw."""
    if not space.search.defaults:
        return
    for method in space.methods:
        searched = space.parameters(method.name)
        try:
            values = published(method.name, space.benchmark.model_dump(), space.training.options)
        except ValueError:  # its name is told to be unknown
            continue
        for name, value in conditions.completed(searched, values).items():
            if rule := _untriable(space, method.name, name, value):
                out = f"its published default: {rule}, or leave out search.defaults"
                yield Finding(placed(name, paths[method.name]), out)


# ------------------------------------------------------------------ samplers and stopping rules
def _sampler(space: Space) -> Iterator[Finding]:
    search, path = space.search, ("search", "sampler")
    if len(space.objectives) > 1 and search.sampler not in OF_A_PAIR:
        rule = f'sampler "{search.sampler}" improves one objective: take one of {", ".join(OF_A_PAIR)}'
        yield Finding(path, rule)
    for key in ("first", "defaults"):
        if search.sampler == "grid" and getattr(search, key):
            rule = 'sampler "grid" tries every value in its turn, so nothing comes first: leave it out'
            yield Finding(("search", key), rule)
    searched = {one.name: space.parameters(one.name).values() for one in space.methods}
    for name, settings in searched.items():
        if search.sampler == "cmaes" and settings and not any(isinstance(s, Range) for s in settings):
            rule = (
                f'sampler "cmaes" moves numbers and draws choices at random, but {name} has choices alone: '
                'search a range, or take sampler "tpe"'
            )
            yield Finding(path, rule)


def _ahead(space: Space) -> Iterator[Finding]:
    """So many suggestions in flight that a stopping rule would never have two to compare."""
    search = space.search
    most = max(space.suggestions(one.name) for one in space.methods)
    if search.rungs and search.ahead >= most and any(space.parameters(one.name) for one in space.methods):
        rule = (
            f"with {search.ahead} in flight at once, of {most} suggestions none has another to be compared "
            "with, so none is ever stopped: lower it, raise suggestions, or leave out rungs"
        )
        yield Finding(("search", "ahead"), rule)


def _stopping(space: Space, tasks: int) -> Iterator[Finding]:
    search, orders = space.search, len(space.search_orders(tasks))
    for rung in search.rungs or ():
        if rung >= orders:
            rule = (
                f"rung {rung} must be below the {orders} orders of the search: leave it out, or raise those"
            )
            yield Finding(("search", "rungs"), rule)
    spreads = [one.aggregate for one in space.objectives if one.aggregate in OF_SEVERAL]
    if search.rungs and search.rungs[0] < 2 and spreads:
        rule = f"{spreads[0]} of 1 order has no deviation: let rungs begin with 2 or more"
        yield Finding(("search", "rungs"), rule)
    if len(space.objectives) > 1 and search.stopping not in ("none", "race"):
        rule = f'stopping "{search.stopping}" compares one objective: take "race", or leave out rungs'
        yield Finding(("search", "stopping"), rule)
    if search.stopping == "wilcoxon" and any(one.aggregate != "mean" for one in space.objectives):
        rule = 'stopping "wilcoxon" compares means: take aggregate "mean", or stopping "race"'
        yield Finding(("search", "stopping"), rule)


# ------------------------------------------------------------------ protocols
def _first_tasks(space: Space, tasks: int) -> Iterator[Finding]:
    if space.search.tasks is None:
        return
    if space.search.tasks >= tasks:
        rule = (
            f'must be below the {tasks} tasks there are, not {space.search.tasks}, or take protocol "whole"'
        )
        yield Finding(("search", "tasks"), rule)
    for i, one in enumerate(space.objectives):
        path = ("objective", f"[{i}]") if len(space.objectives) > 1 else ("objective",)
        if one.aggregate in OF_TASKS:
            rule = f'{one.aggregate} needs all tasks in every order: take aggregate "mean" with first_tasks'
            yield Finding((*path, "aggregate"), rule)
        elif one.metric in OF_TWO and space.search.tasks < 2:
            rule = f"{one.metric} of 1 task has no meaning: take search.tasks = 2, or average_accuracy"
            yield Finding((*path, "metric"), rule)


def _continual(space: Space, paths: Paths) -> Iterator[Finding]:
    """Each task finds its own learning rate and strength, so nothing is left to search."""
    if space.search.protocol != "continual":
        return
    if not space.confirm:
        rule = (
            'protocol "continual" runs what is to be confirmed, and that is nothing: add the table [confirm]'
        )
        yield Finding(("search", "protocol"), rule)
    for method in space.methods:
        for name in space.parameters(method.name):
            rule = 'protocol "continual" searches nothing beforehand: give it one value'
            yield Finding(placed(name, paths[method.name]), rule)
        if undecayed := _undecayed(method.name, method.options):
            yield Finding((*paths[method.name], "strength"), undecayed)


def _undecayed(method: str, options: Mapping[str, Any]) -> str | None:
    """Why the strength of a method cannot be lowered from a high start; None when it can."""
    declared: Mapping[str, Any] | None = None
    with contextlib.suppress(ValueError):
        declared = hints.wanted("method", method, found("method", method))
    if declared is not None and "strength" not in declared:
        return (
            f'{method} has no strength that protocol "continual" could lower: make it a baseline of confirm'
        )
    if "strength" not in options:
        return (
            'protocol "continual" lowers the strength from a high start: add one, such as strength = 1000.0'
        )
    start = options["strength"]
    if isinstance(start, int | float) and start <= 0:
        return f"must be above 0, since it is lowered from there, not {start}"
    return None


# ------------------------------------------------------------------ orders to confirm on
def _confirm(space: Space, tasks: int) -> Iterator[Finding]:
    """Orders that were not asked for one by one must still be there to draw."""
    if space.confirm and not space.confirm.orders:
        try:
            space.confirm_orders(tasks)
        except ValueError as error:
            yield Finding(("confirm",), str(error))
