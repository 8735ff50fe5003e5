"""Panels of many methods: short names, the best first, tables in colours where lines would be a tangle."""

import numpy as np
import pytest
from made_rows import runs, settings, suggestion
from made_study import CONFIRM, SEARCH, SEEDS, TASKS
from read_page import Read

from sweep import analysis, report
from sweep.report import figures, order_figures
from sweep.report.floors import floor_columns, floor_note
from sweep.report.panels import PANELS
from sweep.report.search_panels import course
from sweep.report.seed_panel import seeds
from sweep.report.sheet import Page, number
from sweep.report.slice_panel import slices

LOSSES = {"nai": 0.03, "ewc": 0.05, "si": 0.02, "mas": 0.06, "lwf": 0.01, "rwalk": 0.04}
FINETUNE = settings("finetune")


def rows():
    found = runs(FINETUNE, CONFIRM, SEEDS, loss=0.1, salt=9)
    for salt, (method, loss) in enumerate(LOSSES.items()):
        found += runs(settings(method, strength=1.0), CONFIRM, SEEDS, loss=loss, salt=salt)
        found += runs(settings(method, strength=1.0), SEARCH, SEEDS[:1], loss=loss, salt=salt)
        found += runs(settings(method, strength=2.0), SEARCH[:2], SEEDS[:1], loss=loss * 2, salt=salt)
    return found


def contest(method):
    names = tuple(suggestion(settings(method, strength=strength)) for strength in (1.0, 2.0))
    return analysis.Contest(method, names, {names[1]: 2}, names[:1])


@pytest.fixture(scope="module")
def found():
    asked = analysis.Asked(
        "many",
        SEARCH,
        SEEDS[:1],
        CONFIRM,
        SEEDS,
        expected=len(rows()),
        baselines=(suggestion(FINETUNE),),
        contests=tuple(map(contest, LOSSES)),
    )
    return analysis.results(rows(), asked)


@pytest.fixture(scope="module")
def page(found):
    return Page.of(found, rows(), TASKS)


@pytest.fixture(scope="module")
def charts(found):
    return Read(report.render(found, rows(), report.PageFacts("", tasks=TASKS))).charts()


def test_the_best_mean_comes_first_and_the_leader_is_who_the_search_chose(page, found):
    means = [one.line["mean"] for one in page.judged]
    assert means == sorted(means, reverse=True)
    assert {one.name for one in page.judged} == {*LOSSES, "finetune"}  # methods are names enough
    assert page.leader.line["suggestion"] == found["best"]["suggestion"]


def test_a_method_that_is_there_twice_has_its_settings_in_its_name(found):
    twice = [*found["table"], {**found["table"][0], "suggestion": suggestion(settings("lwf", strength=2.0))}]
    names = Page.of({**found, "table": twice}, rows(), TASKS).names
    assert sorted(names.values())[:5] == ["ewc", "finetune", "lwf strength=1", "lwf strength=1", "mas"]


def test_each_baseline_and_the_best_have_a_chart_of_gains_over_them(page, found):
    (panel,) = [made for make in PANELS if (made := make(page)) and made.key == "accuracy"]
    assert [figure.title for figure in panel.figures] == ["Gain over finetune", "Gain over lwf"]
    drawn = panel.figures[0].chart["data"]
    gains = {pair["suggestion"]: pair for pair in found["paired"] if pair["baseline"] == suggestion(FINETUNE)}
    best = max(gains.values(), key=lambda pair: pair["mean"])
    assert drawn[0]["x"] == pytest.approx([100 * best["mean"]])
    assert [one["x"][0] for one in drawn] == sorted((one["x"][0] for one in drawn), reverse=True)


def test_a_gain_that_is_none_for_sure_is_hollow():
    given = [("up", 1.0, 0.5), ("down", -1.0, 0.5), ("unsure", 0.4, 0.5), ("one seed", 3.0, None)]
    drawn = order_figures.gains([order_figures.Gain(*one, "") for one in given])["data"]
    assert [one["marker"]["symbol"] for one in drawn] == ["circle", "diamond", "circle-open", "circle-open"]


def test_of_many_methods_ranges_and_places_are_tables(charts, page):
    ranges, places = charts["fragile-1"]["data"][0], charts["position-3"]["data"][0]
    assert ranges["type"] == places["type"] == "heatmap"
    assert ranges["x"][-2:] == ["AOPD", "MOPD"]
    for line, one in zip(ranges["z"], page.judged, strict=True):
        final = 100 * one.runs.matrices[:, :, -1].mean(1)
        opd = final.max(0) - final.min(0)
        assert line == pytest.approx([*opd, opd.mean(), opd.max()], abs=1e-3)
    first = page.judged[0].runs
    at = [[matrix[-1, order[1]] for order, matrix in zip(first.orders, first.matrices.mean(1), strict=True)]]
    tasks = {order[1] for order in first.orders}
    by_task = [
        np.mean([value for value, o in zip(at[0], first.orders, strict=True) if o[1] == t]) for t in tasks
    ]
    assert places["z"][0][1] == pytest.approx(100 * np.mean(by_task), abs=1e-3)


def test_the_course_of_many_searches_is_what_each_lacks_of_its_best(page):
    panel = course(page)
    (heat,) = panel.figures[0].chart["data"]
    assert heat["y"] == list(LOSSES)
    assert heat["z"] == [[0.0, None]] * 6  # the second of each was dropped after two orders
    assert "6 of 12 ran on all 6 search orders" in panel.note


