"""The map of the rooms: what each file may import, read from the source, and how light an import is."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(
    path.relative_to(ROOT).as_posix() for room in ("nai", "sweep") for path in (ROOT / room).rglob("*.py")
)

# A heavy package is imported by its keeper alone (`*` also crosses folders).
KEEPERS = {
    "ray": ("sweep/machines.py", "sweep/run.py", "sweep/worker.py"),
    "optuna": ("sweep/search/study.py", "sweep/search/importance.py", "sweep/search_orders.py"),
    "mlflow": ("sweep/tracking/store.py",),
    "pyarrow": ("sweep/record*.py",),
    "obstore": ("sweep/objects.py",),
    "boto3": (),
    "botocore": ("sweep/objects.py",),
    "safetensors": ("sweep/states.py", "sweep/weights.py"),
    "torchvision": ("nai/datasets.py", "nai/backbones.py"),
    "executorch": ("nai/edge/exported.py",),
    "PIL": ("nai/pictures.py",),
    "sklearn": ("nai/datasets.py",),
    "plotly": ("sweep/report*.py",),
    "jinja2": ("sweep/report*.py",),
    "matplotlib": ("sweep/report/drawing.py",),
    "pydantic": ("sweep/space*.py", "sweep/mistakes.py", "sweep/past.py", "sweep/standing.py"),
    "typer": ("sweep/cli*.py", "sweep/progress.py"),
    "rich": ("sweep/cli*.py", "sweep/progress.py"),
    "pandas": (),
}
# Left of the trial and right of the row nothing knows torch.
NO_TORCH = (
    "nai/orders.py",
    "nai/metrics*.py",
    "sweep/space*.py",
    "sweep/search*.py",
    "sweep/worst*.py",
    "sweep/stopping.py",
    "sweep/asked.py",
    "sweep/analysis*.py",
    "sweep/report*.py",
    "sweep/record*.py",
    "sweep/track*.py",
)
# A file of nai imports from its own floor and from those before it; the lazy `nai/__init__.py` has none.
FLOORS = (
    ("seeds", "tasks", "orders", "metrics", "named", "activations"),
    ("models", "sources", "builders", "augment", "views"),
    ("pictures", "arrays", "folders", "core50", "backbones", "features"),
    ("datasets",),
    ("importance", "normalise"),
    ("methods",),
    ("optimise", "stack", "footprint", "training", "feed", "fitting"),
    ("learn",),
    ("evaluate",),
    ("prefixes", "states", "nodes", "notebook"),
    ("tree",),
    ("selection",),
    ("trial",),
    ("guard", "edge"),
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
NAI_AT_IMPORT = {"torch", "numpy", "nai"} | sys.stdlib_module_names
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "shelve", "joblib", "marshal"}
MAY_PRINT = ("sweep/cli*.py",)
# bundle.py: a method of the user's own may raise anything, and that is a row
MAY_CATCH_ALL = ("sweep/run.py", "sweep/bundle.py", "sweep/cli*.py", "sweep/tracking/writer.py")


class Import(NamedTuple):
    """One imported module, its full dotted name, and whether importing the file itself imports it."""

    line: int
    module: str
    at_import: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def name_of(node: ast.expr) -> str:
    """The dotted name of an expression such as `torch.load`, empty for anything else."""
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def modules_of(node: ast.AST, path: str) -> list[str]:
    """Modules that a statement or call imports; `from a import b` gives a and a.b, since b may be one."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            inside = path.split("/")[:-level] if level else []
            base = ".".join([*inside, *([module] if module else [])])
            return [base, *(f"{base}.{alias.name}" for alias in names)]
        case ast.Call(func=func, args=[ast.Constant(value=str(module)), *_]):
            return [module] if name_of(func).endswith(("import_module", "__import__")) else []
    return []


def imports(path: str, tree: ast.AST, *, at_import: bool = True) -> Iterator[Import]:
    """Every import of a file; those in functions and behind TYPE_CHECKING are not made at its own import."""
    for node in ast.iter_child_nodes(tree):
        for module in modules_of(node, path):
            yield Import(getattr(node, "lineno", 0), module, at_import)
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and name_of(node.test).endswith("TYPE_CHECKING")
        )
        yield from imports(path, node, at_import=at_import and not later)


