"""Pages of lists that are too long to count: a page goes on from the last row of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from webapp.core.urls import with_query


class Row(Protocol):
    """Whatever has an id by which its list is ordered, the newest first."""

    @property
    def id(self) -> int:
        """The greater, the newer."""


Some = TypeVar("Some", bound=Row)

MOST = 2**31 - 1


class Cursor(NamedTuple):
    """Where in a list we are: only rows older than `before`, or newer than `after`; neither on the first page."""

    before: int | None
    after: int | None


class Neighbours(NamedTuple):
    """The addresses of the pages of newer and of older rows; None where there are none."""

    newer: str | None
    older: str | None


def cursor_of(before: str, after: str) -> Cursor:
    """The place that an address names; what is no id is none."""
    numbers = [
        int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MOST else None
        for text in (before, after)
    ]
    return Cursor(numbers[0], numbers[1] if numbers[0] is None else None)


def cut(found: Sequence[Some], turn: Cursor, size: int, path: str, **keep: object) -> tuple[list[Some], Neighbours]:
    """The rows of one page and its neighbours, of up to `size` + 1 rows that were read, the newest first."""
    more = len(found) > size
    kept = list(found[-size:] if turn.after is not None else found[:size])
    if not kept:
        first = with_query(path, **keep) if turn != (None, None) else None
        return kept, Neighbours(first, None)
    has_newer = more if turn.after is not None else turn.before is not None
    has_older = True if turn.after is not None else more
    return kept, Neighbours(
        with_query(path, **keep, after=kept[0].id) if has_newer else None,
        with_query(path, **keep, before=kept[-1].id) if has_older else None,
    )
