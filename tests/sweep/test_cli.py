"""The command line: exit codes, what is said where, and that the same command goes on where it stopped."""

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from nai.metrics import METRICS
from nai.orders import DESIGNS
from sweep import catalogue, session
from sweep.cli import app
from sweep.cli_failures import CLUSTER, DATA, DONE, FOLDER, INPUT, INTERNAL, STORAGE, failure
from sweep.cli_show import console, results
from sweep.environment import check_address
from sweep.folder import Folder, FolderError
from sweep.space import loads, read

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
name = "tiny"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
widths = [8]
[method]
name = "nai"
strength = {choices = [0.1, 1.0]}
[training]
epochs = 1
[orders]
design = "latin"
count = 5
[search]
sampler = "grid"
suggestions = 2
[confirm]
baselines = ["finetune"]
[confirm.orders]
design = "random"
count = 3
[confirm.seeds]
init = [0]
data = [0]
"""
RUNS = 2 * 5 + 2 * 3
SIX = """
name = "six"
[benchmark]
name = "split"
dataset = "digit"
[model]
name = "mpl"
[method]
name = "naii"
strength = {low = 1, high = 0.1}
[training]
epochs = 0
[orders]
design = "random"
count = 2
[search]
suggestions = 2
sampler = "bayes"
"""


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def run(space, out, *more):
    return call("run", space, "--out", out, "--engine", "inline", "--no-track", *more)


def program(*words, cwd, **environment):
    """The program as installed: the current folder is on Python's path only if the program puts it there."""
    code = "import sys; sys.argv[0] = 'nai-sweep'; from sweep.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "tiny.toml"
    path.write_text(SPACE)
    return path


@pytest.fixture(scope="module")
def first(tiny):
    """A finished sweep, and what its run said."""
    out = tiny.parent / "first"
    return out, run(tiny, out)


@pytest.fixture
def finished(first, tmp_path):
    """A copy of the finished sweep that a test may spoil."""
    return shutil.copytree(first[0], tmp_path / "sweep")


# ------------------------------------------------------------------ a sweep and its folder
def test_run_ends_with_table_verdict_and_paths(first):
    out, said = first
    assert said.exit_code == 0
    found = json.loads((out / "results.json").read_text())
    for line in found["table"]:
        assert f"{100 * line['mean']:.2f}" in said.stdout and f"{100 * line['aopd']:.2f}" in said.stdout
    assert " ".join(found["verdict"].split()) in " ".join(said.stdout.split())
    assert "report.html" in said.stdout and "results.json" in said.stdout
    assert max(map(len, said.stdout.splitlines()[:-4])) <= 80


def test_progress_goes_to_stderr_as_plain_lines(first):
    _, said = first
    stages = [line.partition("] ")[2] for line in said.stderr.splitlines()]
    assert stages[:2] == ["reading the search space", "loading data"]
    assert f"training, search 0/{RUNS} runs" in stages and "writing the report" in stages
    assert "\x1b" not in said.stderr + said.stdout
    assert f"{RUNS} new runs in" in said.stderr


def test_same_run_again_finds_everything_on_record(tiny, first, finished):
    again = run(tiny, finished)
    assert again.exit_code == 0
    assert "everything was on record" in again.stderr
    assert "training" not in again.stderr
    assert again.stdout.splitlines()[:-2] == first[1].stdout.splitlines()[:-2]  # all but the paths
    assert (finished / "results.json").read_bytes() == (first[0] / "results.json").read_bytes()


def test_more_suggestions_go_on_from_those_on_record(tiny, tmp_path):
    one = run(tiny, tmp_path / "more", "--suggestions", 1)
    two = run(tiny, tmp_path / "more", "--suggestions", 2)
    assert (one.exit_code, two.exit_code) == (0, 0)
    assert "11 new runs" in one.stderr
    assert re.search(r"\b[5-8] new runs", two.stderr)  # the second suggestion, and its report if it is best


