"""Published figures beside ours: the table in the docs is what the records give, and its spaces can run."""

import importlib.util
from pathlib import Path

import pytest

from nai.methods import GDumb
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
    rows = sorted([*PUBLISHED.BY_NUMBER, PUBLISHED.NOISE])
    assert rows == list(PUBLISHED.NUMBERS) and len(rows) == 1 + len(PUBLISHED.ROWS)
    for one in PUBLISHED.ROWS:
        if one.band:
            assert one.band[0] <= float(one.figure) <= one.band[1]
        else:
            assert one.row >= 27 and bool(one.source) == one.figure.isdigit()


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


def test_deviation_over_orders_is_of_the_mean_over_seeds_by_hand(monkeypatch):
    accuracies = {((0, 1), 0): 0.9, ((0, 1), 1): 0.7, ((1, 0), 0): 0.5, ((1, 0), 1): 0.3}
    rows = [
        {"order": list(order), "seed_init": seed, "test": [[], [value, value]]}
        for (order, seed), value in accuracies.items()
    ]
    monkeypatch.setattr(PUBLISHED, "on_record", lambda space, method: rows)
    deviation, share = PUBLISHED.scatter("nai")
    # means 0.8 and 0.4; mean squares 0.16 (order), 0.04 (seed), 0 (rest): components 0.08 and 0.02
    assert deviation == pytest.approx(100 * 0.08**0.5) and share == pytest.approx(0.8)


def test_figures_of_an_earlier_revision_are_as_if_not_on_record(monkeypatch):
    row = PUBLISHED.BY_NUMBER[19]
    home = PUBLISHED.STUDIES / row.space
    assert PUBLISHED.measured(row) and not PUBLISHED.lacking(home)
    assert PUBLISHED.lacking(home / "nowhere")
    monkeypatch.setattr(GDumb, "revision", GDumb.revision + 1)
    assert PUBLISHED.measured(row) is None and PUBLISHED.lacking(home)


def test_the_table_in_the_documentation_is_that_of_the_records():
    shown = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for line in PUBLISHED.markdown().splitlines():
        assert line in shown
