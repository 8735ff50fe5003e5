"""What the literature starts each method with, in the convention of this package, and tries first on request.

Strength is that of strength / 2 x sum of importance x (theta - anchor)^2: papers without the 1/2 need twice
their number. Sources: van de Ven's `param_values.py` (EWC and SI on Split MNIST), Aljundi et al. 2018 (MAS),
Jung et al. 2020 (EWC and SI on CIFAR), Kim & Lee 2021 with a strength of our own first trials (NAI).
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sweep.space.names import found
from sweep.space.settings import Value

STRENGTHS: dict[str, dict[str, dict[str, float]]] = {
    "ewc": {
        "mnist": {"task": 1e5, "class": 1e9, "domain": 1e10},
        "cifar10": {"task": 1e2, "class": 1e2, "domain": 1e2},
        "cifar100": {"task": 1e3, "class": 1e3, "domain": 1e3},
    },
    "si": {
        "mnist": {"task": 20.0, "class": 1e4, "domain": 1e5},
        "cifar10": {"task": 20.0, "class": 20.0, "domain": 20.0},
        "cifar100": {"task": 200.0, "class": 200.0, "domain": 200.0},
    },
}
"""By method, data and scenario. MAS has one strength everywhere, 2: its default here, as is that of NAI."""
LIKE = {"cifar10": "cifar10"} | dict.fromkeys(
    ("cifar100", "cifar10_100", "tiny_imagenet", "core50"), "cifar100"
)
"""Data sets that are not black and white figures."""
SCENARIOS = {"permuted": "domain", "rotated": "domain", "stream": "class"}
"""Of benchmarks that say nothing, if it is not task."""
RATE = 1e-3  # of Adam, in all of these


def published(
    method: str, benchmark: Mapping[str, Any], training: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Value]:
    """A method's published settings on such a benchmark, by dotted name; its own defaults for the rest.

    training: what the space says of it; none of the rates is of descent, so beside that there is none.
    """
    thing = found("method", method)
    out = {f"method.{k}": v for k, v in _defaults(thing).items()}
    scenario = benchmark.get("scenario", SCENARIOS.get(benchmark["name"], "task"))
    known = STRENGTHS.get(method, {}).get(LIKE.get(benchmark.get("dataset", ""), "mnist"), {})
    strength = {"method.strength": known[scenario]} if scenario in known else {}
    rate = {"training.rate": RATE} if training.get("algorithm", "adam") != "sgd" else {}
    return {**out, **strength, **rate, "training.algorithm": "adam"}


def _defaults(thing: object) -> dict[str, Value]:
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
