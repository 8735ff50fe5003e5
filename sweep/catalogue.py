"""What a search space may name, with the one-line descriptions that the code itself gives."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

Kind = Literal[
    "methods",
    "datasets",
    "benchmarks",
    "models",
    "activations",
    "normalisations",
    "orders",
    "samplers",
    "stopping",
    "protocols",
    "metrics",
    "aggregates",
    "spaces",
]
KINDS = get_args(Kind)
SAMPLERS = {
    "tpe": "Tree-structured Parzen estimator: tries more where it went well.",
    "random": "Values at random.",
    "grid": "Every combination of the values, one after the other.",
    "gp": "A Gaussian process: for few, costly suggestions.",
    "cmaes": "Evolution of a normal distribution: for numbers; choices are drawn at random beside it.",
    "nsga2": "A genetic algorithm: for two objectives and many suggestions.",
    "qmc": "Values spread evenly, by a quasi-random sequence.",
}
STOPPING = {
    "none": "Every suggestion runs on all orders.",
    "race": "Stops what is worse than the best on the same orders, by a paired test of the objective.",
    "asha": "Successive halving: at each rung the best of eta suggestions goes on.",
    "median": "Stops what is worse than the median of the others at the same rung.",
    "hyperband": "Successive halving from several first rungs, as the best first rung is not known.",
    "percentile": "Keeps the best share of the suggestions at each rung.",
    "wilcoxon": "Stops what is worse than the best by Wilcoxon's signed-rank test over the same orders.",
}
PROTOCOLS = {
    "whole": "Judged by the whole sequence of tasks, which no learner knows beforehand: oracle tuning.",
    "first_tasks": "Judged by the first tasks of each order alone.",
    "continual": "Nothing is searched beforehand: each task finds its learning rate and lowers the strength.",
}
AGGREGATES = {
    "mean_minus_aopd": "The mean moved `weight` times the AOPD to the worse side.",
    "aopd": "How far the final accuracy of a task ranges over orders, mean over tasks; better small.",
    "mopd": "How far the final accuracy of a task ranges over orders, largest of all tasks; better small.",
    "std": "Standard deviation over orders; better small.",
}
"""Of one objective or a pair; what `nai.metrics` says of the others is said by itself."""


class Entry(NamedTuple):
    """A name, what it is, its settings with their defaults, and what is worth searching of them.

    ranges: low, high and whether on a log scale, or the names to choose from.
    """

    name: str
    says: str
    settings: tuple[tuple[str, Any], ...] = ()
    ranges: tuple[tuple[str, tuple[Any, ...]], ...] = ()


def entries(kind: str) -> tuple[Entry, ...]:
    """Everything of a kind that a space may name; ValueError for a kind that is none of `KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} cannot be listed: choose from {', '.join(KINDS)}")
    return tuple(_LISTS[kind]())


def _methods() -> list[Entry]:
    from nai.methods import METHODS

    return [
        Entry(
            name,
            says(method),
            tuple((f.name, f.default) for f in dataclasses.fields(method)),  # type: ignore[arg-type]
            tuple((key, tuple(span)) for key, span in method.ranges.items()),
        )
        for name, method in METHODS.items()
    ]


def _datasets() -> list[Entry]:
    from nai.datasets import DATASETS

    own = {name: _options(made, "root") for name, made in DATASETS.items()}
    return [Entry(name, says(made), own[name]) for name, made in DATASETS.items()]


def _benchmarks() -> list[Entry]:
    from nai.backbones import Frozen
    from nai.datasets import BENCHMARKS

    frozen = tuple((name, None) for name in Frozen._fields)
    data = (("dataset", ...), ("root", None), *frozen)  # which every one of them reads first
    return [Entry(name, says(made), data + _options(made, "source")) for name, made in BENCHMARKS.items()]


def _models() -> list[Entry]:
    from nai.models import MODELS

    return [Entry(name, says(m), _options(m, "features", "outputs")) for name, m in MODELS.items()]


def _activations() -> list[Entry]:
    from nai.activations import ACTIVATIONS

    return [Entry(name, one.says) for name, one in ACTIVATIONS.items()]


def _normalisations() -> list[Entry]:
    from nai.normalise import NORMALISERS

    return _told(NORMALISERS)


def _orders() -> list[Entry]:
    from nai import orders

    return _told(
        {
            "all": orders.all_orders,
            "random": orders.sampled,
            "latin": orders.latin,
            "williams": orders.williams,
            "reversed": orders.reversed_orders,
            "identity": orders.identity,
            "list": orders.listed,
            "named": orders.named_orders,
        }
    )


def _samplers() -> list[Entry]:
    return _searched("sampler", SAMPLERS)


def _stopping() -> list[Entry]:
    return _searched("stopping", STOPPING)


def _protocols() -> list[Entry]:
    return _searched("protocol", PROTOCOLS)


def _searched(key: str, told: Mapping[str, str]) -> list[Entry]:
    """The values of a key of `[search]`, with the settings that they alone read."""
    from sweep.space import Search

    return [
        Entry(
            name, told[name], tuple((k, own.default) for k, own in Search.OWN.items() if name in own.owners)
        )
        for name in get_args(Search.model_fields[key].annotation)
    ]


def _metrics() -> list[Entry]:
    from nai.metrics import METRICS

    return _told({name: metric.function for name, metric in METRICS.items()})


def _aggregates() -> list[Entry]:
    from nai import metrics
    from sweep.space import Objective

    known = get_args(Objective.model_fields["aggregate"].annotation)
    return [Entry(name, AGGREGATES.get(name) or says(metrics.AGGREGATES[name])) for name in known]


def _spaces() -> list[Entry]:
    from sweep.space import shipped

    lines = {name: path.read_text(encoding="utf-8").partition("\n")[0] for name, path in shipped().items()}
    return [Entry(name, line.lstrip("# ")) for name, line in lines.items()]


_LISTS: dict[str, Callable[[], list[Entry]]] = {
    "methods": _methods,
    "datasets": _datasets,
    "benchmarks": _benchmarks,
    "models": _models,
    "activations": _activations,
    "normalisations": _normalisations,
    "orders": _orders,
    "samplers": _samplers,
    "stopping": _stopping,
    "protocols": _protocols,
    "metrics": _metrics,
    "aggregates": _aggregates,
    "spaces": _spaces,
}


def _told(things: Mapping[str, object]) -> list[Entry]:
    return [Entry(name, says(thing)) for name, thing in things.items()]


def says(thing: object) -> str:
    """The first paragraph of a docstring in one line."""
    line = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    return line.partition("; ValueError ")[0]  # what it raises is for programmers


def _options(maker: Callable[..., Any], *handed: str) -> tuple[tuple[str, Any], ...]:
    """Settings of a maker with their defaults, `...` where there is none, without those handed to it."""
    known = inspect.signature(maker).parameters.values()
    return tuple((p.name, ... if p.default is p.empty else p.default) for p in known if p.name not in handed)
