"""Panels on several methods, rungs, two goals and hunts: they say what the results hold."""

import itertools

import pytest
from made_rows import runs, settings, suggestion
from read_page import Read

from sweep import analysis, report

EVERY = tuple(itertools.permutations(range(4)))
SEARCH, CONFIRM = EVERY[:6], EVERY[6:18]
SEEDS = ((0, 0), (1, 1))
LOSSES = {0.01: 0.05, 0.1: 0.01, 1.0: 0.03}
NAI = {strength: settings("nai", strength=strength) for strength in LOSSES}
EWC = {strength: settings("ewc", strength=strength) for strength in LOSSES}
DROPPED = 0.01
HUNTED = EVERY[::-1][:5]


def rows():
    found = []
    for salt, method in enumerate((NAI, EWC)):
        for strength, loss in LOSSES.items():
            orders = SEARCH[:2] if strength == DROPPED else SEARCH
            found += runs(method[strength], orders, SEEDS[:1], loss=loss * (1 + salt))
        found += runs(method[0.1], CONFIRM, SEEDS, loss=0.01 * (1 + salt))
    return found + runs(NAI[0.1], HUNTED, SEEDS[:1], loss=0.01)


def contest(method):
    names = {strength: suggestion(one) for strength, one in method.items()}
    chosen = NAI if method is NAI else EWC
    return analysis.Contest(
        "nai" if chosen is NAI else "ewc", tuple(names.values()), {names[DROPPED]: 2}, (names[0.1],)
    )


def asked():
    hunt = analysis.Hunt(suggestion(NAI[0.1]), SEEDS[0], True, HUNTED, 20, 14, reference=CONFIRM[:3])
    return analysis.Asked(
        "made",
        SEARCH,
        SEEDS[:1],
        CONFIRM,
        SEEDS,
        expected=len(rows()),
        contests=(contest(NAI), contest(EWC)),
        goals=(analysis.Goal(), analysis.Goal(aggregate="std")),
        rungs=(2, 6),
        hunts=(hunt,),
        saved=(36, 28),
        until={"tail": 0.25},
    )


@pytest.fixture(scope="module")
def found():
    return analysis.results(rows(), asked())


@pytest.fixture(scope="module")
def page(found):
    return Read(report.render(found, rows(), report.PageFacts("nai-sweep run made.toml")))


def test_methods_stand_side_by_side_and_say_how_they_were_tuned(page):
    assert "Gain over nai" in page.text
    assert page.text.count("strength=0.1 (best of 3, ") == 2
    assert (
        "validation accuracy (mean) and accuracy (standard deviation over orders) over 6 search orders"
        in (page.text)
    )


def test_the_course_of_the_search_shows_every_suggestion_by_number(page, found):
    whole, dropped, *_ = page.charts()["course-1"]["data"]
    assert (whole["name"], whole["x"]) == ("nai", [1.0, 2.0])
    assert (dropped["name"], dropped["x"]) == ("nai: dropped early", [0.0])
    best = next(one for one in found["search"] if one["suggestion"] == found["best"]["suggestion"])
    assert whole["y"][0] == pytest.approx(100 * best["mean"])
    assert dropped["marker"]["symbol"].endswith("-open")


def test_what_the_rungs_saved_is_on_the_page(page):
    assert "The rules saved 8 of 36 runs of the full grid, 22.2 %" in page.text
    assert "dropped: 2 after 2 orders" in page.text


def test_the_front_joins_what_nothing_beats(page, found):
    front = page.charts()["pareto-1"]["data"][-1]
    best = sorted(one["values"] for one in found["search"] if one["suggestion"] in found["front"])
    assert len(best) == 1  # EWC's best has a front of its own, but NAI's beats it in both goals
    assert front["x"] == pytest.approx([100 * values[0] for values in best])
    assert front["y"] == pytest.approx([100 * values[1] for values in best])


def test_each_method_has_a_curve_of_its_own(page):
    assert {"curve-1", "curve-2"} <= page.charts().keys()


def test_a_hunt_shows_its_course_beside_random_orders(page, found):
    hunted, random = page.charts()["hunts-1"]["data"]
    (one,) = found["hunts"]
    assert hunted["y"] == pytest.approx([100 * value for value in one["course"]])
    assert random["y"] == pytest.approx([100 * one["expected"]] * 2)
    assert "How bad is the worst order?" in page.text
    assert "14 of 20" in page.text


def test_the_page_says_whether_the_orders_are_enough(page, found):
    # One of the worst 6 of 24 is among 9 orders with 95 %: 12 are enough.
    assert found["until"]["arms"][0]["needed"] == 9
    assert (
        "Asked was one order of the worst 25.0 % with 95 % certainty: these orders are enough." in page.text
    )
