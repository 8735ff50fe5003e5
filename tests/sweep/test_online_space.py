"""The protocol of streams: its page names methods that can do it, and its space runs as it stands there."""

import dataclasses
import re
from pathlib import Path

import pytest
from worlds import blobs, differing, taught, world

from nai.methods import METHODS
from nai.training import Training
from nai.trial import Named, Seeds, Trial, method_of, run
from sweep.space import read
from sweep.space.toml import shipped

PAGE = (Path(__file__).parents[2] / "docs" / "online.md").read_text(encoding="utf-8")
SPACE = read("online_digits")


def test_the_space_on_the_page_is_the_shipped_one():
    assert shipped()["online_digits"].read_text(encoding="utf-8") in PAGE


def stated():
    """The methods of the table, each as it needs no boundaries, by what the table says."""
    rows = re.findall(r"^\| `(\w+)` \| (always|with `(.+)`(?: above 0)?) \|", PAGE, flags=re.MULTILINE)
    found = {}
    for name, when, asked in rows:
        key, _, value = asked.partition(" = ")
        given = {} if when == "always" else {key: value.strip('"') or 3}
        found[name] = dataclasses.replace(METHODS[name](), **given)
        assert bool(given) == METHODS[name]().needs_boundaries
    return found


def test_the_page_names_every_method_that_does_without_boundaries():
    for name, kind in METHODS.items():
        keys = {f.name for f in dataclasses.fields(kind)}
        ways = [{"every": 3}] * ("every" in keys) + [{"fill": "step"}] * ("fill" in keys)
        able = any(not dataclasses.replace(kind(), **way).needs_boundaries for way in ({}, *ways))
        assert able == (name in stated()), name


@pytest.mark.parametrize("name", stated())
def test_they_learn_the_same_where_boundaries_are_known(name):
    method, where = stated()[name], world(blobs((50, 33, 61), classes=3, scenario="domain"))
    assert not method.needs_boundaries
    blind = Training(epochs=1, batch=10, optimizer="kept", boundaries="hidden")
    hidden = taught(where, method, (2, 0, 1), training=blind)
    known = dataclasses.replace(blind, boundaries="known")
    assert not differing(hidden, taught(where, method, (2, 0, 1), training=known))


@pytest.mark.parametrize("name", [one.name for one in SPACE.methods])
def test_every_method_of_the_space_learns_from_the_stream(name):
    settings = SPACE.first(name)
    trial = Trial(
        Named.of(**settings["benchmark"]),
        Named.of(**settings["model"]),
        method_of(settings["method"]),
        Training(**settings["training"]),
        order=(3, 0, 4, 1, 2),
        seeds=Seeds(1, 1),
    )
    assert trial.training.boundaries == "hidden"
    assert not trial.method.needs_boundaries
    found = run(trial).result
    assert found.error is None
    assert found.test[1, trial.order[0]] > 0.8  # of ten classes, in 22 steps
