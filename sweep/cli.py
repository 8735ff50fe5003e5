"""The command line: every command is a thin call of what a program may call itself."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

try:
    import typer
except ModuleNotFoundError:
    raise SystemExit("nai-sweep needs the extra sweep: pip install 'nai-sweep[sweep]'") from None

from sweep import cli_edge as at_edge
from sweep import cli_options as given
from sweep.catalogue import Kind
from sweep.cli_failures import CODES, DONE, STORAGE, command, explained, say
from sweep.cli_run import carried_out

if TYPE_CHECKING:
    from sweep.session import Ended

app = typer.Typer(
    help=given.HELP,
    epilog=CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """The program `nai-sweep`."""
    sys.path.append(str(Path.cwd()))  # so that `module:attribute` finds what lies here, behind all else
    try:
        app(prog_name="nai-sweep")
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def run(
    space: given.Space,
    out: given.Out = None,
    overrides: given.Set = None,
    address: given.Address = None,
    suggestions: given.Suggestions = None,
    engine: given.Engine = "tune",
    max_time: given.MaxTime = None,
    storage: given.Storage = None,
    takeover: given.Takeover = False,
    no_track: given.NoTrack = False,
    verbose: given.Verbose = False,
) -> None:
    """Run a sweep, or go on with it: what is on record is not run again."""
    changes = _overrides(overrides, suggestions)

    way = _way(engine, address, no_track, max_time) | {"storage": storage, "takeover": takeover}

    def start(watch: Any) -> "Ended":
        from sweep.space import read

        wanted = read(space, changes)  # ahead of all that running takes: a mistake is answered soon
        from sweep import session

        return session.run(wanted, out, watch=watch, **way)

    carried_out(start, verbose)


@app.command()
def confirm(
    folder: given.Folder,
    top: given.Top = None,
    orders: given.Orders = None,
    seeds: given.Seeds = None,
    methods: given.Methods = None,
    until: given.Until = None,
    nets: given.Nets = None,
    address: given.Address = None,
    engine: given.Engine = "tune",
    max_time: given.MaxTime = None,
    storage: given.Storage = None,
    takeover: given.Takeover = False,
    no_track: given.NoTrack = False,
    verbose: given.Verbose = False,
) -> None:
    """Run the best of each method, and the baselines, on more orders and seeds."""

    way = _way(engine, address, no_track, max_time) | {"storage": storage, "takeover": takeover}

    def start(watch: Any) -> "Ended":
        from sweep import session
        from sweep.confirming import overrides

        names = tuple(methods.split(",")) if methods else ()
        wanted = overrides(top=top, orders=orders, seeds=seeds, methods=names, until=until, nets=nets)
        return session.confirm(folder, wanted, watch=watch, **way)

    carried_out(start, verbose)


@app.command()
def worst(
    folder: given.Folder,
    suggestion: given.Suggestion,
    seeds: given.Pair = (0, 0),
    best: given.Best = False,
    budget: given.Budget = None,
    strategy: given.Strategy = "surrogate",
    random: given.Random = None,
    address: given.Address = None,
    engine: given.Engine = "tune",
    max_time: given.MaxTime = None,
    storage: given.Storage = None,
    takeover: given.Takeover = False,
    no_track: given.NoTrack = False,
    verbose: given.Verbose = False,
) -> None:
    """Hunt the order of the tasks that harms a suggestion most."""

    way = _way(engine, address, no_track, max_time) | {"storage": storage, "takeover": takeover}

    def start(watch: Any) -> "Ended":
        from sweep import session
        from sweep.hunting import Request

        wanted = Request(suggestion, seeds, not best, budget=budget, strategy=strategy, random=random)
        return session.worst(folder, wanted, watch=watch, **way)

    carried_out(start, verbose)


@app.command()
def plan(
    space: given.Space,
    overrides: given.Set = None,
    suggestions: given.Suggestions = None,
    workers: given.Workers = None,
    as_json: given.Json = False,
    verbose: given.Verbose = False,
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
def status(folder: given.Folder, as_json: given.Json = False, verbose: given.Verbose = False) -> None:
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
            show.standing(show.console(), folder, now, problems)


@app.command()
def report(
    folder: given.Folder,
    static: given.Static = False,
    figures: given.Figures = False,
    verbose: given.Verbose = False,
) -> None:
    """Write report.html and results.json anew, from the records."""
    from sweep import cli_show as show

    with explained(verbose):
        with _waiting("writing the report"):
            from sweep import look

            ended = look.render(folder, static=static, figures=figures)
        show.results(show.console(), ended.results)
        made = [ended.folder.report, ended.folder.static_report, ended.folder.figures]
        for path, wanted in zip(made, (True, static, figures), strict=True):
            if wanted:
                print(show.near(path))


@app.command()
def compare(folders: given.Folders, out: given.Page = "compare.html", verbose: given.Verbose = False) -> None:
    """Put several sweeps on one page."""
    from sweep import cli_show as show

    with explained(verbose):
        with _waiting("writing the page"):
            from sweep import look

            path = look.compare(folders, out)
        print(show.near(path))


@app.command()
def watch(folder: given.Folder, every: given.Every = 2.0, verbose: given.Verbose = False) -> None:
    """Follow a sweep that runs elsewhere, until it is done or Ctrl-C."""
    from sweep import cli_show as show
    from sweep.progress import Display

    with explained(verbose, stopped="no longer watched; the sweep goes on"):
        with Display(show.console(error=True)) as display:
            display.stage("reading the records")
            from sweep import look
            from sweep.watch import Watch

            now = look.follow(folder, Watch(display.stage, display.standing), every)
        show.standing(show.console(), folder, now, ())


@app.command()
def preset(
    folder: given.Folder,
    methods: given.Methods = None,
    name: given.Name = None,
    out: given.File = None,
    verbose: given.Verbose = False,
) -> None:
    """Print each method's best settings as a space of their own, with nothing left to search."""
    with explained(verbose):
        with _waiting("reading the records"):
            from sweep import look

            text = look.preset(folder, methods.split(",") if methods else (), name)
        if out is None:
            print(text, end="")
        else:
            if Path(out).exists():
                raise ValueError(f"{out} is there already, and is left as it is: name another file")
            Path(out).write_text(text, encoding="utf-8")
            print(out)


