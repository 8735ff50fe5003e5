"""`search` in a method's table: the ranges that methods ship, written out when the space is read."""

import dataclasses

import pytest

from nai.methods import METHODS, Method
from nai.methods.base import Span
from sweep import catalogue
from sweep.space import Choice, Mistakes, Range, loads

SPACE = """
name = "ranges"
[benchmark]
name = "split"
dataset = "digits"
classes = 2
[model]
name = "mlp"
[orders]
design = "random"
count = 3
[search]
suggestions = 2
"""


def searched(tables, *overrides):
    space = loads(SPACE + tables, "ranges.toml", overrides)
    return {k.removeprefix("method."): v for k, v in space.parameters().items()}


def mistake(tables, *overrides):
    with pytest.raises(Mistakes) as caught:
        loads(SPACE + tables, "ranges.toml", overrides)
    (one,) = caught.value.mistakes
    return str(one)


@pytest.mark.parametrize("name", [name for name, kind in METHODS.items() if kind.ranges])
def test_search_is_every_shipped_range(name):
    scenario = sorted(METHODS[name].scenarios)[0]
    space = f'[method]\nname = "{name}"\nsearch = true\n[training]\nepochs = {METHODS[name].least_epochs}\n'
    found = searched(space, f"benchmark.scenario={scenario}")
    for key, span in METHODS[name].ranges.items():
        if isinstance(span, Span):
            assert (found[key].low, found[key].high, found[key].log) == span
        else:
            assert found[key].choices == span
    assert found.keys() == METHODS[name].ranges.keys()


def test_what_the_table_gives_itself_is_not_replaced():
    choices = 'normalization = {choices = ["none", "layer_max"]}'
    own = f'[method]\nname = "nai"\nsearch = true\nstrength = 0.5\n{choices}\n'
    found = searched(own)
    assert found["normalization"].choices == ("none", "layer_max")
    assert found.keys() == {"normalization", "reset", "importance_source"}
    assert searched(own, 'method.reset="none"').keys() == {"normalization", "importance_source"}


def test_a_list_names_what_is_searched():
    assert searched('[method]\nname = "nai"\nsearch = ["strength"]\n').keys() == {"strength"}
    assert searched('[method]\nname = "nai"\nsearch = true\n', "method.search=false") == {}
    assert searched('[method]\nname = "mas"\nsearch = true\n', "method.strength=1.0") == {}


def test_each_of_several_methods_has_its_own():
    space = loads(
        SPACE + '[[method]]\nname = "si"\nsearch = true\n[[method]]\nname = "mas"\nsearch = ["strength"]\n'
    )
    ends = [space.parameters(name)["method.strength"] for name in ("si", "mas")]
    assert [(r.low, r.high, r.log) for r in ends] == [METHODS[n].ranges["strength"] for n in ("si", "mas")]


def test_a_space_holds_its_ranges_whatever_is_shipped_later(monkeypatch):
    space = loads(SPACE + '[method]\nname = "si"\nsearch = true\n')
    monkeypatch.setattr(METHODS["si"], "ranges", {"strength": Span(1.0, 2.0)})
    assert loads(space.to_toml()) == space
    assert "search" not in space.canonical()["method"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            'name = "nai"\nsearch = "all"',
            'method.search: must be true, or a list of settings such as ["strength"], not "all"',
        ),
        ('name = "nai"\nsearch = []', "must be true, or a list"),
        (
            'name = "finetune"\nsearch = true',
            "finetune has no settings, so nothing to search: leave search out",
        ),
        (
            'name = "er_probe"\nsearch = true',
            "er_probe ships no ranges: write one out, such as {low = 0.1, high = 10.0}, of size, replay,",
        ),
        (
            'name = "nai"\nsearch = ["strenght"]',
            "nai ships no range of strenght, but of strength, normalization, reset",
        ),
        (
            'name = "nai"\nsearch = ["eps"]',
            "nai ships no range of eps, but of strength, normalization, reset, importance_source",
        ),
        ('name = "mas"\nsearch = ["strength"]\nstrength = 1.0', "strength is given in this table as well"),
        ('name = "nay"\nsearch = true', "unknown method nay; did you mean nai?"),
        ("search = true", "method.name: is missing"),
    ],
)
def test_mistakes_name_the_way_out(table, words):
    found = mistake(f"[method]\n{table}\n")
    assert words in found and found.startswith("ranges.toml:")


@dataclasses.dataclass(frozen=True)
class Mine(Method):
    """A method of one's own."""

    kind: str = "plain"
    share: float = 0.5
    depth: int = 1

    acts_with = {"share": ("kind", ("mixed", "bent"))}  # noqa: RUF012
    ranges = {"kind": ("plain", "mixed"), "share": Span(0.0, 1.0), "depth": Span(1, 4)}  # noqa: RUF012


@pytest.fixture
def mine(monkeypatch):
    monkeypatch.setitem(METHODS, "mine", Mine)
    return '[method]\nname = "mine"\nsearch = true\n'


def test_every_method_with_settings_ships_ranges_but_the_control_that_has_co2l_s():
    bare = {name for name, kind in METHODS.items() if dataclasses.fields(kind) and not kind.ranges}
    assert bare == {"er_probe"}


def test_a_setting_that_hangs_on_a_searched_one_exists_with_its_values_alone(mine):
    found = searched(mine)
    assert found["share"].when == {"method.kind": ("mixed",)}
    assert found["depth"] == Range(low=1, high=4) and found["depth"].whole
    assert found["kind"] == Choice(choices=("plain", "mixed"))


def test_a_setting_asked_for_that_nothing_reads_is_a_mistake(mine):
    words = "share: acts only with kind 'mixed' or 'bent': leave it out"
    assert words in mistake(mine, 'method.search=["share"]')


@pytest.mark.parametrize("given", ["[{a = 1}]", "{choices = 3}", "{low = 1, high = 2}", "{choices = [[1]]}"])
def test_a_mistake_in_the_one_that_it_hangs_on_is_told_as_that(mine, given):
    with pytest.raises(Mistakes, match=r"method\.kind"):
        loads(f"{SPACE}{mine}kind = {given}\n")


def test_a_setting_that_hangs_on_a_written_one_is_searched_where_it_acts(mine):
    assert searched(mine, 'method.kind="bent"')["share"] == Range(low=0.0, high=1.0)
    assert searched(mine, 'method.kind="plain"').keys() == {"depth"}


def test_ranges_are_listed():
    ranges = {e.name: dict(e.ranges) for e in catalogue.entries("methods")}
    assert ranges["mas"] == {"strength": (0.002, 200.0, True)}
    assert ranges["nai"]["reset"] == METHODS["nai"].ranges["reset"]
    assert ranges["finetune"] == {}