def room_of(dotted: str) -> str:
    """`nai.methods.ewc` is in the room methods; empty for `nai` itself."""
    return [*dotted.split("."), ""][1]


def broken_import(path: str, made: Import) -> str | None:
    """The rule of the map that one import breaks."""
    inside = path.split("/")[0]
    package = made.package
    if package in KEEPERS and not matches(path, KEEPERS[package]):
        return f"{package} is imported by {' and '.join(KEEPERS[package]) or 'the tests'} alone"
    if package in PICKLES:
        return f"{package} runs code on reading: use JSON, Parquet or torch.load(weights_only=True)"
    late = (
        path == "sweep/search/study.py" and not made.at_import
    )  # Optuna's Gaussian process is made of torch
    if package == "torch" and matches(path, NO_TORCH) and not late:
        return "this file knows no torch"
    if inside != "nai":
        return None
    if package == "sweep":
        return "nai never imports sweep"
    if made.at_import and package not in NAI_AT_IMPORT:
        return f"importing nai needs torch and numpy alone: import {package} inside the function that uses it"
    return broken_floor(path, made)


def broken_floor(path: str, made: Import) -> str | None:
    """The floor rule: a file of nai imports from its own floor and from those below."""
    here, there = room_of(path.removesuffix(".py").replace("/", ".")), room_of(made.module)
    if made.package != "nai" or here == "__init__" or there not in FLOOR or here not in FLOOR:
        return None
    return f"{here} stands below {there}" if FLOOR[here] < FLOOR[there] else None


def broken_call(path: str, node: ast.AST) -> str | None:
    """The rule that one call or handler breaks: printing, catching everything, reading pickles."""
    match node:
        case ast.Call(func=func) if name_of(func) == "print" and not matches(path, MAY_PRINT):
            return "printing is for the command line"
        case ast.ExceptHandler(type=kind) if not matches(path, MAY_CATCH_ALL):
            named = [kind, *(kind.elts if isinstance(kind, ast.Tuple) else [])]
            if any(one is None or name_of(one) in ("Exception", "BaseException") for one in named):
                return "catching every exception hides mistakes: name those that are expected"
        case ast.Call(func=func, keywords=words) if name_of(func) == "torch.load":
            if not any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in words):
                return "torch.load runs code on reading: give weights_only=True"
    return None


def violations(path: str, source: str) -> list[str]:
    """What a file does that the map forbids, one line each: `path:line: rule`."""
    tree = ast.parse(source)
    found = [(made.line, broken_import(path, made)) for made in imports(path, tree)]
    found += [(getattr(node, "lineno", 0), broken_call(path, node)) for node in ast.walk(tree)]
    return list(dict.fromkeys(f"{path}:{line}: {rule}" for line, rule in found if rule))


@pytest.mark.parametrize("path", FILES)
def test_file_keeps_to_the_map(path):
    assert violations(path, (ROOT / path).read_text(encoding="utf-8")) == []


def test_every_room_of_nai_has_a_floor():
    rooms = {room_of(path.removesuffix(".py").replace("/", ".")) for path in FILES if path.startswith("nai/")}
    assert rooms - {"__init__"} - FLOOR.keys() == set()


def test_keepers_exist():
    """A keeper that was renamed would leave its package to nobody, and this test without a subject."""
    keepers = [keepers for keepers in KEEPERS.values() if keepers]
    lost = [patterns for patterns in keepers if not any(matches(path, patterns) for path in FILES)]
    assert lost + [one for one in NO_TORCH if not any(fnmatch(path, one) for path in FILES)] == []


