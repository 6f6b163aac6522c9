"""Tables for spreadsheets: no text is a formula, and telephone numbers stay readable."""

from __future__ import annotations

import csv
import io

import pytest

from webapp.core.spreadsheets import csv_pieces, harmless


@pytest.mark.parametrize("text", [
    "=1", "+1", "-1", "@a", "\tx", "\rx", "\n=1", "+31612345678", "+31-6-12345678", "+1 +1", "+1 (1)", "+1 -1", "+1 *1",
    "+31 6 12345678,=1", "+31 6 12345678=1", "+31 6  1", "+31 6 1 ", "+٣١ ٦",
])  # fmt: skip
def test_text_that_looks_like_a_formula_is_marked_as_text(text: str) -> None:
    assert harmless(text).startswith("'")
    assert harmless(text).replace("'", "") == text
    assert harmless(f"a{text}").replace("'", "") == f"a{text}"


@pytest.mark.parametrize(("text", "marked"), [
    ("Eve; =cmd|'/c calc'!A0", "Eve; '=cmd|'/c calc'!A0"),
    ('Eve;"=1+1"', "Eve;\"'=1+1\""),
    ("Eve\n=1", "Eve\n'=1"),
    ("Eve\t@x", "Eve\t'@x"),
    (" =1", "' =1"),
    ('"=1', "'\"=1"),
    ("\uff1d1", "'\uff1d1"),
    ("Jan; Piet -- met koffie", "Jan; Piet -- met koffie"),
])  # fmt: skip
def test_no_formula_begins_where_another_sign_separates_cells(text: str, marked: str) -> None:
    """Excel separates cells by semicolons in most of Europe, and then a comma's quotes protect nothing."""
    assert harmless(text) == marked


@pytest.mark.parametrize(
    "number", ["+31 6 12345678", "+31 20 123 4567", "+1 201-555-0123", "06 12345678", "020-1234567"]
)
def test_a_telephone_number_stays_as_people_write_it(number: str) -> None:
    assert harmless(number) == number


def test_a_table_is_written_in_pieces() -> None:
    pieces = list(csv_pieces(["Name", "Said"], [[["Alice", "a, b"], ["Bob", '"']], [["=1", ""]]]))
    assert len(pieces) == 4
    table = list(csv.reader(io.StringIO("".join(pieces).removeprefix("\ufeff"))))
    assert table == [["Name", "Said"], ["Alice", "a, b"], ["Bob", '"'], ["'=1", ""], ["End of the list: 3 rows"]]
