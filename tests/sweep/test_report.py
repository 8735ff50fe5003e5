import json
import re

import numpy as np
import pytest
from made_rows import flat, row, runs, settings, suggestion
from made_study import CONFIRM, EVERY, EVIL, FINETUNE, SEARCH, SEEDS, TASKS, found, made, page
from read_page import Read

from sweep import analysis, report
from sweep.report import figures


@pytest.fixture(scope="module")
def complete():
    return Read(page(made()))


def test_the_verdict_stands_on_top(complete):
    sentence = found(made())["verdict"]
    assert sentence.startswith("nai strength=0.1 (oracle tuning) reaches")
    assert sentence in complete.text
    assert complete.text.index(sentence) < complete.text.index("How good, and how good in a bad order?")


def test_nothing_is_loaded_from_anywhere(complete):
    addresses = [
        attrs.get(name) for _, attrs in complete.elements for name in ("src", "href", "data", "action")
    ]
    assert all(address.startswith("#") for address in addresses if address)  # places on this page
    assert not complete.all("link") and not complete.all("iframe")
    policy = next(attrs["content"] for attrs in complete.all("meta") if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"https?:|//", policy)


def test_names_are_text_wherever_they_come_from():
    rows = made(word=EVIL)
    rows[-1] |= {"test": None, "error": f"diverged: {EVIL}"}
    facts = report.PageFacts(
        EVIL, {EVIL: EVIL}, (EVIL, "<b>two</b>", "3", "4"), space=EVIL, cost={EVIL: EVIL}
    )
    plain, evil = Read(page(made())), Read(page(rows, facts, sweep=EVIL))
    assert len(evil.scripts) == len(plain.scripts)  # no script but ours
    assert len(evil.all("b")) == len(plain.all("b")) == 0
    assert evil.text.count(EVIL) > 5
    for chart in evil.charts().values():  # plotly reads tags in text
        assert not re.search(r"<(?!/?(br|extra)\b)", json.dumps(chart))


def test_every_chart_says_in_words_what_it_shows(complete):
    shown = [attrs for attrs in complete.all("div") if "data-chart" in attrs]
    assert [attrs["data-chart"] for attrs in shown] == [
        "accuracy-1",
        "curve-1",
        "spread-1",
        "fragile-1",
        *(f"matrices-{number}" for number in range(1, 6)),
        "courses-1",
        *(f"position-{number}" for number in range(1, 4)),
        "course-1",
        "cost-1",
    ]
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 40 for attrs in shown)


def test_names_of_elements_are_there_once(complete):
    names = [attrs["id"] for _, attrs in complete.elements if "id" in attrs]
    assert len(names) == len(set(names))


def test_a_sweep_on_its_way_says_how_far_it_is(complete):
    assert "complete:" not in complete.text
    half = Read(page(made(), expected=104))
    assert "63 % complete: 66 of 104 runs are on record" in half.text
    assert "98 % complete" in Read(page(made(), expected=67)).text  # rounded down: 100 % is the end


def test_what_is_not_judged_yet_is_said_to_be_to_come(complete):
    begun = Read(page([one for one in made() if tuple(one["order"]) in SEARCH]))
    said = "judged on test data over 12 orders × 2 seeds"
    assert f"; to be {said}" in begun.text and f"; {said}" in complete.text


def test_where_all_orders_were_run_seeds_alone_are_uncertain(complete):
    assert "± is 95 % over orders and seeds;" in complete.text
    assert "seeds; all orders were run" not in complete.text
    rows = [one for loss in (0.01, 0.05) for one in runs(settings("nai", s=loss), EVERY, SEEDS, loss=loss)]
    names = tuple(dict.fromkeys(one["suggestion"] for one in rows))
    asked = analysis.Asked("all", (), (), EVERY, SEEDS, expected=len(rows), contests=(), baselines=names)
    text = Read(report.render(analysis.results(rows, asked), rows, report.PageFacts(""))).text
    assert "± is 95 % over seeds; all orders were run" in text
    assert "± is 95 % over seeds. All orders were run." in text


def test_a_sweep_without_a_record_still_has_a_page():
    nothing = Read(page([]))
    assert "0 % complete: 0 of 66 runs" in nothing.text
    assert "No suggestion has all its search runs on record yet" in nothing.text
    assert nothing.charts() == {}


def test_the_page_goes_with_the_search_alone():
    searching = Read(page(made()[:15]))
    assert "nothing is confirmed on test data yet." in searching.text
    assert list(searching.charts()) == ["curve-1", "course-1", "cost-1"]
    assert "1 of them without all orders" in searching.text


