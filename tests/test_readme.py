"""README's examples, run as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest

from sweep import session
from sweep.space import loads

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
SPACE = """
name = "mine"
[benchmark]
name = "split"
dataset = "digits"
classes = 5
[model]
name = "mlp"
widths = [8]
[method]
name = "mine:Stay"
strength = { low = 0.001, high = 10.0, log = true }
[training]
epochs = 1
[orders]
design = "all"
[search]
sampler = "random"
suggestions = 2
"""


def block(mark: str) -> str:
    (found,) = [b for b in BLOCKS if mark in b]
    return found


def test_all_orders_of_the_example_are_learnt_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("run_many"), "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    orders = {line.rpartition(" ")[0] for line in lines}
    accuracies = [float(line.rpartition(" ")[2]) for line in lines]
    assert len(lines) == len(orders) == 120
    assert min(accuracies) > 0.8 and max(accuracies) <= 1


def test_the_guard_example_is_short_and_pulls() -> None:
    source = block("nai.Guard")
    assert len([line for line in source.splitlines() if line.strip()]) < 15
    names: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), names)
    guard = names["guard"]
    assert float(guard.penalty()) == 0.0  # the anchors stand where the last task ended
    assert float(guard.state_dict()["memory"]["omega.0"].sum()) > 0


def test_the_sweep_example_calls_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(space: str, out: str) -> object:
        asked.append((space, out))
        return session.Ended(None, {"verdict": "said"}, False, 0.0)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "run", run)
    exec(compile(block("sweep.session"), "README.md", "exec"), {})
    assert asked == [("quickstart", "runs/quickstart")]


def test_a_method_of_ones_own_sweeps_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(block("class Stay"))
    monkeypatch.syspath_prepend(str(tmp_path))
    ended = session.run(loads(SPACE), tmp_path / "out", engine="inline", track=False)
    assert ended.results["failed"] == 0 and ended.results["done"] == 4
    strengths = [one["settings"]["method"]["strength"] for one in ended.results["search"]]
    assert len(set(strengths)) == 2


def test_every_method_is_named():
    from nai.methods import METHODS

    assert [name for name in METHODS if f"`{name}`" not in README] == []


def test_figures_of_the_related_systems_are_those_of_their_pages():
    rows = README.partition("### Related systems")[2].partition("### ")[0].splitlines()
    rows = [line.split(" | ") for line in rows if line.startswith("|")][2:]
    assert len(rows) == 5
    for _, _, page, measured, command in rows:
        link = re.search(r"\]\(([^)#]+)", page)
        text = (ROOT / link[1]).read_text(encoding="utf-8")
        told = re.findall(r"\d[\d.,]* ± [\d.]+|\d\.\de-\d\d?|\d+ % below", measured)
        assert told and [one for one in told if one.removesuffix(" below") not in text] == []
        assert command.startswith(("`nai-sweep", "`python"))