@app.command()
def analyse(
    folder: given.Folder,
    tables: given.Tables = None,
    stage: given.Stage = None,
    as_json: given.Json = False,
    csv: given.Csv = None,
    verbose: given.Verbose = False,
) -> None:
    """Show the tables behind the report: what the order does, and what is more than chance."""
    from sweep import cli_show as show
    from sweep import cli_tables

    with explained(verbose):
        with _waiting("working out the tables"):
            from sweep import look

            found = look.analyse(folder, cli_tables.wanted(tables, whole=as_json or bool(csv)), stage=stage)
        if csv:
            for path in cli_tables.write_csv(found, Path(csv)):
                print(show.near(path))
        elif as_json:
            _print(cli_tables.as_json(found))
        else:
            cli_tables.show(show.console(), found, whole=bool(tables))


@app.command("import")
def import_(
    file: given.Foreign, out: given.Into, baselines: given.Baselines = None, verbose: given.Verbose = False
) -> None:
    """Take in records of another tool, so that report and analyse read them."""
    from sweep import cli_show as show

    with explained(verbose):
        with _waiting("reading the file"):
            from sweep import imported

            folder, count = imported.bring(file, out, baselines=baselines or ())
        print(f"{count} runs in {show.near(folder.root)}: {command('report', out)} draws their report")