def test_one_seed_has_no_interval():
    one_seed = Read(page(made(), seeds=SEEDS[:1]))
    assert "Intervals: orders only, this seed." in one_seed.text
    assert "One seed only" in one_seed.text


def test_failures_are_listed_and_counted():
    rows = made()
    for one in rows[-3:]:
        one |= {"test": None, "valid": None, "error": "diverged: loss is nan"}
    failing = Read(page(rows))
    assert "3 runs ended in an error (3 × diverged)" in failing.text
    assert failing.text.count("diverged: loss is nan") == 3
    assert "finetune: 3 runs failed and 0 not on record; its figures use" in failing.text
    assert " → ".join(TASKS[home] for home in rows[-1]["order"]) in failing.text


def test_many_failures_are_cut_with_a_word():
    rows = [row(FINETUNE, order, seed, error="out of memory") for order in EVERY for seed in (*SEEDS, (2, 2))]
    failing = Read(page(rows))
    assert "72 runs ended in an error (72 × out of memory)" in failing.text
    assert "The first 50 are listed." in failing.text
    assert failing.text.count("out of memory") == 51


def test_points_of_the_spread_are_the_seed_averages_of_the_orders(complete):
    boxes = complete.charts()["spread-1"]["data"]
    rows = [one for one in made() if one["method"] == "finetune"]
    finals = {(tuple(one["order"]), one["seed_init"]): np.mean(one["test"][-1]) for one in rows}
    expected = [50 * (finals[order, 0] + finals[order, 1]) for order in CONFIRM]
    assert [box["name"] for box in boxes] == ["nai", "finetune", "chosen order"]
    assert boxes[1]["x"] == pytest.approx(expected, abs=1e-3)


def test_a_box_needs_more_than_a_handful_of_points():
    few, many = (figures.spread([figures.Spread("nai", [90.0] * n, ["0"] * n)]) for n in (7, 8))
    assert few["data"][0]["line"]["color"] == "rgba(0,0,0,0)"
    assert many["data"][0]["line"]["color"] == figures.OKABE_ITO[0]


def test_matrices_have_their_tasks_in_the_order_trained(complete):
    rows, order = made(), tuple(found(made())["table"][0]["worst_order"])
    best = suggestion(settings("nai", strength=0.1, normalization="neuron_std"))
    ours = [one["test"] for one in rows if one["suggestion"] == best and tuple(one["order"]) == order]
    heat = complete.charts()["matrices-1"]["data"][0]
    assert heat["z"][2][0] == pytest.approx(100 * np.mean(ours, axis=0)[2][order[0]], abs=1e-3)
    assert heat["y"][0] == "before"
    assert heat["x"][1] == f"2. {TASKS[order[1]]}".replace("&", "&amp;").replace("zero ", "zero<br>")


def test_curve_is_logarithmic_over_magnitudes_alone(complete):
    assert complete.charts()["curve-1"]["layout"]["xaxis"]["type"] == "log"
    near = figures.curve([figures.Line("", [1.0, 5.0], [90, 91], [80, 79], ["", ""])], "epochs", joined=True)
    assert near["layout"]["xaxis"]["type"] == "linear"


def test_curve_rings_the_best_mean_and_the_best_worst_order():
    whole = figures.Line("", [1.0, 2.0], [90, 91], [80, 79], ["", ""])
    lacking = figures.Line("without all orders", [3.0], [99], [99], [""], whole=False)
    rings = figures.curve([whole, lacking], "strength", joined=True)["data"][-1]
    assert (rings["x"], rings["y"]) == ([2.0, 1.0], [91, 80])


def test_a_search_without_numbers_is_a_table():
    rows = [
        row(settings("nai", normalization=word), order, (0, 0), valid=flat(0.9, 4), test=flat(0.9, 4))
        for word in ("none", "layer_mean")
        for order in SEARCH
    ]
    assert "What was tried?" in Read(page(rows)).text


def test_equal_records_give_an_equal_page():
    assert page(made()) == page(made()[::-1])


def test_write_puts_the_page_in_place_and_leaves_nothing_else(tmp_path):
    rows, facts = made(), report.PageFacts("nai-sweep run made.toml")
    (tmp_path / "report.html").write_text("older")
    path = report.write(tmp_path / "report.html", found(rows), rows, facts)
    assert path.read_text(encoding="utf-8") == report.render(found(rows), rows, facts)
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_results_read_back_from_their_file_give_the_same_page():
    rows, facts = made(), report.PageFacts("nai-sweep run made.toml")
    again = json.loads(analysis.write_json(found(rows)))
    assert report.render(again, rows, facts) == report.render(found(rows), rows, facts)
