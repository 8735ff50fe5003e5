"""Co2L part by part, from the records of co2l_digits or co2l_fashion_mnist: two tables and a picture.

    python benchmarks/contrastive.py DIR [--picture FILE.svg]

The first table has every arm on record, the second the relations between them that the paper claims, each
paired over orders and seeds with the interval that the report gives. Nothing is run.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl

if TYPE_CHECKING:
    from sweep.analysis import Arm

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]  # run from a clone, installed or not

from head_to_head import Beside, beside, markdown, picture  # noqa: E402

ARMS: dict[str, Mapping[str, Any]] = {
    "Co2L": {"name": "co2l", "anchors": "current", "strength": 1.0},
    "symmetric": {"name": "co2l", "anchors": "all", "strength": 1.0},
    "no distillation": {"name": "co2l", "anchors": "current", "strength": 0.0},
    "symmetric, no distillation": {"name": "co2l", "anchors": "all", "strength": 0.0},
    "cross-entropy, probed": {"name": "er_probe"},
    "replay": {"name": "er"},
    "finetuning": {"name": "finetune"},
}
"""The arms by name, and the settings that tell each from the others."""
RELATIONS = (
    ("Co2L", "symmetric"),
    ("no distillation", "symmetric, no distillation"),
    ("Co2L", "no distillation"),
    ("symmetric", "symmetric, no distillation"),
    ("Co2L", "cross-entropy, probed"),
    ("symmetric", "cross-entropy, probed"),
    ("no distillation", "cross-entropy, probed"),
    ("Co2L", "replay"),
)
"""Which arm should be above which."""


class Relation(NamedTuple):
    """One arm over another, in points, paired; half: of the 95 % interval."""

    above: str
    below: str
    gain: float
    half: float
    won: float

    @property
    def verdict(self) -> str:
        """What the interval says of it."""
        if abs(self.gain) <= self.half:
            return "not decided"
        return "holds" if self.gain > 0 else "the other way round"


def found(folder: str | Path) -> tuple[list[Beside], list[Relation]]:
    """Arms on record, the best first, and relations; ValueError where there is nothing beside Co2L."""
    arms = beside(folder, "Co2L", by=named)
    on_record = {line.method for line in arms}
    pairs = [pair for pair in RELATIONS if on_record.issuperset(pair)]
    if not pairs:
        raise ValueError(f"of the arms of co2l_digits {folder} has Co2L alone: run its space to its end")
    tables = {name: beside(folder, name, by=named) for name in dict.fromkeys(above for above, _ in pairs)}
    relations = []
    for above, below in pairs:
        (one,) = (line for line in tables[above] if line.method == below)
        assert one.gain_half is not None and one.won is not None
        relations.append(Relation(above, below, one.gain, one.gain_half, one.won))
    return arms, relations


def named(arm: "Arm") -> str:
    """An arm's name among ARMS; of others, the method's."""
    own = arm.settings["method"].items()
    return next((name for name, told in ARMS.items() if told.items() <= own), arm.method)


def relations_table(relations: list[Relation]) -> str:
    """The second table."""
    lines = [("above", "below", "points", "in so many orders", "verdict"), ("---",) * 5]
    for one in relations:
        points, won = f"{one.gain:+.2f} ± {one.half:.2f}", f"{100 * one.won:.0f} %"
        lines.append((one.above, one.below, points, won, one.verdict))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Prints both tables, and draws the picture if it is wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    arms, relations = found(args.folder)
    print(markdown(arms, "Co2L"), relations_table(relations), sep="\n\n")
    if args.picture:
        with mpl.rc_context({"svg.hashsalt": "nai", "font.size": 9, "svg.fonttype": "path"}):
            picture(arms, "Co2L").savefig(args.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
