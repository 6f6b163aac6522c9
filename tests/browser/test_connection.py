"""A part of the page that cannot be loaded: the page stays, a bar says so, and a button repeats the request."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PHONE, Clinic, sign_in
from tests.browser.looking import look
from tests.browser.test_schedule import appointment_today

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def test_offline_the_page_stays_and_one_press_repeats_the_request(open_browser: Open) -> None:
    page = open_browser("/doctors/bob", may_complain=True, **PHONE)
    bar, title = page.get_by_role("region", name="Connection"), page.locator("#calendar-title")
    before = title.inner_text()
    expect(bar).to_be_hidden()
    page.context.set_offline(True)
    onward = page.get_by_role("link", name="Next week")
    onward.focus()
    page.keyboard.press("Enter")
    expect(bar).to_be_in_viewport()
    expect(bar).to_contain_text("Check your internet connection")
    expect(page.locator("#status")).to_contain_text("Check your internet connection")
    expect(onward).to_be_focused()
    expect(title).to_have_text(before)
    look(page)
    onward.focus()
    # Still offline: the bar stays.
    bar.get_by_role("button", name="Try again").press("Enter")
    expect(bar.get_by_role("button")).not_to_have_attribute("aria-busy", "true")
    expect(bar).to_be_visible()
    expect(bar.get_by_role("button")).to_be_focused()
    page.context.set_offline(False)
    bar.get_by_role("button", name="Try again").press("Enter")
    expect(title).not_to_have_text(before)
    expect(bar).to_be_hidden()
    expect(page.get_by_role("link", name="Next week")).to_be_focused()
    expect(page).to_have_url(re.compile("week="))


@pytest.mark.parametrize(("status", "words"), [(503, "can’t answer"), (500, "on our side"), (429, "can’t answer")])
def test_an_error_of_the_server_keeps_the_choices(open_browser: Open, clinic: Clinic, status: int, words: str) -> None:
    """Also for a tap that writes: what failed is repeated as it was sent."""
    hour = {503: 10, 500: 12, 429: 14}[status]
    reference = appointment_today(clinic, hour, "alice")
    page = open_browser(may_complain=True, viewport={"width": 1280, "height": 800})
    sign_in(page, "bob@docket.example", at="/schedule")
    failing = [status]

    def answer(route: Route) -> None:
        route.fulfill(status=failing.pop(), body="<p>Sorry</p>") if failing else route.continue_()

    page.route("**/status", answer)
    card = page.locator(f"#appointment-{reference}")
    card.get_by_role("button", name="Arrived: Alice Adams").press("Enter")
    bar = page.get_by_role("region", name="Connection")
    expect(bar).to_contain_text(words)
    expect(card).to_have_attribute("data-status", "scheduled")
    bar.get_by_role("button", name="Try again").click()
    expect(card).to_have_attribute("data-status", "arrived")
    expect(bar).to_be_hidden()


def test_trying_again_sends_what_the_form_says_now(open_browser: Open, clinic: Clinic) -> None:
    """A user goes on typing while the bar is there."""
    day = clinic.free_time(days=26)[:10]
    reference = clinic.cast.book(clinic.new_patient(), f"{day} 10:00")
    page = open_browser(may_complain=True, viewport={"width": 1280, "height": 900})
    sign_in(page, "fiona@docket.example", at=f"/board/{day}/appointments/{reference}")
    failing = [503]

    def answer(route: Route) -> None:
        route.fulfill(status=failing.pop(), body="<p>Sorry</p>") if failing else route.continue_()

    page.route("**/note", answer)
    note, bar = page.get_by_label("Note for staff"), page.get_by_role("region", name="Connection")
    note.fill("Brings a parcel")
    page.get_by_role("button", name="Save note").click()
    expect(bar).to_contain_text("can’t answer")
    note.fill("Brings two parcels")
    bar.get_by_role("button", name="Try again").click()
    expect(bar).to_be_hidden()
    expect(note).to_have_value("Brings two parcels")
    page.reload()
    expect(note).to_have_value("Brings two parcels")
