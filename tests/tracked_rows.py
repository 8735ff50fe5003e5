"""Rows as a sweep has them on record, what it found, and all that an experiment holds in the end."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from sweep.tracking import Findings, Place, destination

ORDERS = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]
SUMMARY = {"test/average_accuracy_mean": 0.75, "best": "aaaaaaaaaaaa", "broken": math.nan, "absent": None}
FIGURES = {
    "aaaaaaaaaaaa": {"objective": 0.5, "search/worst": 0.25, "confirm/mean": 0.75, "confirm/mean_low": 0.5},
    "bbbbbbbbbbbb": {"objective": 0.625, "search/worst": 0.5},
}


def row(suggestion: str, order: tuple[int, ...], *, seed: int = 0, error: str | None = None) -> dict:
    """A record row whose matrices are drawn from its own identity."""
    shape = (len(order) + 1, len(order))
    chance = np.random.default_rng([int(suggestion, 16), *order, seed])
    valid, test = (None, None) if error else chance.random((2, *shape)).astype(np.float32).tolist()
    settings = {"method": {"name": "nai", "strength": 0.5}, "model": {"widths": [100, 100]}}
    settings["benchmark"] = {"name": "digits", "digest": "abc123"}
    return {
        "fingerprint": f"{suggestion}-{order}-{seed}",
        "suggestion": suggestion,
        "settings": json.dumps(settings),
        "benchmark": "split",
        "scenario": "task",
        "model": "mlp",
        "method": "nai",
        "order": list(order),
        "seed_init": seed,
        "seed_data": seed + 1,
        "valid": valid,
        "test": test,
        "effective_strength": None,
        "seconds": 2.0,
        "device": "cpu",
        "width": 1,
        "versions": "{}",
        "error": error,
        "chosen": None,
        "finished": 1_700_000_000.0 + sum(order[:1]) + seed,
    }


ROWS = [row(name, order) for name in ("aaaaaaaaaaaa", "bbbbbbbbbbbb") for order in ORDERS]
ROWS += [row("aaaaaaaaaaaa", (0, 1, 2), seed=1), row("bbbbbbbbbbbb", (1, 0, 2), error="diverged: épuisé")]


FOUND = Findings(
    stages={one["fingerprint"]: "search" for one in ROWS},
    verdict="NAI *wins* <b>",
    summary=SUMMARY,
    suggestions=FIGURES,
    labels={"aaaaaaaaaaaa": "nai 0.5", "bbbbbbbbbbbb": "nai 0.7"},
)


def place(folder: Path, uri: str | None = None, identity: str = "0123456789abcdef") -> Place:
    return Place(uri or destination(folder), "quick start", identity, folder / "mlartifacts")


def found_in(rows: list, found: Findings = FOUND) -> Findings:
    """What a sweep of these rows alone found."""
    return replace(found, stages={one["fingerprint"]: "search" for one in rows})


def searching(row: dict) -> str:
    return "search"


def runs_of(at: Place) -> list:
    """The runs of a sweep's own experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(at.uri)
    wanted = f"tags.`nai.sweep` = '{at.identity}'"
    (experiment,) = client.search_experiments(filter_string=wanted)
    return list(client.search_runs([experiment.experiment_id]))


def contents_of(at: Place) -> list:
    """All that is in an experiment but for ids, and for the clock's times of the sweep's own run."""
    found = runs_of(at)
    names = {run.info.run_id: run.info.run_name for run in found} | {None: None}
    ids = ("mlflow.parentRunId", "mlflow.note.content")
    return sorted(
        (
            run.info.run_name,
            run.info.status,
            names[run.data.tags.get("mlflow.parentRunId")],
            sorted((k, v) for k, v in run.data.tags.items() if k not in ids),
            sorted(run.data.params.items()),
            sorted(run.data.metrics.items()),
            [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs],
            run.info.end_time if run.data.tags["nai.kind"] != "sweep" else None,
        )
        for run in found
    )


def points_of(at: Place) -> list:
    """Every point ever logged to those runs."""
    from mlflow import MlflowClient

    client = MlflowClient(at.uri)
    return sorted(
        (run.info.run_name, point.key, point.value, point.step, point.timestamp)
        for run in runs_of(at)
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    )
