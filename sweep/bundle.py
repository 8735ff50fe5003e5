"""What a worker does: a job in, record rows out. The only room of the sweep that trains for the record."""

import ctypes
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from nai import trial as nai_trial
from nai.seeds import Seeds
from nai.selection import Continual
from nai.states import States
from nai.tasks import Benchmark
from nai.training import Training
from nai.trial import Named, Outcome, Trial
from sweep.jobs import Identity, Job, Run, Settings, Work
from sweep.redact import redacted
from sweep.states import Disk

Row = dict[str, Any]
BURST = 5.0
"""Seconds after which a worker records and reports what it has, while its job goes on."""
ACCIDENTS = (OSError, MemoryError, ImportError, torch.AcceleratorError)
"""What a machine may do to a run. All else that a method or model raises it would raise again: a result."""


def trial_of(settings: Settings, run: Run) -> Trial:
    """The trial of one order and seeds; ValueError for settings that no trial can have."""
    return Trial(
        benchmark=Named.of(**settings["benchmark"]),
        model=Named.of(**settings["model"]),
        method=nai_trial.method_of(settings["method"]),
        training=Training(**settings["training"]),
        order=tuple(run.order),
        seeds=Seeds(*run.seeds),
        selection=Continual.of(settings["selection"]) if "selection" in settings else None,
    )


class Fingerprints:
    """The fingerprints that runs on record have in this release; settings are read once."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[Trial, str] | None] = {}

    def of(self, row: Row) -> str | None:
        """The fingerprint of a row's settings, order and seeds; None if nothing here can make them."""
        text = row["settings"]
        if text not in self.known:
            self.known[text] = self._read(text)
        found = self.known[text]
        if found is None:
            return None
        seeds = Seeds(row["seed_init"], row["seed_data"])
        return nai_trial.fingerprint(replace(found[0], order=tuple(row["order"]), seeds=seeds), found[1])

    def _read(self, text: str) -> tuple[Trial, str] | None:
        settings = json.loads(text)
        digest = settings["benchmark"].pop("digest")
        try:
            return trial_of(settings, Run((), (0, 0))), digest
        except (ValueError, ImportError):
            return None


def identity(digest: str) -> Identity:
    """Names of settings on a benchmark of this content."""
    nothing = Run((), (0, 0))

    def known(settings: Settings) -> dict[str, Any]:
        return nai_trial.settings(trial_of(settings, nothing), digest)

    def family(settings: Settings) -> str:
        late = nai_trial.method_of(settings["method"]).late
        whole = known(settings)
        early = {k: v for k, v in whole["method"].items() if k not in late}
        return nai_trial.suggestion_of(whole | {"method": early})

    return Identity(suggestion=lambda s: nai_trial.suggestion_of(known(s)), family=family)


def prepare(cpus: float, gpus: float = 0) -> None:
    """Make this process a worker: as many threads as it has CPUs, and memory kept from step to step.

    Of a GPU that it shares with other workers it takes no more memory than its share.
    """
    torch.set_num_threads(max(1, int(cpus)))
    if 0 < gpus < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(float(gpus))
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        # glibc gives every large tensor fresh pages, which costs a fifth of a training step
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


@lru_cache(maxsize=1)
def shelf(folder: str, limit: int) -> Disk:
    """Where this process keeps lessons to go on from: so many bytes in memory, the rest in files."""
    return Disk(Path(folder), limit)


def train(
    job: Job,
    benchmark: Benchmark,
    *,
    device: str = "auto",
    stack: int | None = None,
    states: States | None = None,
) -> Iterator[Row]:
    """The rows of a job, each as soon as it is complete; a run that fails is a row with its error.

    states: where lessons are kept that other runs may go on from.
    """
    trials = {_name(t, benchmark): t for work in job.works for t in _trials(work, work.runs)}
    later = [t for work in job.works for t in _trials(work, work.later)]
    facts = {t.method: _facts(t, benchmark) for t in trials.values()}
    missing = dict(trials)

    def trained(some: Sequence[Trial]) -> Iterator[Row]:
        for outcome in nai_trial.run_many(
            some, benchmark=benchmark, device=device, width=stack, states=states, later=later
        ):
            name = _name(outcome.trial, benchmark)
            del missing[name]
            yield facts[outcome.trial.method] | _row(name, outcome, device)

    try:
        yield from trained(list(trials.values()))
    except ACCIDENTS:
        raise
    except (
        Exception
    ):  # which run is to blame is known when each is alone, and then does not hang on the bundle
        for name, left in list(missing.items()):
            try:
                yield from trained([left])
            except ACCIDENTS:
                raise
            except Exception as error:
                text = redacted(f"{type(error).__name__}: {error}")
                yield facts[left.method] | _failed(name, left, text, device)


def bursts(rows: Iterator[Row], seconds: float = BURST) -> Iterator[list[Row]]:
    """Rows in lists, a new one at the latest when the last is so many seconds old."""
    some: list[Row] = []
    since = time.monotonic()
    for row in rows:
        some.append(row)
        if time.monotonic() - since > seconds:
            yield some
            some, since = [], time.monotonic()
    if some:
        yield some


def _trials(work: Work, runs: Sequence[Run]) -> list[Trial]:
    return [trial_of(work.arm.settings, run) for run in runs]


def _name(trial: Trial, benchmark: Benchmark) -> str:
    return nai_trial.fingerprint(trial, benchmark.digest)


def _facts(trial: Trial, benchmark: Benchmark) -> Row:
    settings = nai_trial.settings(trial, benchmark.digest)
    return {
        "suggestion": nai_trial.suggestion_of(settings),
        "settings": nai_trial.canonical(settings),
        "benchmark": benchmark.name,
        "scenario": benchmark.scenario,
        "model": trial.model.name,
        "method": settings["method"]["name"],
        "versions": json.dumps(versions(), sort_keys=True),
    }


def versions() -> Mapping[str, str]:
    """Releases of what decides bits."""
    return {
        "nai-sweep": _release("nai-sweep"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def _release(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _run(name: str, trial: Trial, device: str) -> Row:
    return {
        "fingerprint": name,
        "order": list(trial.order),
        "seed_init": trial.seeds.init,
        "seed_data": trial.seeds.data,
        "device": _device(device),
        "finished": time.time(),
    }


def _row(name: str, outcome: Outcome, device: str) -> Row:
    found = outcome.result
    return _run(name, outcome.trial, device) | {
        "valid": None if found.valid is None else found.valid.tolist(),
        "test": None if found.test is None else found.test.tolist(),
        "effective_strength": None if found.strengths is None else list(found.strengths),
        "chosen": None if found.chosen is None else [list(map(float, one)) for one in found.chosen],
        "seconds": found.seconds,
        "width": found.width,
        "error": found.error,
    }


def _failed(name: str, trial: Trial, error: str, device: str) -> Row:
    nothing: Row = {"valid": None, "test": None, "effective_strength": None, "chosen": None}
    return _run(name, trial, device) | nothing | {"seconds": 0.0, "width": 1, "error": error}


def _device(device: str) -> str:
    kind = nai_trial.place_of(device)
    if kind.type == "cuda":
        return str(torch.cuda.get_device_name(kind))
    return f"cpu ({os.uname().machine})"
