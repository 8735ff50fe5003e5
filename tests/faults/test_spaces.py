"""Spaces spoilt in thousands of ways: each is read, or refused with its places; nothing else ever happens."""

import copy
import itertools
import random
import sys
import tomllib

import pytest
import tomli_w
from tiny_sweeps import SPACE
from typer.testing import CliRunner

from sweep.cli import app
from sweep.cli_failures import INPUT
from sweep.space import Mistakes, loads

ODD = (
    *(True, False, 0, -1, 1.5, float("nan"), float("inf"), 2**63, 10**30),
    *("", "x", "\0", "../x", "a" * 300, "é", "<script>"),
    *([], {}, [[]], [{}], ["x"], [1, 2], {"x": {"y": 1}}),
    *({"low": 1}, {"choices": []}, {"choices": [1, "a", True]}),
    *({"low": 1, "high": 0, "log": True}, {"low": 0, "high": 1, "log": True}),
)
"""Values that some key somewhere cannot have."""
EVERY = 50
"""One spoilt space of so many also goes through the program."""


def places(table, above=()):
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def at(table, path):
    for key in path:
        table = table[key]
    return table


def misread(chance):
    """The space with one to three keys changed, dropped, misspelt, added or exchanged."""
    space = tomllib.loads(SPACE)
    for _ in range(chance.choice((1, 1, 2, 3))):
        *above, key = chance.choice(list(places(space)))
        table, how = at(space, above), chance.randrange(5)
        if how <= 1:
            table[key] = copy.deepcopy(chance.choice(ODD))
        elif how == 2:
            table[key + chance.choice("sx_ ")] = table.pop(key)
        elif how == 3:
            table.pop(key)
        else:
            table[key] = copy.deepcopy(at(space, chance.choice(list(places(space)))))
        if not space:
            break
    return tomli_w.dumps(space)


def misspelt(chance):
    """The text cut, with a character changed, or with a stretch of it twice."""
    start = chance.randrange(len(SPACE))
    end = chance.randrange(start, len(SPACE))
    odd = chance.choice("\0\"'[]{}=.#09\n\té\u2028")
    return (SPACE[:start], SPACE[:start] + odd + SPACE[start + 1 :], SPACE[:end] + SPACE[start:])[
        chance.randrange(3)
    ]


@pytest.mark.parametrize(("spoil", "count"), [(misread, 1000), (misspelt, 1000)])
def test_a_spoilt_space_is_read_or_refused_with_places_and_reasons(spoil, count, tmp_path):
    chance, refused, before = random.Random(13), 0, set(sys.modules)
    for number in range(count):
        text = spoil(chance)
        try:
            loads(text, "spoilt.toml")
        except Mistakes as wrong:
            refused += 1
            assert wrong.mistakes
            for one in wrong.mistakes:
                assert one.where.startswith("spoilt.toml") and one.rule, text
                assert one.key or ":" in one.where or one.rule.startswith("is empty"), (str(one), text)
            if refused % EVERY == 0:
                (tmp_path / "spoilt.toml").write_text(text, encoding="utf-8")
                refuses(tmp_path, number)
    assert refused > count // 2
    assert not {"ray", "mlflow"} & (sys.modules.keys() - before)


def refuses(folder, number):
    words = ("run", folder / "spoilt.toml", "--out", folder / f"out{number}")
    said = CliRunner().invoke(app, list(map(str, words)))
    assert said.exit_code == INPUT, said.output
    assert "Traceback" not in said.stderr and "nothing was run" in said.stderr
    assert not (folder / f"out{number}").exists()


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
    ended = CliRunner().invoke(app, words)
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
    from sweep.space import Space

    for odd in (lambda: None, bytearray(10), object(), itertools.count()):
        with pytest.raises(ValueError, match="strength"):
            Space.model_validate(tomllib.loads(SPACE) | {"method": {"name": "nai", "strength": odd}})
