"""Of several rows about one run one counts, the same wherever rows are gathered and however they came."""

import itertools

import pytest
from made_rows import flat, row, settings

from sweep.book import Book, among, cell_of

NAI = settings("nai", strength=1.0)


def of_release(name, finished, value=0.5):
    return row(NAI, (0, 1), (0, 0), fingerprint=name, finished=finished, valid=flat(value))


@pytest.mark.parametrize("finished", [(1.0, 2.0, 3.0), (3.0, 1.0, 2.0), (2.0, 2.0, 1.0)])
def test_of_several_releases_the_latest_row_counts_in_book_and_report_alike(finished):
    rows = [of_release(name, when) for name, when in zip("abc", finished, strict=True)]
    cell, latest = cell_of(rows[0]), max(finished)
    found = set()
    for turn in itertools.permutations(rows):
        book = Book()
        book.put(turn)
        assert among(turn, {cell}) == [book.rows[cell]]
        assert book.rows[cell]["finished"] == latest
        found.add(book.rows[cell]["fingerprint"])
    assert len(found) == 1


def test_what_the_record_puts_in_place_of_a_row_is_taken_over_whenever_it_finished():
    """Its error gives way to a result that another worker had sooner."""
    book = Book()
    book.put([of_release("a", 2.0) | {"error": "diverged", "valid": None}])
    assert len(book.failed) == 1
    book.put([of_release("a", 1.0)])
    assert (
        not book.failed
        and book.block(row(NAI, (0, 1), (0, 0))["suggestion"], [(0, 1)], [(0, 0)], split="valid") is not None
    )
