"""A device that learns digits in many small batches: frozen features, a head, and replay in so many bytes.

python examples/edge.py

Some seconds on a CPU. With the extra edge the head is exported as an ExecuTorch program, and trained by it.
"""

import importlib.util
import tempfile
from pathlib import Path

from nai import edge
from nai.backbones import Frozen
from nai.builders import nicv2
from nai.datasets import digits
from nai.features import featured

BUDGET, BATCH, RATES = 64 * 1024, 32, edge.Rates(0.003)


def learnt(stream: edge.Stream, head: edge.Trainee, budget: int) -> float:
    """Accuracy over all ten digits after the stream, with a buffer of so many bytes."""
    buffer = edge.LatentBuffer(budget, stream.inputs.shape[1], stream.outputs, store="uint8")
    for _ in edge.learn(stream, head, buffer):
        assert buffer.nbytes <= budget
    return edge.accuracy(head, stream)


def main() -> None:
    pictures = digits(Path())  # they travel with scikit-learn
    features = featured(pictures, Frozen("random_conv"))  # or a network of torchvision
    stream = edge.Stream.of(nicv2(features.source, samples=20, parts=2))
    width = stream.inputs.shape[1]
    for title, budget in (("no replay", 0), (f"replay in {BUDGET:,} bytes", BUDGET)):
        trained = edge.TorchHead(edge.Head(width, 10), BATCH, RATES)
        print(f"{title}: {100 * learnt(stream, trained, budget):.1f} %")

    if importlib.util.find_spec("executorch") is None:
        print("no program: pip install 'nai-sweep[edge]'")
        return
    with tempfile.TemporaryDirectory() as folder:
        program = edge.export_head(edge.Head(width, 10), BATCH, Path(folder) / "head.pte")
        reached = learnt(stream, edge.ExportedHead(program, RATES), BUDGET)
        print(f"replay, by a program of {program.stat().st_size:,} bytes: {100 * reached:.1f} %")


if __name__ == "__main__":
    main()
