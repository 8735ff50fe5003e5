"""The protocol of streams: its page names methods that can do it, and its space runs as it stands there."""

import dataclasses
import re
from pathlib import Path

import pytest

from nai.methods import METHODS
from nai.training import Training
from nai.trial import Named, Seeds, Trial, method_of, run
from sweep.space import read
from sweep.space.toml import shipped

PAGE = (Path(__file__).parents[2] / "docs" / "online.md").read_text(encoding="utf-8")
SPACE = read("online_digits")


def test_the_space_on_the_page_is_the_shipped_one():
    assert shipped()["online_digits"].read_text(encoding="utf-8") in PAGE


def test_methods_named_there_do_without_boundaries_as_it_says():
    rows = re.findall(r"^\| `(\w+)` \| (always|with `(\w+)` above 0) \|", PAGE, flags=re.MULTILINE)
    assert {name for name, *_ in rows} >= {"finetune", "online_si", "online_nai", "online_mas", "ewcpp"}
    for name, when, key in rows:
        method = METHODS[name]()
        assert method.needs_boundaries == (when != "always")
        if key:
            assert not dataclasses.replace(method, **{key: 7}).needs_boundaries


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
    last = [found.test[depth + 1, task] for depth, task in enumerate(trial.order)]
    assert min(last) > 0.5  # of ten classes, in 22 steps
