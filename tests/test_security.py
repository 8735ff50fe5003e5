"""What SECURITY.md promises: floors of dependencies, and starts that import no more than they need."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from tiny_sweeps import inline, tiny

from sweep.cli_failures import say
from sweep.redact import redacted

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [
    *PROJECT["dependencies"],
    *(line for some in PROJECT["optional-dependencies"].values() for line in some),
]
FLOORS = re.findall(
    r"^\| ([a-z]+[a-z0-9]*) \| (\d[\d.]*) \|",
    (ROOT / "SECURITY.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def floor(package):
    (found,) = {
        Version(one.version)
        for line in LINES
        if (wanted := Requirement(line)).name == package
        for one in wanted.specifier
        if one.operator == ">="
    }
    return found


@pytest.mark.parametrize(("package", "least"), FLOORS)
def test_no_release_with_a_known_hole_is_allowed(package, least):
    assert floor(package) >= Version(least)


def test_the_packages_that_read_files_or_serve_have_a_floor():
    assert {"ray", "torch", "mlflow", "pyarrow", "pillow", "jinja2"} <= dict(FLOORS).keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://me:pw@host:1/x", "http://***@host:1/x"),
        ("git clone https://t0ken@host/a and ray://u:p@b", "git clone https://***@host/a and ray://***@b"),
        ("https://host/?token=abc&n=1", "https://host/?token=***&n=1"),
        ("API_KEY: abc, password='x y'", "API_KEY: ***, password='*** y'"),
        ("mines and keyboards, KeyError: 'task 2'", "mines and keyboards, KeyError: 'task 2'"),
        ("order (0, 0, 2) is not a permutation", "order (0, 0, 2) is not a permutation"),
    ],
)
def test_secrets_are_hidden_and_other_words_are_not(text, said):
    assert redacted(text) == said


def test_secrets_of_the_environment_are_hidden_wherever_they_turn_up(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "c4n4ry-in-a-mine")
    monkeypatch.setenv("MY_SERVICE_NAME", "a-plain-name")
    monkeypatch.setenv("OTHER_PASSWORD", "short")
    assert redacted("short: c4n4ry-in-a-mine of a-plain-name") == "short: *** of a-plain-name"


def test_what_would_steer_a_terminal_is_written_out(capsys):
    say("one\ntwo \x1b[31mred\x9b2J \u202eback\r\u2028é")
    assert capsys.readouterr().err == "one\ntwo \\x1b[31mred\\x9b2J \\u202eback\\r\\u2028é\n"


# --- starts: what is imported, not how long it takes
def loaded(words, cwd):
    """The exit code of the program and the packages that it imported."""
    code = (
        "import sys\nsys.argv = ['nai-sweep', *sys.argv[1:]]\nfrom sweep.cli_start import main\n"
        "code = 0\ntry:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        "print('IMPORTED', code, *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    exit_code, *packages = done.stdout.partition("IMPORTED ")[2].split()
    return int(exit_code), set(packages)


def test_help_imports_nothing_heavy(tmp_path):
    code, packages = loaded(["--help"], tmp_path)
    assert code == 0
    assert packages & {"ray", "torch", "mlflow", "optuna", "pyarrow", "plotly", "typer", "rich"} == set()


def test_a_look_at_a_sweep_imports_neither_ray_nor_torch_nor_mlflow(tmp_path):
    inline(tiny("search.suggestions=1", "orders.count=1", "confirm.orders.count=1"), tmp_path / "out")
    code, packages = loaded(["status", tmp_path / "out"], tmp_path)
    assert code == 0 and "pyarrow" in packages
    assert packages & {"ray", "torch", "mlflow"} == set()


def test_a_space_that_is_wrong_is_answered_without_ray_and_mlflow(tmp_path):
    code, packages = loaded(["run", "quickstart", "--set", "method.strenght=1"], tmp_path)
    assert code == 2 and packages & {"ray", "mlflow"} == set()
    assert list(tmp_path.iterdir()) == []
