"""Panels on orders and tasks: their numbers are those of the records, and every order can be chosen."""

import json

import numpy as np
import pytest
from made_study import CONFIRM, FINETUNE, SEEDS, TASKS, found, made, page
from read_page import Read

from sweep import analysis, report
from sweep.report.answers import answers
from sweep.report.order_panels import DRAWN, _sample
from sweep.report.position_panels import first_place, placed
from sweep.report.sheet import Page

BEST = 0.1


@pytest.fixture(scope="module")
def seen():
    read = Read(page(made()))
    read.drawn = read.charts()
    return read


def finals(method, strength=None):
    """Final accuracy [orders, tasks] of an arm's confirmed runs, seeds averaged, in the order of CONFIRM."""
    runs = {}
    for one in made():
        chosen = json.loads(one["settings"])["method"]
        if (chosen["name"], chosen.get("strength")) == (method, strength):
            runs[tuple(one["order"]), one["seed_init"]] = np.array(one["test"])
    return {order: np.mean([runs[order, seed] for seed, _ in SEEDS], axis=0) for order in CONFIRM}


def crossing(matrices, orders):
    """Runs with these matrices [orders, tasks + 1, tasks], one seed."""
    return analysis.Crossing(tuple(orders), ((0, 0),), np.array(matrices)[:, None], 0, 0)


def test_a_course_is_the_mean_over_the_tasks_seen_so_far(seen):
    matrices = finals("nai", BEST)
    lines = seen.drawn["courses-1"]["data"]
    (worst,) = [trace for trace in lines if trace["name"] == "worst 5"]
    order = min(CONFIRM, key=lambda one: matrices[one][-1].mean())
    expected = [100 * matrices[order][step, list(order[:step])].mean() for step in range(1, 5)]
    assert worst["y"][:4] == pytest.approx(expected, abs=1e-3)
    assert worst["y"][4] is None  # the pen is lifted
    assert worst["customdata"][0] == "-".join(map(str, order))
    assert {trace["name"] for trace in lines} == {"worst 5", "best 5", "other orders", "chosen order"}
    drawn = [name for trace in lines for name in trace.get("customdata", [])[::5]]
    assert sorted(drawn) == sorted("-".join(map(str, order)) for order in CONFIRM)


def test_of_many_orders_the_extremes_are_always_drawn():
    drawn = _sample(range(5000))
    assert len(drawn) <= DRAWN + 10 and drawn == sorted(set(drawn))
    assert set(range(5)) | set(range(4995, 5000)) <= set(drawn)
    assert _sample(range(7)) == list(range(7))


def test_ranges_of_tasks_are_opd(seen):
    bars = [trace for trace in seen.drawn["fragile-1"]["data"] if trace["type"] == "bar"]
    final = np.array([matrix[-1] for matrix in finals("finetune").values()])
    assert bars[1]["x"] == pytest.approx(100 * (final.max(0) - final.min(0)), abs=1e-3)
    lines = [shape["x0"] for shape in seen.drawn["fragile-1"]["layout"]["shapes"]]
    (line,) = [one for one in found(made())["table"] if one["role"] == "baseline"]
    assert lines[2:] == pytest.approx([100 * line["aopd"], 100 * line["mopd"]])


def test_places_by_hand():
    orders = [(0, 1), (1, 0)]
    matrices = [[[0.5, 0.5], [0.9, 0.5], [0.6, 0.8]], [[0.5, 0.5], [0.5, 0.7], [1.0, 0.4]]]
    final, learned = placed(crossing(matrices, orders))
    assert final == pytest.approx(np.array([[0.6, 1.0], [0.4, 0.8]]))
    assert learned == pytest.approx(np.array([[0.9, 1.0], [0.7, 0.8]]))
    assert first_place(crossing(matrices, orders)) == pytest.approx((0, 0.6, 1.0))  # both lose 0.4: the first


def test_a_place_that_no_order_has_is_white_and_one_order_tells_nothing():
    final, _ = placed(crossing([np.full((3, 2), 0.5)], [(1, 0)]))
    assert np.isnan(final).tolist() == [[True, False], [False, True]]
    assert first_place(crossing([np.full((3, 2), 0.5)], [(1, 0)])) is None


def test_the_matrix_over_orders_is_by_position(seen):
    mean, spread = (seen.drawn[f"matrices-{number}"]["data"][0]["z"] for number in (3, 4))
    arrived = [matrix[:, list(order)] for order, matrix in finals("nai", BEST).items()]
    assert np.array(mean) == pytest.approx(100 * np.mean(arrived, axis=0), abs=1e-3)
    assert np.array(spread) == pytest.approx(100 * np.std(arrived, axis=0, ddof=1), abs=1e-3)