@app.command()
def sync(folder: given.Folder, verbose: given.Verbose = False) -> None:
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
def weights(folder: given.Folder, run: given.Run = None, verbose: given.Verbose = False) -> None:
    """Write the weights of the best run, trained again, to weights.safetensors."""
    from sweep import cli_show as show
    from sweep.progress import Display

    with explained(verbose):
        with Display(show.console(error=True)) as display:
            display.stage("reading the records")
            from sweep import look
            from sweep.watch import Watch

            made = look.weights(folder, run, Watch(display.stage))
        if made.off:
            say(f"on this machine its accuracies differ from those on record, by up to {made.off:.4f}")
        print(show.near(made.path))
        say(f"{command('sync', folder)} puts them into MLflow")


@app.command()
def ui(
    folder: given.Folder,
    port: given.Port = 5000,
    verbose: given.Verbose = False,
) -> None:
    """Serve a sweep's MLflow pages to this machine, until Ctrl-C."""
    with explained(verbose):
        from sweep import ui as pages

        pages.server(folder, port)  # what cannot be served fails before anything is said
        print(f"{pages.address(folder, port)}  (in some seconds; Ctrl-C ends it)", flush=True)
        raise typer.Exit(pages.serve(folder, port))


@app.command()
def doctor(
    space: given.MaybeSpace = None,
    overrides: given.Set = None,
    out: given.Out = None,
    address: given.Address = None,
    storage: given.Storage = None,
    as_json: given.Json = False,
    verbose: given.Verbose = False,
) -> None:
    """Say whether this machine, or a cluster, is fit for a sweep, and what to do if not."""
    from sweep import cli_doctor

    with explained(verbose):
        with _waiting("looking around"):
            found = cli_doctor.findings(space, _overrides(overrides, None), out=out, address=address)
            found += cli_doctor.of_storage(storage) if storage else []
        code = cli_doctor.shown(found, _print if as_json else None)
        raise typer.Exit(code)


@app.command()
def edge(
    dataset: at_edge.Dataset,
    root: at_edge.Root = None,
    backbone: at_edge.Backbone = "random_conv",
    weights: at_edge.Weights = None,
    pixels: at_edge.Pixels = None,
    first: at_edge.First = 2,
    samples: at_edge.Samples = 50,
    parts: at_edge.Parts = 10,
    batches: at_edge.Batches = 391,
    budget: at_edge.Budget = "600KB",
    store: at_edge.Store = "float32",
    rule: at_edge.Rule = "share",
    hidden: at_edge.Hidden = 0,
    epochs: at_edge.Epochs = 4,
    batch: at_edge.Batch = 32,
    rate: at_edge.Rate = 0.003,
    runs: at_edge.Runs = 3,
    export: at_edge.Export = None,
    as_json: given.Json = False,
    verbose: given.Verbose = False,
) -> None:
    """Learn many small batches on frozen features, with replay in the head and without, as a device would."""
    frozen = {"root": root, "backbone": backbone, "weights": weights, "pixels": pixels}
    shape = {"first": first, "samples": samples, "parts": parts}
    with explained(verbose):
        from sweep import edge as device

        wanted = device.Wanted(
            at_edge.stream(dataset, frozen, shape, batches=batches),
            device.size(budget),
            store,
            rule,
            hidden=hidden,
            epochs=epochs,
            batch=batch,
            rate=rate,
            runs=runs,
            export=at_edge.folder(export),
        )
        for found in device.measured(wanted):
            if isinstance(found, device.Line):
                say(at_edge.shown(found))
            elif as_json:
                _print(at_edge.as_json(found))
            else:
                at_edge.table(found)


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="One of " + ", ".join(get_args(Kind)) + ".")],
    verbose: given.Verbose = False,
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
def _way(engine: str, address: str | None, no_track: bool, max_time: float | None) -> dict[str, Any]:
    """How a sweep is carried out: the fields of `sweep.session.Way`."""
    limit = {} if max_time is None else {"max_time": max_time}
    return {"engine": engine, "address": address, "track": not no_track} | limit


def _overrides(changes: list[str] | None, suggestions: int | None) -> list[str]:
    more = [] if suggestions is None else [f"search.suggestions={suggestions}"]
    return [*(changes or ()), *more]


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
