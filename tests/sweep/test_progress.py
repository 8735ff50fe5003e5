"""What a running sweep shows: durations, the guess at the end, plain lines, a display that redraws."""

import io
import math
import re

import pytest
from rich.console import Console

from sweep.progress import Display, Pace, Span, duration, elapsed, lively
from sweep.standing import Leader, Standing


class Clock:
    """Time that moves when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def console(*, terminal=False, width=80):
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, markup=False, highlight=False)


def plain(to):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", to.file.getvalue())


def standing(done, *, failed=0, best=None, phase="search"):
    return Standing(done, failed, 100, phase, best)


def best(mean, worst):
    return Leader("0" * 12, "nai strength=1", mean, worst)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 s"),
        (7.3, "8 s"),
        (12, "10 s"),
        (43, "45 s"),
        (57.4, "55 s"),
        (58, "1 min"),
        (200, "3 min"),
        (3599, "1 h"),
        (4800, "1 h 20 min"),
        (47 * 3600, "47 h"),
    ],
)
def test_duration_is_rounded_to_what_matters(seconds, said):
    assert duration(seconds) == said


def test_duration_never_shrinks():
    said = [duration(seconds) for seconds in range(1, 40000)]
    changes = [text for text, before in zip(said, ["", *said], strict=False) if text != before]
    assert len(changes) == len(set(changes))


def test_elapsed_is_a_clock():
    assert [elapsed(s) for s in (5, 65, 3723)] == ["0:05", "1:05", "1:02:03"]


def test_span_of_equal_ends_is_one_number():
    assert str(Span(61, 62)) == "about 1 min"
    assert str(Span(40, 120)) == "about 40 s to 2 min"


# ------------------------------------------------------------------ the guess at the end
def test_no_guess_before_three_bundles_came_in():
    pace = Pace(0, 0.0)
    for now, done in ((1.0, 10), (2.0, 20)):
        pace.add(done, now)
        assert pace.left(100, now) is None
    pace.add(30, 3.0)
    assert pace.left(100, 3.0) is not None


def test_guess_holds_the_exact_end_of_a_steady_pace():
    pace = Pace(0, 0.0)
    for n in range(1, 10):
        pace.add(10 * n, 2.0 * n)
        if span := pace.left(100, 2.0 * n):
            assert span.low <= 2.0 * (10 - n) <= span.high


def test_guess_narrows_with_every_bundle():
    widths = []
    pace = Pace(0, 0.0)
    for n in range(1, 80):
        pace.add(n, float(n))
        if span := pace.left(1000, float(n)):
            widths.append(span.high / span.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == pytest.approx((1 + 1 / math.sqrt(3)) / (1 - 1 / math.sqrt(3)))


def test_runs_on_record_tell_nothing_of_the_pace():
    fresh, resumed = Pace(0, 0.0), Pace(900, 0.0)
    for n in range(1, 5):
        fresh.add(10 * n, 3.0 * n)
        resumed.add(900 + 10 * n, 3.0 * n)
    assert resumed.left(1000, 12.0) == fresh.left(100, 12.0)


def test_equal_standings_are_no_bundles():
    pace = Pace(5, 0.0)
    for now in range(10):
        pace.add(5, float(now))
    assert pace.bundles == 0


# ------------------------------------------------------------------ plain lines
def test_every_stage_is_a_line_without_escapes():
    clock, to = Clock(), console()
    with Display(to, clock) as display:
        display.stage("loading data")
        clock.now = 65.0
        display.stage("starting Ray")
    assert to.file.getvalue() == "[0:00] loading data\n[1:05] starting Ray\n"


def test_line_says_how_far_how_long_and_how_good():
    clock = Clock()
    display = Display(console(), clock)
    display.standing(standing(20))
    display.stage("training")
    for n in range(1, 5):
        clock.now = 10.0 * n
        display.standing(standing(20 + 10 * n, failed=2, best=best(0.9, 0.75)))
    assert display.line() == (
        "[0:40] training, search 60/100 runs, 2 failed, about 25 s to 1 min left, "
        "best so far nai strength=1: mean 90.00 %, worst order 75.00 % (validation)"
    )
    assert display.fresh == 40


def test_mlflow_says_how_many_are_to_go():
    display = Display(console(), Clock())
    display.stage("writing MLflow")
    display.tracking(12)
    assert display.line() == "[0:00] writing MLflow (12 to go)"
    display.tracking(0)
    assert display.line() == "[0:00] writing MLflow"


def test_nothing_new_without_training():
    display = Display(console(), Clock())
    display.standing(standing(100))
    assert display.fresh == 0


def test_text_with_brackets_is_shown_as_it_is():
    to = console()
    Display(to, Clock()).note("widths=[100] [red]")
    assert to.file.getvalue() == "note: widths=[100] [red]\n"


# ------------------------------------------------------------------ a terminal
@pytest.mark.parametrize("width", [40, 80, 200])
def test_display_fits_its_terminal_and_leaves_nothing_behind(width):
    clock, to = Clock(), console(terminal=True, width=width)
    with Display(to, clock) as display:
        display.standing(standing(50, best=best(0.9, 0.8)))
        display.stage("training")
        to.print(display)
        display.note("something odd")
    shown = plain(to).replace("\r", "\n").splitlines()
    assert any("50/100 runs" in line for line in shown)
    assert any("something odd" in line for line in shown)
    assert max(map(len, shown)) <= width
    assert to.file.getvalue().rstrip().endswith(("\x1b[2K", "\x1b[?25h"))  # the display is wiped, cursor back


def test_redrawing_is_for_terminals_that_can(monkeypatch):
    assert not lively(console())
    assert lively(console(terminal=True))
    monkeypatch.setenv("TERM", "dumb")
    assert not lively(console(terminal=True))
