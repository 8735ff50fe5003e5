"""What an MLflow server that accepts connections and never answers costs a sweep.

The same small sweep without tracking and with such a server, taking turns, each in a fresh folder, in this
process (`--engine inline`), where the writer's thread is nearest to training. Training is timed from its
first lesson to its last row; what comes after it, the wait for the server with the report before it, is told
apart.
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


def timed(space: Space, folder: Path, *, track: bool) -> tuple[float, float]:
    """Seconds of training, and from then to the end."""
    stages: dict[str, float] = {}
    watch = session.Watch(stage=lambda text: stages.setdefault(text, time.perf_counter()))
    session.run(space, folder, engine="inline", track=track, watch=watch)
    trained = stages["writing the report"]
    return trained - stages["training"], time.perf_counter() - trained


def main() -> int:
    """Print a line a repeat and one line of JSON; 1 when training takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suggestions", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    space = read("quickstart", [f"search.suggestions={given.suggestions}", "confirm.orders.count=4"])
    ratios, after = [], []
    with tempfile.TemporaryDirectory() as place, silent() as uri:
        os.environ["MLFLOW_TRACKING_URI"] = uri
        timed(space, Path(place, "warm"), track=False)
        for turn in range(given.repeats):
            sides = {}
            for track in (False, True) if turn % 2 else (True, False):
                sides[track] = timed(space, Path(place, f"{turn} {track}"), track=track)
            ratios.append(sides[True][0] / sides[False][0])
            after.append(sides[True][1] - sides[False][1])
            seconds = f"{sides[True][0]:.1f} s against {sides[False][0]:.1f} s"
            print(
                f"{turn}: training {seconds}, {ratios[-1]:.3f}; {after[-1]:.1f} s more at the end", flush=True
            )
    result = {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "seconds_more_at_the_end": round(statistics.median(after), 1),
    }
    print(json.dumps(result))
    return int(statistics.median(ratios) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
