"""Published figures beside ours, each protocol as a search space of its own; the table of docs/results.md.

    python benchmarks/published.py [--rows 1 2 19] [--engine tune|inline] [--table]

Runs the spaces search_spaces/published/*.toml that the rows need, as far as they are not on record, and keeps
records and results in docs/studies. Nothing is tuned: settings are published ones, and a figure outside of
its band stays there. Van de Ven et al. share the digits out to tasks anew with every seed (0/1, 2/3, ... with
the first): so do we, five times. --table runs nothing and prints the table from what is on record.
"""

import argparse
import random
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run from a clone, installed or not
STUDIES = ROOT / "docs" / "studies"
VDV = "van de Ven et al. 2022"
CLB = "continual-learning-baselines"


class Published(NamedTuple):
    """A published figure, in per cent, with the band around it that counts as reproduced, if any."""

    row: int
    space: str
    method: str
    protocol: str
    figure: str = "none known to us"
    source: str = ""
    band: tuple[float, float] | None = None


ROWS = (
    Published(1, "van_de_ven_task", "finetune", "Split MNIST, task", "84", VDV, (76, 92)),
    Published(2, "van_de_ven_domain", "finetune", "Split MNIST, domain", "60", VDV, (55, 66)),
    Published(3, "van_de_ven_class", "finetune", "Split MNIST, class", "19.9", VDV, (19, 21)),
    Published(4, "van_de_ven_task", "joint", "Split MNIST, task", "99.7", VDV, (99.3, 100)),
    Published(5, "van_de_ven_domain", "joint", "Split MNIST, domain", "98.7", VDV, (98, 100)),
    Published(6, "van_de_ven_class", "joint", "Split MNIST, class", "98", VDV, (97, 100)),
    Published(7, "van_de_ven_task", "ewc", "Split MNIST, task", "99.1", VDV, (97.5, 99.7)),
    Published(8, "van_de_ven_domain", "ewc", "Split MNIST, domain", "63", VDV, (57, 70)),
    Published(9, "van_de_ven_class", "ewc", "Split MNIST, class", "20.6", VDV, (19, 23)),
    Published(10, "van_de_ven_task", "si", "Split MNIST, task", "99.2", VDV, (97.5, 99.7)),
    Published(11, "van_de_ven_domain", "si", "Split MNIST, domain", "67", VDV, (58, 73)),
    Published(12, "van_de_ven_class", "si", "Split MNIST, class", "21.2", VDV, (19, 25)),
    Published(13, "van_de_ven_task", "lwf", "Split MNIST, task", "99.6", VDV, (98.8, 99.8)),
    Published(14, "van_de_ven_class", "lwf", "Split MNIST, class", "21.9", VDV, (19, 27)),
    Published(15, "van_de_ven_task", "er", "Split MNIST, task, 200 stored", "99.0", VDV, (98, 99.6)),
    Published(16, "van_de_ven_class", "er", "Split MNIST, class, 200 stored", "88.8", VDV, (84, 92)),
    Published(17, "baselines_si", "si", "Split MNIST, task", "97", CLB, (95, 99.5)),
    Published(18, "baselines_rwalk", "rwalk", "Split MNIST, task", "99", CLB, (97, 99.8)),
    Published(19, "baselines_gdumb", "gdumb", "Split MNIST, class", "97", CLB, (94, 98.5)),
    Published(20, "baselines_er_online", "er", "Split MNIST, class, one pass", "92", CLB, (88, 94)),
    Published(21, "baselines_mir_online", "mir", "Split MNIST, class, one pass", "87", CLB, (82, 92)),
    Published(22, "baselines_ewc_permuted", "ewc", "Permuted MNIST, 10 tasks", "83", CLB, (80, 96)),
    Published(23, "baselines_agem_online", "agem", "Permuted MNIST, 17 tasks, one pass", "81", CLB, (76, 86)),
    Published(27, "van_de_ven_replay_class", "agem", "Split MNIST, class, 1,000 stored", "65", VDV),
    Published(28, "baselines_gss", "gss", "Split MNIST, 1,000 images a task, class", "82", CLB),
    Published(29, "baselines_lwf", "lwf", "Split MNIST, class", "23", CLB),
    Published(30, "baselines_si_permuted", "si", "Permuted MNIST, 10 tasks", "83", CLB),
    Published(31, "van_de_ven_replay_task", "er", "Split MNIST, task, 1,000 stored", "99.0", VDV, (98, 99.6)),
    Published(32, "van_de_ven_replay_task", "agem", "Split MNIST, task, 1,000 stored"),
    Published(33, "van_de_ven_replay_domain", "er", "Split MNIST, domain, 1,000 stored"),
    Published(34, "van_de_ven_replay_domain", "agem", "Split MNIST, domain, 1,000 stored"),
    Published(35, "van_de_ven_replay_domain", "lwf", "Split MNIST, domain"),
    Published(36, "van_de_ven_replay_class", "er", "Split MNIST, class, 1,000 stored", "88.8", VDV, (84, 92)),
)
BY_NUMBER = {one.row: one for one in ROWS}
NOISE = 24
"""The row on how far accuracies scatter over orders; 25 and 26 want a GPU."""
NUMBERS = (*range(1, NOISE + 1), *range(27, 37))
SHARED_OUT = tuple(
    sorted(range(10)) if seed == 0 else random.Random(seed).sample(range(10), 10) for seed in range(5)
)
"""The digits in the order in which pairs of them make up tasks, for each seed of van de Ven's protocol."""
HEAD = ("row", "protocol", "method", "published", "source", "band", "ours", "seeds", "in its band", "command")


