"""A sweep carried out on the command line: under a display, and what it found in the end."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from sweep.causes import LOST
from sweep.cli_failures import CLUSTER, DONE, FAILED, Stop, command, explained, say

if TYPE_CHECKING:
    from sweep.progress import Display
    from sweep.session import Ended


def carried_out(start: Callable[[Any], "Ended"], verbose: bool) -> None:
    """Run a sweep under a display, and show what it found."""
    again = f"stopped: every run that ended is on record; go on with\n  {command(*sys.argv[1:])}"
    with explained(verbose, again) as stop:
        from sweep import cli_show as show
        from sweep.progress import Display

        with Display(show.console(error=True)) as display:
            display.stage("reading the search space")
            from sweep.watch import Watch

            watch = Watch(display.stage, display.standing, display.tracking, display.note, _lost(display))
            ended = start(watch)
        _finished(ended, display.fresh, stop, again)


def _lost(display: "Display") -> Callable[[str], None]:
    """What to do when the cluster is gone: say so and end at once, as Ray would later, without words of ours.

    Its calls never come back, so nothing can be ended in order; all that came in is on record.
    """

    def end(why: str) -> None:
        display.__exit__(None, None, None)
        words = command(*sys.argv[1:])
        say(f"{why}: the cluster is lost")
        say(f"every run that came in is on record; start a cluster and go on with\n  {words}")
        sys.stdout.flush()
        os._exit(CLUSTER)

    return end


def _finished(ended: "Ended", fresh: int, stop: Stop, again: str) -> None:
    """Show what a sweep found; the exit code says whether all of it went well."""
    from sweep import cli_show as show

    if ended.interrupted and not ended.late:
        say(again)
        raise typer.Exit(stop.code)
    show.results(show.console(), ended.results)
    print(f"report   {show.near(ended.folder.report)}")
    print(f"results  {show.near(ended.folder.results)}")
    if ended.storage:
        print(f"storage  {ended.storage}")
    if (ended.folder.root / "mlflow.db").is_file():
        print(f"MLflow   {command('ui', show.near(ended.folder.root))}")
    say(show.took(ended.seconds, fresh))
    found = ended.results
    for one in found["failures"]:
        say(f"{one['runs']} runs failed, {one['name']}: {one['error']}\n  {one['hint']}")
    if ended.late:
        say(
            f"the time is up, {found['expected'] - found['done'] - found['failed']} runs are left; go on with"
        )
        say(f"  {command(*sys.argv[1:])}")
        raise typer.Exit(FAILED if found["failed"] else DONE)
    if lost := found["expected"] - found["done"] - found["failed"]:
        say(f"{lost} runs are missing, as their workers died: {LOST.hint}")
    if found["failed"] or lost or not (found["best"] or found["table"]):
        raise typer.Exit(FAILED)
