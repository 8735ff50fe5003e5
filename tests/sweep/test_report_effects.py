"""Panels made of the analysis' tables: they draw what the tables hold, and are left out without them."""

import numpy as np
import pytest
from made_study import SEARCH, TASKS, asked, found, made
from read_page import Read

from sweep import analysis, report
from sweep.look import PANELLED, _tables
from sweep.report.effect_panels import precedence
from sweep.report.sheet import Page

PANELS = {"variance", "precedence", "nearness", "agreement", "tradeoff"}


@pytest.fixture(scope="module")
def tables():
    return _tables(made(), asked(made()), None)


@pytest.fixture(scope="module")
def seen(tables):
    facts = report.PageFacts("", tasks=TASKS, tables=tables)
    read = Read(report.render(found(made()), made(), facts))
    read.drawn = read.charts()
    return read


def sections(read):
    return {attrs["id"] for attrs in read.all("section")}


def test_panels_are_there_with_their_tables_and_not_without(seen, tables):
    assert set(tables) == {*PANELLED, "search_tradeoff"}
    assert sections(seen) >= PANELS
    bare = Read(report.render(found(made()), made(), report.PageFacts("")))
    assert sections(bare) & PANELS == set()


def test_parts_of_the_variance_are_those_of_the_components(seen, tables):
    bars = {
        trace["name"]: dict(zip(trace["y"], trace["x"], strict=True))
        for trace in seen.drawn["variance-1"]["data"]
    }
    first = next(line for line in tables["components"] if line["over"] == "nai strength=0.1")
    for part in ("order", "seed", "rest"):
        assert bars[part]["nai"] == pytest.approx(100 * first[part])
    assert first["advice"] in seen.text


def test_precedence_leaves_what_is_within_the_noise_white():
    def line(task, other, effect, half):
        return {
            "suggestion": name,
            "task": task,
            "predecessor": other,
            "ahead": "before",
            "effect": effect,
            "half": half,
        }

    results = found(made())
    name = results["table"][0]["suggestion"]
    lines = [line(0, 1, -0.2, 0.1), line(1, 0, 0.05, 0.1), line(1, 2, 0.3, None), line(2, 1, 0.0, None)]
    panel = precedence(Page.of(results, made(), TASKS, {"predecessors": lines}))
    cells = panel.figures[0].chart["data"][0]["z"]
    assert cells == [[None, -20.0, None], [None, None, 30.0], [None, 0.0, None]]
    assert f"{TASKS[0]} is harmed most by {TASKS[1]} before it: −20.00 points" in panel.note
    assert panel.figures[0].chart["data"][0]["zmin"] == -30.0


def test_the_front_of_the_trade_is_that_of_all_settings_tried(seen, tables):
    front = seen.drawn["tradeoff-1"]["data"][-1]
    best = [line for line in tables["search_tradeoff"] if line["front"] == 1]
    assert sorted(front["x"]) == pytest.approx(sorted(100 * line["plasticity"] for line in best))
    dots = seen.drawn["tradeoff-1"]["data"][0]
    assert len(dots["x"]) == 3  # all strengths of the search


def test_distances_are_of_the_best_method(seen, tables):
    (dots,) = seen.drawn["nearness-1"]["data"]
    name = found(made())["table"][0]["suggestion"]
    known = [
        line for line in tables["distances"] if line["suggestion"] == name and line["accuracy"] is not None
    ]
    assert dots["x"] == [line["distance"] for line in known]
    assert np.array(dots["y"]) == pytest.approx([100 * line["accuracy"] for line in known])


def test_agreement_says_whether_the_best_depends_on_the_order(seen, tables):
    for line in (*tables["agreement"], *tables["search_agreement"]):
        assert line["says"].partition(" One seed:")[0] in seen.text
    assert "With one seed its chance is in the answer, too." in seen.text
    assert "settings of nai (search)" in seen.text


def test_before_anything_is_judged_agreement_is_of_the_search_and_said_once():
    rows = [one for one in made() if tuple(one["order"]) in SEARCH]
    begun = _tables(rows, asked(rows), None)
    assert [line["over"] for line in begun["agreement"]] == ["settings of nai"]  # of the search, too
    facts = report.PageFacts("", tasks=TASKS, tables=begun)
    text = Read(report.render(found(rows), rows, facts)).text
    assert text.count("settings of nai (search)") == text.count("settings of nai") == 1


def test_importance_shows_mean_and_worst_side_by_side():
    line = {"method": "nai", "setting": "method.strength", "mean": 0.75, "worst": 0.5}
    given = {"importance": [line | {"suggestions": 9, "left_out": 1}]}
    text = report.render(found(made()), made(), report.PageFacts("", tables=given))
    bars = Read(text).charts()["importance-1"]["data"]
    assert [(bar["name"], bar["x"]) for bar in bars] == [("mean", [75.0]), ("worst", [50.0])]
    assert [bar["y"] for bar in bars] == [["nai: strength"]] * 2


def test_the_tables_are_known_to_the_analysis():
    assert set(PANELLED) <= set(analysis.TABLES)
