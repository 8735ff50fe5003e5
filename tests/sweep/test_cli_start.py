"""The kept help is the help of the command line, and all else is the command line itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweep import cli_start

ROOT = Path(__file__).resolve().parents[2]


def said(module, *words, columns=80):
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_kept_help_is_that_of_the_command_line():
    code, text = said("sweep.cli", "--help")
    assert code == 0 and cli_start.TEXT.read_text(encoding="utf-8") == text, (
        "write it anew: COLUMNS=80 python -m sweep.cli --help > sweep/help.txt"
    )
    assert said("sweep.cli_start", "--help", columns=120) == (0, text)


@pytest.mark.parametrize(
    ("words", "columns"), [(("--help",), 50), (("run", "--help"), 80), (("--version",), 80), ((), 80)]
)
def test_all_else_is_the_command_line(words, columns):
    assert said("sweep.cli_start", *words, columns=columns) == said("sweep.cli", *words, columns=columns)
