"""What tests rely on in the browser that they drive: it hears errors and requests, and clicks are real."""

import pytest

pytestmark = pytest.mark.browser
PAGE = """<!doctype html><title>made</title><div style="height: 3000px"></div>
<button id="far" onclick="this.textContent = event.isTrusted ? 'pressed' : 'forged'">press</button>
<input id="text">"""


@pytest.fixture
def opened(chromium, tmp_path):
    pages = []

    def opened(body):
        (tmp_path / "page.html").write_text(body)
        pages.append(chromium.open((tmp_path / "page.html").as_uri()))
        return pages[-1]

    yield opened
    for page in pages:
        page.close()


def test_a_quiet_page_has_no_errors_and_asks_for_itself_alone(opened, tmp_path):
    page = opened(PAGE)
    assert page.errors == []
    assert page.requests == [(tmp_path / "page.html").as_uri()]
    assert page.run("document.title") == "made"


def test_a_click_and_keys_reach_what_is_far_down(opened):
    page = opened(PAGE)
    page.click("#far")
    assert page.run("document.querySelector('#far').textContent") == "pressed"
    page.press("Tab")
    page.type("typed")
    assert page.run("document.querySelector('#text').value") == "typed"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("missing()", "missing is not defined"),
        ("console.error('lost')", "lost"),
        ("fetch('http://no.invalid')", ""),
    ],
)
def test_errors_and_requests_are_heard(opened, script, said):
    page = opened(f"<script>{script}</script>")
    page.until("true")
    if said:
        assert said in " ".join(page.errors)
    else:
        assert "http://no.invalid/" in page.requests


def test_pictures_and_paper(opened, tmp_path):
    page = opened(PAGE)
    assert page.picture(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert page.paper(tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
