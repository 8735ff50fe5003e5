"""What `nai-sweep edge` may be given, and what it shows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sweep.edge import Found, Line

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="A data set of pictures, such as cifar10.")]
Root = Annotated[str | None, typer.Option(metavar="DIR", help="Where the data lie; without it NAI_DATA.")]
Backbone = Annotated[
    str,
    typer.Option(metavar="NAME", help="random_conv, a network of torchvision, or module:attribute."),
]
Weights = Annotated[
    str | None, typer.Option(metavar="FILE", help="Of a torchvision backbone; without it ImageNet's.")
]
Pixels = Annotated[int | None, typer.Option(metavar="N", help="A side of what a torchvision backbone sees.")]
First = Annotated[int, typer.Option(metavar="N", help="Classes of the first batch; later ones have one.")]
Samples = Annotated[int, typer.Option(metavar="N", help="Samples of a batch.")]
Parts = Annotated[int, typer.Option(metavar="N", help="Batches of each class.")]
Batches = Annotated[int, typer.Option(metavar="N", help="Of core50: 79, 196 or 391 in its official runs.")]
Budget = Annotated[str, typer.Option(metavar="SIZE", help="The buffer's, such as 64KiB or 600KB.")]
Store = Annotated[str, typer.Option(metavar="KIND", help="float32, float16 or uint8.")]
Rule = Annotated[
    str, typer.Option(metavar="RULE", help="What a full buffer keeps: share, reservoir, balanced.")
]
Hidden = Annotated[int, typer.Option(metavar="N", help="Units of a hidden layer of the head; 0: none.")]
Epochs = Annotated[int, typer.Option(metavar="N", help="How often each batch is gone through.")]
Batch = Annotated[int, typer.Option(metavar="N", help="Samples of a step, new and replayed.")]
Rate = Annotated[float, typer.Option(metavar="X", help="Learning rate.")]
Runs = Annotated[int, typer.Option(metavar="N", min=1, help="Streams, each in its own order.")]
Export = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Write backbone.pte and head.pte there, and train by the latter, too."),
]


def stream(dataset: str, frozen: dict[str, Any], shape: dict[str, int], *, batches: int) -> dict[str, Any]:
    """The options of the stream's benchmark: CORe50 comes in batches of its own."""
    common = {"dataset": dataset, "scenario": "class", "valid": 0.1}
    own = {"name": "stream", "batches": batches} if dataset == "core50" else {"name": "nicv2", **shape}
    return common | own | {key: value for key, value in frozen.items() if value is not None}


def shown(line: "Line") -> str:
    """A pass in a line."""
    return (
        f"run {line.run}, {_kind(line)}: {100 * line.accuracy:.2f} % of all test samples "
        f"after {line.experiences} batches, {line.steps} steps, {line.steps_per_second:.0f} a second"
    )


def table(found: "Found") -> None:
    """What every kind of pass came to, over runs, and what was exported."""
    from sweep import cli_show as show
    from sweep.edge import gains, interval

    to = show.console()
    made = show.table("", "bytes", "samples", "accuracy %", "steps", "a second", right=range(1, 6))
    for kind in dict.fromkeys(map(_kind, found.lines)):
        lines = [line for line in found.lines if _kind(line) == kind]
        mean = _said(*interval([line.accuracy for line in lines]))
        rate = sum(line.steps_per_second for line in lines) / len(lines)
        first = lines[0]
        made.add_row(
            kind, f"{first.buffer_bytes:,}", f"{first.slots:,}", mean, f"{first.steps:,}", f"{rate:.0f}"
        )
    to.print(made)
    if gained := gains(found.lines):
        to.print(f"replay is worth {_said(*interval(gained))} points over {len(gained)} runs")
    to.print(f"the head's weights are {found.head_bytes:,} bytes")
    for name, count in found.programs.items():
        to.print(f"{name} has {count:,} bytes")
    if found.loss_gap is not None:
        to.print(f"losses of the program and of torch differ by at most {found.loss_gap:.1e}")


def as_json(found: "Found") -> dict[str, Any]:
    """The same, every pass with all but its losses."""
    lines = [{k: v for k, v in line._asdict().items() if k != "losses"} for line in found.lines]
    return found._asdict() | {"lines": lines}


def folder(text: str | None) -> Path | None:
    """Where to export to."""
    return Path(text) if text else None


def _kind(line: "Line") -> str:
    return f"{'replay' if line.slots else 'no replay'}, {line.trained_by}"


def _said(mean: float, half: float | None) -> str:
    return f"{100 * mean:.2f}" + (f" ± {100 * half:.2f}" if half is not None else "")
