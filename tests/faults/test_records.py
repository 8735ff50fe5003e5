"""A record that is cut, changed or made up gives its own rows or none, and takes no other record with it."""

import hashlib
from operator import itemgetter

import made_rows
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from properties import examples

from sweep import asked, parts, record, record_bytes

CHOSEN = made_rows.settings("nai", strength=0.5)


def rows(*seeds):
    return [made_rows.row(CHOSEN, (1, 0), (n, n), valid=made_rows.flat(0.5)) for n in seeds]


@pytest.fixture(scope="module")
def data():
    return record.encoded(rows(0, 1, 2))


def test_a_record_cut_at_any_byte_is_not_read(data, tmp_path):
    refused(tmp_path, (data[:length] for length in range(len(data))), data)


def test_a_record_with_any_byte_flipped_is_not_read(data, tmp_path):
    refused(tmp_path, flipped(data), data)


def test_a_suggestion_cut_or_flipped_anywhere_is_not_read(tmp_path):
    data = asked.encoded("nai", asked.Suggestion(3, {"strength": 0.25, "layers": (1, 2)}))
    refused(tmp_path, (data[:length] for length in range(len(data))), data, ".json")
    refused(tmp_path, flipped(data), data, ".json")


def flipped(data):
    for place, byte in enumerate(data):
        yield data[:place] + bytes([byte ^ (1 << place % 8)]) + data[place + 1 :]


def refused(folder, spoilt, data, kind=".parquet"):
    path = folder / parts.name_of(data, kind)
    for one in spoilt:
        path.write_bytes(one)
        with pytest.raises(parts.UnsoundError, match="torn or altered"):
            parts.load(path)


@st.composite
def stretches(draw, size):
    """Where a damage begins and ends, and the bytes that stand there then."""
    start = draw(st.integers(0, size))
    return start, draw(st.integers(start, size)), draw(st.binary(max_size=30))


def test_a_record_damaged_in_any_way_gives_no_row_and_takes_no_other_with_it(data, tmp_path):
    """Stretches of it cut out, written over or grown, once or more; a sound record lies beside it."""
    record.write(tmp_path, rows(7))
    path = tmp_path / parts.name_of(data)

    @examples(300)
    @given(st.lists(stretches(len(data)), min_size=1, max_size=4))
    def law(some):
        one = data
        for start, end, others in some:
            one = one[:start] + others + one[end:]
        assume(one != data)
        path.write_bytes(one)
        found = record.read(tmp_path)
        (problem,) = found.problems
        assert list(found.rows) == rows(7) and problem.path == path

    law()


SHORT = st.text(max_size=12)
NUMBER = st.floats(width=32, allow_nan=False)
MADE = st.fixed_dictionaries(
    {
        "settings": SHORT,
        "benchmark": SHORT,
        "order": st.lists(st.integers(0, 2**15 - 1), max_size=4),
        "seed_init": st.integers(-(2**63), 2**63 - 1),
        "valid": st.none() | st.lists(st.lists(NUMBER, max_size=3), max_size=3),
        "effective_strength": st.none() | st.lists(NUMBER, max_size=3),
        "seconds": st.floats(allow_nan=False),
        "error": st.none() | SHORT,
    }
)


@examples(150)
@given(st.lists(MADE, min_size=1, max_size=4))
def test_rows_of_any_values_come_back_as_they_were(some):
    made = [made_rows.row(CHOSEN, (1, 0), (n, n)) | one for n, one in enumerate(some)]
    found = record_bytes.decode(record.encoded(made))
    assert sorted(found, key=itemgetter("fingerprint")) == sorted(made, key=itemgetter("fingerprint"))


def test_bytes_that_a_forger_named_rightly_are_rows_of_the_schema_or_none(data):
    """The digest catches accidents; behind it the reader refuses whatever is no row of the schema."""
    for place in range(0, len(data), 7):
        one = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
        try:
            found = record_bytes.decode(one)
        except parts.UnsoundError:
            continue
        assert all(row.keys() == set(record.SCHEMA.names) for row in found)
    assert hashlib.sha256(data).hexdigest().startswith(parts.name_of(data)[5:37])
