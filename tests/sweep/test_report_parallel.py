"""Parallel coordinates: every whole suggestion is a line through its settings to what it came to."""

import itertools

import pytest
from made_rows import runs, settings, suggestion
from read_page import Read

from sweep import analysis, report
from sweep.report import drawing
from sweep.report.parallel_figures import listed, scaled
from sweep.report.parallel_panel import together
from sweep.report.sheet import Page

EVERY = tuple(itertools.permutations(range(3)))
SEEDS = ((0, 0),)
LOSSES = {
    (0.01, "none"): 0.06,
    (0.1, "none"): 0.02,
    (1.0, "none"): 0.05,
    (0.01, "layer_max"): 0.04,
    (0.1, "layer_max"): 0.01,
    (1.0, "layer_max"): 0.03,
}
TRIED = {
    key: settings("nai", strength=strength, normalization=way) for key in LOSSES for strength, way in [key]
}
DROPPED = settings("nai", strength=10.0, normalization="none")


def asked():
    names = tuple(suggestion(one) for one in (*TRIED.values(), DROPPED))
    best = suggestion(TRIED[0.1, "layer_max"])
    contest = analysis.Contest("nai", names, {suggestion(DROPPED): 1}, (best,))
    return analysis.Asked("made", EVERY, SEEDS, EVERY[:2], SEEDS, expected=37, contests=(contest,))


@pytest.fixture(scope="module")
def rows():
    whole = [row for key, one in TRIED.items() for row in runs(one, EVERY, SEEDS, loss=LOSSES[key])]
    return whole + runs(DROPPED, EVERY[:1], SEEDS, loss=0.2)


@pytest.fixture(scope="module")
def found(rows):
    return analysis.results(rows, asked())


@pytest.fixture(scope="module")
def chart(rows, found):
    panel = together(Page.of(found, rows, ()))
    return panel.figures[0].chart


def lines(trace):
    """The points of each line of a trace, a gap after each."""
    gaps = [at for at, x in enumerate(trace["x"]) if x is None]
    return [trace["y"][low + 1 : high] for low, high in itertools.pairwise([-1, *gaps])]


def test_every_suggestion_with_all_orders_is_one_line(chart):
    *bands, best = chart["data"]
    drawn = [line for band in bands for line in lines(band)]
    assert len(drawn) == len(TRIED)
    assert chart["layout"]["xaxis"]["ticktext"] == ["normalization", "strength", "mean (%)", "worst (%)"]
    # the least strength stands below, the largest above, that of the middle in the middle: a magnitude each
    assert {(line[0], line[1]) for line in drawn} == set(itertools.product((0.0, 1.0), (0.0, 0.5, 1.0)))
    assert lines(best) == [[0.0, 0.5, 1.0, 1.0]] and "layer_max" in best["text"][0]


def test_bands_go_from_the_worst_to_the_best(chart):
    worst = [[line[-1] for line in lines(band)] for band in chart["data"][:-1]]
    assert all(max(below) < min(above) for below, above in itertools.pairwise(worst))
    colours = [band["line"]["color"] for band in chart["data"]]
    assert len(set(colours)) == len(colours)


def test_the_page_and_the_drawing_show_names_and_ends(rows, found, chart):
    page = report.render(found, rows, report.PageFacts("nai-sweep run made.toml"))
    assert "Which settings go together?" in Read(page).text
    drawn = drawing.svg(chart, "together")
    assert all(word in drawn for word in ("normalization", "layer_max", "0.01", "worst (%)"))


def test_one_setting_has_no_such_chart(rows, found):
    one = {**found, "searched": {"nai": {"method.strength": [0.01, 0.1, 1.0]}}}
    assert together(Page.of(one, rows, ())) is None


def test_values_that_are_all_alike_stand_in_the_middle():
    assert scaled("rate", [0.1, 0.1]).places == [0.5, 0.5]
    assert listed("kind", ["b"]).places == [0.0]
