"""How benchmarks/all.py reads what the scripts print."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "all.py"


@pytest.fixture(scope="module")
def everything() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_all", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ratios_are_the_numbers_with_a_spread_beside_them(everything):
    found = {"speedup": 6.3, "speedup_spread": [6.0, 6.5], "repeats": 3, "method": "nai"}
    assert list(everything.ratios("tree", found)) == [("tree", "speedup", 6.3, (6.0, 6.5))]


def test_ratios_within_lists_and_dicts_are_named_by_what_they_are_of(everything):
    nets = {"nets": [{"net": "8-8", "stacked_over_plain": 0.4}, {"net": "9-9", "stacked_over_plain": 1.2}]}
    assert [r.what for r in everything.ratios("x", nets)] == [
        "8-8: stacked_over_plain",
        "9-9: stacked_over_plain",
    ]
    ways = {"ways": {"bfloat16 last": {"ms": 2.0, "ratio": 0.7, "from": 0.6, "to": 0.9}}}
    assert list(everything.ratios("conv", ways)) == [("conv", "ways: bfloat16 last: ratio", 0.7, (0.6, 0.9))]


def test_a_script_that_ends_without_json_has_no_figures(everything):
    assert everything.figures('warming up\n{"ratio": 2}\n') == {"ratio": 2}
    assert everything.figures("Traceback\nValueError: no\n") is None
    assert everything.figures("") is None


def test_every_script_named_there_is_a_benchmark(everything):
    names = {path.stem for path in SCRIPT.parent.glob("*.py")}
    assert everything.SHORT.keys() | everything.TABLES.keys() <= names