PLANTED = [
    (
        "sweep/cli.py",
        "def f():\n    import ray.tune",
        "ray is imported by sweep/machines.py and sweep/run.py and sweep/worker.py alone",
    ),
    ("sweep/space.py", "from optuna.samplers import TPESampler", "optuna is imported by"),
    ("sweep/run.py", "from importlib import import_module\nimport_module('mlflow')", "mlflow is imported by"),
    ("sweep/analysis/tables.py", "def f():\n    import pandas", "pandas is imported by the tests alone"),
    ("nai/trial.py", "from sweep import record", "nai never imports sweep"),
    ("nai/datasets.py", "import torchvision", "needs torch and numpy alone"),
    ("nai/models.py", "import scipy.stats", "needs torch and numpy alone"),
    ("nai/seeds.py", "from nai.tree import grow", "seeds stands below tree"),
    ("nai/methods/ewc.py", "from nai import learn", "methods stands below learn"),
    ("nai/methods/ewc.py", "from ..learn import learn", "methods stands below learn"),
    (
        "nai/importance/fisher.py",
        "if TYPE_CHECKING:\n    from nai.methods import Ewc",
        "importance stands below",
    ),
    ("nai/metrics*.py", "import torch.nn", "this file knows no torch"),
    ("sweep/analysis/tables.py", "def f():\n    import torch", "this file knows no torch"),
    ("sweep/record.py", "import pickle", "pickle runs code on reading"),
    ("nai/learn.py", "print('epoch')", "printing is for the command line"),
    ("sweep/search.py", "try:\n    f()\nexcept Exception:\n    g()", "catching every exception"),
    ("sweep/search.py", "try:\n    f()\nexcept (OSError, Exception):\n    g()", "catching every exception"),
    ("nai/trial.py", "try:\n    f()\nexcept:\n    g()", "catching every exception"),
    ("nai/trial.py", "import torch\ntorch.load(path)", "give weights_only=True"),
]
ALLOWED = [
    ("sweep/run.py", "import ray\nfrom ray import tune\ntry:\n    f()\nexcept Exception:\n    g()"),
    ("sweep/report/page.py", "import jinja2\nimport plotly.graph_objects"),
    ("sweep/cli_show.py", "import typer\nfrom rich.table import Table\nprint('1')"),
    ("nai/datasets.py", "def digits():\n    from sklearn.datasets import load_digits"),
    (
        "nai/learn.py",
        "import torch\nfrom nai.methods import Nai\nfrom nai import tasks\ntorch.load(p, weights_only=True)",
    ),
    ("nai/models.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import filelock"),
    ("nai/importance/path.py", "from nai.importance.activation import mean\nfrom . import activation"),
    ("sweep/search.py", "try:\n    f()\nexcept (OSError, ValueError):\n    g()"),
]


@pytest.mark.parametrize(("path", "source", "rule"), PLANTED)
def test_planted_violation_is_named_with_its_place(path, source, rule):
    (found,) = violations(path, source)
    place, _, said = found.partition(": ")
    assert place.startswith(f"{path}:") and rule in said


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_the_map_allows_is_not_reported(path, source):
    assert violations(path, source) == []


def loaded_after(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after running the code."""
    ending = "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code + ending], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


HEAVY = {
    "ray",
    "optuna",
    "mlflow",
    "pyarrow",
    "pandas",
    "sklearn",
    "torchvision",
    "scipy",
    "plotly",
    "pydantic",
    "matplotlib",
}
EVERY_NAME = "import nai\nfor name in [*nai.__all__, *dir(nai)]: getattr(nai, name)"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        pytest.param("import nai", HEAVY | {"torch", "numpy"}, id="nai is lazy"),
        pytest.param(EVERY_NAME, HEAVY, id="every public name of nai"),
        pytest.param("import nai.orders, nai.metrics", HEAVY | {"torch"}, id="orders and metrics"),
        pytest.param(
            "import sweep.space, sweep.record, sweep.tracking, sweep.analysis, sweep.report",
            {"torch"},
            id="around the trial",
        ),
        pytest.param(  # Ray's Tune itself brings pandas, pyarrow and pydantic
            "import sweep.worker, sweep.bundle",
            {"optuna", "scipy", "mlflow", "plotly", "jinja2", "typer", "sklearn", "torchvision"},
            id="a worker",
        ),
        pytest.param(
            "import sweep.cli", {"torch", "ray", "mlflow", "optuna", "pandas"}, id="the command line"
        ),
    ],
)
def test_import_loads_none_of(code, absent):
    assert loaded_after(code) & absent == set()