def changes(space: str) -> dict[str, list[str]]:
    """The sweeps that a space stands for, by folder: overrides of it."""
    if not space.startswith("van_de_ven"):
        return {space: []}
    return {
        f"{space}/{seed}": [
            f"benchmark.class_order={list(digits)}",
            f"confirm.seeds={{init=[{seed}], data=[{seed}]}}",
            f"seeds={{init=[{seed}], data=[{seed}]}}",
        ]
        for seed, digits in enumerate(SHARED_OUT)
    }


def lacking(home: Path) -> bool:
    """Whether a sweep is to be run: no results on record, or some failed, or of an earlier revision."""
    from sweep import record
    from sweep.session import current

    rows = record.read(home / "records").rows if (home / "records").is_dir() else ()
    return not rows or len(sound(current(rows))) < len(rows)


def sound(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that ended without a failure."""
    return [row for row in rows if row["error"] is None]


def on_record(space: str, method: str) -> list[dict[str, Any]]:
    """A method's sound rows in a space's sweeps, of its present revision; none while one is not on record."""
    from sweep import record
    from sweep.session import current

    folders = [STUDIES / folder / "records" for folder in changes(space)]
    if not all(folder.is_dir() for folder in folders):
        return []
    rows = [row for folder in folders for row in record.read(folder).rows if row["method"] == method]
    return sound(current(rows))


def measured(one: Published) -> tuple[float, float, int] | None:
    """Mean, half of the 95 % interval over seeds and their number, in per cent; None while not on record."""
    final = [100 * statistics.mean(row["test"][-1]) for row in on_record(one.space, one.method)]
    if len(final) < 2:  # a run for each seed
        return None
    half = stats.t.ppf(0.975, len(final) - 1) * statistics.stdev(final) / len(final) ** 0.5
    return statistics.mean(final), float(half), len(final)


def scatter(method: str) -> tuple[float, float] | None:
    """Standard deviation over orders of the seeds' mean, in points, and the order's share of the variance."""
    from sweep.analysis.intervals import order_share

    rows = on_record("order_noise", method)
    if not rows:
        return None
    runs = {(tuple(row["order"]), row["seed_init"]): statistics.mean(row["test"][-1]) for row in rows}
    seeds = sorted({seed for _, seed in runs})
    values = np.array([[runs[order, seed] for seed in seeds] for order in {order for order, _ in runs}])
    return 100 * float(values.mean(1).std(ddof=1)), order_share(values) or 0.0


def noise() -> tuple[str, ...]:
    """The line of the table on orders."""
    plain, held = scatter("finetune"), scatter("nai")
    ours, seeds, inside = "not run", "", ""
    if plain and held:
        times = plain[0] / held[0]
        ours = f"{plain[0]:.2f} and {held[0]:.2f}, {times:.1f} times; {plain[1]:.2f} and {held[1]:.2f}"
        seeds, inside = "2", "yes" if times >= 4 else "**no**"
    protocol = "Split MNIST, all 120 orders: deviation over orders; the order's share of the variance"
    figures = "2.89 and 0.32, 9.0 times; .67 and .04"
    said = (str(NOISE), protocol, "`finetune`, `nai`", figures, "our first trials", "at least 4 times")
    return (*said, ours, seeds, inside, f"`python benchmarks/published.py --rows {NOISE}`")


def within(one: Published, mean: float) -> str:
    """Whether a mean lies in a row's band, in a word."""
    if one.band is None:
        return ""
    return "yes" if one.band[0] <= mean <= one.band[1] else "**no**"


def line(one: Published) -> tuple[str, ...]:
    """A row's line of the table: ours is the mean over seeds with its 95 % interval."""
    band = "{:g} to {:g}".format(*one.band) if one.band else "none set"
    said = (str(one.row), one.protocol, f"`{one.method}`", one.figure, one.source, band)
    ours, seeds, inside = "not run", "", ""
    if found := measured(one):
        mean, half, count = found
        ours, seeds, inside = f"{mean:.2f} ± {half:.2f}", str(count), within(one, mean)
    return (*said, ours, seeds, inside, f"`python benchmarks/published.py --rows {one.row}`")


def markdown(numbers: Sequence[int] = NUMBERS) -> str:
    """The table as it stands in docs/results.md."""
    lines = [noise() if number == NOISE else line(BY_NUMBER[number]) for number in numbers]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *lines))


def kept(space: str, changed: Sequence[str], ran: Path, home: Path) -> None:
    """Puts what a published figure rests on into docs/studies."""
    from sweep.space import read

    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(ran / "records", home / "records")
    shutil.copy(ran / "results.json", home / "results.json")
    (home / "space.toml").write_text(read(f"published/{space}", changed).to_toml())


def run(space: str, changed: Sequence[str], out: Path, home: Path, *, engine: str) -> None:
    """Runs a space with changes to its end, or goes on with it."""
    from sweep import session
    from sweep.space import read

    ended = session.run(read(f"published/{space}", changed), out, engine=engine, track=False)
    if ended.interrupted:
        raise SystemExit(130)
    kept(space, changed, out, home)


def main() -> None:
    """Runs what is missing of some rows, and prints their table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", choices=NUMBERS, default=NUMBERS, metavar="N")
    parser.add_argument("--engine", choices=("tune", "inline"), default="tune")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where sweeps that stopped go on")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    spaces = dict.fromkeys("order_noise" if n == NOISE else BY_NUMBER[n].space for n in args.rows)
    for space in [] if args.table else spaces:
        left = {k: v for k, v in changes(space).items() if lacking(STUDIES / k)}
        for folder, changed in left.items():
            run(space, changed, args.runs / folder, STUDIES / folder, engine=args.engine)
    print(markdown(args.rows))


if __name__ == "__main__":
    main()
