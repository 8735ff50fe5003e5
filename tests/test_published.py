"""Published figures beside ours: the table in the docs is what the records give, and its spaces can run."""

import importlib.util
from pathlib import Path

import pytest

from sweep.space import read

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "benchmarks" / "published.py"


def script():
    spec = importlib.util.spec_from_file_location("published", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PUBLISHED = script()


def test_rows_are_numbered_and_bands_hold_the_published_figure():
    assert [one.row for one in PUBLISHED.ROWS] == list(range(1, len(PUBLISHED.ROWS) + 1))
    for one in PUBLISHED.ROWS:
        assert one.band[0] <= float(one.figure) <= one.band[1]


@pytest.mark.parametrize("one", PUBLISHED.ROWS, ids=lambda one: str(one.row))
def test_a_row_is_a_run_of_every_seed_with_nothing_searched(one):
    for changed in PUBLISHED.changes(one.space).values():
        space = read(f"published/{one.space}", changed)
        assert one.method in [method.name for method in space.methods]
        assert not space.spent(space.tasks()) and len(space.confirm_orders(space.tasks())) == 1
        assert set(space.pairs) <= set(space.confirm_pairs)


def test_van_de_ven_shares_the_digits_out_anew_with_every_seed():
    shared_out = PUBLISHED.SHARED_OUT
    assert shared_out[0] == list(range(10)) and len({tuple(digits) for digits in shared_out}) == 5
    assert all(sorted(digits) == list(range(10)) for digits in shared_out)


def test_the_table_in_the_documentation_is_that_of_the_records():
    shown = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for line in PUBLISHED.markdown().splitlines():
        assert line in shown