def test_status_counts_and_names_the_best(first):
    out, _ = first
    said = call("status", out)
    assert said.exit_code == 0
    assert f"{RUNS} of {RUNS} on record, 0 failed" in said.stdout and "finished" in said.stdout
    found = json.loads(call("status", out, "--json").stdout)
    best = json.loads((out / "results.json").read_text())["best"]
    assert (found["done"], found["expected"], found["problems"]) == (RUNS, RUNS, {})
    assert found["best"]["suggestion"] == best["suggestion"]


def test_status_of_an_unfinished_sweep_and_its_completion(first, finished, tiny):
    lost = sorted((finished / "records").glob("part-*.parquet"))[0]
    lost.unlink()
    now = json.loads(call("status", finished, "--json").stdout)
    assert now["done"] < RUNS == now["expected"]
    again = run(tiny, finished)
    assert again.exit_code == 0
    assert f"{RUNS - now['done']} new runs in" in again.stderr
    assert (finished / "results.json").read_bytes() == (first[0] / "results.json").read_bytes()


def test_status_names_a_record_that_cannot_be_read(finished):
    part = sorted((finished / "records").glob("part-*.parquet"))[0]
    part.write_bytes(part.read_bytes()[:-20])
    assert part.name in json.dumps(json.loads(call("status", finished, "--json").stdout)["problems"])


def test_report_is_written_anew_with_equal_bytes(finished):
    wanted = {name: (finished / name).read_bytes() for name in ("report.html", "results.json")}
    for name in wanted:
        (finished / name).unlink()
    assert call("report", finished).exit_code == 0
    assert {name: (finished / name).read_bytes() for name in wanted} == wanted


def test_preset_is_a_space_of_the_best_settings_and_never_writes_over_a_file(finished, tmp_path):
    said = call("preset", finished)
    made, before = loads(said.stdout), read(finished / "space.toml")
    best = json.loads((finished / "results.json").read_text())["best"]["settings"]
    assert said.exit_code == DONE and not made.parameters() and made.orders == before.orders
    assert made.section().options["strength"] == best["method"]["strength"]
    out = tmp_path / "mine.toml"
    assert call("preset", finished, "--out", out).exit_code == DONE and out.read_text() == said.stdout
    again = call("preset", finished, "--out", out, "--name", "other")
    assert again.exit_code == INPUT and "is there already" in again.stderr
    assert out.read_text() == said.stdout


def test_sync_fills_mlflow_and_says_how_to_open_it(finished):
    said = call("sync", finished)
    assert said.exit_code == 0, said.stderr
    assert (finished / "mlflow.db").is_file()
    assert f"ui {finished}" in said.stdout


# ------------------------------------------------------------------ confirm and worst
def more(command, out, *words):
    return call(command, out, "--engine", "inline", "--no-track", *words)


def found(out):
    return json.loads((out / "results.json").read_text())


def test_confirm_runs_more_of_the_best_and_shows_it(finished):
    best = found(finished)["best"]["suggestion"]
    said = more("confirm", finished, "--top", 2, "--orders", 4, "--seeds", 2, "--methods", "nai")
    assert said.exit_code == 0, said.stderr
    assert re.search(r"\b\d+ new runs in", said.stderr) and "4 × 2" in said.stdout
    lines = found(finished)["table"]
    assert [(one["orders"], one["seeds"], one["missing"]) for one in lines] == [(4, 2, 0)] * 3
    assert found(finished)["search"][0]["suggestion"] == best
    again = more("confirm", finished)
    assert again.exit_code == 0 and "everything was on record" in again.stderr
    assert again.stdout == said.stdout


