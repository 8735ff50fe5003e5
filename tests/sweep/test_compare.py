"""Several sweeps on one page: what is said on top is what the records of both say, where that is fair."""

import pytest
from made_rows import runs, settings, suggestion
from made_study import CONFIRM, SEARCH, SEEDS, TASKS
from read_page import Read

from sweep import analysis, report

STRONG = settings("ewc", strength=5.0)
WEAK = settings("nai", strength=0.1)


def swept(name, chosen, **given):
    """A sweep of one method, confirmed on all orders and seeds."""
    rows = runs(chosen, CONFIRM, SEEDS, **given)
    asked = analysis.Asked(
        name,
        SEARCH,
        SEEDS[:1],
        CONFIRM,
        SEEDS,
        expected=len(rows),
        contests=(),
        baselines=(suggestion(chosen),),
    )
    return report.Compared(name, analysis.results(rows, asked), rows, report.PageFacts("", tasks=TASKS))


@pytest.fixture(scope="module")
def strong():
    return swept("strong", STRONG, loss=0.02)


@pytest.fixture(scope="module")
def weak():
    return swept("weak", WEAK, loss=0.08, salt=1)


def text(*group):
    return Read(report.compare(group)).text


def test_the_top_says_how_far_the_better_is_ahead_whichever_comes_first(strong, weak):
    pair = analysis.paired(*(analysis.arms(one.rows)[0] for one in (strong, weak)), CONFIRM, SEEDS)
    assert pair.mean > pair.half > 0
    said = (
        f"ewc of strong is {100 * pair.mean:.2f} ± {100 * pair.half:.2f} points above nai of weak, "
        f"on the same {len(CONFIRM)} orders and {len(SEEDS)} seeds, and better in 100 % of the orders."
    )
    assert said in text(strong, weak) and said in text(weak, strong)
    assert "cannot tell" not in text(strong, weak)


def test_of_several_the_nearest_is_named(strong, weak):
    near = swept("near", settings("si", strength=1.0), loss=0.03, salt=2)
    assert "points above the next, si of near," in text(weak, strong, near)


def test_a_difference_that_may_be_none_is_said_to_be(strong):
    twin = swept("twin", settings("mas", strength=1.0), loss=0.02, salt=3)
    assert "These runs cannot tell that from no difference." in text(strong, twin)


def test_sweeps_of_other_training_are_set_against_none(strong):
    other = swept("other", STRONG | {"training": {"epochs": 1}}, loss=0.08)
    said = text(strong, other)
    assert "None of these may be set against another." in said
    assert "strong and other differ in training: their figures answer two questions." in said


def test_without_anything_to_keep_in_mind_there_is_no_band_for_it(strong, weak):
    assert "What to keep in mind" not in report.compare([strong, weak])


def test_one_sweep_alone_is_counted_as_one_and_has_nothing_to_be_ahead_of(strong):
    assert "1 sweep side by side strong" in text(strong)
