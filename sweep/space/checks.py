"""Whether the names of a space exist and their settings are legal, without loading data or training."""

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from sweep.space.hints import fits, rule, wanted
from sweep.space.mistakes import Finding, Path, nearest, suggestion, with_nearest
from sweep.space.names import Options, Thing, found
from sweep.space.settings import Value, among

Tried = Mapping[str, tuple[Any, ...]]
"""The values to try of each setting: the only one if it is fixed, every choice, or both ends of a range."""
Conditions = Mapping[str, Mapping[str, tuple[Value, ...]]]
"""The settings of the same thing that a setting hangs on, and their values with which it exists."""
MOST_TRIED = 4096  # combinations of a method's settings; above, one setting at a time is varied


class Asked(NamedTuple):
    """What a space says of a method, model, benchmark or training."""

    path: Path
    section: str
    name: str
    tried: Tried
    broken: Collection[str] = ()  # settings that are there but unreadable, so not missing
    conditions: Conditions = MappingProxyType({})

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
    facts = {**getattr(thing, "acts_with", {}), **_facts(asked)}
    for key, (owner, values) in facts.items():
        chosen = asked.tried.get(owner, (getattr(thing, owner, None),))
        only = asked.conditions.get(key, {}).get(owner, chosen)
        left = {c for c in chosen if among(c, only)}  # empty: its own condition is wrong, and is told as that
        if key in asked.tried and left and not left & set(values):
            yield asked.finding(key, f"acts only with {owner} {' or '.join(map(repr, values))}: leave it out")


def _facts(asked: Asked) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What nai's code does not say of itself: settings that are read with some values of another alone."""
    from nai.normalise import NORMALISERS

    if asked.section == "benchmark" and ":" not in asked.name:
        return {key: ("dataset", names) for key, names in _readers(asked.tried.get("dataset", ())).items()}
    if (asked.section, asked.name) == ("method", "nai"):
        divided = tuple(n for n in NORMALISERS if n not in ("none", "layer_softmax"))
        return {"eps": ("normalization", divided)}
    return {}


def _readers(chosen: tuple[Any, ...]) -> dict[str, tuple[str, ...]]:
    """The data sets that read each setting of a benchmark which is not its own."""
    from nai.datasets import DATASETS, options_of

    imported = tuple(name for name in chosen if ":" in name)
    readers = {"root": tuple(name for name in DATASETS if name != "digits") + imported}  # they have no place
    for name in DATASETS:
        for key in options_of(name):
            readers[key] = (*readers.get(key, ()), name)
    return readers


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
            asked.finding(key, rule(value, declared[key].hint))
            for key, values in asked.tried.items()
            for value in values
            if key in declared and not fits(value, declared[key].hint)
        ),
        *(asked.finding(key, "is missing") for key, w in declared.items() if w.required and key not in meant),
    ]


# ------------------------------------------------------------------ what the thing itself refuses
def _refused(
    asked: Asked, build: Callable[[Options], object], needed: Collection[str], most: int
) -> list[Finding]:
    whole = _complaints(asked, build, _combinations(asked, most))
    if not whole:
        return []
    # the first complaint about a combination hides the others: each setting alone brings them to light
    base = {key: asked.tried[key][0] for key in needed}
    alone = (
        _with_parents(asked, key, {**base, key: value})
        for key, values in asked.tried.items()
        for value in values
    )
    own = [f for f in _complaints(asked, build, alone) if len(_mentioned(f.rule, asked.tried)) == 1]
    told = {f.path for f in whole}
    return [*whole, *(f for f in own if f.path not in told)]


def _complaints(
    asked: Asked, build: Callable[[Options], object], options: Iterable[Options]
) -> list[Finding]:
    out: dict[Finding, None] = {}
    for chosen in options:
        try:
            build(chosen)
        except (ValueError, TypeError) as error:
            said = with_nearest(str(error))
            out[asked.finding(next(iter(_mentioned(said, asked.tried)), ""), said)] = None
    return list(out)


def _combinations(asked: Asked, most: int) -> Iterator[Options]:
    """Settings side by side, without those that do not exist beside the others."""
    tried, total = asked.tried, 1
    for values in tried.values():
        total *= len(values)
    if total <= most:
        whole = (dict(zip(tried, values, strict=True)) for values in itertools.product(*tried.values()))
        yield from (_existing(asked, options) for options in whole)
        return
    first = {key: values[0] for key, values in tried.items()}
    yield _existing(asked, first)
    for key, values in tried.items():
        for value in values:
            yield _existing(asked, _with_parents(asked, key, {**first, key: value}))


def _existing(asked: Asked, options: Options) -> Options:
    """The options without those whose condition does not hold, and those that hang on them."""
    lost = {
        key
        for key in options
        for parent, values in asked.conditions.get(key, {}).items()
        if parent in asked.tried and not (parent in options and among(options[parent], values))
    }
    return _existing(asked, {k: v for k, v in options.items() if k not in lost}) if lost else options


def _with_parents(asked: Asked, key: str, options: Options) -> Options:
    """The options with the settings that a key hangs on such that it exists."""
    for parent, values in asked.conditions.get(key, {}).items():
        fitting = [v for v in asked.tried.get(parent, ()) if among(v, values)]
        if fitting and not among(options.get(parent), values):
            options = _with_parents(asked, parent, {**options, parent: fitting[0]})
    return options


def _mentioned(rule: str, keys: Tried) -> list[str]:
    """The settings that an error message names, the first first."""
    matches = {key: re.search(rf"\b{re.escape(key)}\b", rule) for key in keys}
    return [key for _, key in sorted((match.start(), key) for key, match in matches.items() if match)]
