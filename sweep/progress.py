"""What a sweep shows while it runs: a live display on a terminal, plain lines elsewhere, all on stderr."""

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sweep.standing import Standing

Clock = Callable[[], float]
ENOUGH = 3
"""Bundles that must have come in before a guess at the end is worth saying."""
PULSE = 10.0
"""Seconds between two plain lines."""


class Span(NamedTuple):
    """A guess in seconds, from least to most."""

    low: float
    high: float

    def __str__(self) -> str:
        low, high = duration(self.low), duration(self.high)
        return f"about {low}" if low == high else f"about {low} to {high}"


def duration(seconds: float) -> str:
    """Seconds as people say them, rounded to what matters: "45 s", "3 min", "1 h 20 min"."""
    if seconds < 10:
        return f"{max(1, math.ceil(seconds))} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    minutes = 5 * round(minutes / 5)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest and hours < 10 else f"{round(minutes / 60)} h"


def elapsed(seconds: float) -> str:
    """Seconds as a clock shows them: 0:45, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Pace:
    """How fast runs come in, counted from now on: those on record before tell nothing of this session."""

    def __init__(self, done: int, now: float) -> None:
        self.first, self.since = done, now
        self.done, self.at, self.bundles = done, now, 0

    def add(self, done: int, now: float) -> None:
        """Runs done so far; a bundle is whatever came in since the last call."""
        if done > self.done:
            self.done, self.at, self.bundles = done, now, self.bundles + 1

    def left(self, expected: int, now: float) -> Span | None:
        """Seconds to the end, or None while there is too little to go by.

        Bundles come in as drops do, so n of them tell the rate to one part in the square root of n.
        """
        if self.bundles < ENOUGH or expected <= self.done:
            return None
        seconds = (self.at - self.since) / (self.done - self.first) * (expected - self.done)
        gone, doubt = now - self.at, 1 / math.sqrt(self.bundles)
        return Span(max(1.0, seconds / (1 + doubt) - gone), max(2.0, seconds / (1 - doubt) - gone))


class Display:
    """Follows a sweep on a console; its methods are those of a `sweep.session.Watch`. Use it as a context."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.began = clock()
        self.doing = "starting"
        self.now: Standing | None = None
        self.pace: Pace | None = None
        self.live = (
            Live(self, console=console, refresh_per_second=8, transient=True) if lively(console) else None
        )
        self.over = threading.Event()

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        else:
            threading.Thread(target=self._pulse, name="progress", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        if self.live:
            self.live.stop()

    # ---------------------------------------------------------------- what is told
    def stage(self, text: str) -> None:
        """What is being done from now on."""
        self.doing = text
        if text == "training" and self.now:
            self.pace = Pace(self.now.done, self.clock())
        if not self.live:
            self._line(self.line())

    def standing(self, standing: "Standing") -> None:
        """How far the sweep is."""
        self.now = standing
        if self.pace:
            self.pace.add(standing.done, self.clock())

    def tracking(self, left: int) -> None:
        """Runs that MLflow does not have yet."""
        self.doing = f"writing MLflow ({left} to go)" if left else "writing MLflow"

    def note(self, text: str) -> None:
        """Something odd, kept above the display."""
        self.console.print(Text(f"note: {text}", "yellow"), soft_wrap=True)

    @property
    def fresh(self) -> int:
        """Runs that this session added to the records."""
        return self.pace.done - self.pace.first if self.pace else 0

    # ---------------------------------------------------------------- what is shown
    def line(self) -> str:
        """All of it in one plain line."""
        training = self.now if self.doing == "training" else None
        parts = [self.doing, *self._counts(training), *self._left(), *self._best(training)]
        return f"[{elapsed(self.clock() - self.began)}] {', '.join(parts)}"

    def __rich__(self) -> RenderableType:
        head = Table.grid(padding=(0, 1))
        time = Text(elapsed(self.clock() - self.began), "dim")
        if not self.now or self.doing != "training":
            head.add_row(self._spinner, Text(self.doing), time)
            return head
        bar = ProgressBar(self.now.expected, self.now.done, width=min(20, self.console.width // 5))
        head.add_row(self._spinner, bar, Text(", ".join(self._counts(self.now))), time)
        rest = [*self._left(), *self._best(self.now)]
        return Group(head, *(Text(f"  {text}", "dim") for text in rest))

    @property
    def _spinner(self) -> Spinner:
        spinner = Spinner("dots")
        spinner.start_time = 0.0  # a new one each time, at the place where the last one was
        return spinner

    def _counts(self, now: "Standing | None") -> list[str]:
        if not now:
            return []
        failed = [f"{now.failed} failed"] if now.failed else []
        return [f"{now.phase} {now.done}/{now.expected} runs", *failed]

    def _left(self) -> list[str]:
        span = self.pace.left(self.now.expected, self.clock()) if self.pace and self.now else None
        return [f"{span} left"] if span and self.doing == "training" else []

    def _best(self, now: "Standing | None") -> list[str]:
        best = now.best if now else None
        if not best or best.mean is None or best.worst is None:
            return []
        figures = f"mean {100 * best.mean:.2f} %, worst order {100 * best.worst:.2f} %"
        return [f"best so far {best.label}: {figures} (validation)"]

    def _line(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def _pulse(self) -> None:
        while not self.over.wait(PULSE):
            self._line(self.line())


def lively(console: Console) -> bool:
    """Whether the console can redraw a display in place."""
    return console.is_terminal and not console.is_dumb_terminal


__all__ = ["Display", "Pace", "Span", "duration", "elapsed", "lively"]
