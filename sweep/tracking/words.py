"""What a record row says in MLflow's words: names, tags, parameters, points of metrics; without a client."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nai import metrics

Row = Mapping[str, Any]
SPLITS = ("valid", "test")
KEY, NAME, PARAM, TAG = 250, 200, 6000, 5000  # the most characters that every MLflow store takes
DATASET, DIGEST = 400, 36
POSITIONS = 50
"""Tasks up to which a run is tagged with the position of each."""


class Point(NamedTuple):
    """One value of a metric; step counts the tasks learned so far."""

    name: str
    value: float
    step: int


def cut(text: str, limit: int) -> str:
    """The text, or as much of it as a store takes, with its digest in place of the rest."""
    return text if len(text) <= limit else f"{text[: limit - 14]}... {digest(text)}"


def tag(text: str) -> str:
    """The text as the value of a tag."""
    return cut(text, TAG)


def run_name(text: str) -> str:
    """The text as the name of a run."""
    return cut(text, NAME)


def digest(text: str) -> str:
    """Ten hex digits that stand for a text."""
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


@lru_cache(maxsize=4096)
def key(name: str) -> str:
    """The name as a key that MLflow takes; where that loses something, a digest keeps two names apart."""
    clean = re.sub(r"[^A-Za-z0-9_./ -]", "_", name)
    return clean if clean == name and len(name) <= KEY else f"{clean[: KEY - 11]}-{digest(name)}"


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Nested settings as dotted names and texts: {"method": {"rate": 1.0}} is {"method.rate": "1.0"}."""
    if not isinstance(value, dict):
        return {path: value if isinstance(value, str) else json.dumps(value)}
    inner = (flat(each, f"{path}.{name}" if path else str(name)) for name, each in value.items())
    return {name: text for part in inner for name, text in part.items()}


@lru_cache(maxsize=256)
def settings_params(settings: str) -> dict[str, str]:
    """The parameters that all orders of a suggestion share, from the settings of its rows."""
    return {key(name): cut(text, PARAM) for name, text in flat(json.loads(settings)).items()}


def order_text(row: Row) -> str:
    """The order as people type it into a filter: 2-0-1."""
    return "-".join(str(task) for task in row["order"])


def trial_params(row: Row) -> dict[str, str]:
    """All settings of one trial, its order and its seeds."""
    own = {"order": cut(order_text(row), PARAM), "seed_init": row["seed_init"], "seed_data": row["seed_data"]}
    return settings_params(row["settings"]) | {name: str(value) for name, value in own.items()}


def trial_tags(row: Row, stage: str) -> dict[str, str]:
    """What a person filters by: method, order, seeds and the like; the fingerprint makes the run unique."""
    order = order_text(row)
    names = ("method", "model", "scenario", "benchmark", "device", "seed_init", "seed_data")
    tags = {"nai.kind": "trial", "fingerprint": row["fingerprint"], "nai.suggestion": row["suggestion"]}
    tags |= {name: tag(str(row[name])) for name in names}
    tags |= {"order": tag(order), "order_id": digest(order), "stage": stage} | positions(row)
    return tags | ({"nai.error": tag(str(row["error"]))} if row["error"] else {})


def positions(row: Row) -> dict[str, str]:
    """Where each task stands in the order, from 0: of streams of many tasks that would be too many tags."""
    order = row["order"] if len(row["order"]) <= POSITIONS else ()
    return {f"position_of_task_{task}": str(place) for place, task in enumerate(order)}


def suggestion_tags(row: Row) -> dict[str, str]:
    """The tags of the run above all orders and seeds of a suggestion."""
    shared = {name: tag(str(row[name])) for name in ("method", "model", "scenario", "benchmark")}
    return {"nai.kind": "suggestion", "nai.suggestion": row["suggestion"]} | shared


def trial_points(row: Row) -> list[Point]:
    """Every metric of the row, the average over the tasks seen after each, and the curve of each task.

    Curves are those of the test split where the row has it, else of the validation split; the matrices of
    both are in the Parquet file. What is not finite stays out: MLflow would store another number for it.
    """
    order = tuple(int(task) for task in row["order"])
    points = [Point("seconds", float(row["seconds"]), len(order))]
    matrices = {split: np.asarray(row[split], dtype=float) for split in SPLITS if row.get(split) is not None}
    for split, matrix in matrices.items():
        points += (
            Point(key(f"{split}/{name}"), float(f(matrix, order)), len(order))
            for name, f in metrics.METRICS.items()
        )
        seen = enumerate(metrics.running_averages(matrix, order).tolist(), start=1)
        points += (Point(f"{split}/seen_average", value, step) for step, value in seen)
    if matrices:
        points += curves(
            "test" if "test" in matrices else "valid", matrices.get("test", matrices.get("valid"))
        )
    return [point for point in points if math.isfinite(point.value)]


def curves(split: str, matrix: Any) -> list[Point]:
    """The accuracy on each task, named by its home index, from the untrained network to the last task."""
    columns = enumerate(matrix.T.tolist())
    return [
        Point(f"{split}/task_{task}", v, step) for task, column in columns for step, v in enumerate(column)
    ]


def dataset(row: Row) -> tuple[str, str, dict[str, str]]:
    """The data set of a row: its name, the digest of its content, and the settings that it is made by."""
    whole = json.loads(row["settings"]).get("benchmark", {})
    source = flat({name: value for name, value in whole.items() if name != "digest"})
    return cut(row["benchmark"], DATASET), str(whole.get("digest") or digest(str(source)))[:DIGEST], source
