"""The catalogue of faults: sixty rows, each with the tests that inject it, and the page that shows them."""

import ast
import re
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = tomllib.loads((ROOT / "tests" / "faults" / "catalogue.toml").read_text(encoding="utf-8"))["row"]
LONG = re.compile(r"mark\.(faults|full)\b")
REASONS = 6
"""Rows that one machine may be unable to inject, each with its reason."""


@cache
def named_in(path):
    """Names of the tests of a file, whole or in classes, with the marks of each and of the file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    marks = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
    own = next((mark for mark in marks if mark.startswith("pytestmark")), "")
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name: " ".join([own, *map(ast.unparse, node.decorator_list)]) for node in tests}


def tier(test):
    """quick: in `make test`; long: in `make test-faults` or `make test-full`."""
    path, _, name = test.partition("::")
    return "long" if LONG.search(named_in(path)[name]) else "quick"


def counted(row):
    """How many quick and long tests a row has, in words."""
    counts = Counter(tier(test) for test in row.get("tests", ()))
    return ", ".join(f"{counts[kind]} {kind}" for kind in ("quick", "long") if counts[kind]) or "none"


def test_there_are_sixty_rows_in_order():
    assert [row["id"] for row in ROWS] == [f"F{number:02}" for number in range(1, 61)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_each_row_says_what_is_seen_and_holds_and_has_its_tests_or_a_reason(row):
    assert row["fault"] and row["sees"] and row["holds"]
    assert bool(row.get("tests")) != bool(row.get("absent"))
    for test in row.get("tests", ()):
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file() and name in named_in(path), f"{test} is no test"
    assert row.keys() <= {"id", "fault", "sees", "holds", "tests", "absent"}


def test_few_rows_cannot_be_injected():
    assert len([row for row in ROWS if "absent" in row]) <= REASONS


def test_the_page_shows_the_catalogue_as_it_is():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    lines = [
        f"| {row['id']} | {row['fault']} | {row['sees']} | {row['holds']} | {counted(row)} |" for row in ROWS
    ]
    assert [line for line in page.splitlines() if line.startswith("| F")] == lines
