"""What the commands of `nai-sweep` may be given, and what their help says of it."""

import re
from typing import Annotated, Literal

import typer

HELP = """\
Continual learning, whatever the order of the tasks: search, compare, report.

\b
Examples:
  nai-sweep run quickstart         a first sweep, in runs/quickstart
  nai-sweep run quickstart         again: goes on where it was stopped
  nai-sweep plan my.toml           what it would do, and how long
  nai-sweep run my.toml --set method.strength=0.5 --out runs/half
  nai-sweep run my.toml --storage s3://bucket/my         records there, too; then: nai-sweep report s3://bucket/my
  nai-sweep doctor                 is this machine fit for a sweep? with --address: is that cluster?
  nai-sweep list methods           what a search space may name
  nai-sweep confirm runs/my --orders all --seeds 5       the best of each method, on more orders and seeds
  nai-sweep worst runs/my --suggestion 3f2a              the order that harms it most
  nai-sweep preset runs/my         the best settings, as a space of their own
  nai-sweep watch runs/my          how far it is, live, from another terminal
  nai-sweep report runs/my --figures                     the report, and its figures as PNG, PDF and CSV
  nai-sweep compare runs/my runs/other                   several sweeps on one page
  nai-sweep analyse runs/my --table pairs                which differences are more than chance
  nai-sweep weights runs/my        the weights of the best run
  nai-sweep ui runs/quickstart     the same runs in MLflow
  nai-sweep edge fashion_mnist     learning on a device: frozen features, replay in so many bytes
"""


def duration(text: str) -> float:
    """Seconds of a text such as 90s, 20m or 1.5h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not seconds:
        raise typer.BadParameter(f"{text!r} is no time above 0: write 90s, 20m or 1.5h")
    return seconds


def named(text: str | None) -> str | None:
    """What was given, unless it is empty, as a variable of a script may be that was never set."""
    if text is not None and not text.strip():
        raise typer.BadParameter("it is empty: give a name, or leave the option out")
    return text


# ------------------------------------------------------------------ of several commands
Space = Annotated[
    str,
    typer.Argument(metavar="SPACE", callback=named, help="A TOML file, or the name of a shipped space."),
]
MaybeSpace = Annotated[
    str | None,
    typer.Argument(metavar="[SPACE]", help="Look for what this space wants, too.", show_default=False),
]
Folder = Annotated[
    str,
    typer.Argument(metavar="DIR", help="The folder of a sweep, such as runs/quickstart, or its s3://..."),
]
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
MaxTime = Annotated[
    float | None,
    typer.Option(
        metavar="T",
        parser=duration,
        help="Stop when so much time is up, such as 90s, 20m or 1.5h; the same command goes on.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="A",
        help="Keep it there, too, so that any machine can go on with it: s3://, gs://, az://, or a folder.",
    ),
]
Takeover = Annotated[
    bool, typer.Option("--takeover", help="Take the storage from a driver that is dead, without waiting.")
]
NoTrack = Annotated[bool, typer.Option("--no-track", help="Leave MLflow alone.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the traceback of an error.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]

# ------------------------------------------------------------------ run, plan, ui
Out = Annotated[
    str | None, typer.Option(metavar="DIR", callback=named, help="Its folder; without it runs/NAME.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Workers to reckon with; without it this machine's."),
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="Of the new space; without it NAME_best.")]
File = Annotated[str | None, typer.Option(metavar="FILE", help="A new file to write it to.")]
Port = Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Where to serve.")]

# ------------------------------------------------------------------ report, compare, watch
Static = Annotated[bool, typer.Option("--static", help="A small page of drawings, too: report_static.html.")]
Figures = Annotated[
    bool,
    typer.Option(
        "--figures", help="Each figure as PNG, PDF and CSV and the summary as LaTeX, too: figures/."
    ),
]
Folders = Annotated[list[str], typer.Argument(metavar="DIR...", help="The folders of the sweeps.")]
Page = Annotated[str, typer.Option("--out", metavar="FILE", help="The page to write.")]
Every = Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How often to look.")]

# ------------------------------------------------------------------ confirm
Top = Annotated[int | None, typer.Option(metavar="K", min=1, help="The best K suggestions of every method.")]
Orders = Annotated[
    str | None,
    typer.Option(metavar="all|N|DESIGN", help="All orders, N random ones, or a design such as latin."),
]
Seeds = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Seeds of weights and data: three by default.")
]
Methods = Annotated[str | None, typer.Option(metavar="A,B", help="These methods alone, by name.")]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="KEY=X",
        help="More random orders until half_width=0.002 of the mean, or one of the worst tail=0.05.",
    ),
]
Nets = Annotated[
    int | None,
    typer.Option(metavar="N", min=2, help="Also N nets for each task alone: the noise floor of its OPD."),
]

# ------------------------------------------------------------------ analyse, import
Tables = Annotated[
    list[str] | None,
    typer.Option("--table", metavar="NAME", help="This table, or all; repeatable. Without it the main ones."),
]
Stage = Annotated[
    Literal["search", "confirm"] | None,
    typer.Option(help="Of the search or of what was confirmed; without it the latter, if there is any."),
]
Foreign = Annotated[
    str, typer.Argument(metavar="FILE", help="A CSV or Parquet file laid out as docs/import.md says.")
]
Into = Annotated[str, typer.Option("--out", metavar="DIR", help="The folder to make, or to add to.")]
Baselines = Annotated[
    list[str] | None,
    typer.Option("--baseline", metavar="METHOD", help="Compare the others with this one; repeatable."),
]
Csv = Annotated[str | None, typer.Option(metavar="DIR", help="Write each table as DIR/NAME.csv instead.")]

# ------------------------------------------------------------------ weights
Run = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Of this run instead: its fingerprint, or how that begins."),
]

# ------------------------------------------------------------------ worst
Suggestion = Annotated[
    str, typer.Option(metavar="ID", help="Whose worst order: a suggestion's name, or how it begins.")
]
Pair = Annotated[tuple[int, int], typer.Option(metavar="INIT DATA", help="Seeds of weights and data.")]
Best = Annotated[bool, typer.Option("--best", help="Hunt the best order instead.")]
Budget = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Task trainings; by default 40 % of all for up to 5 tasks."),
]
Strategy = Annotated[str, typer.Option(metavar="NAME", help="surrogate, tree, keys, lehmer or random.")]
Random = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=0, help="Random orders to compare the find with: as many as the budget pays for."
    ),
]
