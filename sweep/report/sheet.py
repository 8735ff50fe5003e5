"""What a report is made of: the page's data, panels with charts and tables, and how numbers are written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from sweep.analysis import Arm, Crossing, Order, Row, Seed, arms, crossing
from sweep.report import figures

Tables = Mapping[str, Sequence[Mapping[str, Any]]]
"""Tables of the analysis by name: see `sweep.analysis.study`."""
Change = Mapping[str, Any]
"""What becomes of the fields of a chart's last trace."""


class Figure(NamedTuple):
    """A chart, its title if it is one of several, and what it shows, for those who cannot see it.

    `chosen` says by the key of an order what the chart's last trace shows when a reader chooses that order;
    a figure that `waits` shows nothing before.
    """

    chart: figures.Chart
    alt: str
    title: str = ""
    chosen: Mapping[str, Change] = {}
    waits: bool = False


class Table(NamedTuple):
    """A table of texts; the first `words` columns are words, the others numbers."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int = 1
    keys: Sequence[str] = ()
    """Of a table of orders: the key of each line's order, by which a reader may choose it."""
    rest: int = 0
    """Lines that this page leaves out."""


@dataclass(frozen=True)
class Panel:
    """One question of the report and its answer.

    Beside charts the table holds their numbers and is folded away, unless it is `unfolded`. `live` goes on
    with the note where charts answer to a reader.
    """

    key: str
    title: str
    note: str
    figures: tuple[Figure, ...] = ()
    table: Table | None = None
    unfolded: bool = False
    live: str = ""


@dataclass(frozen=True)
class Judged:
    """A line of the summary table that has figures, its arm, the runs that the figures are of, its name.

    The name is the method's alone where that tells it from all others, else its label.
    """

    line: Mapping[str, Any]
    arm: Arm
    runs: Crossing
    name: str

    @property
    def label(self) -> str:
        """Its method and the settings in which arms of that method differ."""
        return str(self.line["label"])

    @property
    def interval(self) -> str:
        """What its ± stands for, or why it has none: where all orders were run, seeds alone are uncertain."""
        return "95 % over seeds" if self.line["holds"] == "seeds" else str(self.line["interval"])

    @property
    def size(self) -> str:
        """Over how many orders and seeds its figures are."""
        return f"{self.line['orders']} × {self.line['seeds']}"


@dataclass(frozen=True)
class Page:
    """What the panels read: the results, the arms on record, the names of the tasks (empty: numbers)."""

    results: Mapping[str, Any]
    arms: Mapping[str, Arm]
    tasks: Sequence[str]
    tables: Tables = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        results: Mapping[str, Any],
        rows: Sequence[Row],
        tasks: Sequence[str],
        tables: Tables | None = None,
    ) -> "Page":
        """The page's data, rows grouped into arms once."""
        return cls(results, {arm.suggestion: arm for arm in arms(rows)}, tasks, tables or {})

    def lines(self, name: str) -> Sequence[Mapping[str, Any]]:
        """The lines of a table of the analysis; none where it was not made."""
        return self.tables.get(name, ())

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Short names of all in the summary table, by suggestion."""
        lines = self.results["table"]
        methods = Counter(self.arms[line["suggestion"]].method for line in lines)
        return {
            line["suggestion"]: method if methods[method] == 1 else str(line["label"])
            for line in lines
            for method in [self.arms[line["suggestion"]].method]
        }

    @cached_property
    def judged(self) -> list[Judged]:
        """Lines of the summary table that have figures, the best mean first."""
        orders, seeds = self.cells()
        known = [line for line in self.results["table"] if line["mean"] is not None]
        return [
            Judged(line, arm, crossing(arm, orders, seeds), self.names[line["suggestion"]])
            for line in sorted(known, key=lambda line: -float(line["mean"]))
            for arm in [self.arms[line["suggestion"]]]
        ]

    @property
    def leader(self) -> Judged | None:
        """The one that the search chose, or the first baseline where nothing was searched."""
        places = {line["suggestion"]: place for place, line in enumerate(self.results["table"])}
        return min(self.judged, key=lambda one: places[one.line["suggestion"]], default=None)

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The summary table as charts have it: the best mean first, then those without a run."""
        none = [line for line in self.results["table"] if line["mean"] is None]
        return [*(one.line for one in self.judged), *none]

    def cells(self) -> tuple[list[Order], list[Seed]]:
        """Confirmation orders and seeds."""
        orders, seeds = self.results["orders"]["confirm"], self.results["seeds"]["confirm"]
        return [tuple(order) for order in orders], [(init, data) for init, data in seeds]

    def task(self, home: int) -> str:
        """The name of a task."""
        return self.tasks[home] if home < len(self.tasks) else f"task {home}"

    def order(self, order: Sequence[int]) -> str:
        """An order by the names of its tasks."""
        return " → ".join(self.task(int(home)) for home in order)


def over(group: Sequence[Judged]) -> str:
    """Over how many orders and seeds they all are, or each of those that differ."""
    sizes = list(dict.fromkeys(one.size for one in group))
    if len(sizes) == 1:
        return f"{sizes[0].replace(' × ', ' orders × ')} seeds"
    return ", ".join(f"{one.name} {one.size}" for one in group) + " (orders × seeds)"


def gaps(group: Sequence[Judged]) -> str:
    """Runs that failed or are missing, of those who have such; nothing where none has."""
    lines = [(one.name, one.line["failed"], one.line["missing"]) for one in group]
    said = [
        f"{name} {failed} failed, {missing} missing" for name, failed, missing in lines if failed or missing
    ]
    return f" Without runs of {'; '.join(said)}." if said else ""


def key(order: Sequence[int]) -> str:
    """An order as the page's script and readers' programs may name it: "2-0-1"."""
    return "-".join(map(str, order))


def percent(share: float | None, digits: int = 2) -> str:
    """A share 0..1 as per cent; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def origin(line: Mapping[str, Any], method: str) -> str:
    """The settings of a line of the summary table that were searched, and where they come from."""
    if line["role"] == "baseline":
        return "given by the space"
    chosen = str(line["label"]).removeprefix(method).strip()
    if not line["of"]:
        return f"{chosen} {line['tuning']}".strip()  # nothing was searched: chosen within each run
    place = "best" if line["place"] == 1 else f"{line['place']}. best"
    return f"{chosen} ({place} of {line['of']}, {line['suggestion'][:6]})".strip()


def points(share: float | None) -> str:
    """A difference of shares as points of per cent, with a true minus sign."""
    return "–" if share is None else f"{100 * share:.2f}".replace("-", "−")


def margin(mean: float | None, half: float | None) -> str:
    """A mean with its half-width, both shares, as per cent."""
    return percent(mean) if mean is None or half is None else f"{100 * mean:.2f} ± {100 * half:.2f} %"


def number(value: float) -> str:
    """A setting in three digits, without a power of ten where that is short."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
