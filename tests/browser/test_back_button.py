"""The back button after parts of the page were swapped, and addresses that can be shared."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Clinic, sign_in

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def titles(page: Page) -> str:
    return page.locator("#calendar-title").inner_text()


def test_back_and_forward_walk_through_the_weeks(open_browser: Open) -> None:
    page = open_browser("/doctors/bob")
    weeks = [titles(page)]
    for _ in range(2):
        page.get_by_role("link", name="Next week").click()
        expect(page.locator("#calendar-title")).not_to_have_text(weeks[-1])
        weeks.append(titles(page))
    assert len(set(weeks)) == 3
    for title in reversed(weeks[:-1]):
        page.go_back()
        expect(page.locator("#calendar-title")).to_have_text(title)
        expect(page.get_by_role("heading", level=1)).to_have_text("Dr. Bob Brown")
    for title in weeks[1:]:
        page.go_forward()
        expect(page.locator("#calendar-title")).to_have_text(title)
    # The restored page works as before.
    page.get_by_role("link", name="Previous week").click()
    expect(page.locator("#calendar-title")).to_have_text(weeks[1])


def test_back_from_the_booking_page_shows_the_week_that_was_chosen_from(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser()
    sign_in(page, clinic.new_patient().email)
    page.goto("/doctors/bob")
    page.locator(".choice", has_text="Skin procedure").click()
    expect(page).to_have_url(re.compile("visit_type="))
    title = titles(page)
    page.get_by_role("link", name="Next week").click()
    expect(page.locator("#calendar-title")).not_to_have_text(title)
    title, address = titles(page), page.url
    page.locator("#calendar .slot >> visible=true").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What would you like help with?")
    page.go_back()
    expect(page.locator("#calendar-title")).to_have_text(title)
    expect(page.get_by_label("Skin procedure")).to_be_checked()
    expect(page).to_have_url(address)


def test_back_undoes_a_filter(open_browser: Open) -> None:
    page = open_browser("/doctors")
    expect(page.locator("#doctor-list h2")).to_have_text("2 doctors")
    page.get_by_label("Specialty").select_option("Dermatology")
    expect(page.locator("#doctor-list h2")).to_have_text("1 doctor")
    expect(page.locator("#status")).to_have_text("1 doctor")
    page.get_by_label("Specialty").select_option("General practice")
    expect(page.get_by_role("link", name="Dr. Bob Brown", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="Dr. Erin Eze", exact=True)).to_be_visible()
    expect(page.get_by_label("Specialty")).to_have_value("Dermatology")
    page.go_back()
    expect(page.locator("#doctor-list h2")).to_have_text("2 doctors")
    expect(page.get_by_label("Specialty")).to_have_value("")


def test_the_address_in_the_bar_shows_another_visitor_the_same_week(open_browser: Open) -> None:
    page = open_browser("/doctors/erin")
    page.locator(".choice", has_text="Allergy test").click()
    expect(page).to_have_url(re.compile("visit_type=.*week="))
    week = page.url.partition("week=")[2]
    page.get_by_role("link", name="Next week").click()
    # The address changes when the new week has taken the place of the old one.
    expect(page).not_to_have_url(re.compile(f"week={week}"))
    other = open_browser(page.url)
    assert titles(other) == titles(page)
    expect(other.get_by_label("Allergy test")).to_be_checked()
    assert other.locator("#calendar .slot").all_inner_texts() == page.locator("#calendar .slot").all_inner_texts()


def test_on_a_phone_a_day_is_chosen_and_its_times_are_shown(open_browser: Open) -> None:
    page = open_browser("/doctors/bob", **PHONE)
    title = titles(page)
    page.get_by_role("link", name="Next week").tap()
    expect(page.locator("#calendar-title")).not_to_have_text(title)
    expect(page.locator(".strip label")).to_have_count(5)
    days = page.locator(".week > li >> visible=true")
    expect(days).to_have_count(1)
    before = days.first.locator("h3 .long").inner_text()
    page.locator(".strip label").nth(3).tap()
    expect(days).to_have_count(1)
    expect(days.first.locator("h3 .long")).not_to_have_text(before)


def test_a_page_that_is_out_of_date_says_so_when_the_clinic_cannot_be_reached(open_browser: Open) -> None:
    page = open_browser("/doctors/bob", may_complain=True)
    page.route("**/calendar?*", lambda route: route.abort("blockedbyclient"))
    title = titles(page)
    page.get_by_role("link", name="Next week").click()
    expect(page.locator("#status")).to_contain_text("We can’t reach the clinic.")
    assert titles(page) == title
