"""A process that runs Avalanche, asked from here: see avalanche_side.py."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from nai.orders import Order
from nai.training import Training

MISSING = (
    "{} has no avalanche-lib: pip install avalanche-lib==0.6.0 there, or name another interpreter by --python"
)


class Avalanche:
    """Runs on one file of data, one at a time, with one thread."""

    def __init__(self, python: str, data: Path, widths: Sequence[int], *, fused: bool) -> None:
        self.common = {"widths": list(widths), "fused": fused}
        self.process = subprocess.Popen(
            # isolated, or else this folder's avalanche.py would be taken for Avalanche
            [python, "-I", "-W", "ignore", str(Path(__file__).with_name("avalanche_side.py")), str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def run(
        self, method: str, strength: float, order: Order, training: Training, *, seed: int = 0
    ) -> dict[str, Any]:
        """Seconds, test accuracy [tasks + 1, tasks] and a digest of the final weights of one run.

        SystemExit when Avalanche is not there.
        """
        settings = {"epochs": training.epochs, "batch": training.batch, "rate": training.rate, "seed": seed}
        asked = self.common | settings | {"method": method, "strength": strength, "order": list(order)}
        assert self.process.stdin and self.process.stdout
        try:
            print(json.dumps(asked), file=self.process.stdin, flush=True)
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        except (json.JSONDecodeError, OSError):
            raise SystemExit(MISSING.format(self.process.args[0])) from None  # type: ignore[index]
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
