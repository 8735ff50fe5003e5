"""What is installed is what the project says: named uses, tested versions, one version, a whole wheel."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    requirement
    for line in [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
    if (requirement := Requirement(line)).name != PROJECT["name"]
]
PIN = re.compile(r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[0-9][0-9a-z.]*)")


def lines_of(path: str) -> list[str]:
    """Lines of a file of the project without its comments and empty lines."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def pins() -> dict[str, Version]:
    """Package to tested version."""
    found = [PIN.fullmatch(line) for line in lines_of("constraints.txt")]
    return {pin["name"]: Version(pin["version"]) for pin in found if pin}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_dependency_names_a_file_that_uses_it(requirement):
    spelt = re.compile(rf'\s*"{re.escape(requirement.name)}[\[<>=]')
    (line,) = [line for line in TEXT.splitlines() if spelt.match(line)]
    comment = line.partition("#")[2]
    named = re.findall(r"[\w./-]+\.(?:py|toml)\b|Makefile", comment)
    assert named, f"{requirement.name} has a comment without a file: {comment!r}"
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_base_is_torch_and_numpy_alone():
    assert {Requirement(line).name for line in PROJECT["dependencies"]} == {"torch", "numpy"}


def test_constraints_are_names_and_versions_in_order_and_nothing_else():
    """No hosts, paths, options or hashes: the file means the same on every machine."""
    lines = lines_of("constraints.txt")
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_tested_version_is_in_the_declared_range(requirement):
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_classifiers_name_exactly_the_pythons_allowed():
    allowed = SpecifierSet(PROJECT["requires-python"])
    named = {line.rpartition(" :: ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert named == {f"3.{minor}" for minor in range(30) if f"3.{minor}" in allowed}


def test_version_is_the_newest_of_the_change_log():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None and newest[1] == PROJECT["version"]


@pytest.mark.full
def test_wheel_holds_both_packages_and_every_search_space(tmp_path):
    command = f"-m build --wheel --no-isolation --outdir {tmp_path} {ROOT}".split()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    spaces = {
        f"sweep/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "search_spaces").rglob("*.toml")
    }
    files = [path for room in ("nai", "sweep") for path in (ROOT / room).rglob("*") if path.is_file()]
    parts = {path.relative_to(ROOT).as_posix() for path in files if path.parent.name != "__pycache__"}
    assert spaces
    assert spaces | parts == held


BARE = '''
import sys
from importlib.machinery import PathFinder

class Bare(PathFinder):
    """Finds nothing of the packages that extras bring."""
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in extras else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Bare
import torch
import nai
from nai import datasets, edge

def told(function):
    try:
        function()
    except (ImportError, SystemExit) as error:
        return str(error)

net = torch.nn.Sequential(torch.nn.Linear(8, 4), nai.Reproducing("sine_gaussian", 4), torch.nn.Linear(4, 2))
samples = torch.randn(4, 8)
assert nai.attribute(net, samples, 1).shares["1"].shape == (4, 4)
nai.Guard(net, nai.Nai(strength=1.0)).after_task([(samples, torch.tensor([0, 1, 0, 1]))])
head = edge.TorchHead(edge.Head(8, 2), 4, edge.Rates(0.1))
assert head.step(samples, torch.tensor([0, 1, 0, 1]), torch.full((4,), 0.25)) > 0
print(told(edge.check_executorch))
print(told(lambda: datasets.benchmark("split", dataset="digits", classes=2)))
print(told(lambda: datasets.benchmark("split", dataset="mnist", classes=2)))
print(told(lambda: __import__("sweep.cli")))
'''


def test_without_extras_the_rest_works_and_what_is_missing_says_which(tmp_path):
    spelt = {"scikit-learn": "sklearn", "pillow": "PIL"}
    extras = {spelt.get(one.name, one.name) for one in REQUIREMENTS} - {"torch", "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", f"extras = {extras}\n{BARE}"],
        **{"cwd": ROOT, "env": {**os.environ, "NAI_DATA": str(tmp_path)}},
        **{"capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 0, done.stderr
    wanted = [line.rpartition("'nai-sweep[")[2].removesuffix("]'") for line in done.stdout.splitlines()]
    assert wanted == ["edge", "data", "data", "sweep"]
