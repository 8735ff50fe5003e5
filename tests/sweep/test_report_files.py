"""The report's files: a small page of drawings, figures for a paper with their data, a table in LaTeX."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from made_study import CONFIRM, EVIL, TASKS, asked, found, made, page
from read_page import Read

from sweep import analysis, report
from sweep.report import drawing, figures, small
from sweep.report.export import COLUMNS, escaped, latex, points

FACTS = report.PageFacts("nai-sweep run made.toml", tasks=TASKS)


@pytest.fixture(scope="module")
def static():
    return report.render(found(made()), made(), FACTS, static=True)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper") / "figures"
    report.export(folder, found(made()), made(), FACTS)
    return folder


def table(data):
    return list(csv.DictReader(io.StringIO(data.decode())))


# ------------------------------------------------------------------ the static page
def test_the_static_page_has_a_drawing_for_every_chart_and_no_library(static):
    read, whole = Read(static), Read(page(made()))
    waiting = [attrs for attrs in whole.all("figure") if "data-waits" in attrs]
    assert len(read.all("svg")) == len(whole.charts()) - len(waiting) == 14
    assert "Plotly" not in static and len(static) < 1e6
    assert read.text.count("Which order is worst?") == 1
    labels = [attrs["aria-label"] for attrs in read.all("div") if attrs.get("role") == "img"]
    assert len(labels) == 14 and all(len(label) > 40 for label in labels)


def test_names_of_elements_are_there_once_each(static):
    names = [attrs["id"] for _, attrs in Read(static).elements if "id" in attrs]
    assert len(names) == len(set(names))


def test_equal_charts_are_equal_drawings():
    made = [figures.arrivals([0.0, 60.0, 120.0]) for _ in range(2)]
    for draw in (drawing.pdf, drawing.png, lambda chart: drawing.svg(chart, "one")):
        assert draw(made[0]) == draw(made[1])
    assert drawing.svg(made[0], "one") != drawing.svg(made[0], "two")


def test_names_are_text_in_drawings_too(static):
    rows = made(word=EVIL)
    facts = report.PageFacts("", tasks=(EVIL, "$x_1$", "3", "4"))
    evil = Read(report.render(found(rows), rows, facts, static=True))
    assert len(evil.scripts) == len(Read(static).scripts)
    assert "$x_1$" in evil.text  # a dollar is no formula


def test_the_static_page_promises_no_chart_that_answers(static):
    whole = Read(page(made()))
    for said in ("Choose an order", "Hold the pointer"):
        assert said in whole.text and said not in static
    assert "Press a column's name to sort." in Read(static).text  # the table does


def test_a_static_page_that_would_be_too_large_says_what_it_leaves_out(static, monkeypatch):
    limit = len(static.encode()) * 2 // 3
    monkeypatch.setattr(small, "LIMIT", limit)
    monkeypatch.setattr(small, "KEPT", 5)
    text = report.render(found(made()), made(), FACTS, static=True)
    assert len(text.encode()) <= limit
    read = Read(text)
    missing = read.text.count("Not drawn")
    assert len(read.all("svg")) == 14 - missing < 14
    labels = [attrs["aria-label"] for attrs in read.all("div") if attrs.get("role") == "img"]
    assert len(labels) == 14  # words are there for every chart
    assert f"in report.html alone (not drawn: {missing} of the charts; cut: 3 of the tables" in read.text
    assert f"{len(CONFIRM) - 5} lines more are in report.html." in read.text


def test_a_page_that_fits_leaves_out_nothing(static):
    assert "report.html" not in static


def test_of_very_many_points_a_drawing_has_pixels_and_still_its_words():
    values = [90 + 0.001 * number for number in range(drawing.MOST_MARKS)]
    few, many = (figures.spread([figures.Spread("nai", given, [])]) for given in (values, [*values, 95.0]))
    few, many = drawing.svg(few, "one"), drawing.svg(many, "one")
    assert few.count("<use") >= drawing.MOST_MARKS and "<image" not in few
    assert many.count("<use") < 50 and many.count("<image") == 1 and ">nai<" in many
    assert len(many) < len(few) / 2


def test_a_drawing_names_what_the_chart_names():
    lines = [figures.Line(f"choice {n}", [1.0], [90.0], [80.0], ["a"]) for n in range(3)]
    drawn = drawing.svg(figures.curve(lines, "strength", joined=True, legend=False), "one")
    assert all(f">choice {n}<" in drawn for n in range(3))
    assert "worst order" not in drawn and "best of each" not in drawn


# ------------------------------------------------------------------ figures for a paper
def test_every_figure_has_its_three_files(exported):
    names = [name for name in Read(page(made())).charts() if name != "matrices-5"]  # which waits for a choice
    for name in names:
        assert (exported / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (exported / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        data = table((exported / f"{name}.csv").read_bytes())
        assert data and tuple(data[0]) == COLUMNS
    files = {path.name for path in exported.iterdir()}
    tables = {"accuracy.csv", "order-effect.csv", "spread.csv", "fragile.csv", "curve.csv", "course.csv"}
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "pdf", "csv")} | tables | {
        "orders.csv",
        "cost.csv",
        "summary.tex",
    }


def test_the_data_beside_a_figure_are_those_of_the_records(exported):
    data = table((exported / "spread-1.csv").read_bytes())
    ours = {line["order"]: float(line["x"]) for line in data if line["series"] == "finetune"}
    assert set(ours) == {"-".join(map(str, order)) for order in CONFIRM}
    for order in CONFIRM:
        runs = [
            np.mean(one["test"][-1])
            for one in made()
            if one["method"] == "finetune" and tuple(one["order"]) == order
        ]
        assert ours["-".join(map(str, order))] == pytest.approx(100 * np.mean(runs), abs=1e-3)
    assert data[0]["text"].startswith("zero & one") or "zero & one" in data[0]["text"]  # not &amp;
    heat = table((exported / "matrices-1.csv").read_bytes())
    assert len(heat) == 5 * 4 and {line["y"] for line in heat} >= {"before"}


def test_the_table_of_the_spread_is_the_worst_the_quartiles_and_the_best_of_the_orders(exported):
    drawn = table((exported / "spread-1.csv").read_bytes())
    lines = {line["method"]: line for line in table((exported / "spread.csv").read_bytes())}
    for label, line in lines.items():
        values = [float(one["x"]) for one in drawn if one["series"] == label]
        ends = [np.min(values), *np.percentile(values, (25, 50, 75)), np.max(values)]
        columns = ("worst", "lower quarter", "median", "upper quarter", "best")
        assert [float(line[one].removesuffix(" %")) for one in columns] == pytest.approx(ends, abs=0.006)


def test_points_of_each_kind_of_chart():
    heat = figures.heat([[1.0, None]], lines=["a<b"], columns=["x", "y"], span=(0, 1), axis="")
    assert list(points(heat)) == [("", "x", "a<b", 1.0, "", "", ""), ("", "y", "a<b", None, "", "", "")]
    box = figures.spread([figures.Spread("nai", [90.0], ["one → two"], ["0-1"])])
    assert list(points(box)) == [("nai", 90.0, "", "", "", "one → two", "0-1")]
    line = figures.arrivals([0.0, 60.0])
    assert list(points(line)) == [("runs", 0.0, 1, "", "", "", ""), ("runs", 1.0, 2, "", "", "", "")]


def test_styles_of_a_drawing_are_written_once_and_each_mark_names_one():
    many = figures.spread([figures.Spread("nai", [90.0 + n for n in range(8)], ["0"] * 8)])
    drawn = drawing.svg(many, "one")
    sheet, marks = drawn.removeprefix("<style>").split("</style>", 1)
    rules = re.findall(r"\.(\w+)\{", sheet)
    assert len(rules) == len(set(rules)) and set(re.findall(r' class="(\w+)"', marks)) == set(rules)
    assert " style=" not in marks and figures.OKABE_ITO[0].lower() in sheet.lower()


def test_a_drawing_names_whole_powers_or_their_halves_and_knows_no_negative_nought():
    curve = figures.spread([figures.Spread("nai", [1.5, 4.0, 7.0, 4000.0], ["0"] * 4)])
    curve["layout"]["xaxis"]["type"] = "log"
    drawn = drawing.svg(curve, "one")
    assert ">10<" in drawn and ">20<" not in drawn and "mathdefault" not in drawn
    curve["data"][0]["x"] = [1.5, 4.0, 7.0, 9.0]
    assert all(f">{value}<" in drawing.svg(curve, "one") for value in (2, 5))
    heat = figures.heat([[-0.01]], lines=["line"], columns=["column"], span=(-1, 1), axis="")
    assert ">0.0<" in (drawn := drawing.svg(heat, "one")) and "-0.0<" not in drawn


def test_every_kind_of_chart_is_drawn_with_its_words():
    waits = figures.heat([[1.0]], lines=["line"], columns=["column"], span=(0, 1), axis="the axis")
    assert all(word in drawing.svg(waits, "one") for word in (">line<", ">column<", ">the axis<", ">1.0<"))
    course = figures.course(
        [figures.Dots("nai", [0, 1], [90, 91], ["a", "b"]), figures.Dots("ewc", [0], [1], ["c"])]
    )
    assert all(
        word in drawing.svg(course, "two") for word in (">nai<", ">ewc<", ">number of the suggestion<")
    )


# ------------------------------------------------------------------ LaTeX
def test_latex_has_a_line_for_every_method_in_per_cent():
    results = found(made())
    text = latex(results)
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 1 + 2
    best = results["table"][0]
    shown = f"{100 * best['mean']:.2f} $\\pm$ {100 * best['half']:.2f} & {100 * best['worst']:.2f} & "
    assert lines[1].startswith(f"nai strength=0.1 & {shown}")
    assert lines[1].endswith(r"12 $\times$ 2 \\")
    assert {line.count("&") for line in lines} == {7}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("50 % & more_of #1 {a} $x$", r"50 \% \& more\_of \#1 \{a\} \$x\$"),
        ("a\\b~c^d", r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"),
        ("two\nlines", "two lines"),
    ],
)
def test_names_are_text_in_latex(text, shown):
    assert escaped(text) == shown


def test_a_figure_that_is_not_there_is_a_dash():
    rows = [one for one in made() if tuple(one["order"]) == CONFIRM[0]]
    results = analysis.results(rows, replace(asked(made()), confirm_orders=CONFIRM[:1]))
    lines = [line for line in latex(results).splitlines() if line.endswith(r"\\")][1:]
    assert len(lines) == 2 and all(" & -- & -- & -- & " in line for line in lines)  # std, AOPD, MOPD
