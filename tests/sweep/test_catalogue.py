"""What can be listed is what a space may name, neither less nor more."""

from typing import get_args

import pytest

from sweep import catalogue
from sweep.space import Objective, Search


@pytest.mark.parametrize(
    ("kind", "table", "key"),
    [
        ("samplers", Search, "sampler"),
        ("stopping", Search, "stopping"),
        ("protocols", Search, "protocol"),
        ("aggregates", Objective, "aggregate"),
    ],
)
def test_what_a_key_takes_is_listed_with_a_line_each(kind, table, key):
    entries = catalogue.entries(kind)
    assert tuple(e.name for e in entries) == get_args(table.model_fields[key].annotation)
    assert all(e.says.endswith(".") and "\n" not in e.says for e in entries)


def test_texts_are_of_what_exists():
    told = catalogue.SAMPLERS | catalogue.STOPPING | catalogue.PROTOCOLS | catalogue.AGGREGATES
    listed = [
        e.name for k in ("samplers", "stopping", "protocols", "aggregates") for e in catalogue.entries(k)
    ]
    assert set(told) <= set(listed)


def test_rules_are_listed_with_the_keys_that_they_alone_read():
    settings = {e.name: dict(e.settings) for e in catalogue.entries("stopping")}
    assert settings["race"] == settings["wilcoxon"] == {"level": 0.05}
    assert (settings["percentile"], settings["asha"], settings["none"]) == ({"keep": 0.25}, {"eta": 3}, {})
    (continual,) = (e for e in catalogue.entries("protocols") if e.name == "continual")
    assert dict(continual.settings)["rates"] == (0.01, 0.003, 0.001, 0.0003, 0.0001)


def test_a_kind_that_is_none_names_those_there_are():
    with pytest.raises(
        ValueError, match=r"'rules' cannot be listed: choose from methods, .*stopping, protocols"
    ):
        catalogue.entries("rules")
