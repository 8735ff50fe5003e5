"""The shipped presets are what the sweeps on record found, and nothing in them is left to search."""

import importlib.util
from pathlib import Path

import pytest

from sweep.space import read

ROOT = Path(__file__).resolve().parent.parent


def script():
    spec = importlib.util.spec_from_file_location("presets", ROOT / "benchmarks" / "presets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PRESETS = script()


def test_every_shipped_preset_has_its_study():
    assert sorted(PRESETS.FOUND_BY) == sorted(path.stem for path in PRESETS.PRESETS.glob("*.toml"))


@pytest.mark.parametrize("name", PRESETS.FOUND_BY)
def test_a_preset_is_what_its_study_found(name):
    assert (PRESETS.PRESETS / f"{name}.toml").read_text(encoding="utf-8") == PRESETS.text(name)
    space = read(f"presets/{name}")
    assert not any(space.parameters(method.name) for method in space.methods)
    assert (ROOT / "docs" / "presets.md").read_text().count(f"presets/{name}") >= 1
