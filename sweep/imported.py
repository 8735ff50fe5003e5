"""Records of other tools: a table of accuracies becomes a folder that `report` and `analyse` read."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sweep import parts, record
from sweep.analysis import Asked, Contest, arms
from sweep.analysis.arms import Row, Seed
from sweep.folder import Folder, FolderError
from sweep.foreign import Told, runs


def bring(path: str | Path, out: str | Path, *, baselines: Sequence[str] = ()) -> tuple[Folder, int]:
    """Record the runs of a CSV or Parquet file in a folder; gives the folder and how many runs it holds.

    The layout is that of docs/import.md. baselines: methods that the others are compared with. The same file
    again changes nothing; further files add their runs. Errors: ValueError, which names file, line and
    column, or a run that is on record with other accuracies; FolderError for the folder of a sweep.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} is no file: give the CSV or Parquet file to import")
    told = runs(Path(path))
    if odd := sorted(set(baselines) - {one.method for one in told}):
        raise ValueError(f"{path}: no run is of the baseline {odd[0]}: name a method of the file")
    rows = [row_of(one, Path(path)) for one in told]
    folder = Folder.at(out)
    folder.contained()
    with folder.owned():
        if folder.space.is_file():
            raise FolderError(f"{folder.root} holds a sweep: import into another --out")
        known = record.read(folder.records).rows
        _check_agreement(known, rows, told)
        on_record = {row["fingerprint"] for row in known}
        if fresh := [row for row in rows if row["fingerprint"] not in on_record]:
            record.write(folder.records, fresh)
        names = sorted({*_kept(folder)["baselines"], *baselines})
        about = {"sweep": folder.root.name, "baselines": names}
        parts.replace(folder.imported, json.dumps(about).encode())
    return folder, len(on_record | {row["fingerprint"] for row in rows})


def asked(folder: Folder, rows: Sequence[Row]) -> Asked:
    """What imported records are of: every order and seed that any method has run, for all methods."""
    about = _kept(folder)
    tasks = max((1 + max(row["order"]) for row in rows), default=0)
    whole = [row for row in rows if len(row["order"]) == tasks]
    orders = _sorted(tuple(row["order"]) for row in whole)
    seeds = _sorted(_seed(row) for row in whole)
    nets = _sorted(_seed(row) for row in rows if len(row["order"]) == 1 < tasks)
    group = arms(rows)
    base = tuple(arm.suggestion for arm in group if arm.method in about["baselines"])
    others = [arm for arm in group if arm.suggestion not in base]
    return Asked(
        sweep=about["sweep"],
        protocol="given",
        search_orders=(),
        search_seeds=(),
        confirm_orders=orders,
        confirm_seeds=seeds,
        nets=nets,
        expected=len(group) * (len(orders) * len(seeds) + (tasks if nets else 0) * len(nets)),
        contests=tuple(Contest(arm.label, (), top=(arm.suggestion,)) for arm in others),
        baselines=base,
    )


def row_of(told: Told, file: Path) -> dict[str, Any]:
    """The row of the record for a run of another tool, which counts as finished when its file was written."""
    settings = {
        "benchmark": {"name": told.benchmark, "digest": ""},
        "model": {"name": told.model},
        "method": {**told.settings, "name": told.method},
        "training": {},
    }
    text = json.dumps(settings, sort_keys=True)
    identity = json.dumps([settings, list(told.order), list(told.seeds)], sort_keys=True)
    return {
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "suggestion": hashlib.sha256(text.encode()).hexdigest()[:12],
        "settings": text,
        "benchmark": told.benchmark,
        "scenario": told.scenario,
        "model": told.model,
        "method": told.method,
        "order": list(told.order),
        "seed_init": told.seeds[0],
        "seed_data": told.seeds[1],
        "seconds": told.seconds,
        "device": told.device,
        "width": 1,
        "versions": json.dumps({"imported from": file.name}),
        "finished": file.stat().st_mtime,
        "valid": told.valid,
        "test": told.test,
        "effective_strength": None,
        "error": told.error,
        "chosen": None,
    }


def _kept(folder: Folder) -> dict[str, Any]:
    if not folder.imported.is_file():
        return {"sweep": folder.root.name, "baselines": []}
    kept: dict[str, Any] = json.loads(folder.imported.read_text())
    return kept


def _check_agreement(known: Iterable[Row], rows: Sequence[Row], told: Sequence[Told]) -> None:
    """ValueError for a run that is on record already, but came out otherwise."""
    before = {row["fingerprint"]: row for row in known}
    for row, one in zip(rows, told, strict=True):
        held = before.get(row["fingerprint"])
        if held is not None and not _equal(held, row):
            way = "import into another --out, or tell the runs apart by a setting.NAME"
            raise ValueError(f"{one.where}: {one.words} is on record with other accuracies: {way}")


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one["error"] != other["error"]:
        return False
    pairs = [(one[split], other[split]) for split in ("valid", "test")]
    return all(
        (a is None) == (b is None) and (a is None or np.array_equal(_exact(a), _exact(b), equal_nan=True))
        for a, b in pairs
    )


def _exact(matrix: Any) -> Any:
    """As the record keeps it."""
    return np.array(matrix, dtype=np.float32)


def _seed(row: Row) -> Seed:
    return row["seed_init"], row["seed_data"]


def _sorted(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(set(values)))
