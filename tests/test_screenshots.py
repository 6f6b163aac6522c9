"""`python -m scripts.screenshots` takes every page: the list in `scripts.pages` is complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast as typed

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from scripts.pages import PAGES, WALKED
from webapp.core.routing import all_routes

# Not pages, or pages that look like another one: those of an admin about a doctor's hours are the doctor's own.
OTHERS = re.compile(
    r"/api/.*|/\.well-known/.*|/health.*|/metrics|.*\.(ics|csv|json)|.*/document|/docs|/redoc|/doctors/\{slug\}/calendar|/continue|/login/sso/.*"
    r"|/admin/doctors/\{slug\}/(hours|time-off)/.*|/calendar/.*|/live|/admin/appointments/new"
)
# The first id or class of each selector in the walks.
SELECTED = re.compile(r"(?:wait_for_selector|locator)\(\s*f?\"[^\"]*?[#.]([a-z][a-z-]+)")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here depends on the kind of database."""
    return sqlite_url


def test_every_page_is_taken(client: TestClient) -> None:
    pages = {
        route.path: re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path))
        for route in all_routes(typed(FastAPI, client.app).routes)
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and not OTHERS.fullmatch(route.path)
    }
    taken = [path.partition("?")[0] for who in PAGES.values() for _, path in who]
    missing = [path for path, pattern in pages.items() if path not in WALKED and not any(map(pattern.fullmatch, taken))]
    assert missing == [], "Add them to scripts/pages.py, or to WALKED there and to a walk of scripts/screenshots.py."
    assert set(WALKED) <= set(pages)


def test_the_walks_look_for_elements_that_pages_have() -> None:
    """An element that got another name stops a walk in its middle."""
    wanted = set(SELECTED.findall((ROOT / "scripts" / "screenshots.py").read_text("utf-8")))
    assert {"taken-time", "near", "submit-bar"} <= wanted
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "templates").rglob("*.html"))
    named = {word for names in re.findall(r'(?:class|id)="([^"]*)"', pages) for word in names.split()}
    assert wanted - named == set()
