"""Twenty thousand rows: the report's cost, and the size of its pages."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.full
@pytest.mark.browser
@pytest.mark.timeout(900)
def test_report_of_twenty_thousand_rows_is_quick_small_and_whole(tmp_path, chromium):
    spec = importlib.util.spec_from_file_location("rows", ROOT / "benchmarks" / "rows.py")
    rows = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rows)
    rows.laid_out(tmp_path, 20_000)
    cost = rows.command("report", str(tmp_path))
    rows.command("report", str(tmp_path), "--static")
    assert (tmp_path / "report_static.html").stat().st_size <= 1_000_000
    assert cost["cpu"] < 30 and cost["mb"] < 1000
    page = tmp_path / "report.html"
    assert page.stat().st_size < 8_000_000
    opened = chromium.open(page.as_uri())
    opened.until(
        "[...document.querySelectorAll('[data-chart]')].every(e => e.querySelector('.main-svg'))", 300
    )
    assert opened.errors == [] and opened.requests == [page.as_uri()]
    opened.close()
