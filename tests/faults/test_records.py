"""A record cut at every length, or with any one byte changed, gives its own rows or none."""

import hashlib

import made_rows
import pytest

from sweep import asked, parts, record, record_bytes

CHOSEN = made_rows.settings("nai", strength=0.5)


@pytest.fixture(scope="module")
def data():
    return record.encoded(made_rows.row(CHOSEN, (1, 0), (n, n), valid=made_rows.flat(0.5)) for n in range(3))


def test_a_record_cut_anywhere_is_not_read(data, tmp_path):
    refused(tmp_path, data, (data[:length] for length in range(len(data))), ".parquet")


def test_a_record_with_any_byte_changed_is_not_read(data, tmp_path):
    refused(tmp_path, data, flipped(data), ".parquet")


def test_a_suggestion_cut_or_changed_anywhere_is_not_read(tmp_path):
    data = asked.encoded("nai", asked.Suggestion(3, {"strength": 0.25, "layers": (1, 2)}))
    refused(tmp_path, data, (data[:length] for length in range(len(data))), ".json")
    refused(tmp_path, data, flipped(data), ".json")


def flipped(data):
    for place, byte in enumerate(data):
        yield data[:place] + bytes([byte ^ (1 << place % 8)]) + data[place + 1 :]


def refused(folder, data, spoilt, kind):
    path = folder / parts.name_of(data, kind)
    for one in spoilt:
        path.write_bytes(one)
        with pytest.raises(parts.UnsoundError, match="torn or altered"):
            parts.load(path)


def test_bytes_that_a_forger_named_rightly_are_rows_of_the_schema_or_none(data):
    """The digest catches accidents; behind it the reader refuses whatever is no row of the schema."""
    for place in range(0, len(data), 7):
        one = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
        try:
            rows = record_bytes.decode(one)
        except parts.UnsoundError:
            continue
        assert all(row.keys() == set(record.SCHEMA.names) for row in rows)
    assert hashlib.sha256(data).hexdigest().startswith(parts.name_of(data)[5:37])