def test_marks_of_a_row_stand_in_its_order():
    chart = order_figures.marks(["b", "a"], [("one", [("a", 1.0)]), ("two", [("b", 2.0)])], "points")
    assert chart["layout"]["yaxis"]["categoryarray"] == ["b", "a"]
    assert [(trace["y"], trace["x"]) for trace in chart["data"]] == [(["a"], [1.0]), (["b"], [2.0])]
    assert len({trace["marker"]["symbol"] for trace in chart["data"]}) == 2


def test_many_columns_have_no_numbers_and_few_have_a_place_more():
    texts = {}
    for count in (5, 8, 12, 13):
        columns = [str(number) for number in range(count)]
        chart = figures.heat([[1.0] * count], lines=["a"], columns=columns, span=(0, 1), axis="")
        texts[count] = chart["data"][0]["texttemplate"]
    assert texts == {5: "%{z:.1f}", 8: "%{z:.1f}", 12: "%{z:.0f}", 13: ""}


def test_the_noise_floor_stands_beside_the_ranges(found):
    name = found["best"]["suggestion"]
    line = {"suggestion": name, "nets": 3, "nets_failed": 1, "nets_missing": 0}
    tables = {"tasks": [line | {"task": task, "floor": floor} for task, floor in enumerate((0.01, 0.03))]}
    given = Page.of(found, rows(), TASKS, tables)
    assert floor_columns(given, given.judged) == [("noise floor of lwf", ["1.00", "3.00", "–", "–"])]
    assert "would show 2.00 points of AOPD by chance (noise floor, 8 nets, 2 of them failed" in floor_note(
        given
    )
    assert floor_note(Page.of(found, rows(), TASKS)) == ""


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0164, "0.0164"), (242.3, "242"), (2012.4, "2012"), (2.5e7, "2.5e+07")]
)
def test_settings_are_written_without_a_power_of_ten_where_that_is_short(value, shown):
    assert number(value) == shown


def test_each_seed_is_shown_by_itself(found):
    name = found["best"]["suggestion"]
    line = {"suggestion": name, "aopd": 0.1, "mopd": 0.2, "orders": 12, "failed": 1, "missing": 0}
    lines = [
        line | {"seed_init": 0, "seed_data": 0, "mean": 0.9, "worst": 0.8, "worst_order": [3, 2, 1, 0]},
        line | {"seed_init": 1, "seed_data": 1, "mean": 0.7, "worst": 0.6, "worst_order": [0, 1, 2, 3]},
    ]
    panel = seeds(Page.of(found, rows(), TASKS, {"seeds": lines}))
    means, worsts = panel.figures[0].chart["data"]
    assert (means["x"], worsts["x"]) == ([90.0, 70.0], [80.0, 60.0])
    assert panel.table.lines[1] == (
        "lwf",
        " → ".join(TASKS),
        "1, 1",
        "70.00 %",
        "60.00 %",
        "10.00",
        "20.00",
        "12",
        "1",
        "0",
    )
    assert (
        seeds(Page.of(found, rows(), TASKS, {"seeds": lines[:1]})) is None
    )  # one seed has nothing beside it


def test_numbers_beside_that_of_the_curve_have_slices():
    points = [(0.1, 5, 0.05), (1.0, 9, 0.02), (2.0, 7, 0.09)]
    tried = [settings("nai", strength=strength, width=width) for strength, width, _ in points]
    made = [
        one
        for chosen, (_, _, loss) in zip(tried, points, strict=True)
        for one in runs(chosen, SEARCH, SEEDS[:1], loss=loss)
    ]
    names = tuple(map(suggestion, tried))
    asked = analysis.Asked(
        "two",
        SEARCH,
        SEEDS[:1],
        CONFIRM,
        SEEDS,
        expected=99,
        contests=(analysis.Contest("nai", names, {}, ()),),
    )
    page = Page.of(analysis.results(made, asked), made, TASKS)
    (chart,) = slices(page).figures
    mean, worst, rings = chart.chart["data"]
    assert chart.title == "nai: width" and mean["x"] == [5, 7, 9]
    by_name = {one["suggestion"]: one for one in page.results["search"]}
    order = [names[0], names[2], names[1]]
    assert mean["y"] == pytest.approx([100 * by_name[name]["mean"] for name in order], abs=1e-3)
    assert worst["y"] == pytest.approx([100 * by_name[name]["worst"] for name in order], abs=1e-3)
    assert rings["x"] == [9, 9]


def test_methods_whose_turn_has_not_come_have_white_lines_and_no_best(found):
    begun = [one for one in rows() if one["method"] != "lwf"]
    asked = analysis.Asked(
        "begun", SEARCH, SEEDS[:1], CONFIRM, SEEDS, expected=500, contests=tuple(map(contest, LOSSES))
    )
    panel = course(Page.of(analysis.results(begun, asked), begun, TASKS))
    cells = dict(
        zip(panel.figures[0].chart["data"][0]["y"], panel.figures[0].chart["data"][0]["z"], strict=True)
    )
    assert cells["lwf"] == [None, None] and cells["ewc"] == [0.0, None]
    assert "lwf none on all orders yet" in panel.figures[0].alt and "ewc best" in panel.figures[0].alt
