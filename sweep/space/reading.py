"""From a file to a checked space: what is wrong with form and meaning is gathered, then said at once."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from nai.metrics import METRICS
from sweep.space import checks, toml
from sweep.space.mistakes import Finding, Mistakes, Path, translated, unknown
from sweep.space.plan import Space
from sweep.space.tables import (
    SECTIONS,
    Choice,
    Fixed,
    Objective,
    Orders,
    Range,
    Report,
    Resources,
    Search,
    Seeds,
    Table,
    Training,
    named,
    tried,
)

KEYS: dict[Path, type[Table]] = {
    (): Space,
    ("orders",): Orders,
    ("seeds",): Seeds,
    ("objective",): Objective,
    ("search",): Search,
    ("report",): Report,
    ("report", "orders"): Orders,
    ("report", "seeds"): Seeds,
    ("resources",): Resources,
    ("<choice>",): Choice,
    ("<range>",): Range,
}
"""Which model knows the keys of a table."""


def shipped() -> dict[str, FilePath]:
    """The search spaces that come with this package, by name."""
    return toml.shipped()


def read(path: str | FilePath, overrides: Sequence[str] = ()) -> Space:
    """The space in a file, or the shipped space of that name, with overrides such as `method.strength=0.5`.

    Mistakes: all that is wrong with the file and the overrides.
    """
    file = toml.located(path)
    source = str(path) if FilePath(path) == file else file.name
    return loads(toml.text(file, source), source, overrides)


def loads(text: str, source: str = "<string>", overrides: Sequence[str] = ()) -> Space:
    """The space in a TOML text; `source` is what mistakes call it. Mistakes: all that is wrong with it."""
    data, places, wrong = toml.overridden(toml.parsed(text, source), text, source, overrides=overrides)
    findings = _misshapen(data)
    findings += _meaningless(data, findings)
    if wrong or findings:
        raise Mistakes([*wrong, *places.mistakes(findings)])
    return Space.model_validate(_with_reals(data))


def schema() -> dict[str, Any]:
    """The JSON schema of a space, for editors."""
    return Space.model_json_schema()


# ------------------------------------------------------------------ form
def _misshapen(data: dict[str, Any]) -> list[Finding]:
    try:
        Space.model_validate(data)
    except ValidationError as error:
        return [_finding(e) for e in error.errors(include_url=False)]
    return []


def _finding(error: Any) -> Finding:
    path = tuple(f"[{part}]" if isinstance(part, int) else part for part in error["loc"])
    plain = tuple(part for part in path if not part.startswith("<"))
    table = path[-2:-1] if path[-2:-1] in KEYS else plain[:-1]
    return translated(error, plain, KEYS[table].model_fields if table in KEYS else ())


def _with_reals(data: dict[str, Any]) -> dict[str, Any]:
    """The data with whole numbers written as real ones where the setting is real."""
    out = dict(data)
    for section in SECTIONS:
        table = data.get(section, {})
        names = checks.reals(section, table.get("name", section))
        out[section] = {key: checks.real(v) if key in names else v for key, v in table.items()}
    return out


# ------------------------------------------------------------------ meaning
def _meaningless(data: dict[str, Any], misshapen: list[Finding]) -> list[Finding]:
    """What is wrong with the parts whose form is right."""
    shapes: list[checks.Shape] = []
    asked = [a for section in SECTIONS if (a := _asked(data, section, misshapen))]
    findings = []
    for one in (*asked, *_baselines(data)):
        findings += checks.findings(
            one, _builder(one, shapes), checks.MOST_TRIED if one.section == "method" else 1
        )
    findings += _benchmark(data)
    findings += _objective(data)
    findings += _grid(data, asked)
    if shapes:
        findings += _orders(data, misshapen, shapes[0].tasks)
    return findings


def _asked(data: dict[str, Any], section: str, misshapen: list[Finding]) -> checks.Asked | None:
    """What a section asks for, without its misshapen settings; None when it has no name to go by."""
    table = data.get(section, {})
    broken = {f.path[1] for f in misshapen if f.path[0] == section and len(f.path) > 1}
    if not isinstance(table, dict) or (section != "training" and ("name" in broken or not table)):
        return None
    parsed = Training.model_validate({k: v for k, v in table.items() if k not in broken})
    values = {key: tried(setting) for key, setting in parsed.options.items()}
    (name,) = values.pop("name", ("training",)) if section != "training" else ("training",)
    return checks.Asked((section,), section, name, values, broken)


def _baselines(data: dict[str, Any]) -> Iterator[checks.Asked]:
    report = data.get("report")
    given = report.get("baselines", ()) if isinstance(report, dict) else ()
    for i, baseline in enumerate(given if isinstance(given, tuple) else ()):
        with contextlib.suppress(ValidationError):
            fixed = Fixed.model_validate(named(baseline))
            values = {key: (value,) for key, value in fixed.model_dump(exclude={"name"}).items()}
            yield checks.Asked(("report", "baselines", f"[{i}]"), "method", fixed.name, values)


def _builder(asked: checks.Asked, shapes: list[checks.Shape]) -> Callable[[checks.Options], object]:
    """Makes the thing asked for; the shapes of benchmarks are kept, and models made for the first."""
    if asked.section == "benchmark":
        return lambda options: shapes.append(checks.shape(asked.name, options))
    if asked.section == "model":
        shape = shapes[0] if shapes else checks.UNSEEN
        handed = {"features": shape.features, "outputs": shape.outputs}
        return lambda options: checks.made("model", asked.name, options | handed)
    return lambda options: checks.made(asked.section, asked.name, options)


def _benchmark(data: dict[str, Any]) -> list[Finding]:
    """A sweep has one benchmark: what is learnt on two cannot be compared."""
    table = data.get("benchmark")
    rule = "a benchmark's settings cannot be searched: write a space for each value"
    searched = (k for k, v in table.items() if isinstance(v, dict)) if isinstance(table, dict) else ()
    return [Finding(("benchmark", key), rule) for key in searched if key != "name"]


def _objective(data: dict[str, Any]) -> list[Finding]:
    table = data.get("objective")
    metric = table.get("metric") if isinstance(table, dict) else None
    if not isinstance(metric, str) or metric in METRICS:
        return []
    return [Finding(("objective", "metric"), unknown("metric", metric, METRICS))]


def _grid(data: dict[str, Any], asked: Collection[checks.Asked]) -> list[Finding]:
    """A grid needs a finite number of values everywhere."""
    search = data.get("search")
    if not isinstance(search, dict) or search.get("sampler") != "grid":
        return []
    rule = 'sampler "grid" needs values to count: add a step, name choices, or take sampler "tpe"'
    settings = ((one.section, key, data[one.section][key]) for one in asked for key in one.tried)
    return [
        Finding((section, key), rule)
        for section, key, setting in settings
        if isinstance(setting, dict) and "low" in setting and "step" not in setting
    ]


def _orders(data: dict[str, Any], misshapen: list[Finding], tasks: int) -> list[Finding]:
    """Whether the orders can be drawn, and those of the report beside those of the search."""
    search = _form(data, ("orders",), misshapen)
    if search is None:
        return []
    try:
        drawn = search.drawn(tasks)
    except ValueError as error:
        return [_undrawn(("orders",), str(error))]
    findings = []
    objective = data.get("objective")
    if len(drawn) == 1 and isinstance(objective, dict) and objective.get("aggregate") == "mean_minus_std":
        rule = "mean_minus_std of 1 order has no deviation: give at least 2 orders, or take aggregate mean"
        findings.append(Finding(("objective", "aggregate"), rule))
    try:
        if report := _form(data, ("report", "orders"), misshapen):
            report.drawn(tasks, drawn)
    except ValueError as error:
        findings.append(_undrawn(("report", "orders"), str(error)))
    return findings


def _form(data: dict[str, Any], path: Path, misshapen: list[Finding]) -> Orders | None:
    """The orders at a path, if their form is right."""
    table: Any = data
    for part in path:
        table = table.get(part) if isinstance(table, dict) else None
    wrong = any(f.path[: len(path)] == path for f in misshapen)
    return None if wrong or table is None else Orders.model_validate(table)


def _undrawn(path: Path, rule: str) -> Finding:
    """A complaint of `nai.orders`, at the key that it is about."""
    keys = {"orders[": "orders", "asked": "count", "named": "named"}
    return Finding((*path, next((key for word, key in keys.items() if word in rule), "design")), rule)
