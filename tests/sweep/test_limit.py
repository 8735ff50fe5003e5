"""A worker's memory limit narrows its stacks and nothing else; what cannot fit is said at once."""

import pytest
from tiny_sweeps import inline, lasting, rows, tiny

from nai import trial
from sweep.limit import lessons


@pytest.fixture(scope="module")
def digits():
    return trial.load(trial.Named.of(**tiny().first()["benchmark"]))


def limited(digits, memory):
    return lessons(tiny(f"resources.memory={memory}", "model.widths=[400, 400]"), digits, 32)


def test_more_memory_never_makes_stacks_narrower_and_without_a_limit_they_are_as_wide_as_pays(digits):
    widths = [limited(digits, memory) for memory in (1.0, 1.2, 1.5, 2.0, 4.0, 64.0)]
    assert widths == sorted(widths) and widths[0] < 32 == widths[-1]
    assert lessons(tiny(), digits, 32) == 32


def test_a_limit_below_one_lesson_names_what_it_would_take(digits):
    with pytest.raises(ValueError, match=r"resources.memory 0.1 is less than the \d\.\d\d GB .* raise it"):
        limited(digits, 0.1)


def test_a_limit_changes_no_row(tmp_path):
    inline(tiny("resources.memory=1.0", "model.widths=[100]"), tmp_path / "narrow")
    inline(tiny("model.widths=[100]"), tmp_path / "wide")
    assert lasting(rows(tmp_path / "narrow")) == lasting(rows(tmp_path / "wide"))