def test_confirm_until_a_tail_is_seen(finished):
    said = more("confirm", finished, "--until", "tail=0.3", "--orders", "3")
    assert said.exit_code == 0, said.stderr
    counts = {one["orders"] for one in found(finished)["table"]}
    assert len(counts) == 1 and min(counts) > 3  # 3 orders do not show one of the worst third


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--orders", "alll"), "confirm.orders.design"),
        (("--orders", "0"), "confirm.orders.count"),
        (("--orders", "100000"), "confirm.orders"),
        (("--until", "half_width=2"), "confirm.until.half_width"),
        (("--until", "width=0.1"), "confirm.until.width"),
        (("--until", "soon"), "override confirm.until={soon}"),
        (("--methods", "nia"), "confirm.methods"),
        (("--methods", "nai,"), "confirm.methods"),
        (("--orders", "latin", "--until", "tail=0.1"), "leave out until"),
        (("--top", "0"), "--top"),
        (("--seeds", "0"), "--seeds"),
        (("--seeds", "many"), "--seeds"),
        (("--engine", "dask"), "--engine"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_confirm_names_what_it_cannot_do_and_touches_nothing(first, finished, words, said):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    done = more("confirm", finished, *words)
    assert done.exit_code == INPUT
    assert said in done.stderr and "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_worst_hunts_by_the_beginning_of_a_name_and_says_what_it_found(finished):
    best = found(finished)["best"]["suggestion"]
    said = more("worst", finished, "--suggestion", best[:5], "--budget", 12, "--random", 3)
    assert said.exit_code == 0, said.stderr
    (hunt,) = found(finished)["hunts"]
    assert hunt["suggestion"] == best and hunt["worst"] and 0 < hunt["cost"] <= 12
    order = " ".join(map(str, hunt["order"]))
    assert f"Worst order found for {hunt['label']}" in " ".join(said.stdout.split())
    assert order in " ".join(said.stdout.split())
    words = ("--suggestion", best, "--best", "--seeds", 2, 3, "--strategy", "tree", "--budget", 8)
    other = more("worst", finished, *words, "--random", 2)
    assert other.exit_code == 0, other.stderr
    both = found(finished)["hunts"]
    assert [one["worst"] for one in both] == [True, False] and both[0] == hunt
    again = more("worst", finished, *words, "--random", 2)
    assert again.exit_code == 0 and "everything was on record" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--suggestion"),
        (("--suggestion", "beef"), "'beef' is no suggestion of this sweep: "),
        (("--suggestion", ""), "'' fits several suggestions of this sweep: "),
        (("--suggestion", "BEST", "--strategy", "luck"), "strategy 'luck' is unknown: choose from surrogate"),
        (("--suggestion", "BEST", "--budget", "2"), "budget 2 is not a whole number of at least 5"),
        (("--suggestion", "BEST", "--budget", "0"), "--budget"),
        (("--suggestion", "BEST", "--random", "-1"), "--random"),
        (("--suggestion", "BEST", "--seeds", "-1", "0"), "seeds (-1, 0)"),
        (("--suggestion", "BEST", "--seeds", "1"), "--seeds"),
    ],
)
def test_worst_names_what_it_cannot_do_and_touches_nothing(first, finished, words, said):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    best = found(finished)["best"]["suggestion"]
    done = more("worst", finished, *(best if word == "BEST" else word for word in words))
    assert done.exit_code == INPUT, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_settings_chosen_while_a_net_learns_are_a_sweep_that_ends_well(tiny, tmp_path):
    words = ("search.protocol=continual", "search.rates=[0.01]", "search.attempts=1", "method.strength=0.5")
    more = ("search.suggestions=1", "search.sampler=random", "confirm.orders.count=1")
    said = run(tiny, tmp_path / "out", *(word for one in (*words, *more) for word in ("--set", one)))
    assert said.exit_code == 0, said.stderr
    assert found(tmp_path / "out")["complete"] and "tuned task by task" in " ".join(said.stdout.split())


