"""Pages of lists: numbered pages, and pages that continue from the last row of the page before.

A list that is too long to count is read from a cursor: a place in the order of the list, and the direction in which
rows are read from there. No rows are skipped, so each page costs the same, at any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from webapp.core.parsing import whole_number
from webapp.core.urls import with_query

# The place of a row in a list: an id, or a sort value with an id.
Place = TypeVar("Place")


class Pages(NamedTuple):
    """The position in a list; `previous` and `next` are addresses, or None at the ends."""

    number: int
    total: int
    previous: str | None
    next: str | None


def clamp(number: int, count: int, size: int) -> int:
    """The page that is shown when page `number` is requested: the last page if there are fewer."""
    return min(max(1, number), _pages(count, size))


def paginate(path: str, number: int, count: int, size: int, **keep: object) -> Pages:
    """The pages of `count` rows, `size` per page; `keep` are query values to keep in the addresses."""
    total = _pages(count, size)
    previous = with_query(path, **keep, page=number - 1 if number > 2 else None) if number > 1 else None
    following = with_query(path, **keep, page=number + 1) if number < total else None
    return Pages(number, total, previous, following)


def _pages(count: int, size: int) -> int:
    return max(1, -(-count // size))


# ----------------------------------------------------------------------------- lists that are too long to count


class Cursor(NamedTuple, Generic[Place]):
    """Where a page begins: after the row at `place`, or before it when `backwards`. None is the first page."""

    place: Place | None = None
    backwards: bool = False


FIRST_PAGE: Cursor[Any] = Cursor()


class PageEnds(NamedTuple, Generic[Place]):
    """The first and the last place of a page, from which the pages beside it continue; None at the ends of the list."""

    before: Place | None = None
    after: Place | None = None


class Neighbours(NamedTuple):
    """The addresses of the pages before and after; None at the ends of the list."""

    previous: str | None = None
    next: str | None = None


Row = TypeVar("Row")


def cursor_of(*, before: Place | None, after: Place | None) -> Cursor[Place]:
    """The cursor of the page that follows `after` or precedes `before`."""
    if after is None and before is not None:
        return Cursor(before, backwards=True)
    return Cursor(after)


def cut(
    found: Sequence[Row], cursor: Cursor[Place], size: int, place_of: Callable[[Row], Place]
) -> tuple[list[Row], PageEnds[Place]]:
    """The rows of one page in the order of the list, and where the pages beside it begin.

    `found` are up to `size` + 1 rows in reading order: the extra row shows that the list goes on.
    """
    goes_on, shown = len(found) > size, list(found[:size])
    if cursor.backwards:
        shown.reverse()
    if not shown:
        return shown, PageEnds()
    has_before = goes_on if cursor.backwards else cursor.place is not None
    has_after = goes_on or cursor.backwards
    return shown, PageEnds(
        before=place_of(shown[0]) if has_before else None, after=place_of(shown[-1]) if has_after else None
    )


def neighbours(ends: PageEnds[Any], path: str, **keep: object) -> Neighbours:
    """The addresses of the pages beside a page; `keep` are query values to keep in them."""
    return Neighbours(
        with_query(path, **keep, before=ends.before) if ends.before is not None else None,
        with_query(path, **keep, after=ends.after) if ends.after is not None else None,
    )


# ------------------------------------------------------------------------- lists with the newest row at the top


class Numbered(Protocol):
    """A row with an id. The greater the id, the newer the row."""

    @property
    def id(self) -> int:
        """The id that names the row's place in addresses."""


NumberedRow = TypeVar("NumberedRow", bound=Numbered)


def newest_first(query: Mapping[str, str]) -> Cursor[int]:
    """The cursor in an address: rows older than `before`, or newer than `after`; other values are ignored."""
    return cursor_of(before=whole_number(query.get("after")), after=whole_number(query.get("before")))


def cut_newest_first(
    found: Sequence[NumberedRow], cursor: Cursor[int], size: int, path: str, **keep: object
) -> tuple[list[NumberedRow], Neighbours]:
    """The rows of one page, the newest at the top, and the addresses of the newer and the older page.

    If the page has become empty, the newer page is the first one.
    """
    shown, part = cut(found, cursor, size, lambda row: row.id)
    if not shown:
        return shown, Neighbours(with_query(path, **keep) if cursor.place is not None else None)
    return shown, Neighbours(
        with_query(path, **keep, after=part.before) if part.before is not None else None,
        with_query(path, **keep, before=part.after) if part.after is not None else None,
    )
