"""The best settings of a sweep as a space of their own, in which nothing is left to search."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from sweep.space import Choice, Range, Section, Space, Training, acts, loads

SECTIONS = ("benchmark", "model", "training")
"""What all methods of a space share."""
FOUND = """\
# The settings that did best in the sweep {sweep}; nothing is searched.
#
#     nai-sweep run {name}.toml
#
# Found with {runs:,} runs on record, by {selection}.
# In it, in per cent:
{figures}
"""


def preset(
    space: Space, results: Mapping[str, Any], methods: Sequence[str] = (), name: str | None = None
) -> str:
    """The TOML text of a space with each method's best settings of a sweep, and all else as it was there.

    methods: these alone. name: of the new space; without it the sweep's with `_best` behind.

    ValueError: a method without a best setting, or methods that were best with different training; a sweep
    whose runs choose their settings themselves.
    """
    if space.search.protocol == "continual":
        raise ValueError(
            "this sweep's runs chose rate and strength anew for each task: there are no best ones"
        )
    names = list(methods) or [one.name for one in space.methods]
    best = {method: _best(space, results, method) for method in names}
    chosen = {method: _chosen(space, method, best[method]["settings"]) for method in names}
    data = space.model_dump(exclude_none=True, exclude_defaults=True)
    data |= {key: _shared(chosen, key) for key in SECTIONS if key in data}
    data |= {"name": name or f"{space.name}_best", "search": {"sampler": "grid", "suggestions": 1}}
    data["method"] = [chosen[method]["method"] for method in names]
    body = loads(_written(data)).model_dump(exclude_none=True, exclude_defaults=True)  # it must be a space
    return f"{_head(str(data['name']), results, best)}\n{_written(body)}"


def _best(space: Space, results: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """A method's best suggestion in the results."""
    space.section(method)
    found = [one["best"] for one in results["contests"] if one["method"] == method]
    for one in results["search"]:
        if one["suggestion"] in found:
            return one  # type: ignore[no-any-return]
    raise ValueError(
        f"no setting of {method} has run all its search orders: end the sweep, or leave {method} out"
    )


def _chosen(space: Space, method: str, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every table of a method's space, what was searched being filled in."""
    values: dict[str, Any] = {}
    for name, setting in space.parameters(method).items():
        section, key = name.split(".", 1)
        if acts(setting, values):
            values[name] = settings[section][key]
    return {section: _filled(section, table, values) for section, table in _tables(space, method).items()}


def _tables(space: Space, method: str) -> dict[str, Training]:
    return {key: getattr(space, key) for key in SECTIONS} | {"method": space.section(method)}


def _filled(section: str, table: Training, values: Mapping[str, Any]) -> dict[str, Any]:
    """A table with its name first; what is searched and does not act is left to the code's default."""
    settings = {key: values.get(f"{section}.{key}", value) for key, value in table.options.items()}
    named = {"name": table.name} if isinstance(table, Section) else {}
    return named | {key: v for key, v in settings.items() if not isinstance(v, Choice | Range)}


def _shared(chosen: Mapping[str, Mapping[str, dict[str, Any]]], section: str) -> dict[str, Any]:
    """A table that all methods share; ValueError when they do not."""
    first, *others = chosen
    for other in others:
        for key, value in chosen[first][section].items():
            if chosen[other][section].get(key) != value:
                raise ValueError(
                    f"{first} was best with {section}.{key} {value}, {other} with "
                    f"{chosen[other][section].get(key)}: one space has one; name one with --methods"
                )
    return chosen[first][section]


def _head(name: str, results: Mapping[str, Any], best: Mapping[str, Mapping[str, Any]]) -> str:
    figures = "\n".join(f"#     {method:<12} {100 * one['mean']:.2f}" for method, one in best.items())
    facts = {"sweep": results["sweep"], "selection": results["selection"], "runs": results["done"]}
    return FOUND.format(name=name, figures=figures, **facts)


def _written(data: Mapping[str, Any]) -> str:
    """TOML with each method in a table of its own, and lists of plain values on one line."""
    methods = data["method"] if isinstance(data["method"], list | tuple) else [data["method"]]
    tables = [f"[[method]]\n{tomli_w.dumps(one)}" for one in methods]
    rest = tomli_w.dumps({key: value for key, value in data.items() if key != "method"})
    text = "\n".join([rest, *tables])
    return re.sub(r"\[\n((?:\s+[^][{}\n]+,\n)+)\s*\]", _joined, text)


def _joined(found: "re.Match[str]") -> str:
    return f"[{', '.join(item.strip().rstrip(',') for item in found[1].splitlines())}]"
