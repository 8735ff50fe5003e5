"""Whether the names of a search space exist and their settings are legal, without loading data or training.

nai's methods, models and benchmarks, and so torch, are imported when a check is called, not before.
"""

import inspect
import itertools
import re
import types
from collections import abc
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from sweep.space.mistakes import Finding, Path, nearest, shown, suggestion, unknown

Options = dict[str, Any]
Tried = Mapping[str, tuple[Any, ...]]
"""The values to try of each setting: the only one if it is fixed, every choice, or both ends of a range."""
Thing = Callable[..., Any]
"""A method, model or benchmark, or the class of training settings."""
MOST_TRIED = 4096  # combinations of a method's settings; above, one setting at a time is varied
MOST_TASKS = 1000
STAND_IN = 500  # blank training samples a class
DATASETS: dict[str, tuple[int, tuple[int, ...]]] = {
    "digits": (10, (1, 8, 8)),
    "mnist": (10, (1, 28, 28)),
    "fashion_mnist": (10, (1, 28, 28)),
    "cifar10": (10, (3, 32, 32)),
    "cifar100": (100, (3, 32, 32)),
    "cifar10_100": (110, (3, 32, 32)),
}
"""Classes, and the shape of a sample [channels, height, width]: a space is checked without its data."""


class Shape(NamedTuple):
    """What a benchmark says of itself."""

    tasks: int
    features: tuple[int, ...]  # of one sample
    outputs: int


UNSEEN = Shape(5, (3, 32, 32), 10)
"""What a model is checked with when the benchmark is wrong."""


# ------------------------------------------------------------------ names
def known(section: str) -> Mapping[str, Thing]:
    """What a name of the section may stand for."""
    from nai.datasets import BENCHMARKS
    from nai.methods import METHODS
    from nai.models import MODELS
    from nai.training import Training

    tables: dict[str, Mapping[str, Thing]] = {
        "benchmark": BENCHMARKS,
        "model": MODELS,
        "method": METHODS,
        "training": {"training": Training},
    }
    return tables[section]


def found(section: str, name: str) -> Thing:
    """What a name stands for: a known name, or `module:attribute`; ValueError when there is none."""
    from nai.trial import attribute

    if ":" not in name and name not in known(section):
        raise ValueError(unknown(section, name, known(section)))
    thing = attribute(name) if ":" in name else known(section)[name]
    if not callable(thing):
        raise ValueError(f"{name} is neither a class nor a function")
    return thing


def made(section: str, name: str, options: Options) -> object:
    """The method, model or training of these settings; ValueError or TypeError when it refuses them."""
    from nai.methods import Method
    from nai.models import Network

    thing = found(section, name)(**options)
    kind = {"method": Method, "model": Network}.get(section, object)
    if not isinstance(thing, kind):
        raise TypeError(f"{name} makes a {type(thing).__name__}, not a {kind.__module__}.{kind.__name__}")
    return thing


# ------------------------------------------------------------------ types
class Wanted(NamedTuple):
    """A setting as the code declares it: its type hint, and whether it must be given."""

    hint: Any
    required: bool