def test_the_table_has_every_order_worst_first_with_what_each_method_reaches(seen):
    keys = [attrs["data-order"] for attrs in seen.all("tr") if "data-order" in attrs]
    means = {order: matrix[-1].mean() for order, matrix in finals("nai", BEST).items()}
    assert keys == ["-".join(map(str, order)) for order in sorted(CONFIRM, key=lambda one: means[one])]
    worst = min(CONFIRM, key=lambda one: means[one])
    other = finals("finetune")[worst][-1].mean()
    line = f"{'-'.join(map(str, worst))} {TASKS[worst[0]]} 1 {100 * means[worst]:.2f} % {100 * other:.2f} %"
    assert line in seen.text


def test_every_order_can_be_chosen_in_every_chart_that_shows_orders(seen):
    keys = {"-".join(map(str, order)) for order in CONFIRM}
    assert {name: set(changes) for name, changes in seen.choices.items()} == {
        "spread-1": keys,
        "matrices-5": keys,
        "courses-1": keys,
    }
    order = CONFIRM[3]
    key, matrix = "-".join(map(str, order)), finals("nai", BEST)[order]
    assert np.array(seen.choices["matrices-5"][key]["z"][0]) == pytest.approx(
        100 * matrix[:, list(order)], abs=1e-3
    )
    both = [100 * finals(*one)[order][-1].mean() for one in (("nai", BEST), ("finetune",))]
    assert seen.choices["spread-1"][key]["x"][0] == pytest.approx(both, abs=1e-3)


def test_differences_have_their_intervals(seen):
    (gain,) = [trace for trace in seen.drawn["accuracy-1"]["data"] if trace["type"] == "scatter"]
    (pair,) = found(made())["paired"]
    assert gain["x"] == pytest.approx([100 * pair["mean"]])
    assert gain["error_x"]["array"] == pytest.approx([100 * pair["half"]])


# ------------------------------------------------------------------ the four answers
def answered(rows):
    """The four answers as the page's text has them, by question."""
    read = Read(page(rows))
    found = {}
    questions = (
        "Which strength?",
        "How sure?",
        "Which order is worst?",
        "Which task suffers most when it comes",
    )
    for question, following in zip(questions, (*questions[1:], "Panels end"), strict=True):
        rest = read.text.partition(question)[2]
        found[question] = rest.partition(following)[0][:400].strip()
    return found


def test_a_reader_of_the_page_alone_gives_the_answers_of_the_records():
    said = answered(made())
    nai, finetune = finals("nai", BEST), finals("finetune")
    by_order = {order: matrix[-1].mean() for order, matrix in nai.items()}

    # Which strength: of the three tried, the one with the best validation mean over the search orders.
    tried = {}
    for one in made():
        chosen = json.loads(one["settings"])["method"]
        if chosen["name"] == "nai" and tuple(one["order"]) not in CONFIRM:
            tried.setdefault(chosen["strength"], []).append(np.mean(one["valid"][-1]))
    best = max(tried, key=lambda strength: np.mean(tried[strength]))
    assert (
        f"strength {best:g}" in said["Which strength?"]
        and "the best of 3 suggestions" in said["Which strength?"]
    )

    # How sure: the mean with its interval, over how much, and the difference to the baseline.
    line = found(made())["table"][0]
    mean = 100 * np.mean(list(by_order.values()))
    assert f"{mean:.2f} ± {100 * line['half']:.2f} % over 12 orders × 2 seeds" in said["How sure?"]
    gains = [by_order[order] - finetune[order][-1].mean() for order in CONFIRM]
    assert f"over finetune: +{100 * np.mean(gains):.2f} ±" in said["How sure?"]
    assert f"better in {100 * np.mean([gain > 0 for gain in gains]):.0f} % of the orders" in said["How sure?"]

    # Which order is worst, by the names of its tasks.
    worst = min(by_order, key=lambda order: by_order[order])
    assert said["Which order is worst?"].startswith(" → ".join(TASKS[home] for home in worst))
    assert f"{100 * by_order[worst]:.2f} % at the end" in said["Which order is worst?"]

    # Which task suffers most when it comes first: against what it reaches in later places.
    lost = {}
    for task in range(4):
        first = [matrix[-1, task] for order, matrix in nai.items() if order[0] == task]
        later = [matrix[-1, task] for order, matrix in nai.items() if order[0] != task]
        if first:
            lost[task] = np.mean(later) - np.mean(first)
    task = max(lost, key=lambda one: lost[one])
    text = said["Which task suffers most when it comes"]
    assert text.startswith(f"first? {TASKS[task]}")
    assert f"{100 * lost[task]:.2f} points less" in text


def test_where_being_first_harms_none_the_page_says_so():
    rows = made()
    for one in rows:
        one["test"] = np.full((5, 4), 0.75).tolist()
    results = found(rows)
    said = answers(Page.of(results, rows, TASKS))
    assert said[3].answer == "none" and "at least as well" in said[3].behind
    assert "cannot tell from none" in said[1].behind


def test_given_settings_ask_no_question_of_strength():
    rows = [one for one in made() if json.loads(one["settings"])["method"] == FINETUNE["method"]]
    results = found(rows)
    said = answers(Page.of(results, rows, TASKS))
    assert said[0].question == "How sure?"
    assert report.render(results, rows, report.PageFacts("")).count('class="answer"') == 3
