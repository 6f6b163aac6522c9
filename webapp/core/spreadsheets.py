"""Tables for spreadsheets, as CSV: read in the right encoding by every program, and without formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

from webapp.i18n import ngettext

MEDIA_TYPE = "text/csv; charset=utf-8"
# A page says how many rows its export has, up to this number: counting all rows of a long list would cost too much.
MOST_COUNTED = 10_000
# A spreadsheet would take a text that begins with one of these for a formula; the wide signs in Japan.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Where a semicolon or a tab separates cells, as it does for Excel in most of Europe, our quotes protect nothing.
_FORMULA_INSIDE = re.compile(r"""([;\t\r\n][ "']*)(?=[=+\-@＝＋－＠])""")
# A number as people write it: the space after the country code makes it text for a spreadsheet, and not a sum.
_PHONE = re.compile(r"\+\d{1,3}(?: \d+(?:-\d+)*)+", re.ASCII)


def harmless(text: str) -> str:
    """The text in a form that no spreadsheet takes for a formula. A telephone number stays as it is."""
    text = _FORMULA_INSIDE.sub(r"\1'", text)
    return f"'{text}" if text.lstrip(' "').startswith(_FORMULA) and not _PHONE.fullmatch(text) else text


def csv_pieces(columns: Sequence[str], batches: Iterable[Iterable[Sequence[str]]]) -> Iterator[str]:
    """The table in pieces. It begins with a byte order mark, which tells spreadsheets that the text is UTF-8.

    The last line says how many rows are above it: a file without it is incomplete.
    """
    yield "\ufeff" + _csv_text([columns])
    count = 0
    for rows in batches:
        cells = [[harmless(cell) for cell in row] for row in rows]
        count += len(cells)
        yield _csv_text(cells)
    yield _csv_text([[ngettext("End of the list: %(n)d row", "End of the list: %(n)d rows", count) % {"n": count}]])


def csv_headers(name: str, total: int) -> dict[str, str]:
    """The headers of a table that is saved under this name, with the number of rows after the first."""
    return {"content-disposition": f'attachment; filename="{name}.csv"', "x-total-count": str(total)}


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    output = io.StringIO()
    csv.writer(output).writerows(rows)
    return output.getvalue()
