"""Pages of a list."""

from __future__ import annotations

from typing import NamedTuple

from webapp.core.urls import with_query


class Pages(NamedTuple):
    """Where in a list we are; `previous` and `next` are addresses, or None at the ends."""

    number: int
    total: int
    previous: str | None
    next: str | None


def clamp(number: int, count: int, size: int) -> int:
    """The page that is shown when page `number` is asked for: the last one where there are fewer."""
    return min(max(1, number), _pages(count, size))


def paginate(path: str, number: int, count: int, size: int, **keep: object) -> Pages:
    """The pages of `count` rows, `size` a page; `keep` are query values that stay."""
    total = _pages(count, size)
    previous = with_query(path, **keep, page=number - 1 if number > 2 else None) if number > 1 else None
    following = with_query(path, **keep, page=number + 1) if number < total else None
    return Pages(number, total, previous, following)


def _pages(count: int, size: int) -> int:
    return max(1, -(-count // size))
