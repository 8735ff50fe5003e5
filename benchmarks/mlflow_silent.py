"""What an MLflow server that accepts connections and never answers costs a sweep.

The same small sweep without tracking and with such a server, taking turns, each in a fresh folder, in this
process (`--engine inline`), where the writer's thread is nearest to training. Training is timed from its
first lesson to its last row; what comes after it, the wait for the server with the report before it, is told
apart. Processor time of this process is told as well, since waiting for a server takes none.
"""

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a clone, installed or not
from sweep import session
from sweep.space import Space, read

ALLOWED = 1.05


@contextmanager
def silent() -> Iterator[str]:
    """The address of a server that accepts every connection and never answers."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            while True:
                held.append(door.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


class Took(NamedTuple):
    """Seconds of training, by the clock and of the processor, and from then to the end."""

    training: float
    processor: float
    end: float


def timed(space: Space, folder: Path, *, track: bool) -> Took:
    """One sweep."""
    stages: dict[str, tuple[float, float]] = {}

    def stage(text: str) -> None:
        stages[text] = time.perf_counter(), time.process_time()

    session.run(space, folder, engine="inline", track=track, watch=session.Watch(stage=stage))
    (began, used), (trained, spent) = stages["training"], stages["writing the report"]
    return Took(trained - began, spent - used, time.perf_counter() - trained)


def main() -> int:
    """Print a line a repeat and one line of JSON; 1 when training takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suggestions", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    space = read("quickstart", [f"search.suggestions={given.suggestions}", "confirm.orders.count=4"])
    ratios, processor, after = [], [], []
    with tempfile.TemporaryDirectory() as place, silent() as uri:
        os.environ["MLFLOW_TRACKING_URI"] = uri
        timed(space, Path(place, "warm"), track=True)
        for turn in range(given.repeats):
            sides = {}
            for track in (False, True) if turn % 2 else (True, False):
                sides[track] = timed(space, Path(place, f"{turn} {track}"), track=track)
            ours, alone = sides[True], sides[False]
            ratios.append(ours.training / alone.training)
            processor.append(ours.processor / alone.processor)
            after.append(ours.end - alone.end)
            said = f"training {ours.training:.1f} s against {alone.training:.1f} s, {ratios[-1]:.3f}"
            print(
                f"{turn}: {said}; processor {processor[-1]:.3f}; {after[-1]:.1f} s more at the end",
                flush=True,
            )
    result = {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "processor": round(statistics.median(processor), 3),
        "processor_spread": [round(min(processor), 3), round(max(processor), 3)],
        "seconds_more_at_the_end": round(statistics.median(after), 1),
    }
    print(json.dumps(result))
    return int(statistics.median(ratios) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
