"""The command line: every command is a thin call of what a program may call itself."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

try:
    import typer
except ModuleNotFoundError:
    raise SystemExit("nai-sweep needs the extra sweep: pip install 'nai-sweep[sweep]'") from None

from sweep.catalogue import Kind
from sweep.cli_failures import CODES, DONE, FAILED, STORAGE, Stop, command, explained, say

if TYPE_CHECKING:
    from sweep.session import Ended

HELP = """\
Continual learning, whatever the order of the tasks: search, compare, report.

\b
Examples:
  nai-sweep run quickstart         a first sweep, in runs/quickstart
  nai-sweep run quickstart         again: goes on where it was stopped
  nai-sweep plan my.toml           what it would do, and how long
  nai-sweep run my.toml --set method.strength=0.5 --out runs/half
  nai-sweep list methods           what a search space may name
  nai-sweep ui runs/quickstart     the same runs in MLflow
"""
app = typer.Typer(
    help=HELP, epilog=CODES, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)
Space = Annotated[str, typer.Argument(metavar="SPACE", help="A TOML file, or the name of a shipped space.")]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="The folder of a sweep, such as runs/quickstart.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the space; repeatable."),
]
Suggestions = Annotated[
    int | None,
    typer.Option(metavar="N", help="How many settings to try; a larger number goes on from before."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the traceback of an error.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


def main() -> None:
    """The program `nai-sweep`."""
    sys.path.append(str(Path.cwd()))  # so that `module:attribute` finds what lies here, behind all else
    try:
        app(prog_name="nai-sweep")
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def run(
    space: Space,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Its folder; without it runs/NAME.")] = None,
    overrides: Set = None,
    address: Annotated[
        str | None, typer.Option(metavar="A", help="A Ray cluster to run on, such as auto.")
    ] = None,
    suggestions: Suggestions = None,
    engine: Annotated[
        Literal["tune", "inline"], typer.Option(help="Ray Tune, or this process alone.")
    ] = "tune",
    no_track: Annotated[bool, typer.Option("--no-track", help="Leave MLflow alone.")] = False,
    verbose: Verbose = False,
) -> None:
    """Run a sweep, or go on with it: what is on record is not run again."""
    again = f"stopped: every run that ended is on record; go on with\n  {command(*sys.argv[1:])}"
    with explained(verbose, again) as stop:
        ended, fresh = _run(
            space, out, _overrides(overrides, suggestions), address=address, engine=engine, track=not no_track
        )
        _finished(ended, fresh, stop, again)


@app.command()
def plan(
    space: Space,
    overrides: Set = None,
    suggestions: Suggestions = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Workers to reckon with; without it this machine's."),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Say what a sweep would run and cost, without running it."""
    from sweep import cli_show as show

    with explained(verbose):
        with _waiting("counting"):
            from sweep import estimate
            from sweep.space import read

            found = estimate.plan(read(space, _overrides(overrides, suggestions)), workers=workers)
        if as_json:
            _print(found.as_json())
        else:
            show.plan(show.console(), found)


@app.command()
def status(folder: Folder, as_json: Json = False, verbose: Verbose = False) -> None:
    """Say how far a sweep is, from its records."""
    from sweep import cli_show as show

    with explained(verbose):
        with _waiting("reading the records"):
            from sweep import session
            from sweep.analysis.results import plain

            now, problems = session.status(folder)
        if as_json:
            _print(plain(now) | {"problems": {str(p.path): p.reason for p in problems}})
        else:
            show.standing(show.console(), Path(folder).resolve(), now, problems)


@app.command()
def report(folder: Folder, verbose: Verbose = False) -> None:
    """Write report.html and results.json anew, from the records."""
    from sweep import cli_show as show

    with explained(verbose):
        with _waiting("writing the report"):
            from sweep import session

            ended = session.render(folder)
        show.results(show.console(), ended.results)
        print(show.near(ended.folder.report))


@app.command()
def sync(folder: Folder, verbose: Verbose = False) -> None:
    """Bring MLflow up to date with a sweep's records."""
    from sweep import cli_show as show
    from sweep.progress import Display

    with explained(verbose):
        with Display(show.console(error=True)) as display:
            display.stage("reading the records")
            from sweep import session

            problem = session.sync(folder, session.Watch(display.stage, tracking=display.tracking))
        if problem:
            say(problem)
            raise typer.Exit(STORAGE)
        print(f"MLflow is up to date: {command('ui', folder)} opens it")


@app.command()
def ui(
    folder: Folder,
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Where to serve.")] = 5000,
    verbose: Verbose = False,
) -> None:
    """Serve a sweep's MLflow pages to this machine, until Ctrl-C."""
    with explained(verbose):
        from sweep import ui as pages

        pages.server(folder, port)  # what cannot be served fails before anything is said
        print(f"http://{pages.HOST}:{port}  (in some seconds; Ctrl-C ends it)", flush=True)
        raise typer.Exit(pages.serve(folder, port))


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="One of " + ", ".join(get_args(Kind)) + ".")],
    verbose: Verbose = False,
) -> None:
    """List what a search space may name."""
    from sweep import cli_show as show

    with explained(verbose):
        with _waiting(f"reading the {kind}"):
            from sweep import catalogue

            found = catalogue.entries(kind)
        show.entries(show.console(), found)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"nai-sweep {_version()}")
        raise typer.Exit(DONE)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """The options of the program itself."""


# ------------------------------------------------------------------ what commands share
def _run(
    space: str, out: str | None, overrides: list[str], *, address: str | None, engine: str, track: bool
) -> tuple["Ended", int]:
    """Run the sweep under a display; how it ended, and how many runs were new."""
    from sweep import cli_show as show
    from sweep.progress import Display

    with Display(show.console(error=True)) as display:
        display.stage("reading the search space")
        from sweep import session
        from sweep.space import read

        watch = session.Watch(display.stage, display.standing, display.tracking, display.note)
        wanted = read(space, overrides)
        ended = session.run(wanted, out, engine=engine, address=address, watch=watch, track=track)
    return ended, display.fresh


def _finished(ended: "Ended", fresh: int, stop: Stop, again: str) -> None:
    """Show what a sweep found; the exit code says whether all of it went well."""
    from sweep import cli_show as show

    if ended.interrupted:
        say(again)
        raise typer.Exit(stop.code)
    show.results(show.console(), ended.results)
    print(f"report   {show.near(ended.folder.report)}")
    print(f"results  {show.near(ended.folder.results)}")
    if (ended.folder.root / "mlflow.db").is_file():
        print(f"MLflow   {command('ui', show.near(ended.folder.root))}")
    say(show.took(ended.seconds, fresh))
    found = ended.results
    if lost := found["expected"] - found["done"] - found["failed"]:
        say(f"{lost} runs are missing, as their workers died: the same command tries them again")
    if found["failed"] or lost or not found["best"]:
        raise typer.Exit(FAILED)


def _overrides(given: list[str] | None, suggestions: int | None) -> list[str]:
    more = [] if suggestions is None else [f"search.suggestions={suggestions}"]
    return [*(given or ()), *more]


@contextlib.contextmanager
def _waiting(text: str) -> Iterator[None]:
    """A spinner on a terminal while something takes its seconds."""
    from sweep import cli_show as show
    from sweep.progress import lively

    to = show.console(error=True)
    with to.status(text) if lively(to) else contextlib.nullcontext():
        yield


def _print(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def _version() -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version("nai-sweep")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    main()
