"""Lists of the API that may be longer than one can skip through: a cursor names the row after which a part begins.

Clients get a cursor in the `next` link of a part, and do not look into it. A part that begins at a cursor costs
the same at any depth, and rows that are added or removed meanwhile move no other rows into another part.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Query
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from webapp.core.api import AskedPaging, Paging, answer_list
from webapp.core.web import Page
from webapp.i18n import gettext as _


class CursorPaging(NamedTuple):
    """Which part of a list: how many items after `place` are skipped, and at most how many follow; '' is the start."""

    skip: int
    limit: int
    place: str


def invalid_cursor() -> RequestValidationError:
    """The error for a cursor that names no place in the list."""
    sentence = _("This cursor is no longer valid: start again from the first part.")
    return RequestValidationError([{"type": "cursor", "loc": ("query", "cursor"), "msg": sentence}])


def _paging(
    paging: AskedPaging,
    cursor: Annotated[
        str,
        Query(
            max_length=200, description="Where the part starts, as the `next` link has it; `skip` counts from there."
        ),
    ] = "",
) -> CursorPaging:
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        place = base64.b64decode(padded, b"-_", validate=True).decode()
    except ValueError as error:
        raise invalid_cursor() from error
    return CursorPaging(paging.skip, paging.limit, place)


AskedCursorPaging = Annotated[CursorPaging, Depends(_paging)]


def answer_part(
    page: Page, kind: Any, items: Sequence[Any], *, total: int, paging: CursorPaging, after: object | None
) -> Response:
    """A part of a list as a plain array. The next one begins `after` a place; None after the last part."""
    following = None
    if after is not None:
        following = {"cursor": base64.urlsafe_b64encode(str(after).encode()).decode().rstrip("=")}
    counted = Paging(paging.skip, paging.limit)
    return answer_list(page, kind, items, total=total, paging=counted, following=following)
