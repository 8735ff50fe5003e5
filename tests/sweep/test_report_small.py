"""What goes when a page of drawings would be too large: the largest first, tables before drawings."""

import pytest
from markupsafe import Markup

from sweep.report import small
from sweep.report.sheet import Panel, Table

HEAD = ("name",)


def parts(lines, drawn, orders=0):
    panels = [
        Panel(str(place), "", "", table=Table(HEAD, [("x" * 91,)] * number))
        for place, number in enumerate(lines)
    ]
    drawings = {str(place): Markup("d" * size) for place, size in enumerate(drawn)}
    return small.Parts(panels, {"confirm": ["o" * 91] * orders}, drawings)


def text(given):
    """A page of a hundred bytes a line, and whatever its drawings have."""
    lines = sum(len(panel.table.lines) for panel in given.panels) + sum(map(len, given.orders.values()))
    return "l" * 100 * lines + "".join(given.drawn.values()) + given.said


def shown(page):
    return page.count("l" * 100), page.count("d" * 1000)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    monkeypatch.setattr(small, "LIMIT", 20_000)


def test_a_page_that_fits_is_left_as_it_is():
    given = parts([40], [1000] * 3)
    assert small.fitted(given, text) == text(given)


def test_the_longest_table_is_cut_first_and_no_drawing_goes_for_it():
    page = small.fitted(parts([30, 200], [5000]), text)
    assert shown(page)[1] == 5
    assert page.endswith("(cut: 1 of the tables and lists).")


def test_lists_of_orders_are_cut_like_tables():
    page = small.fitted(parts([30], [], orders=400), text)
    assert len(page) < 20_000 and page.endswith("(cut: 1 of the tables and lists).")


def test_after_tables_the_largest_drawings_go():
    page = small.fitted(parts([150], [9000, 12_000, 4000]), text)
    assert shown(page)[1] == 9 + 4
    assert "(not drawn: 1 of the charts; cut: 1 of the tables and lists)" in page
    assert page.count(small.NOT_DRAWN) == 1


def test_where_a_guess_was_too_small_more_goes_in_a_second_turn():
    def saving(given):
        """A page that spares half of what a drawing is long."""
        return text(given) + "e" * 3000 * sum(one is small.NOT_DRAWN for one in given.drawn.values())

    page = small.fitted(parts([], [6000] * 4), saving)
    assert len(page) <= 20_000 and page.count(small.NOT_DRAWN) == 2


def test_what_has_nothing_left_to_go_is_given_as_it_is():
    assert len(small.fitted(parts([], []), lambda given: "x" * 30_000)) == 30_000


@pytest.mark.parametrize("tables", [0, 3, 12])
@pytest.mark.parametrize("drawings", [0, 7, 40])
def test_whatever_can_be_left_out_the_page_fits(tables, drawings):
    given = parts([100] * tables, [8000] * drawings, orders=500)
    monstrous = small.KEPT * 100 * (tables + 1) + drawings * len(small.NOT_DRAWN) + 200
    assert len(small.fitted(given, text)) <= max(20_000, monstrous)
