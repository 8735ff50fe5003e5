"""The notebooks in examples: they run, they show what is kept in them, and they say what is true."""

import json
from pathlib import Path

import pytest
from notebooks import cells, run

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_records_lead_to_the_verdict_of_their_study(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))  # where the notebook puts its report
    path, names = EXAMPLES / "records_to_verdict.ipynb", {}
    assert run(path, names) == [cell["outputs"] for cell in cells(path)]
    results = json.loads((EXAMPLES.parent / "docs" / "studies" / "digits_nai" / "results.json").read_text())
    assert names["ended"].results["verdict"] == results["verdict"]
    (said,) = cells(path)[4]["outputs"]
    assert results["verdict"].split(";")[0] in "".join(said["data"]["text/html"])


def test_a_guard_keeps_what_a_plain_model_forgets():
    names = {}
    shown = run(EXAMPLES / "guard_pytorch.ipynb", names)
    plain, guarded = names["plain"], names["guarded"]
    assert len(plain) == 5 and guarded.keys() == {"nai", "ewc"}
    for values in guarded.values():
        assert sum(values) / 5 > sum(plain) / 5 + 0.02
        assert min(values) > min(plain)
    assert "<table><caption>Nai, order (4, 1, 2, 3, 0)" in "".join(shown[-1][0]["data"]["text/html"])


@pytest.mark.parametrize("name", ["records_to_verdict", "guard_pytorch"])
def test_a_notebook_is_kept_with_what_it_shows(name):
    book = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    code = cells(EXAMPLES / f"{name}.ipynb")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert code[-1]["outputs"]
    names = [cell["id"] for cell in book["cells"]]
    assert len(names) == len(set(names))
