"""Spaces spoilt in thousands of ways: each is read, or refused with its places; nothing else ever happens."""

import contextlib
import copy
import io
import itertools
import re
import sys
import tomllib

import pytest
import tomli_w
import typer
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from tiny_sweeps import SPACE
from typer.testing import CliRunner

from sweep import cli
from sweep.cli_failures import INPUT
from sweep.space import Mistakes, Space, loads

ODD = (
    *(True, False, 0, -1, 1.5, float("nan"), float("inf"), 2**63, 10**30),
    *("", "x", "\0", "../x", "a" * 300, "é", "<script>"),
    *([], {}, [[]], [{}], ["x"], [1, 2], {"x": {"y": 1}}),
    *({"low": 1}, {"choices": []}, {"choices": [1, "a", True]}),
    *({"low": 1, "high": 0, "log": True}, {"low": 0, "high": 1, "log": True}),
)
"""Values that some key somewhere cannot have."""
PLAIN = st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def places(table, above=()):
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def at(table, path):
    for key in path:
        table = table[key]
    return table


@st.composite
def misread(draw):
    """The space with one to three keys changed, dropped, misspelt, added or exchanged."""
    space = tomllib.loads(SPACE)
    for _ in range(draw(st.integers(1, 3))):
        *above, key = draw(st.sampled_from(list(places(space))))
        table = at(space, above)
        how = draw(st.sampled_from(("odd", "other", "misspelt", "dropped", "exchanged")))
        if how in ("odd", "other"):
            table[key] = copy.deepcopy(draw(st.sampled_from(ODD) if how == "odd" else NESTED))
        elif how == "misspelt":
            table[key + draw(st.sampled_from("sx_ ") | st.text(max_size=3))] = table.pop(key)
        elif how == "dropped":
            table.pop(key)
        else:
            table[key] = copy.deepcopy(at(space, draw(st.sampled_from(list(places(space))))))
        if not space:
            break
    return tomli_w.dumps(space)


@st.composite
def misspelt(draw):
    """The text cut, with a character changed, or with a stretch of it twice."""
    start = draw(st.integers(0, len(SPACE) - 1))
    end = draw(st.integers(start, len(SPACE) - 1))
    odd = draw(st.sampled_from("\0\"'[]{}=.#09\n\té\u2028") | st.characters(exclude_categories=["Cs"]))
    texts = (SPACE[:start], SPACE[:start] + odd + SPACE[start + 1 :], SPACE[:end] + SPACE[start:])
    return draw(st.sampled_from(texts))


class Reached(BaseException):
    """The space was read, and would be run."""


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """What `nai-sweep run` says to a text, None when it would run it; neither Ray nor MLflow is there."""

    def reached(wanted, out, **way):
        assert isinstance(wanted, Space)
        raise Reached

    monkeypatch.setattr("sweep.session.run", reached)
    for name in ("ray", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "spoilt.toml"

    def answer(text):
        path.write_text(text, encoding="utf-8", newline="")
        said = io.StringIO()
        with pytest.raises((typer.Exit, Reached)) as ended, contextlib.redirect_stderr(said):
            cli.run(str(path), tmp_path / "out")
        assert list(tmp_path.iterdir()) == [path]
        if ended.type is Reached:
            return None
        assert ended.value.exit_code == INPUT, said.getvalue()
        return said.getvalue().replace(str(path), "spoilt.toml")

    return answer


@pytest.mark.parametrize("spoilt", [misread(), misspelt()], ids=["misread", "misspelt"])
def test_a_spoilt_space_is_read_or_refused_with_places_and_reasons(spoilt, answer):
    """A thousand of each: every line of a refusal names the file and the key, or the line and column."""
    refused = []

    @examples(1000)
    @given(spoilt)
    def law(text):
        said = answer(text)
        refused.append(said is not None)
        if said is not None:
            words = [one for one in said.removesuffix("\n").split("\n") if not DOING.match(one)]
            *mistakes, last = words
            assert mistakes and re.fullmatch(rf"{len(mistakes)} mistakes? in .*, nothing was run", last)
            assert [one for one in mistakes if not PLACED.match(one)] == []

    law()
    assert len(refused) >= 1000 and sum(refused) > 500


DOING = re.compile(r"\[\d+:\d\d\] ")
"""How a line begins that says what the program is at, once and every ten seconds."""
PLACED = re.compile(r"spoilt\.toml(:\d+(:\d+)?  \S.*| +(\S.*: \S|is empty).*)")


ROWS = {
    "F42": ("method.strenght=1.0", "strenght: unknown key; did you mean strength?"),
    "F43": ("training.epochs=true", "training.epochs: must be a whole number, not true"),
    "F46": ("benchmark.dataset=digit", "did you mean digits?"),
    "F47": ("seeds={init=[], data=[]}", "there are no seeds, so nothing to run"),
    "F48": ("orders={design='list', orders=[[0, 0, 2, 3, 4]]}", "is not a permutation of the 5 tasks"),
    "F49": ("orders.count=121", "5 tasks have 120 orders, 121 asked"),
    "F50": ("method.strength={low=0.0, high=3.0, log=true}", "a log range starts above 0"),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_is_wrong_is_said_with_its_key_and_the_way_out_and_nothing_is_made(row, tmp_path):
    override, said = ROWS[row]
    (tmp_path / "space.toml").write_text(SPACE)
    out = tmp_path / "out"
    words = ["run", str(tmp_path / "space.toml"), "--out", str(out), "--set", override]
    ended = CliRunner().invoke(cli.app, words)
    assert ended.exit_code == INPUT and said in ended.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("written", "value"), [("1e-3", 0.001), ("0.001", 0.001), ("1", 1.0), ("1_0", 10.0), ("+0.5", 0.5)]
)
def test_numbers_are_those_of_toml_however_they_are_written(written, value):
    """What YAML would read as text, a time of day or an octal number is a number here, or refused."""
    space = loads(SPACE, overrides=[f"training.rate={written}"])
    assert space.first(space.methods[0].name)["training"]["rate"] == value


@pytest.mark.parametrize("written", ["010", "12:30", "no", "0x1p3"])
def test_what_is_no_number_in_toml_is_refused_where_a_number_belongs(written):
    with pytest.raises(Mistakes, match=r"training\.rate"):
        loads(SPACE, overrides=[f"training.rate={written}"])


def test_a_grid_of_a_billion_is_counted_and_not_built():
    ranges = [f"{key}={{choices={list(range(1, 1001))}}}" for key in ("training.epochs", "training.batch")]
    more = ["method.strength={choices=%s}" % [float(n) for n in range(1, 1001)]]
    space = loads(SPACE, overrides=[*ranges, *more, "search.sampler=grid", "search.suggestions=3"])
    assert space.search.suggestions == 3


def test_code_has_no_way_into_a_space_but_by_name():
    """A lambda or an array cannot be handed over: what workers are sent is names and numbers."""
    for odd in (lambda: None, bytearray(10), object(), itertools.count()):
        with pytest.raises(ValueError, match="strength"):
            Space.model_validate(tomllib.loads(SPACE) | {"method": {"name": "nai", "strength": odd}})
