"""The benchmark of stacks on a GPU works without one as well, so that it is not broken where there is one."""

import importlib.util
import json
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu_stacks.py"


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("gpu_stacks", FILE)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_one_line_of_json_has_a_rate_for_every_stack_model_and_precision(benchmark, capsys):
    sizes = ["--stacks", "1", "3", "--steps", "1", "--batch", "4", "--repeats", "1", "--processes"]
    benchmark.main(["--device", "cpu", "--json", *sizes])
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    cases = [(row["model"], row["precision"], row["stack"]) for row in found["rows"]]
    assert cases == [(m, p, s) for m in ("mlp", "conv") for p in ("float32", "bfloat16") for s in (1, 3)]
    assert all(row["lessons_per_second"] > 0 for row in found["rows"])
    assert [row["over_one"] for row in found["rows"] if row["stack"] == 1] == [1.0] * 4


def test_a_stack_without_room_is_null_and_others_go_on(benchmark, monkeypatch):
    def trained(where, case, lessons):
        if lessons > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return 0.5

    monkeypatch.setattr(benchmark, "trained", trained)
    monkeypatch.setattr(benchmark, "world", lambda case: None)
    monkeypatch.setattr(benchmark.torch.cuda, "empty_cache", lambda: None)
    rows = benchmark.stacked(benchmark.Case("mlp", "float32", "cpu", 4, 1), [1, 2, 3], repeats=1)
    assert [row["lessons_per_second"] for row in rows] == [2.0, 4.0, None]
    assert [row["over_one"] for row in rows] == [1.0, 2.0, None]
