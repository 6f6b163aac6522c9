"""The API's description in a browser: a request is tried out, and nothing violates the page's policy."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PHONE, Clinic
from tests.cast import PASSWORD

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def test_a_user_signs_in_and_requests_their_account(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser(**PHONE, color_scheme="dark")
    page.route("**/openapi.json", shorten)
    page.goto("/docs")
    expect_whole(page)
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("username").fill("alice@docket.example")
    page.get_by_label("password:", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Apply given OAuth2 credentials").click()
    page.locator(".dialog-ux .close-modal").click()
    asked = page.locator("#operations-Signing_in-read_me")
    asked.get_by_role("button").first.click()
    asked.get_by_role("button", name="Try it out").click()
    asked.get_by_role("button", name="Execute").click()
    answered = asked.locator(".live-responses-table")
    expect(answered.locator(".response-col_status").last).to_contain_text("200")
    expect(answered).to_contain_text("alice@docket.example")
    leads_back(page, clinic)


def test_the_description_to_read_is_shown_whole_and_leads_back(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser(**PHONE, color_scheme="dark")
    page.route("**/openapi.json", shorten)
    page.goto("/redoc")
    expect_whole(page)
    leads_back(page, clinic)


def shorten(route: Route) -> None:
    """Shorten the description to one path for each tag: both pages render every operation, which takes seconds."""
    whole = route.fetch().json()
    first: dict[str, str] = {}
    for path, operations in whole["paths"].items():
        for operation in operations.values():
            first.setdefault(operation["tags"][0], path)
    first["Signing in"] = "/api/v1/auth/me"
    route.fulfill(json=whole | {"paths": {path: whole["paths"][path] for path in first.values()}})


def expect_whole(page: Page) -> None:
    """Expect the heading, and the last tag. On a busy machine either page takes seconds to render them."""
    expect(page.get_by_text("Appointment booking for clinics").first).to_be_visible(timeout=30_000)
    expect(page.get_by_role("heading", name=re.compile("Doctors' times")).first).to_be_attached(timeout=30_000)


def leads_back(page: Page, clinic: Clinic) -> None:
    """The link to the pages for people."""
    page.get_by_role("link", name="Docket").first.click()
    expect(page).to_have_url(f"{clinic.url}/")