@pytest.mark.parametrize("command", [("confirm",), ("worst", "--suggestion", "3f")])
def test_neither_makes_a_sweep_where_there_is_none(tmp_path, command):
    said = call(*command, tmp_path / "none")
    assert said.exit_code == FOLDER and "holds no sweep" in said.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("confirm", "--top --orders --seeds --methods --until --address --engine --no-track --verbose"),
        ("worst", "--suggestion --seeds --best --budget --strategy --random --address --engine --no-track"),
        ("run", "--out --set --address --suggestions --engine --no-track --verbose"),
        ("plan", "--set --suggestions --workers --json --verbose"),
    ],
)
def test_help_of_a_command_lists_its_options(command, options, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    said = call(command, "--help")
    assert said.exit_code == 0 and all(f"{option} " in said.stdout for option in options.split())
    assert re.search(rf"^  {command} ", call("--help").stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "words", [("confirm", "--orders", "all"), ("worst", "--best", "--budget", "30", "--suggestion", "BEST")]
)
def test_ctrl_c_names_the_command_to_go_on_with(finished, monkeypatch, words):
    def stopped(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("sweep.ledger.inline", stopped)
    monkeypatch.setattr(session, "inline", stopped)
    best = found(finished)["best"]["suggestion"]
    words = [best if word == "BEST" else word for word in words]
    monkeypatch.setattr(sys, "argv", ["nai-sweep", *words, str(finished)])
    said = more(words[0], finished, *words[1:])
    assert said.exit_code == 130
    assert said.stderr.splitlines()[-2:] == [
        "stopped: every run that ended is on record; go on with",
        f"  nai-sweep {' '.join(words)} {finished}",
    ]
    assert call("status", finished).exit_code == 0


# ------------------------------------------------------------------ what goes wrong
def test_six_mistakes_are_said_at_once_and_nothing_is_written(tmp_path):
    (tmp_path / "six.toml").write_text(SIX)
    said = run(tmp_path / "six.toml", tmp_path / "out")
    assert said.exit_code == INPUT
    lines = [line for line in said.stderr.splitlines() if "six.toml:" in line]
    assert len(lines) == 6 and "6 mistakes" in said.stderr
    assert all(re.search(r"six\.toml:\d+  [a-z.]+: ", line) for line in lines)
    assert said.stdout == "" and not (tmp_path / "out").exists()


def test_mistake_in_an_override_is_named_by_the_override(tiny, tmp_path):
    said = run(tiny, tmp_path / "out", "--set", "training.epoch=3")
    assert said.exit_code == INPUT
    assert "override training.epoch=3" in said.stderr and "did you mean epochs?" in said.stderr


def test_override_changes_the_space(tiny):
    found = json.loads(call("plan", tiny, "--json", "--set", "orders.count=10").stdout)
    assert found["search"]["orders"] == 10


def test_folder_of_another_space_is_left_alone(finished, tiny):
    before = (finished / "space.toml").read_bytes()
    said = run(tiny, finished, "--set", "training.epochs=2", "--set", "model.widths=[9]")
    assert said.exit_code == FOLDER
    assert "training.epochs: 1 -> 2" in said.stderr and "model.widths: [8] -> [9]" in said.stderr
    assert (finished / "space.toml").read_bytes() == before


def test_folder_in_use_is_left_alone(finished, tiny):
    with Folder.at(finished).owned():
        said = program("run", str(tiny), "--out", str(finished), "--engine", "inline", cwd=finished)
        _, err = said.communicate(timeout=60)
    assert said.returncode == FOLDER
    assert f"is in use by process {os.getpid()}" in err


def test_folder_without_a_sweep(tmp_path):
    for command in ("status", "report", "sync", "ui"):
        said = call(command, tmp_path)
        assert said.exit_code == FOLDER and "holds no sweep" in said.stderr


def test_failed_runs_are_counted_and_exit_with_3(tiny, tmp_path):
    said = run(tiny, tmp_path / "out", "--set", "training.rate={choices=[1e-3, 1e30]}", "--suggestions", 4)
    assert said.exit_code == 3
    assert "method" in said.stdout  # what did not fail is still reported
    assert json.loads((tmp_path / "out" / "results.json").read_text())["failed"] == 10


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_card_that_is_not_there(tiny, tmp_path, device):
    said = run(tiny, tmp_path / "out", "--set", f"resources.device={device}")
    assert said.exit_code == CLUSTER and f"device {device} is not here" in said.stderr


def test_a_share_of_a_card_that_is_not_there(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    said = run(tiny, tmp_path / "out", "--set", "resources.gpus=0.5")
    assert (
        said.exit_code == CLUSTER and "resources.gpus is 0.5, and torch finds no CUDA device" in said.stderr
    )
    assert not list((tmp_path / "out").glob("records/*"))


def test_without_its_extra_the_program_names_it():
    code = "import sys; sys.modules['typer'] = None; import sweep.cli"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "nai-sweep needs the extra sweep: pip install 'nai-sweep[sweep]'\n",
    )


def test_data_that_are_not_there(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "nai.datasets._half", lambda *args: (_ for _ in ()).throw(FileNotFoundError("the data are not here"))
    )
    more = ("--set", "benchmark.dataset=mnist", "--set", f'benchmark.root="{tmp_path}"')
    said = run(tiny, tmp_path / "out", *more)
    assert said.exit_code == DATA and said.stderr.splitlines()[-1] == "the data are not here"
    planned = call("plan", tiny, *more)
    assert planned.exit_code == 0 and "not known here: the data are not here" in planned.stdout


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (FolderError("in use"), FOLDER, "in use"),
        (ConnectionRefusedError(111, "refused"), CLUSTER, "cannot be reached"),
        (FileNotFoundError("no data"), DATA, "no data"),
        (ImportError("the data set digits needs scikit-learn"), DATA, "scikit-learn"),
        (OSError(errno.ENOSPC, "No space left", "runs/x"), STORAGE, "make room"),
        (PermissionError(errno.EACCES, "denied", "runs/x"), STORAGE, "runs/x"),
        (OSError(errno.EROFS, "read-only"), STORAGE, "another folder"),
        (FileNotFoundError(errno.ENOENT, "gone", "runs/x"), STORAGE, "runs/x"),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"),
            STORAGE,
            "a/b: Not a directory\nmove it",
        ),
        (IsADirectoryError(errno.EISDIR, "no file", ".draft", None, "out/x"), STORAGE, "out/x: no file"),
        (SyntaxError("invalid syntax", ("mine.py", 3, 1, "x x")), INPUT, "mine.py:3: invalid syntax"),
        (ValueError("a worker wants 8 CPU"), INPUT, "a worker wants 8 CPU"),
        (
            ModuleNotFoundError("No module named 'x'", name="x"),
            INTERNAL,
            "internal error: ModuleNotFoundError",
        ),
        (KeyError("x"), INTERNAL, "--verbose"),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error, code, word):
    found = failure(error)
    assert found.code == code and word in found.text
    assert len(found.text.splitlines()) <= 2


