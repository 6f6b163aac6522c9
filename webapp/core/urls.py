"""Addresses of our own pages, for modules that know nothing of the web."""

from __future__ import annotations

from urllib.parse import urlencode


def with_query(path: str, **values: object) -> str:
    """A path with the given query values; None and empty values are left out."""
    query = urlencode({name: value for name, value in values.items() if value not in (None, "")})
    return f"{path}?{query}" if query else path
