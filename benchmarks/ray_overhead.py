"""What Ray and our driver cost: wall time of a sweep beside the time that its trials train.

    python benchmarks/ray_overhead.py [--trials 200] [--seconds 2] [--slots 2] [--work busy|sleep] [--quick]

A sweep of so many suggestions of one order each, by a method of this file whose training takes that long:
`busy` computes for that much processor time, so that whatever else runs on the same cores is felt; `sleep`
only waits. Once without tracking, once with MLflow. Wall time begins when Ray is up and ends when the sweep
returns: starting workers, records, report and MLflow are in it. Overhead is the share of wall time in which
a slot does not train, by the trials' own clocks; `overhead_of_asked`, by the seconds that they were asked to
compute, holds the slowing of training itself against the sweep, too; `overhead_once_started` leaves out the
time until the first trial ends, in which Ray starts its workers and they import torch. Ends with one line of
JSON; exit code 1 when an overhead is above 10 %.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a clone, installed or not
import torch

from nai.methods import Context, Memory, Method
from nai.models import Network, Params
from nai.tasks import Rows

BAR = 0.10
TASKS = 5
SPACE = """\
name = "overhead"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
widths = [8]
[method]
name = "ray_overhead:Work"
seconds = {seconds}
kind = "{kind}"
number = {{low = 0.0, high = 1.0}}
[training]
epochs = 1
batch = 256
[orders]
design = "random"
count = 1
[search]
sampler = "random"
suggestions = {trials}
ahead = {ahead}
"""


@dataclass(frozen=True)
class Work(Method):
    """Finetuning that takes a given time.

    seconds: of a whole run. kind: busy (processor time) or sleep. number: tells suggestions apart.
    """

    seconds: float = 2.0
    kind: str = "busy"
    number: float = 0.0

    def before_task(
        self, net: Network, params: Params, rows: Rows, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        if self.kind == "sleep":
            time.sleep(self.seconds / TASKS)
            return params, memory
        until = time.thread_time() + self.seconds / TASKS
        matrix = torch.ones(128, 128)
        while time.thread_time() < until:
            matrix = (matrix @ matrix).clamp_(max=1)
        return params, memory


def processor_seconds() -> float:
    """Processor time of this process, which drives the sweep, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def swept(asked: argparse.Namespace, *, track: bool) -> dict[str, float]:
    """One sweep's figures."""
    from sweep import session
    from sweep.space import loads

    space = loads(
        SPACE.format(seconds=asked.seconds, kind=asked.work, trials=asked.trials, ahead=2 * asked.slots)
    )
    stages: list[tuple[str, float]] = []
    driver = processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        watch = session.Watch(stage=lambda text: stages.append((text, time.perf_counter())), note=print)
        ended = session.run(space, folder, engine="tune", watch=watch, track=track)
        stages.append(("end", time.perf_counter()))
        rows = records(ended)
    began = dict(stages)
    wall = began["end"] - began["training"]
    trained = sum(row["seconds"] for row in rows)
    first = min(row["finished"] for row in rows) - time.time() + time.perf_counter() - began["training"]
    later = trained / len(rows) * (len(rows) - asked.slots)
    assert len(rows) == asked.trials, f"{len(rows)} rows of {asked.trials} trials"
    return {
        "overhead": 1 - trained / asked.slots / wall,
        "overhead_of_asked": 1 - asked.trials * asked.seconds / asked.slots / wall,
        "overhead_once_started": 1 - later / asked.slots / (wall - first),
        "wall": wall,
        "until_the_report": began["writing the report"] - began["training"],
        "seconds_a_trial": trained / len(rows),
        "until_the_first_trial_ends": first,
        "driver_processor_seconds": processor_seconds() - driver,
    }


def records(ended: Any) -> list[dict[str, Any]]:
    """The sweep's rows."""
    from sweep import record

    store = record.Store(ended.folder.records)
    store.refresh()
    return list(store.records.rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one trial")
    parser.add_argument("--slots", type=int, default=2, help="trials at once: processors of this machine")
    parser.add_argument("--work", choices=("busy", "sleep"), default="busy")
    parser.add_argument("--untracked", action="store_true", help="without the half with MLflow")
    parser.add_argument("--quick", action="store_true", help="30 trials of a second")
    asked = parser.parse_args()
    if asked.quick:
        asked.trials, asked.seconds = 30, 1.0
    from sweep.environment import for_ray

    for_ray(local=True)
    import ray

    with_path = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    ray.init(
        num_cpus=asked.slots,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": with_path},
    )
    found: dict[str, Any] = {"trials": asked.trials, "seconds": asked.seconds, "work": asked.work}
    for name, track in (("untracked", False), ("mlflow", True))[: 1 if asked.untracked else 2]:
        figures = {k: round(v, 4) for k, v in swept(asked, track=track).items()}
        print(name, figures, flush=True)
        found |= {f"{name}_{k}": v for k, v in figures.items()}
    ray.shutdown()
    print(json.dumps(found))
    return int(any(v > BAR for k, v in found.items() if k.endswith("_overhead")))


if __name__ == "__main__":
    sys.exit(main())
