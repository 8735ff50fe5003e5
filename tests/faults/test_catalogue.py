"""The catalogue of faults: sixty rows, each with the tests that inject it, and the page that shows them."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = tomllib.loads((ROOT / "tests" / "faults" / "catalogue.toml").read_text(encoding="utf-8"))["row"]
REASONS = 6
"""Rows that one machine may be unable to inject, each with its reason."""


@cache
def named_in(path):
    """Names of the tests of a file, whole or in classes, with whether they are marked as long."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_there_are_sixty_rows_in_order():
    assert [row["id"] for row in ROWS] == [f"F{number:02}" for number in range(1, 61)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_each_row_says_what_is_seen_and_holds_and_has_its_tests_or_a_reason(row):
    assert row["fault"] and row["sees"] and row["holds"] and row["tier"] in ("quick", "long")
    assert bool(row.get("tests")) != bool(row.get("absent"))
    for test in row.get("tests", ()):
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file() and name in named_in(path), f"{test} is no test"
    assert row.keys() <= {"id", "fault", "sees", "holds", "tier", "tests", "absent"}


def test_few_rows_cannot_be_injected():
    assert len([row for row in ROWS if "absent" in row]) <= REASONS


def test_the_page_shows_the_catalogue_as_it_is():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    lines = [
        f"| {row['id']} | {row['fault']} | {row['sees']} | {row['holds']} | "
        f"{len(row.get('tests', ()))} {row['tier']} |"
        for row in ROWS
    ]
    assert [line for line in page.splitlines() if line.startswith("| F")] == lines
