"""How long the program takes to answer when there is nothing to train, beside an empty interpreter.

    python benchmarks/starts.py [--repeats 7]

Four answers, each by a process of its own, taking turns with `python -c pass` and `python -c "import torch"`:
the help, the state of a sweep of three runs, the plan of a shipped space, and the refusal of a space with a
misspelt key. Told are seconds by the clock and of the processor (of the process and what it started), the
least of all repeats, since other work only ever adds to them. Bars: the help takes at most 6 times an empty
interpreter, a refusal at most `import torch` and a second. Ends with one line of JSON, with 1
when a bar is missed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a clone, installed or not
from sweep import session
from sweep.space import read

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "import sys; sys.argv[0] = 'nai-sweep'; from sweep.cli_start import main; main()"
SMALL = ["search.suggestions=1", "orders.count=1", "confirm.orders.count=1", "training.epochs=1"]
HELP, REFUSAL = 6.0, 1.0
"""At most so many times an empty interpreter; at most so many seconds more than `import torch`."""


class Took(NamedTuple):
    """Seconds of a process: by the clock, and of the processor."""

    clock: float
    processor: float


def timed(words: Sequence[str], code: int) -> Took:
    """One process, which has to end with this exit code."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, *words], env=environment, capture_output=True, check=False)
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode != code:
        raise SystemExit(f"{words} ended with {ended.returncode}: {ended.stderr.decode()}")
    return Took(clock, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def starts(sweep: Path) -> dict[str, tuple[list[str], int]]:
    """What is timed, with the exit code that it has to have."""
    return {
        "empty": (["-c", "pass"], 0),
        "torch": (["-c", "import torch"], 0),
        "help": (["-c", PROGRAM, "--help"], 0),
        "status": (["-c", PROGRAM, "status", str(sweep)], 0),
        "plan": (["-c", PROGRAM, "plan", "quickstart"], 0),
        "refusal": (["-c", PROGRAM, "run", "quickstart", "--set", "method.strenght=1"], 2),
    }


def least(repeats: int) -> dict[str, Took]:
    """The least of all repeats of each, which take turns."""
    with tempfile.TemporaryDirectory() as place:
        session.run(read("quickstart", SMALL), Path(place, "out"), engine="inline", track=False)
        found: dict[str, list[Took]] = {}
        for _ in range(repeats):
            for name, (words, code) in starts(Path(place, "out")).items():
                found.setdefault(name, []).append(timed(words, code))
    return {name: Took(*map(min, zip(*some, strict=True))) for name, some in found.items()}


def main() -> int:
    """Print a line for each and one line of JSON; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    found = least(parser.parse_args().repeats)
    empty, torch = found["empty"], found["torch"]
    for name, one in found.items():
        print(
            f"{name:8} {one.clock:6.3f} s, processor {one.processor:6.3f} s, "
            f"{one.processor / empty.processor:5.1f} x empty"
        )
    result = {
        "help_over_empty": round(found["help"].processor / empty.processor, 2),
        "help_over_empty_clock": round(found["help"].clock / empty.clock, 2),
        "refusal_minus_torch": round(found["refusal"].processor - torch.processor, 2),
        "refusal_minus_torch_clock": round(found["refusal"].clock - torch.clock, 2),
    }
    print(json.dumps(result))
    return int(result["help_over_empty"] > HELP or result["refusal_minus_torch"] > REFUSAL)


if __name__ == "__main__":
    sys.exit(main())
