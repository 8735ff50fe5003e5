"""`nai-sweep analyse` and `nai-sweep import` as people type them."""

import csv
import io
import itertools
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sweep import cli_tables, look
from sweep.analysis import OVERVIEW, TABLES
from sweep.cli import app

HEADER = "method,order,seed,step,task,accuracy\n"


def called(*words):
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    lines = [
        f"{method},{' '.join(map(str, order))},{seed},{step},{task},{0.95 - loss * (step - 1 - place):.4f}\n"
        for method, loss in (("ewc", 0.02), ("sgd", 0.08))
        for order in itertools.permutations(range(3))
        for seed in (0, 1)
        for step in (1, 2, 3)
        for place, task in enumerate(order[:step])
    ]
    root = tmp_path_factory.mktemp("other")
    (root / "a.csv").write_text(HEADER + "".join(lines))
    made = called("import", str(root / "a.csv"), "--out", str(root / "out"), "--baseline", "sgd")
    assert made.exit_code == 0 and made.stdout.startswith("24 runs in ")
    return root / "out"


def test_json_has_every_table_and_those_of_the_analysis(folder):
    found = json.loads(called("analyse", str(folder), "--json").stdout)
    assert list(found) == list(TABLES)
    assert found["summary"]["lines"] == list(look.analyse(folder, ["summary"])[0].lines)
    assert found["pairs"]["lines"][0]["mean"] == pytest.approx(0.06)


def test_csv_files_hold_the_same_numbers(folder, tmp_path):
    made = called("analyse", str(folder), "--csv", str(tmp_path), "--table", "tasks", "--table", "summary")
    assert made.exit_code == 0 and len(made.stdout.splitlines()) == 2
    with (tmp_path / "tasks.csv").open() as file:
        read = list(csv.DictReader(file))
    lines = look.analyse(folder, ["tasks"])[0].lines
    assert [float(line["opd"]) for line in read] == [line["opd"] for line in lines]
    assert read[0]["lowest_order"] == " ".join(map(str, lines[0]["lowest_order"])) and read[0]["floor"] == ""


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_shows_the_main_tables_whatever_its_width(folder, width):
    to = io.StringIO()
    found = look.analyse(folder, OVERVIEW)
    cli_tables.show(Console(file=to, width=width), found, whole=False)
    text = to.getvalue()
    assert all(f"{name} (" in text for name in OVERVIEW)
    assert "0.9300" in text and "Further tables" in text  # tasks end at .95, .93 and .91
    assert max(map(len, text.splitlines())) <= width


def test_long_tables_are_cut_unless_they_are_named(folder):
    to, whole = io.StringIO(), io.StringIO()
    found = look.analyse(folder, ["predecessors", "positions"])
    cli_tables.show(Console(file=to, width=200), found, whole=False)
    cli_tables.show(Console(file=whole, width=200), found, whole=True)
    assert "more lines: --table" not in whole.getvalue()
    assert len(found[0].lines) == 24 and found[1].lines[0]["final"] == pytest.approx(0.87, abs=0.05)


def test_what_is_wrong_is_said_on_one_line(folder, tmp_path):
    odd = called("analyse", str(folder), "--table", "odd")
    assert odd.exit_code == 2 and "'odd' is no table: choose from summary" in odd.output
    (tmp_path / "b.csv").write_text(HEADER + "ewc,0 1,0,1,0,97\n")
    bad = called("import", str(tmp_path / "b.csv"), "--out", str(tmp_path / "out"))
    assert bad.exit_code == 2 and "b.csv:2, column accuracy: 97 is not in 0..1" in bad.output
    assert not (tmp_path / "out").exists()
    assert called("confirm", str(folder)).exit_code == 5
