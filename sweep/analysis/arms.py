"""From record rows to arms (equal settings) and the crossings of orders and seeds that each arm has run."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Row = Mapping[str, Any]
Order = tuple[int, ...]
Seed = tuple[int, int]
"""Seeds of the initial weights and of the data order."""
Floats = NDArray[np.float64]
Cell = tuple[Order, Seed]


@dataclass(frozen=True)
class Arm:
    """All runs that share their settings and differ in order and seeds alone."""

    suggestion: str
    method: str
    settings: Mapping[str, Any]
    label: str
    cells: Mapping[Cell, Row]


class Crossing(NamedTuple):
    """The largest full crossing of orders and seeds on record, and how many of those asked for are not there.

    `matrices` are [orders, seeds, tasks + 1, tasks].
    """

    orders: tuple[Order, ...]
    seeds: tuple[Seed, ...]
    matrices: Floats
    missing: int
    failed: int


def arms(rows: Iterable[Row]) -> tuple[Arm, ...]:
    """One arm for each suggestion in `rows`, sorted by suggestion, with labels that tell the arms apart."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: str(row["fingerprint"])):
        groups[row["suggestion"]].append(row)
    settings = {suggestion: json.loads(group[0]["settings"]) for suggestion, group in groups.items()}
    names = labels(settings)
    return tuple(
        Arm(
            suggestion,
            group[0]["method"],
            settings[suggestion],
            names[suggestion],
            {cell(row): row for row in group},
        )
        for suggestion, group in sorted(groups.items())
    )


def cell(row: Row) -> Cell:
    """Order and seeds of a row."""
    return tuple(row["order"]), (row["seed_init"], row["seed_data"])


def accuracy(row: Row | None, split: str) -> Floats | None:
    """Accuracy matrix [tasks learnt + 1, tasks] of a row on `split`, "valid" or "test", or None.

    A task that was not measured before it was learnt is nan until then: records of other tools have such.
    """
    if row is None or row["error"] is not None or row[split] is None:
        return None
    matrix = np.array(row[split], dtype=np.float64)
    return matrix if _whole(matrix[None, None], (tuple(row["order"]),)).all() else None


def failed(row: Row | None, split: str) -> bool:
    """Whether a row is on record that ended in an error or in accuracies on `split` that are no numbers."""
    if row is None or row["error"] is not None:
        return row is not None
    return row[split] is not None and accuracy(row, split) is None


def crossing(arm: Arm, orders: Sequence[Order], seeds: Sequence[Seed], split: str = "test") -> Crossing:
    """The largest full crossing of these orders and seeds that `arm` has on record."""
    return shared_crossing((arm,), orders, seeds, split=split)[0]


def shared_crossing(
    group: Sequence[Arm], orders: Sequence[Order], seeds: Sequence[Seed], *, split: str = "test"
) -> tuple[Crossing, ...]:
    """For each arm the crossing of the orders and seeds that all arms of the group have on record."""
    grids = [_grid(arm, orders, seeds, split) for arm in group]
    have = np.array([_whole(grid, orders) for grid in grids]).reshape(len(grids), len(orders), len(seeds))
    picked = _largest(np.asarray(have.all(0)))
    kept_orders, kept_seeds = tuple(orders[o] for o in picked[0]), tuple(seeds[s] for s in picked[1])
    crossings = []
    for arm, grid, known in zip(group, grids, have, strict=True):
        lacking = [(orders[o], seeds[s]) for o, s in np.argwhere(~known)]
        broken = sum(failed(arm.cells.get(cell), split) for cell in lacking)
        matrices = grid[np.ix_(*picked)] if kept_orders else np.empty((0, 0, 0, 0))
        crossings.append(Crossing(kept_orders, kept_seeds, matrices, len(lacking) - broken, broken))
    return tuple(crossings)


def varied(group: Iterable[Arm]) -> dict[str, tuple[Any, ...]]:
    """Settings (dotted names) that differ within the group, each with the values it takes, sorted."""
    return _varied([arm.settings for arm in group])


