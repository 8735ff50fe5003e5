"""The command line: every command is a thin call of what a program may call itself."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
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
  nai-sweep confirm runs/my --orders all --seeds 5       the best of each method, on more orders and seeds
  nai-sweep worst runs/my --suggestion 3f2a              the order that harms it most
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
Address = Annotated[str | None, typer.Option(metavar="A", help="A Ray cluster to run on, such as auto.")]
Engine = Annotated[Literal["tune", "inline"], typer.Option(help="Ray Tune, or this process alone.")]
NoTrack = Annotated[bool, typer.Option("--no-track", help="Leave MLflow alone.")]
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
    address: Address = None,
    suggestions: Suggestions = None,
    engine: Engine = "tune",
    no_track: NoTrack = False,
    verbose: Verbose = False,
) -> None:
    """Run a sweep, or go on with it: what is on record is not run again."""
    changes = _overrides(overrides, suggestions)

    def start(watch: Any) -> "Ended":
        from sweep import session
        from sweep.space import read

        wanted = read(space, changes)
        return session.run(wanted, out, watch=watch, engine=engine, address=address, track=not no_track)

    _carried_out(start, verbose)


@app.command()
def confirm(
    folder: Folder,
    top: Annotated[
        int | None, typer.Option(metavar="K", min=1, help="The best K suggestions of every method.")
    ] = None,
    orders: Annotated[
        str | None,
        typer.Option(metavar="all|N|DESIGN", help="All orders, N random ones, or a design such as latin."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Seeds of weights and data: three by default.")
    ] = None,
    methods: Annotated[str | None, typer.Option(metavar="A,B", help="These methods alone, by name.")] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=X",
            help="More random orders until half_width=0.002 of the mean, or one of the worst tail=0.05.",
        ),
    ] = None,
    address: Address = None,
    engine: Engine = "tune",
    no_track: NoTrack = False,
    verbose: Verbose = False,
) -> None:
    """Run the best of each method, and the baselines, on more orders and seeds."""

    def start(watch: Any) -> "Ended":
        from sweep import session
        from sweep.confirming import overrides

        names = tuple(methods.split(",")) if methods else ()
        wanted = overrides(top=top, orders=orders, seeds=seeds, methods=names, until=until)
        return session.confirm(
            folder, wanted, watch=watch, engine=engine, address=address, track=not no_track
        )

    _carried_out(start, verbose)


@app.command()
def worst(
    folder: Folder,
    suggestion: Annotated[
        str, typer.Option(metavar="ID", help="Whose worst order: a suggestion's name, or how it begins.")
    ],
    seeds: Annotated[
        tuple[int, int], typer.Option(metavar="INIT DATA", help="Seeds of weights and data.")
    ] = (0, 0),
    best: Annotated[bool, typer.Option("--best", help="Hunt the best order instead.")] = False,
    budget: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Task trainings; by default 40 % of all for up to 5 tasks."),
    ] = None,
    strategy: Annotated[
        str, typer.Option(metavar="NAME", help="surrogate, tree, keys, lehmer or random.")
    ] = "surrogate",
    random: Annotated[
        int, typer.Option(metavar="N", min=0, help="Random orders to compare the find with.")
    ] = 20,
    address: Address = None,
    engine: Engine = "tune",
    no_track: NoTrack = False,
    verbose: Verbose = False,
) -> None:
    """Hunt the order of the tasks that harms a suggestion most."""

    def start(watch: Any) -> "Ended":
        from sweep import session
        from sweep.hunting import Request

        wanted = Request(suggestion, seeds, not best, budget=budget, strategy=strategy, random=random)
        return session.worst(folder, wanted, watch=watch, engine=engine, address=address, track=not no_track)

    _carried_out(start, verbose)


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
            from sweep import look
            from sweep.analysis.results import plain

            now, problems = look.status(folder)
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
            from sweep import look

            ended = look.render(folder)
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
            from sweep import look
            from sweep.watch import Watch

            problem = look.sync(folder, Watch(display.stage, tracking=display.tracking))
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
def _carried_out(start: Callable[[Any], "Ended"], verbose: bool) -> None:
    """Run a sweep under a display, and show what it found."""
    again = f"stopped: every run that ended is on record; go on with\n  {command(*sys.argv[1:])}"
    with explained(verbose, again) as stop:
        from sweep import cli_show as show
        from sweep.progress import Display

        with Display(show.console(error=True)) as display:
            display.stage("reading the search space")
            from sweep.watch import Watch

            watch = Watch(display.stage, display.standing, display.tracking, display.note)
            ended = start(watch)
        _finished(ended, display.fresh, stop, again)


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
