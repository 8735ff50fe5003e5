"""The report in a real browser: it draws without error and network, and anyone can choose an order."""

import itertools
import json

import pytest
from made_rows import runs, settings, suggestion
from made_study import CONFIRM, SEARCH, SEEDS, TASKS, found, made

from sweep import analysis, report
from sweep.look import _tables

pytestmark = pytest.mark.browser
FACTS = report.PageFacts("nai-sweep run made.toml", tasks=TASKS)
DRAWN = "[...document.querySelectorAll('[data-chart]')].every(e => e.querySelector('.main-svg'))"
METHODS = tuple(f"method{number}" for number in range(14))
STARS = "document.querySelector('[data-chart=\"spread-1\"]').data.at(-1).x.length"
KEYS = "[...document.querySelectorAll('tr[data-order]')].filter(r => !r.hidden).map(r => r.dataset.order)"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, results = tmp_path_factory.mktemp("pages"), found(made())
    report.write(folder / "report.html", results, made(), FACTS)
    report.write(folder / "static.html", results, made(), FACTS, static=True)
    group = [report.Compared(name, results, made(), FACTS) for name in ("one", "two")]
    (folder / "compare.html").write_text(report.compare(group), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(files, chromium):
    """The report, drawn."""
    opened = chromium.open((files / "report.html").as_uri())
    opened.until(DRAWN)
    yield opened
    opened.close()


def quiet(page, path):
    """That a page had no error and asked for nothing but itself."""
    assert page.errors == []
    assert page.requests == [path.as_uri()]


@pytest.mark.parametrize("name", ["report", "static", "compare"])
def test_the_page_draws_without_an_error_and_without_a_network(files, chromium, name):
    opened = chromium.open((files / f"{name}.html").as_uri())
    opened.until(DRAWN)
    shown = opened.run("document.querySelectorAll('figure svg').length")
    assert shown >= {"report": 14, "static": 14, "compare": 3}[name]
    quiet(opened, files / f"{name}.html")
    opened.close()


def test_a_click_in_the_table_shows_the_order_in_the_other_charts(page, files):
    order = CONFIRM[2]
    key = "-".join(map(str, order))
    page.click(f"tr[data-order='{key}'] button.order")
    page.until(f"{STARS} === 2")  # one star for each method
    page.until("!document.querySelector('[data-waits]').hidden")
    change = json.loads(page.run("document.getElementById('choices').textContent"))["courses-1"][key]
    line = page.run("document.querySelector('[data-chart=\"courses-1\"]').data.at(-1).y")
    assert line == change["y"][0]
    heat = page.run("document.querySelector('[data-waits] [data-chart]').data.at(-1).x")
    assert [name.split(". ")[1].replace("<br>", " ") for name in heat] == [
        TASKS[home].replace("&", "&amp;") for home in order
    ]
    assert page.run("document.querySelectorAll('tr.chosen').length") == 1
    page.click(f"tr[data-order='{key}'] button.order")  # once more: nothing is chosen
    page.until(f"{STARS} === 0")
    assert page.run("document.querySelector('[data-waits]').hidden")
    quiet(page, files / "report.html")


def test_an_order_is_chosen_by_keyboard_alone(page):
    page.run("document.querySelector('tbody button.order').focus()")
    page.press("Enter")
    page.until("document.querySelector('tr.chosen')")
    assert page.run("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert page.run("document.getElementById('said').textContent").startswith("chosen: ")
    page.press(" ")
    page.until("!document.querySelector('tr.chosen')")


def test_a_point_of_a_chart_is_an_order(page):
    box = "document.querySelector('[data-chart=\"spread-1\"]')"
    page.run(f"{box}.emit('plotly_click', {{points: [{{customdata: {box}.data[0].customdata[4]}}]}})")
    page.until(f"document.querySelector('tr.chosen')?.dataset.order === '{'-'.join(map(str, CONFIRM[4]))}'")
    page.run("choose(null)")


def test_the_table_sorts_and_filters(page):
    head = "thead th:nth-child({}) button"
    first = page.run(KEYS)
    page.click(f"table[data-orders] {head.format(4)}")
    assert page.run(KEYS) == first  # by rank, as it was
    page.click(f"table[data-orders] {head.format(4)}")
    assert page.run(KEYS) == first[::-1]
    assert page.run("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"
    page.click(f"table[data-orders] {head.format(2)}")
    assert page.run(KEYS) == sorted(first)
    page.click("#filter")
    page.type("three → two")
    page.until(f"{KEYS}.length < {len(first)}")
    after = [key for key in first if "2-1" in key]  # three is task 2, two is task 1
    assert sorted(page.run(KEYS)) == sorted(after)
    page.run("filter.value = ''; filter.dispatchEvent(new Event('input'))")
    assert len(page.run(KEYS)) == len(first)


def test_an_order_is_copied_as_a_list(page):
    page.run(
        "window.taken = []; Object.defineProperty(navigator, 'clipboard', {configurable: true, value:"
        "{writeText: (text) => { taken.push(text); return Promise.resolve(); }}})"
    )
    page.click("tr[data-order='" + "-".join(map(str, CONFIRM[0])) + "'] button.copy")
    page.click("#copy-all")
    page.until("taken.length === 2")
    one, everything = page.run("taken")
    assert json.loads(one) == list(CONFIRM[0])
    lines = everything.splitlines()
    assert len(lines) == 1 + len(CONFIRM) and {line.count("\t") for line in lines} == {5}


@pytest.mark.parametrize("name", ["report", "static", "compare"])
def test_a_phone_needs_no_sideways_scrolling(files, chromium, name):
    opened = chromium.open((files / f"{name}.html").as_uri(), width=390, height=800)
    opened.until(DRAWN)
    assert opened.run("document.documentElement.scrollWidth") <= 390
    widths = "[...document.querySelectorAll('.main-svg')].map(e => e.getBoundingClientRect().width)"
    opened.until(f"{widths}.every(width => width <= 390)")
    opened.close()


def test_everything_that_can_be_pressed_has_a_name_and_pictures_have_words(page):
    nameless = (
        "[...document.querySelectorAll('button, input, a.skip, summary')].filter(e => "
        "!(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length))).length"
    )
    assert page.run(nameless) == 0
    assert page.run("[...document.querySelectorAll('[role=img]')].every(e => e.ariaLabel.length > 40)")
    assert page.run("document.documentElement.lang") == "en"
    levels = page.run("[...document.querySelectorAll('h1,h2,h3')].map(e => Number(e.tagName[1]))")
    assert levels[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_paper_has_no_buttons_and_whole_tables(page, tmp_path):
    page.ask("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.querySelector('.tools')).display") == "none"
    assert page.run("getComputedStyle(document.querySelector('.scroll.tall')).maxHeight") == "none"
    page.ask("Emulation.setEmulatedMedia", media="")
    assert page.paper(tmp_path / "paper.pdf").stat().st_size > 50_000


WORDS = """(() => {
  const met = [];
  for (const node of document.querySelectorAll("[data-chart]")) {
    const legend = node.querySelector(".legend"), axis = node.querySelector(".xtitle, .x2title");
    if (!legend || !axis) continue;
    const [a, b] = [legend.getBoundingClientRect(), axis.getBoundingClientRect()];
    const plot = node.querySelector(".nsewdrag").getBoundingClientRect();
    const scrolls = legend.querySelector(".scrollbar")?.getBoundingClientRect().height > 0;
    met.push([node.dataset.chart, a.top >= b.bottom - 1 && a.top >= plot.bottom - 1 && !scrolls]);
  }
  return met;
})()"""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A report of fourteen methods, one of them with eight ways of a setting."""
    rows, contests = [], []
    for number, method in enumerate(METHODS):
        ways = [
            settings(method, strength=strength, way=f"way {way}")
            for way in range(1 if number else 8)
            for strength in (0.1, 1.0)
        ]
        contests.append(analysis.Contest(method, tuple(map(suggestion, ways)), {}, ()))
        for way in ways:
            rows += runs(way, SEARCH, SEEDS[:1], loss=0.01 * way["method"]["strength"], salt=number)
    asked = analysis.Asked("many", SEARCH, SEEDS[:1], CONFIRM, SEEDS, expected=999, contests=tuple(contests))
    facts = report.PageFacts("", tasks=TASKS, tables=_tables(rows, asked, None))
    path = tmp_path_factory.mktemp("many") / "report.html"
    report.write(path, analysis.results(rows, asked), rows, facts)
    return path


@pytest.mark.parametrize("width", [390, 1280])
def test_every_legend_is_seen_whole_and_stands_on_nothing_on_screen_and_paper(many, chromium, width):
    opened = chromium.open(many.as_uri(), width=width)
    opened.until(DRAWN)
    for event in "", "beforeprint", "afterprint":
        if event:
            opened.run(f"dispatchEvent(new Event('{event}'))")
            opened.run("new Promise(done => setTimeout(done, 300))")
        found = opened.run(WORDS)
        assert {"curve-1", "tradeoff-1"} <= {name for name, _ in found}
        assert all(clear for _, clear in found), (event, found)
    quiet(opened, many)
    opened.close()
