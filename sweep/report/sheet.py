"""What a report is made of: the page's data, panels with charts and tables, and how numbers are written."""

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


@dataclass(frozen=True)
class Panel:
    """One question of the report and its answer.

    Beside charts the table holds their numbers and is folded away, unless it is `unfolded`.
    """

    key: str
    title: str
    note: str
    figures: tuple[Figure, ...] = ()
    table: Table | None = None
    unfolded: bool = False


@dataclass(frozen=True)
class Judged:
    """A line of the summary table that has figures, its arm, and the runs that the figures are of."""

    line: Mapping[str, Any]
    arm: Arm
    runs: Crossing

    @property
    def label(self) -> str:
        """Its name in charts and tables."""
        return str(self.line["label"])


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
    def judged(self) -> list[Judged]:
        """Lines of the summary table that have figures."""
        orders, seeds = self.cells()
        found = []
        for line in self.results["table"]:
            if line["mean"] is not None:
                arm = self.arms[line["suggestion"]]
                found.append(Judged(line, arm, crossing(arm, orders, seeds)))
        return found

    @property
    def leader(self) -> Judged | None:
        """The best of all, or the first baseline where nothing was searched."""
        return next(iter(self.judged), None)

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


def key(order: Sequence[int]) -> str:
    """An order as the page's script and readers' programs may name it: "2-0-1"."""
    return "-".join(map(str, order))


def percent(share: float | None, digits: int = 2) -> str:
    """A share 0..1 as per cent; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def origin(line: Mapping[str, Any]) -> str:
    """Where the settings of a line of the summary table come from, and the suggestion's name."""
    name = line["suggestion"][:6]
    if line["role"] == "baseline":
        return f"{name}: given by the space"
    if not line["of"]:
        return f"{name}: {line['tuning']}"  # nothing was searched: settings were chosen within each run
    place = "best" if line["place"] == 1 else f"{line['place']}. best"
    return f"{name}: {place} of {line['of']}, {line['tuning']}"


def points(share: float | None) -> str:
    """A difference of shares as points of per cent, with a true minus sign."""
    return "–" if share is None else f"{100 * share:.2f}".replace("-", "−")


def margin(mean: float | None, half: float | None) -> str:
    """A mean with its half-width, both shares, as per cent."""
    return percent(mean) if mean is None or half is None else f"{100 * mean:.2f} ± {100 * half:.2f} %"