def wanted(section: str, name: str, thing: Thing) -> dict[str, Wanted] | None:
    """The settings that a thing takes, by name; None when it takes whatever comes."""
    parameters = list(inspect.signature(thing).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    hints = get_type_hints(thing.__init__ if inspect.isclass(thing) else thing)
    built_in = section == "benchmark" and ":" not in name
    handed = ("features", "outputs") if section == "model" else ("source",) if built_in else ()
    own = [p for p in parameters if p.name not in handed]
    declared = {p.name: Wanted(hints.get(p.name, Any), p.default is p.empty) for p in own}
    return {"dataset": Wanted(str, True), **declared, "root": Wanted(str, False)} if built_in else declared


def fits(value: object, hint: Any) -> bool:
    """Whether a value has the type that a hint names: numbers are never true or false, lists are tuples."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, h) for h in inner)
    if origin is Literal:
        return value in inner
    if origin in (tuple, list, abc.Sequence):
        return isinstance(value, tuple) and all(fits(v, inner[0]) for v in value)
    if hint in (tuple, list):
        return isinstance(value, tuple)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def _rule(value: object, hint: Any) -> str:
    if get_origin(hint) is Literal and isinstance(value, str):
        return with_nearest(f"{value!r} is unknown: known are {', '.join(get_args(hint))}")
    return f"must be {_phrase(hint)}, not {shown(value)}"


def _phrase(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_phrase(h) for h in inner if h is not type(None)))
    if origin is Literal:
        return f"one of {', '.join(inner)}"
    if origin in (tuple, list, abc.Sequence):
        return f"a list, each {_phrase(inner[0])}"
    plain = {float: "a number", int: "a whole number", bool: "true or false", str: "text in quotes"}
    return plain.get(hint, f"a {getattr(hint, '__name__', hint)}")


def reals(section: str, name: str) -> set[str]:
    """The settings that are real numbers."""
    declared = wanted(section, name, found(section, name)) or {}
    return {k for k, w in declared.items() if {float} == {float, int} & {w.hint, *get_args(w.hint)}}


def real(raw: Any) -> Any:
    """A real setting, fixed or searched, with 1 written as 1.0: equal values must have equal fingerprints."""
    if isinstance(raw, dict):
        return {key: real(value) for key, value in raw.items()}
    if isinstance(raw, tuple):
        return tuple(real(value) for value in raw)
    return float(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw


# ------------------------------------------------------------------ checks
class Asked(NamedTuple):
    """What a space says of a method, model, benchmark or training."""

    path: Path
    section: str
    name: str
    tried: Tried
    broken: Collection[str] = ()  # settings that are there but unreadable, so not missing

    def finding(self, key: str, rule: str) -> Finding:
        """A finding at one of its keys, or at the whole when the key is empty."""
        return Finding((*self.path, key) if key else self.path, rule)


def findings(asked: Asked, build: Callable[[Options], object], most: int = 1) -> list[Finding]:
    """All that is wrong with a name and its settings: in `build`, the thing itself says what it refuses.

    Its settings are tried in up to `most` combinations; were there more, one at a time is varied.
    """
    try:
        thing = found(asked.section, asked.name)
    except ValueError as error:
        return [asked.finding("name", str(error))]
    wrong = _mistyped(asked, thing)
    keys = {f.path[-1] for f in wrong}
    sound = asked._replace(tried={k: v for k, v in asked.tried.items() if k not in keys})
    needed = {k for k, w in (wanted(asked.section, asked.name, thing) or {}).items() if w.required}
    if needed - set(sound.tried):
        return wrong
    wrong += _refused(sound, build, needed, most)
    return wrong + [f for f in _idle(sound, thing) if f.path not in {w.path for w in wrong}]


def _idle(asked: Asked, thing: Thing) -> Iterator[Finding]:
    """Settings that the thing would not read, whatever is chosen for the one that they belong to."""
    for key, (owner, values) in getattr(thing, "acts_with", {}).items():
        chosen = asked.tried.get(owner, (getattr(thing, owner, None),))
        if key in asked.tried and not set(chosen) & set(values):
            yield asked.finding(key, f"acts only with {owner} {' or '.join(map(repr, values))}: leave it out")


def _mistyped(asked: Asked, thing: Thing) -> list[Finding]:
    """Settings that the thing does not have, those of a wrong type, and those it needs."""
    declared = wanted(asked.section, asked.name, thing)
    if declared is None:
        return []
    strange = [key for key in (*asked.tried, *asked.broken) if key not in declared]
    meant = {nearest(key, declared) for key in strange} | {*asked.broken, *asked.tried}
    return [
        *(asked.finding(key, f"unknown key; {suggestion(key, declared)}") for key in strange),
        *(
            asked.finding(key, _rule(value, declared[key].hint))
            for key, values in asked.tried.items()
            for value in values
            if key in declared and not fits(value, declared[key].hint)
        ),
        *(asked.finding(key, "is missing") for key, w in declared.items() if w.required and key not in meant),
    ]


def _refused(
    asked: Asked, build: Callable[[Options], object], needed: Collection[str], most: int
) -> list[Finding]:
    whole = _complaints(asked, build, _combinations(asked.tried, most))
    if not whole:
        return []
    # the first complaint about a combination hides the others: each setting alone brings them to light
    base = {key: asked.tried[key][0] for key in needed}
    alone = ({**base, key: value} for key, values in asked.tried.items() for value in values)
    own = [f for f in _complaints(asked, build, alone) if len(_mentioned(f.rule, asked.tried)) == 1]
    return list(dict.fromkeys([*whole, *own]))


def _complaints(
    asked: Asked, build: Callable[[Options], object], options: Iterator[Options]
) -> list[Finding]:
    out: dict[Finding, None] = {}
    for chosen in options:
        try:
            build(chosen)
        except (ValueError, TypeError) as error:
            rule = with_nearest(str(error))
            out[asked.finding(next(iter(_mentioned(rule, asked.tried)), ""), rule)] = None
    return list(out)


def _combinations(tried: Tried, most: int) -> Iterator[Options]:
    total = 1
    for values in tried.values():
        total *= len(values)
    if total <= most:
        yield from (dict(zip(tried, values, strict=True)) for values in itertools.product(*tried.values()))
        return
    first = {key: values[0] for key, values in tried.items()}
    yield first
    yield from ({**first, key: value} for key, values in tried.items() for value in values[1:])


def _mentioned(rule: str, keys: Tried) -> list[str]:
    """The settings that an error message names, the first first."""
    matches = {key: re.search(rf"\b{re.escape(key)}\b", rule) for key in keys}
    return [key for _, key in sorted((match.start(), key) for key, match in matches.items() if match)]


def with_nearest(rule: str) -> str:
    """A message about an unknown name, with the nearest of the names that it says are known."""
    unknown_name = re.search(r"'([^']*)' is (?:unknown|not known): (?:known are|choose one of) (.+)$", rule)
    near = nearest(unknown_name[1], unknown_name[2].split(", ")) if unknown_name else None
    return f"{rule}; did you mean {near}?" if near else rule


# ------------------------------------------------------------------ benchmarks
def shape(name: str, options: Options) -> Shape:
    """Tasks, sample shape and outputs of a benchmark, its own data set replaced by a small blank one.

    ValueError or TypeError for options that it refuses. Whatever `module:attribute` makes is made.
    """
    from nai.datasets import benchmark

    if ":" in name:
        made = benchmark(name, **options)
        return Shape(len(made.tasks), made.features, made.outputs)
    own = dict(options)
    dataset = own.pop("dataset")
    own.pop("root", None)
    if dataset not in DATASETS:
        raise ValueError(f"dataset {dataset!r} is unknown: known are {', '.join(DATASETS)}")
    if isinstance(own.get("tasks"), int) and not 1 <= own["tasks"] <= MOST_TASKS:
        raise ValueError(f"tasks {own['tasks']} must be from 1 to {MOST_TASKS}")
    if own.get("seed", 0) < 0:
        raise ValueError(f"seed {own['seed']} must be at least 0")
    classes, features = DATASETS[dataset]
    made = known("benchmark")[name](_blank(dataset, classes), **own)
    return Shape(len(made.tasks), features, made.outputs)


def _blank(dataset: str, classes: int) -> Any:
    import numpy as np

    from nai.builders import Source

    labels = np.repeat(np.arange(classes), STAND_IN + 1)
    is_test = np.arange(len(labels)) % (STAND_IN + 1) == STAND_IN
    return Source(dataset, np.zeros((len(labels), 1, 2, 2), np.uint8), labels, is_test)
