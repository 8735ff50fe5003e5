"""What is wrong with the parts of a space whose form is right, each by itself: names, settings, orders."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from nai.metrics import METRICS
from sweep.space import checks, hints, names, shapes
from sweep.space.confirm import Fixed, named
from sweep.space.mistakes import Finding, Path, unknown
from sweep.space.objective import OF_SEVERAL
from sweep.space.settings import Choice, Range, tried
from sweep.space.tables import SECTIONS, Orders, Training

Data = dict[str, Any]


def methods(data: Data) -> list[tuple[Path, Any]]:
    """The tables of the methods and where they stand."""
    given = data.get("method", {})
    if isinstance(given, tuple):
        return [(("method", f"[{i}]"), table) for i, table in enumerate(given)]
    return [(("method",), given)]


def with_reals(data: Data) -> Data:
    """The data with whole numbers written as real ones where the setting is real."""
    out = dict(data)
    for section in SECTIONS:
        given = data.get(section, {})
        many = isinstance(given, tuple)
        out[section] = tuple(_real(section, t) for t in given) if many else _real(section, given)
    return out


def _real(section: str, table: Data) -> Data:
    real = hints.reals(section, table.get("name", section))
    return {key: hints.real(value) if key in real else value for key, value in table.items()}


def findings(data: Data, misshapen: list[Finding]) -> list[Finding]:
    """All that is wrong with the parts whose form is right."""
    seen, nets = list[shapes.Shape](), list[Any]()
    tables = [((s,), data.get(s, {})) for s in SECTIONS if s != "method"]
    asked = [a for path, table in (*tables, *methods(data)) if (a := _asked(path, table, misshapen))]
    found = []
    for one in (*asked, *_baselines(data)):
        most = checks.MOST_TRIED if one.section == "method" else 1
        wrong = checks.findings(one, _builder(one, seen, nets, beside=asked), most)
        found += wrong
        if wrong and one.section == "model":
            nets.clear()  # among them may be some that nobody asked for
    found += [*_benchmark(data), *_metrics(data), *_grid(data)]
    if seen:
        found += _orders(data, misshapen, seen[0].tasks)
    return found


# ------------------------------------------------------------------ names and settings
def _asked(path: Path, table: Any, misshapen: list[Finding]) -> checks.Asked | None:
    """What a section asks for, without its misshapen settings; None when it has no name to go by."""
    section, below = path[0], len(path)
    broken = {f.path[below] for f in misshapen if f.path[:below] == path and len(f.path) > below}
    if not isinstance(table, dict) or (section != "training" and ("name" in broken or not table)):
        return None
    parsed = Training.model_validate({k: v for k, v in table.items() if k not in broken})
    values = {key: tried(setting) for key, setting in parsed.options.items()}
    (name,) = values.pop("name", ("training",)) if section != "training" else ("training",)
    when = {k: s.when or {} for k, s in parsed.options.items() if isinstance(s, Choice | Range)}
    own = {k: {p.removeprefix(f"{section}."): v for p, v in given.items()} for k, given in when.items()}
    return checks.Asked(path, section, name, values, broken, own)


def _baselines(data: Data) -> Iterator[checks.Asked]:
    confirm = data.get("confirm")
    given = confirm.get("baselines", ()) if isinstance(confirm, dict) else ()
    for i, baseline in enumerate(given if isinstance(given, tuple) else ()):
        with contextlib.suppress(ValidationError):
            fixed = Fixed.model_validate(named(baseline))
            values = {key: (value,) for key, value in fixed.model_dump(exclude={"name"}).items()}
            yield checks.Asked(("confirm", "baselines", f"[{i}]"), "method", fixed.name, values)


def _builder(
    asked: checks.Asked, seen: list[shapes.Shape], nets: list[Any], *, beside: list[checks.Asked]
) -> Callable[[names.Options], object]:
    """Makes the thing asked for; shapes of benchmarks and networks are kept, and all others made for them."""
    if asked.section == "benchmark":
        return lambda options: seen.append(shapes.shape(asked.name, options))
    if asked.section == "model":
        shape = seen[0] if seen else shapes.UNSEEN
        handed = {"features": shape.features, "outputs": shape.outputs}
        return lambda options: nets.append(names.made("model", asked.name, options | handed))
    scenario = seen[0].scenario if seen else None
    if asked.section == "method":
        whole = names.Beside(seen[0], nets, _hardest(beside)) if seen else None
        return lambda options: names.fitting_method(asked.name, options, whole)
    return lambda options: names.fitting_training(options, scenario)


def _hardest(asked: list[checks.Asked]) -> names.Options:
    """Of all that the space would try of its training, what asks most of a method."""
    given = next((one.tried for one in asked if one.section == "training"), {})
    epochs = [n for n in given.get("epochs", ()) if isinstance(n, int) and n > 0]
    hidden = {"boundaries": "hidden", "optimizer": "kept"} if "hidden" in given.get("boundaries", ()) else {}
    return {**hidden, **({"epochs": min(epochs)} if epochs else {})}


def _benchmark(data: Data) -> list[Finding]:
    """A sweep has one benchmark: what is learnt on two cannot be compared."""
    table = data.get("benchmark")
    rule = "a benchmark's settings cannot be searched: write a space for each value"
    searched = (k for k, v in table.items() if isinstance(v, dict)) if isinstance(table, dict) else ()
    return [Finding(("benchmark", key), rule) for key in searched if key != "name"]


def _objectives(data: Data) -> list[tuple[Path, Data]]:
    given = data.get("objective")
    if not isinstance(given, tuple):
        return [(("objective",), given)] if isinstance(given, dict) else []
    return [(("objective", f"[{i}]"), one) for i, one in enumerate(given) if isinstance(one, dict)]


def _metrics(data: Data) -> list[Finding]:
    named = [(path, one.get("metric")) for path, one in _objectives(data)]
    return [
        Finding((*path, "metric"), unknown("metric", metric, METRICS))
        for path, metric in named
        if isinstance(metric, str) and metric not in METRICS
    ]


def _grid(data: Data) -> list[Finding]:
    """A grid needs a finite number of values everywhere."""
    search = data.get("search")
    if not isinstance(search, dict) or search.get("sampler") != "grid":
        return []
    rule = 'sampler "grid" needs values to count: add a step, name choices, or take sampler "tpe"'
    tables = [*methods(data), *(((s,), data.get(s)) for s in ("model", "training"))]
    settings = ((path, key, s) for path, t in tables if isinstance(t, dict) for key, s in t.items())
    return [
        Finding((*path, key), rule)
        for path, key, setting in settings
        if isinstance(setting, dict) and "low" in setting and "step" not in setting
    ]


# ------------------------------------------------------------------ orders
def _orders(data: Data, misshapen: list[Finding], tasks: int) -> list[Finding]:
    """Whether the orders can be drawn, and those to confirm on beside those of the search."""
    search = _form(data, ("orders",), misshapen)
    if search is None:
        return []
    try:
        drawn = search.drawn(tasks)
    except ValueError as error:
        return [_undrawn(("orders",), str(error))]
    found = _lone(data) if len(drawn) == 1 else []
    try:
        if confirm := _form(data, ("confirm", "orders"), misshapen):
            confirm.drawn(tasks, drawn if confirm.draws or _searches(data) else ())
    except ValueError as error:
        found.append(_undrawn(("confirm", "orders"), str(error)))
    return found


def _searches(data: Data) -> bool:
    """Whether any setting is searched: where none is, no order can have misled a choice."""
    tables = [
        *(table for _, table in methods(data)),
        *(data.get(s) for s in ("benchmark", "model", "training")),
    ]
    settings = [item for table in tables if isinstance(table, dict) for item in table.items()]
    return any(k == "search" or (isinstance(v, dict) and {"low", "choices"} & v.keys()) for k, v in settings)


def _lone(data: Data) -> list[Finding]:
    """One order has no spread."""
    rule = "{} of 1 order has no deviation: give at least 2 orders, or take aggregate mean"
    given = [(path, one.get("aggregate")) for path, one in _objectives(data)]
    return [Finding((*path, "aggregate"), rule.format(name)) for path, name in given if name in OF_SEVERAL]


def _form(data: Data, path: Path, misshapen: list[Finding]) -> Orders | None:
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
