"""Addresses of our own pages, for modules that know nothing of the web."""

from __future__ import annotations

from urllib.parse import urlencode


def with_query(path: str, **values: object) -> str:
    """A path with these query values added; None and empty values are left out."""
    query = urlencode({name: value for name, value in values.items() if value not in (None, "")})
    if not query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{query}"
