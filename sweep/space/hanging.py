"""What is wrong with the conditions of a space: settings that hang on what is not there, or on themselves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sweep.space import conditions
from sweep.space.mistakes import Finding, Path, nearest, shown
from sweep.space.plan import Space
from sweep.space.settings import Choice, Range, Value, among

Paths = Mapping[str, Path]
"""Where each method stands, by name."""
Values = tuple[Value, ...]
HOLD = ("method", "model", "training")
"""Sections whose settings others may hang on."""


def findings(space: Space, paths: Paths) -> list[Finding]:
    """All that is wrong with what settings hang on."""
    flat = {method: space.flat(method) for method in paths}
    wrong: dict[Finding, None] = {}
    for method, settings in flat.items():
        for name, setting in settings.items():
            if isinstance(setting, Choice | Range) and setting.when:
                own = name.startswith("method.")
                beside = [settings] if own else list(flat.values())
                path = placed(name, paths[method])
                wrong |= dict.fromkeys(Finding(path, rule) for rule in _rules(name, setting, beside))
        wrong |= dict.fromkeys(_circles(settings, paths[method]))
    return list(wrong)


def placed(name: str, method: Path) -> Path:
    """Where a setting stands, given where its method does."""
    section, _, key = name.partition(".")
    return (*(method if section == "method" else (section,)), key)


def _rules(name: str, setting: Choice | Range, beside: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with a setting's conditions, beside all settings of each method that it belongs to."""
    for parent, values in conditions.parents(name, setting).items():
        if parent.partition(".")[0] not in HOLD:
            yield f"when names {parent}, but a setting hangs on those of {', '.join(HOLD)} alone"
            continue
        above = [settings[parent] for settings in beside if parent in settings]
        if not above:
            known = [k for settings in beside for k in settings if k.partition(".")[0] in HOLD]
            near = nearest(parent, known)
            hint = f"did you mean {near}?" if near else "add it with its choices, or leave out when"
            yield f"when names {parent}, which the space does not have; {hint}"
        elif any(isinstance(one, Range) for one in above):
            yield f"when names {parent}, which is a range: settings hang on choices, so name its values"
        else:
            yield from _values(parent, values, above)


def _values(parent: str, values: Values, above: list[Any]) -> Iterator[str]:
    chosen = [one for one in above if isinstance(one, Choice)]
    known = tuple(v for one in above for v in (one.choices if isinstance(one, Choice) else (one,)))
    if not chosen and not any(among(value, known) for value in values):
        fixed = " or ".join(shown(value) for value in known)
        yield f"can never act, since {parent} is fixed to {fixed}: leave it out, or let {parent} be a choice"
    if len(chosen) == len(above):
        for value in (v for v in values if not among(v, known)):
            yield f"when names {shown(value)}, which is no choice of {parent}: those are {shown(known)}"


def _circles(settings: Mapping[str, Any], method: Path) -> Iterator[Finding]:
    try:
        conditions.ordered(settings)
    except ValueError as error:
        first = str(error).partition(" ")[0]
        yield Finding(placed(first, method), f"never exists, since {error}: leave out one when")
