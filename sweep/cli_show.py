"""Tables and lines of the command line, made of results, plans and lists."""

import errno
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.progress import Span, duration
from sweep.redact import printable

if TYPE_CHECKING:
    from sweep.catalogue import Entry
    from sweep.estimate import Plan
    from sweep.record import Problem
    from sweep.standing import Standing

NARROW = 76
"""Columns below which a table of results is written line by line."""
ROOMY = 90
"""Columns from which it has room for wide gaps."""
FIGURES = (
    ("mean", "mean %"),
    ("worst", "worst"),
    ("std", "std"),
    ("aopd", "AOPD"),
    ("mopd", "MOPD"),
    ("forgetting", "forget"),
)


class Paper(Console):
    """A console that does not end the program when nobody reads it: that is for the command to say."""

    def on_broken_pipe(self) -> None:
        """A pipe that broke; Errors: BrokenPipeError."""
        raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more")


def console(*, error: bool = False) -> Console:
    """Where tables go, or with `error` where progress goes; text is shown as it is."""
    return Paper(stderr=error, markup=False, highlight=False, emoji=False)


def table(*headers: str, right: Sequence[int] = ()) -> Table:
    """A plain table; the columns of `right` hold numbers."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
    for place, header in enumerate(headers):
        number = place in right
        name = not header or header == "name"
        made.add_column(
            header, justify="right" if number else "left", no_wrap=number or name, overflow="fold"
        )
    return made


# ------------------------------------------------------------------ results
def results(to: Console, found: Mapping[str, Any]) -> None:
    """The best of each method and the baselines on the same orders and seeds, and what to make of them."""
    lines = [line for line in found["table"] if line["place"] == 1]
    if any(line["orders"] for line in lines):
        to.print(
            Text("Final test accuracy over all tasks, in per cent; worst and std are over orders.", "dim")
        )
        (_blocks if to.width < NARROW else _summary)(to, lines)
        to.print()
    to.print(Text(found["verdict"]))
    for said in (*_saved(found), *_hunted(found)):
        to.print(Text(said))
    for caution in found["cautions"]:
        to.print(Text(f"! {caution}", "yellow"))
    to.print()


def _summary(to: Console, lines: Sequence[Mapping[str, Any]]) -> None:
    right = range(1, 1 + len(FIGURES) + 2)
    made = table("method", *(h for _, h in FIGURES), "orders\n× seeds", "failed", right=right)
    made.padding = (0, 1, 0, 0) if to.width >= ROOMY else 0
    for line in lines:
        made.add_row(
            Text(f"{line['label']}\n").append(_role(line), "bold" if line["role"] == "best" else "dim"),
            *_figures(line),
            f"{line['orders']} × {line['seeds']}",
            Text(str(line["failed"]), "red" if line["failed"] else ""),
        )
    to.print(made)


def _blocks(to: Console, lines: Sequence[Mapping[str, Any]]) -> None:
    for line in lines:
        to.print(Text(f"\n{_role(line)}: {line['label']}", "bold"))
        for (_, header), figure in zip(FIGURES, _figures(line), strict=True):
            to.print(f"  {header:<8} {figure}")
        to.print(f"  {'orders':<8} {line['orders']} × {line['seeds']} seeds, {line['failed']} failed")
    to.print()


def _role(line: Mapping[str, Any]) -> str:
    """What a line is, and how its settings were chosen."""
    role = f"{line['role']} {line['suggestion'][:6]}"
    if not line["tuning"]:
        return role
    return f"{role}, {line['tuning']}" if line["of"] else f"{line['suggestion'][:6]}, {line['tuning']}"


def _saved(found: Mapping[str, Any]) -> list[str]:
    """What the rungs saved of the full grid of the search."""
    if not found["saved"] or not found["saved"]["full"]:
        return []
    full, ran = found["saved"]["full"], found["saved"]["ran"]
    return [f"The rules saved {full - ran} of {full} runs of the full grid, {_percent(1 - ran / full)} %."]


def _hunted(found: Mapping[str, Any]) -> list[str]:
    """What hunts found, one line each."""
    said = []
    for one in found["hunts"]:
        which = "Worst" if one["worst"] else "Best"
        order = " ".join(map(str, one["order"] or ()))
        line = f"{which} order found for {one['label']}: {_percent(one['value'])} % ({order})"
        if one["rank"] is not None:
            line += f", rank {one['rank']} of all"
        if one["expected"] is not None:
            line += f"; {one['drawn']} random orders find {_percent(one['expected'])} %"
        if one["share"] is not None:
            line += f"; at 95 %, fewer than {_percent(one['share'])} % of all orders are beyond it"
        said.append(f"{line}.")
    return said


def _figures(line: Mapping[str, Any]) -> list[str]:
    figures = [_percent(line[name]) for name, _ in FIGURES]
    if line["half"] is not None:
        figures[0] += f" ± {_percent(line['half'])}"
    return figures


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def near(path: Path) -> str:
    """A path as short as it can be said from here, on one line whatever its name."""
    here = Path.cwd()
    return printable(str(path.relative_to(here) if path.is_relative_to(here) else path))


def standing(to: Console, folder: str, now: "Standing", problems: Sequence["Problem"]) -> None:
    """How far a sweep is; folder: or its address."""
    from sweep.storage import is_address

    place = folder if is_address(folder) else near(Path(folder).resolve())
    state = "finished" if now.done >= now.expected else f"in its {now.phase}"
    made = table("", "what")
    made.show_header = False
    made.add_row("sweep", f"{place}, {state}")
    made.add_row("runs", f"{now.done} of {now.expected} on record, {now.failed} failed")
    if best := now.best:
        made.add_row("best so far", Text(best.label))
        figures = f"mean {_percent(best.mean)} %, worst order {_percent(best.worst)} %"
        made.add_row("", f"{figures}, on validation data")
    for problem in problems:
        made.add_row(
            "conflict" if problem.path.name == "records" else "not read",
            Text(f"{near(problem.path)}: {problem.reason}", "yellow"),
        )
    to.print(made)


# ------------------------------------------------------------------ plans and lists
def plan(to: Console, found: "Plan") -> None:
    """What a space asks for, and what it would cost."""
    to.print(Text(f"{found.name}: {found.tasks} tasks, {found.runs} runs", "bold"))
    factors = table("searched", "values")
    for name, values in found.factors or (("nothing", "every setting is fixed"),):
        factors.add_row(Text(name), Text(values))
    to.print(factors)
    to.print()
    made = table(
        "", "settings", "orders", "seeds", "runs", "task\ntrainings", "one by\none", right=range(1, 7)
    )
    made.padding = (0, 1, 0, 0)
    for name, phase in (("search", found.search), ("confirm", found.confirm)):
        if phase:
            made.add_row(name, *(f"{number:,}" for number in phase[:6]))
    to.print(made)
    to.print()
    if found.search.least < found.search.runs:
        to.print(
            f"At most: {found.search.least:,} runs and {found.search.least_trainings:,} task trainings "
            "if all suggestions but the best end at the first rung."
        )
    to.print("Task trainings share the beginnings of orders (the order tree); one by one they would not.")
    to.print(_cost(found))


def _cost(found: "Plan") -> str:
    if found.cost is None:
        return f"Time and memory are not known here: {found.unknown}"
    cost = found.cost
    workers = f"{cost.workers} worker{'s'[: cost.workers > 1]}"
    memory = f"{cost.memory / 2**20:,.0f} MB of memory each, PyTorch and Ray included"
    return f"It takes {Span(cost.low, cost.high)} on {workers}, with {memory} ({cost.assumes})."


def entries(to: Console, found: Sequence["Entry"]) -> None:
    """Names with what they are; settings with their defaults below, and what `search = true` searches."""
    made = table("name", "what it is")
    for entry in found:
        made.add_row(Text(entry.name, "bold"), Text(entry.says))
        if entry.settings:
            made.add_row("", Text(", ".join(f"{k} = {_default(v)}" for k, v in entry.settings), "dim"))
        if entry.ranges:
            made.add_row("", Text("searched: " + ", ".join(_range(k, *v) for k, v in entry.ranges), "dim"))
    to.print(made)


def _range(key: str, *span: Any) -> str:
    """What is worth searching of a setting."""
    if isinstance(span[0], str):
        return f"{key} {' | '.join(span)}"
    low, high, log = span
    return f"{key} {low:g} to {high:g}{' (log)' if log else ''}"


def _default(value: Any) -> str:
    """A default as TOML would have it."""
    if value is ...:
        return "(needed)"
    return json.dumps(value) if value is not None else "(none)"


def took(seconds: float, fresh: int) -> str:
    """How long a run of a sweep took, and how much of it was new."""
    if not fresh:
        return "everything was on record"
    return f"{fresh} new run{'s'[: fresh > 1]} in {duration(seconds)}"
