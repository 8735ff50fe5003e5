"""The short form of every benchmark, one after the other, and one table of their ratios.

    python benchmarks/all.py [--avalanche ENV/bin/python] [--only NAME ...] [--full]

Each script runs as a process of its own. Those that measure ways side by side end with one line of JSON,
whose numbers with a spread beside them, `x` and `x_spread`, are the ratios; those that print tables of their
own (rows, scale, rungs, worst_order, gpu_stacks) are shown as they are. One that fails is named at the end.
`--avalanche` names an interpreter that has avalanche-lib (see avalanche.py), `--gpu` says that there is a
card: without these, those parts are left out. `--full` runs the scripts as they come. Figures of a short
form are rough: quote those of the scripts.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
SHORT: dict[str, Sequence[str]] = {
    "order_tree": ("--repeats", "1", "--sample", "6"),
    "plain_step": ("--repeats", "7"),
    "attribution": ("--repeats", "1"),
    "importance_speed": ("--repeats", "1", "--samples", "2000"),
    "crossover": ("--repeats", "1"),
    "online_steps": ("--repeats", "1"),
    "replay_steps": ("--repeats", "1"),
    "mlflow_cost": ("--runs", "40", "--repeats", "2"),
    "conv_cpu": ("--repeats", "3", "--accuracy", "0"),
    "ray_overhead": ("--quick",),
    "order_study": ("--suggestions", "6", "--epochs", "2", "--sample", "12"),
    "avalanche": ("--quick",),
}
TABLES: dict[str, Sequence[str]] = {
    "rows": ("--rows", "1000"),
    "scale": ("--rows", "1000", "--workers", "1", "64"),
    "rungs": ("--draws", "20"),
    "worst_order": ("--hunts", "1"),
    "gpu_stacks": ("--repeats", "1"),
}


class Ratio(NamedTuple):
    """One line of the table."""

    script: str
    what: str
    value: float
    spread: tuple[float, ...] | None


def ratios(script: str, found: Mapping[str, Any], title: str = "") -> Iterator[Ratio]:
    """The ratios among a script's figures: `x` beside `x_spread`, `ratio` beside `from` and `to`, `a_over_b`.

    title: what the figures are of; those within lists and dicts are named by their first text, or their key.
    """
    for name, value in found.items():
        inside = {name: value} if isinstance(value, dict) else _named(value)
        for key, entry in inside.items():
            yield from ratios(script, entry, f"{title}{key}: ")
        spread = found.get(
            f"{name}_spread", (found.get("from"), found.get("to")) if name == "ratio" else None
        )
        if isinstance(value, int | float) and (spread or "_over_" in name or name.endswith("overhead")):
            yield Ratio(script, title + name, float(value), tuple(spread) if spread else None)


def _named(value: object) -> dict[str, Mapping[str, Any]]:
    entries = [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
    return {next((v for v in e.values() if isinstance(v, str)), str(i)): e for i, e in enumerate(entries)}


def lines(table: Sequence[Ratio]) -> Iterator[str]:
    """The table as text."""
    width = max((len(r.what) for r in table), default=0)
    for r in table:
        spread = f"[{r.spread[0]:g}, {r.spread[1]:g}]" if r.spread else ""
        yield f"{r.script:15} {r.what:{width}} {r.value:8.3g}  {spread}".rstrip()


def figures(text: str) -> dict[str, Any] | None:
    """The JSON object on the last line of a script's output, None where there is none."""
    try:
        found = json.loads(text.strip().rpartition("\n")[2])
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def ran(name: str, options: Sequence[str], *, shown: bool) -> str | None:
    """What a script printed, empty when that was shown at once; None when it broke."""
    print(f"{name} {' '.join(options)}", file=sys.stderr, flush=True)
    script = [sys.executable, str(HERE / f"{name}.py"), *options]
    ended = subprocess.run(script, stdout=None if shown else subprocess.PIPE, text=True, check=False)
    if shown:
        return "" if ended.returncode == 0 else None
    return ended.stdout if figures(ended.stdout) is not None else None  # a missed bar is no failure


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--avalanche", metavar="PYTHON", help="interpreter that has avalanche-lib")
    parser.add_argument("--gpu", action="store_true", help="stacks on a GPU, too")
    parser.add_argument("--only", nargs="+", choices=[*SHORT, *TABLES])
    parser.add_argument("--full", action="store_true")
    return parser.parse_args()


def main() -> int:
    asked = parsed()
    able = {"avalanche": bool(asked.avalanche), "gpu_stacks": asked.gpu}
    names = asked.only or [name for name in SHORT | TABLES if able.get(name, True)]
    table, failed = [], []
    for name in names:
        options = [] if asked.full else list((SHORT | TABLES)[name])
        if name == "avalanche" and asked.avalanche:
            options += ["--python", asked.avalanche]
        said = ran(name, options, shown=name in TABLES)
        if said is None:
            failed.append(name)
        elif name in SHORT:
            table += list(ratios(name, figures(said) or {}))
    print("\n".join(lines(table)))
    for name in failed:
        print(f"{name} failed: run benchmarks/{name}.py alone to see why")
    print(json.dumps({"ratios": [r._asdict() for r in table], "failed": failed}))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
