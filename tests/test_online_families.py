"""The comparison of three families: its records say what its page says, and its example runs."""

import runpy
import sys
from pathlib import Path

import pytest

from nai.methods import METHODS
from sweep.space import read

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
REPLAY = {"er", "mir", "derpp"}


@pytest.fixture(scope="module")
def found():
    from head_to_head import beside

    return beside(ROOT / "docs" / "studies" / "online_families", "er")


def test_replay_is_above_every_other_family_by_more_than_chance(found):
    assert {one.method for one in found} == {one.name for one in read("online_families").methods} | {
        "finetune",
        "joint",
    }
    for one in found:
        if one.method not in REPLAY | {"joint"}:
            assert one.gain - one.gain_half > 40 and one.won == 1
    assert all(one.accuracies.shape == (20,) for one in found)


def test_the_page_shows_the_table_of_the_records(found):
    from head_to_head import markdown

    assert markdown(found, "er") in (ROOT / "docs" / "online.md").read_text(encoding="utf-8")


def test_every_family_is_there():
    names = {one.name for one in read("online_families").methods}
    assert names >= REPLAY | {"online_si", "ewcpp", "online_nai", "cwr_star", "ar1_star"}
    assert names <= METHODS.keys()


def test_the_example_shows_replay_ahead(capsys):
    runpy.run_path(str(ROOT / "examples" / "online_families.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    gains = [float(line.split(" by ")[1].split()[0]) for line in lines if line.startswith("replay is better")]
    assert len(gains) == 2 and min(gains) > 10