def test_unknown_exception_is_one_screen_and_its_traceback_is_for_who_asks(tiny, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("boom")

    monkeypatch.setattr(session, "run", broken)
    said = run(tiny, tmp_path / "out")
    assert said.exit_code == INTERNAL
    assert said.stderr.splitlines()[1:] == [
        "internal error: RuntimeError: boom",
        "run it again with --verbose and report what it says",
    ]
    assert "Traceback" in run(tiny, tmp_path / "out", "--verbose").stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_stops_at_a_safe_place_and_names_the_command_to_go_on_with(tiny, tmp_path, number, code):
    words = ["run", str(tiny), "--engine", "inline", "--no-track", "--set", "training.epochs=100000"]
    with program(*words, cwd=tmp_path) as child:
        for line in child.stderr:
            if "training" in line:
                break
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    assert child.returncode == code
    assert "Traceback" not in err
    stopped, command = err.splitlines()[-2:]
    assert "on record" in stopped
    assert command.split() == ["nai-sweep", *words]
    assert call("status", tmp_path / "runs" / "tiny").exit_code == 0


def test_method_of_ones_own_lies_in_the_current_folder(tiny, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom nai.methods import Method\n\n\n"
        "@dataclass(frozen=True)\nclass Still(Method):\n    strength: float = 1.0\n"
    )
    words = ("run", str(tiny), "--engine", "inline", "--no-track", "--set", "method.name=mine:Still")
    with program(*words, cwd=tmp_path) as child:
        out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert "Still" in out or "mine" in out


def test_reader_that_goes_away_is_no_error(tmp_path):
    with program("list", "methods", cwd=tmp_path) as child:
        child.stdout.close()
        err = child.stderr.read()
    assert err == ""


# ------------------------------------------------------------------ plans, lists, the pages of MLflow
def test_plan_counts_without_running(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = json.loads(call("plan", tiny, "--json", "--workers", 1).stdout)
    assert (found["tasks"], found["runs"]) == (5, RUNS)
    assert found["search"]["separate"] == 2 * 5 * 5
    assert 0 < found["cost"]["low"] < found["cost"]["high"]
    assert list(tmp_path.iterdir()) == []
    said = call("plan", tiny)
    assert said.exit_code == 0 and "0.1, 1.0" in said.stdout and "MB" in said.stdout


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_every_kind_is_listed_with_a_line_each(kind):
    said = call("list", kind)
    assert said.exit_code == 0
    for entry in catalogue.entries(kind):
        assert entry.says and entry.name in said.stdout


def test_lists_are_complete():
    assert {e.name for e in catalogue.entries("orders")} == DESIGNS.keys()
    assert {e.name for e in catalogue.entries("metrics")} == METRICS.keys()
    assert ("strength", 100.0) in {e.name: e for e in catalogue.entries("methods")}["ewc"].settings
    assert all(e.settings[:2] == (("dataset", ...), ("root", None)) for e in catalogue.entries("benchmarks"))
    with pytest.raises(ValueError, match="'metods' cannot be listed: choose from methods"):
        catalogue.entries("metods")


def test_ui_needs_a_database_and_a_free_port(finished, monkeypatch):
    said = call("ui", finished)
    assert said.exit_code == FOLDER and "nai-sweep sync" in said.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    said = call("ui", finished)
    assert said.exit_code == FOLDER and "MLFLOW_TRACKING_URI names the server" in said.stderr
    (finished / "mlflow.db").touch()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        said = call("ui", finished, "--port", taken.getsockname()[1])
    assert said.exit_code == INPUT and "take another --port" in said.stderr
    assert said.stdout == ""


# ------------------------------------------------------------------ looks
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_results_fit_the_terminal(first, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    said = call("report", first[0])
    assert max(map(len, said.stdout.splitlines()[:-1])) <= width
    found = json.loads((first[0] / "results.json").read_text())
    for line in found["table"]:
        assert f"{100 * line['mopd']:.2f}" in said.stdout


def test_no_color_is_respected(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    found = {
        "table": [],
        "verdict": "fine.",
        "cautions": ["One seed only."],
        "saved": {"full": 40, "ran": 25},
        "hunts": [],
    }
    results(console(), found)
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = capsys.readouterr().out
    results(console(), found)
    assert "\x1b[33m" in coloured and "saved 15 of 40 runs of the full grid" in coloured
    assert not re.search(r"\x1b\[(3|4)\dm", capsys.readouterr().out)


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(word):
    code = (
        f"import sys; sys.argv = ['nai-sweep', {word!r}]\nfrom sweep.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'pyarrow', 'numpy', 'pandas', 'plotly'}\n"
        "assert not heavy & {name.partition('.')[0] for name in sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nai-sweep" in done.stdout


def test_help_shows_examples_and_exit_codes():
    said = call("--help")
    assert "nai-sweep run quickstart" in said.stdout and "Exit codes: 0 done" in said.stdout


# ------------------------------------------------------------------ addresses
def test_address_where_nothing_listens_is_refused_at_once():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as here:
        port = here.getsockname()[1]
        check_address(f"127.0.0.1:{port}")
        check_address(f"ray://127.0.0.1:{port}")
    for address in (f"127.0.0.1:{port}", f"ray://localhost:{port}", "127.0.0.1:99999999"):
        with pytest.raises(ConnectionError, match="leave the address out"):
            check_address(address, 1.0)
    check_address("auto")
