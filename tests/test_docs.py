"""Spaces in the documentation are spaces, and its method of one's own keeps the laws of all methods."""

import dataclasses
import importlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import oracles
import pytest
import tomli_w
import torch
from method_cases import cases
from worlds import taught, world

import nai
from nai.learn import begin
from nai.methods import METHODS, Method
from nai.models import MODELS, Network
from nai.seeds import Seeds
from nai.tasks import Scenario
from nai.trial import Named, load, method_of, world_of
from sweep import session
from sweep.space import loads

ROOT = Path(__file__).resolve().parent.parent
PART = "# part of a space"
"""The first line of a block that is to be read as a change of quickstart."""
WHOLE = ("benchmark", "method", "objective", "orders")
"""Tables that a part replaces; of all others it changes keys."""


def blocks() -> dict[str, str]:
    """Every block of TOML, by file and line."""
    found = {}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```toml\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
            line = text[: match.start()].count("\n") + 2
            found[f"{path.name}:{line}"] = match[1]
    return found


def completed(text: str) -> str:
    """A whole space: the text itself, or the quickstart with the part that the text is."""
    if not text.startswith(PART):
        return text
    space = tomllib.loads((ROOT / "search_spaces" / "quickstart.toml").read_text(encoding="utf-8"))
    part: dict[str, Any] = tomllib.loads(text)
    for key, value in part.items():
        space[key] = value if key in WHOLE or not isinstance(value, dict) else space.get(key, {}) | value
    return tomli_w.dumps(space)


def examples() -> list[str]:
    """The Python of the page about methods of one's own; a file's first line is its name."""
    text = (ROOT / "docs" / "new_method.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """The folder that the documentation starts in, with the files that it names."""
    folder = tmp_path_factory.mktemp("docs")
    files = {name[1]: text for text in examples() if (name := re.match(r"# (\w+\.py)\n", text))}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
    for name in files:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize("place", blocks())
def test_a_space_in_the_documentation_can_be_read(place, beside):
    text = blocks()[place]
    space = loads(completed(text), place)
    assert set(tomllib.loads(text)) <= set(space.canonical())


def test_there_are_blocks_and_one_with_a_mistake_is_told():
    assert len(blocks()) >= 5
    with pytest.raises(Exception, match="unknown key; did you mean rungs"):
        loads(completed(f"{PART}\n[search]\nrung = [5]\n"))


# ---------------------------------------------------------------- the table of methods
TABLE = re.findall(r"^\| `(\w+)` \|(.*)\|$", (ROOT / "docs" / "methods.md").read_text("utf-8"), re.MULTILINE)
ROWS = {name: [cell.strip() for cell in cells.split("|")] for name, cells in TABLE if cells.count("|") == 6}


def listed(cell: str, known: tuple[str, ...]) -> set[str]:
    return set(known) if cell == "all" else set(re.findall(r"`(\w+)`", cell))


def suited(method: Method, net: Network) -> bool:
    try:
        method.suits(net, torch.eye(5).bool())
    except ValueError:
        return False
    return True


def test_the_table_has_every_method():
    assert sorted(ROWS) == sorted(METHODS)
    assert {kind.__name__ for kind in METHODS.values()} <= set(nai.__all__)


@pytest.mark.parametrize("name", METHODS)
def test_a_row_of_the_table_says_what_the_method_says(name):
    method, (_, _, keeps, scenarios, models, without, source) = METHODS[name](), ROWS[name]
    assert listed(scenarios, get_args(Scenario)) == method.scenarios
    features = {"features": (1, 8, 8), "outputs": 10}
    able = {model for model, made in MODELS.items() if suited(method, made(**features))}
    assert listed(models, tuple(MODELS)) == able
    ways = {"`every`": {"every": 5}, "`fill`": {"fill": "step"}, "always": {}}
    own = {way: given for way, given in ways.items() if set(given) <= vars(method).keys()}
    free = [way for way, given in own.items() if not dataclasses.replace(method, **given).needs_boundaries]
    assert without == ("always" if "always" in free else [*free, "never"][0])
    where = world_of(load(Named.of("split", dataset="digits")), Named.of("mlp", widths=[100, 100]))
    lesson = begin(where, method, Seeds())
    numbers = sum(v.nbytes for part in (lesson.params, lesson.memory) for v in part.values()) / 4
    weights = sum(shape.numel() for shape in where.net.shapes().values())
    assert float(keeps) == pytest.approx(numbers / weights - 1, abs=0.0051)
    assert source or name in ("finetune", "joint")


# ---------------------------------------------------------------- a method of one's own
def test_the_method_is_short_and_forgets_less_than_finetuning(beside, capsys):
    (loop,) = [text for text in examples() if "nai.Trial(" in text]
    names: dict[str, Any] = {}
    exec(compile(loop, "docs/new_method.md", "exec"), names)
    assert str(names["accuracy"]) in capsys.readouterr().out
    assert names["accuracy"]["Hebb"] > names["accuracy"]["Finetune"] + 0.02
    assert len((beside / "hebb.py").read_text(encoding="utf-8").splitlines()) < 120


def test_the_method_sweeps_by_its_name(beside, tmp_path):
    (text,) = [text for text in blocks().values() if "hebb:Hebb" in text]
    small = ["training.epochs=1", "orders.count=2", "search.suggestions=2", "method.mas.search=false"]
    ended = session.run(loads(text, overrides=small), tmp_path / "out", engine="inline", track=False)
    assert ended.results["failed"] == 0
    tried = [one["settings"]["method"] for one in ended.results["search"]]
    assert len({one["strength"] for one in tried if one["name"] == "hebb:Hebb"}) == 2


def test_its_importance_is_the_mean_product_of_the_ends(beside):
    hebb = importlib.import_module("hebb")
    where = world()
    lesson = taught(where, hebb.Hebb(), (1,))
    read = where.source.inputs[where.train[1]]
    for layer, said in zip(where.net.hidden, oracles.activations(where, lesson.params, 1), strict=True):
        weight, bias = (lesson.memory[f"importance.{name}"] for name in layer.parameters)
        products = torch.stack([torch.outer(s.abs(), r.abs()) for s, r in zip(said, read, strict=True)])
        torch.testing.assert_close(weight, products.mean(0))
        torch.testing.assert_close(bias, said.abs().mean(0))
        read = said


def test_it_keeps_the_laws_by_the_test_that_is_shown(beside):
    shown = importlib.import_module("test_hebb")
    (mark,) = shown.test_law.pytestmark
    asked = [param.values for param in mark.args[1]]
    assert {law for _, law in asked} == set(asked[0][0].laws) and len(asked) > 15
    for case, law in asked:
        if law.name in case.untrue:
            with pytest.raises(ValueError, match="Hebb needs model mlp"):
                shown.test_law(case, law)
        else:
            shown.test_law(case, law)


def test_one_line_makes_it_a_method_of_the_package(beside, monkeypatch):
    hebb = importlib.import_module("hebb")
    monkeypatch.setitem(METHODS, "hebb", hebb.Hebb)
    assert method_of({"name": "hebb", "strength": 0.5}) == hebb.Hebb(0.5)
    assert [case.name for case in cases("hebb", hebb.Hebb)] == ["hebb"]
    assert {f.name for f in dataclasses.fields(hebb.Hebb)} == {"strength"}
