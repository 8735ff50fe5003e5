"""One method beside all others of a sweep, on the same orders and seeds: a table and a picture.

    python benchmarks/head_to_head.py DIR [--method nai] [--picture FILE.svg]
    python benchmarks/head_to_head.py DIR --by method.importance_source --method activation

DIR is the folder of a sweep with several methods and a confirmation, such as that of head_to_head_digits.
With --by, the values of a setting stand in place of methods, each with whatever else did best with it on
validation data, such as in importance_sources.
Left: the accuracy of each method's best settings on test data, a dot for each order, seeds averaged, with its
mean. Right: how much better the method is than each other, paired over orders and seeds, with the interval
that the report gives. Nothing is run.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sweep.analysis import Arm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run from a clone, installed or not
OURS, THEIRS, FAINT = "#0b6e4f", "#33475b", "#9aa5b1"


class Beside(NamedTuple):
    """A method beside the one that is looked at; accuracies and differences in per cent."""

    method: str
    accuracies: NDArray[np.float64]  # [orders], seeds averaged
    half: float | None  # of the 95 % interval of their mean
    gain: float  # of the method that is looked at over this one, 0 for itself
    gain_half: float | None
    won: float | None  # share of orders


def beside(folder: str | Path, method: str, by: "str | Callable[[Arm], str]" = "method.name") -> list[Beside]:
    """Every confirmed method of a sweep, or value of a setting, the best on average first.

    by: a setting's dotted name, for all but the baselines, or what names an arm.
    Each in the place that validation gave its best settings. ValueError: the method is not among them.
    """
    from sweep import analysis, look
    from sweep.analysis.arms import arms, crossing
    from sweep.standing import relevant

    _, store, snapshot = look.reopened(folder)
    asked, rows = snapshot.asked, relevant(store.records.rows, snapshot.asked)
    group = {arm.suggestion: arm for arm in arms(rows)}
    lines = [line for line in analysis.results(rows, asked)["table"] if line["orders"]]
    chosen = {}
    for line in sorted(lines, key=itemgetter("place"), reverse=True):
        arm = group[line["suggestion"]]
        if isinstance(by, str):
            name = arm.method if line["role"] == "baseline" else named(arm, by)
        else:
            name = by(arm)
        chosen[name] = line
    if method not in chosen:
        raise ValueError(f"{method!r} is not confirmed in {folder}: name one of {', '.join(chosen)}")
    ours = group[chosen[method]["suggestion"]]
    found = []
    for name, line in chosen.items():
        arm = group[line["suggestion"]]
        runs = crossing(arm, asked.confirm_orders, asked.confirm_seeds)
        pair = analysis.paired(ours, arm, asked.confirm_orders, asked.confirm_seeds)
        found.append(
            Beside(
                name,
                100 * analysis.final_averages(runs).mean(1),
                _percent(line["half"]),
                100 * (pair.mean or 0.0) if name != method else 0.0,
                _percent(pair.half) if name != method else None,
                pair.won if name != method else None,
            )
        )
    return sorted(found, key=lambda one: -one.accuracies.mean())


def named(arm: "Arm", by: str) -> str:
    """What an arm has of a setting; of what it does not have, the method's name."""
    value: Any = arm.settings
    for part in by.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return arm.method if value is None else str(value)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def markdown(found: Sequence[Beside], method: str) -> str:
    """The table: accuracy over orders, and the paired difference."""
    head = ("method", "mean", "worst order", f"{method} better by", "in so many orders")
    lines = [head, ("---",) * len(head)]
    for one in found:
        mean = f"{one.accuracies.mean():.2f}" + (f" ± {one.half:.2f}" if one.half is not None else "")
        gain = f"{one.gain:+.2f} ± {one.gain_half:.2f}" if one.gain_half is not None else ""
        won = f"{100 * one.won:.0f} %" if one.won is not None else ""
        lines.append((f"`{one.method}`", mean, f"{one.accuracies.min():.2f}", gain, won))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(found: Sequence[Beside], method: str) -> Figure:
    """Both halves of the picture, a row for each method."""
    figure = Figure(figsize=(9.0, 1.2 + 0.32 * len(found)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _accuracies(left, found, method)
    _gains(right, found, method)
    left.set_yticks(range(len(found)), [one.method for one in found])
    left.set_ylim(len(found) - 0.4, -0.6)
    for axes in (left, right):
        axes.grid(axis="x", color="#e4e7eb")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return figure


def _accuracies(axes: Axes, found: Sequence[Beside], method: str) -> None:
    chance = np.random.default_rng(0)  # dots of one row must not hide each other
    for row, one in enumerate(found):
        colour = OURS if one.method == method else THEIRS
        heights = row + chance.uniform(-0.26, 0.26, len(one.accuracies))
        axes.scatter(one.accuracies, heights, s=7, color=colour, alpha=0.25, linewidths=0)
        axes.errorbar(one.accuracies.mean(), row, xerr=one.half, fmt="o", color=colour, ms=5, capsize=3)
    least = min(np.quantile(one.accuracies, 0.02) for one in found if one.method != "finetune")
    axes.set_xlim(max(0.0, float(least) - 1), None)
    axes.set_xlabel("test accuracy after the last task, %\n(small: each order; large: mean, 95 % interval)")


def _gains(axes: Axes, found: Sequence[Beside], method: str) -> None:
    for row, one in enumerate(found):
        if one.method == method:
            axes.plot(0, row, "o", color=OURS, ms=5)
        elif one.gain_half is not None:
            axes.errorbar(one.gain, row, xerr=one.gain_half, fmt="o", color=THEIRS, ms=5, capsize=3)
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.set_xlabel(f"{method} better by, points\n(paired over orders and seeds, 95 % interval)")
    axes.tick_params(axis="y", length=0)


def main() -> None:
    """Prints the table, and draws the picture if it is wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--method", default="nai", help="or a value of --by; stands beside all others")
    parser.add_argument("--by", default="method.name", metavar="KEY", help="a setting, in place of methods")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    found = beside(args.folder, args.method, args.by)
    print(markdown(found, args.method))
    if args.picture:
        with mpl.rc_context({"svg.hashsalt": "nai", "font.size": 9, "svg.fonttype": "path"}):
            picture(found, args.method).savefig(args.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
