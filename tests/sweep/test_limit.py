"""A worker's memory limit narrows its stacks and nothing else; what cannot fit is said at once."""

import pytest
from tiny_sweeps import inline, lasting, rows, tiny

from nai import trial
from sweep import session
from sweep.limit import lessons
from sweep.watch import Watch


@pytest.fixture(scope="module")
def digits():
    return trial.load(trial.Named.of(**tiny().first()["benchmark"]))


def limited(digits, memory):
    return lessons(tiny(f"resources.memory={memory}", "model.widths=[400, 400]"), digits, 32)


def test_more_memory_never_makes_stacks_narrower_and_without_a_limit_they_are_as_wide_as_pays(digits):
    widths = [limited(digits, memory) for memory in (1.3, 1.4, 1.6, 2.0, 4.0, 64.0)]
    assert widths == sorted(widths) and widths[0] < 32 == widths[-1]
    assert lessons(tiny(), digits, 32) == 32


def test_a_limit_below_one_lesson_names_what_it_would_take(digits):
    with pytest.raises(ValueError, match=r"resources.memory 0.1 is less than the \d\.\d\d GB .* raise it"):
        limited(digits, 0.1)


def limited_at(address, *overrides):
    space, way = tiny("model.widths=[100, 100]", *overrides), session.Way(address=address)
    benchmark, grain = session._loaded(space, Watch(), way)
    return session._limited(space, benchmark, grain, way).stack


@pytest.mark.parametrize("memory", [1.6, 16.0])
def test_workers_of_a_cluster_have_stacks_as_wide_as_those_of_this_machine(memory):
    there, here = (limited_at(one, f"resources.memory={memory}") for one in ("10.0.0.1:6379", None))
    assert there == here > 1


def test_memory_of_the_host_narrows_no_stack_on_a_card_which_need_not_be_here(digits):
    card = ("resources.gpus=1", "resources.device='cuda'")
    assert limited_at("10.0.0.1:6379", "resources.memory=16.0", *card) == "auto"
    assert lessons(tiny("resources.memory=16.0"), digits, 32, card=True) is None
    with pytest.raises(ValueError, match=r"resources.memory 0.1 is less than"):
        limited_at("10.0.0.1:6379", "resources.memory=0.1", *card)


def test_a_limit_changes_no_row(tmp_path):
    inline(tiny("resources.memory=1.3", "model.widths=[100]"), tmp_path / "narrow")
    inline(tiny("model.widths=[100]"), tmp_path / "wide")
    assert lasting(rows(tmp_path / "narrow")) == lasting(rows(tmp_path / "wide"))