def setting(arm: Arm, name: str) -> Any:
    """The value of a dotted setting of an arm, None where the arm has no such setting."""
    return _flat(arm.settings).get(name)


def numeric(values: Iterable[Any]) -> bool:
    """Whether a setting takes numbers alone; switches are none."""
    return all(type(value) in (int, float) for value in values)


def _grid(arm: Arm, orders: Sequence[Order], seeds: Sequence[Seed], split: str) -> Floats:
    """Accuracy matrices [orders, seeds, tasks learnt + 1, tasks]; nan where a run has none."""
    rows = [arm.cells.get((order, seed)) for order in orders for seed in seeds]
    there = [row is not None and row["error"] is None and row[split] is not None for row in rows]
    found = [row[split] for row, is_there in zip(rows, there, strict=True) if is_there and row is not None]
    if not found:
        return np.full((len(orders), len(seeds), 1, 1), np.nan)
    matrices = np.array(found, dtype=np.float64)
    grid = np.full((len(rows), *matrices.shape[1:]), np.nan)
    grid[there] = matrices
    return grid.reshape(len(orders), len(seeds), *matrices.shape[1:])


def _whole(grid: Floats, orders: Sequence[Order]) -> NDArray[np.bool_]:
    """Which runs [orders, seeds] of `grid` have a number for every task from when it was learnt on."""
    lines, tasks = grid.shape[2:]
    if any(len(order) + 1 != lines for order in orders):  # nothing of these on record, or not all of a length
        return np.asarray(np.isfinite(grid).all(axis=(2, 3)))
    learnt = np.zeros((len(orders), lines, tasks), dtype=np.bool_)
    for mask, order in zip(learnt, orders, strict=True):
        for position, task in enumerate(order):
            mask[position + 1 :, task] = True
    return np.asarray((np.isfinite(grid) | ~learnt[:, None]).all(axis=(2, 3)))


def _largest(have: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Orders and seeds of the largest full block of `have` [orders, seeds]; seeds join fullest first."""
    ranked = np.argsort(-have.sum(0), kind="stable")
    blocks = []
    for count in range(1, len(ranked) + 1):
        seeds = sorted(ranked[:count].tolist())
        blocks.append((np.flatnonzero(have[:, seeds].all(1)).tolist(), seeds))
    best = max(blocks, key=lambda block: (len(block[0]) * len(block[1]), len(block[1])), default=([], []))
    return best if best[0] else ([], [])


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names, lists as one value, leaving out digests and names."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        elif key != "digest":
            found[f"{prefix}{key}"] = value
    return found


def _varied(group: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    flats = [_flat(settings) for settings in group]
    values: dict[str, dict[str, Any]] = defaultdict(dict)
    for flat in flats:
        for name, value in flat.items():
            values[name][json.dumps(value)] = value
    several = {name: found for name, found in values.items() if len(found) > 1}
    return {name: tuple(sorted(found.values(), key=_sortable)) for name, found in sorted(several.items())}


def _sortable(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, json.dumps(value)


def labels(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """A short name for every suggestion: its method and the settings in which arms of that method differ.

    settings: by suggestion.
    """
    families: dict[str, list[str]] = defaultdict(list)
    for suggestion, chosen in settings.items():
        families[chosen["method"]["name"]].append(suggestion)
    named = {}
    for method, members in families.items():
        searched = _varied([settings[member] for member in members])
        names = sorted(searched, key=lambda name: not numeric(searched[name]))  # numbers first, then words
        for member in members:
            flat = _flat(settings[member])
            named[member] = " ".join([method, *(_said(name, flat[name]) for name in names if name in flat)])
    count = Counter(named.values())
    return {key: f"{label} ({key[:4]})" if count[label] > 1 else label for key, label in named.items()}


def _said(name: str, value: Any) -> str:
    """A setting as people say it: words alone, numbers and switches with their name."""
    if isinstance(value, str):
        return value
    short = name.rpartition(".")[2]
    return f"{short}={value:.3g}" if isinstance(value, float) else f"{short}={json.dumps(value)}"
