"""The board in a browser: by keyboard, as a screen reader gets it, and with an appointment in every size and theme."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from tests.browser.conftest import Clinic, sign_in
from tests.browser.looking import look
from webapp import models

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def test_the_board_is_worked_by_keyboard_and_reads_as_lists(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=15)[:10]
    patient = clinic.new_patient()
    reference = clinic.cast.book(patient, f"{day} 10:00")
    clinic.cast.book(clinic.new_patient(), f"{day} 10:00", doctor="erin", visit_type=clinic.cast.erins_only)
    told = {"flagged_why": "time_off", "notes": "A wheelchair", "desk_note": "Ground floor"}
    this = models.Appointment.reference == reference
    clinic.cast.change(sa.update(models.Appointment).where(this).values(**told))
    page = open_browser()
    page.set_viewport_size({"width": 1280, "height": 900})
    sign_in(page, "carol@docket.example")
    page.goto(f"/board/{day}")

    # A heading for each doctor, and a list of links with whole sentences.
    column = page.locator("#column-bob")
    expect(column.get_by_role("heading", level=2)).to_have_accessible_name("Dr. Bob Brown 1 booked")
    words = "Follow-up, scheduled, needs a decision, something to arrange, note"
    appointment = column.get_by_role("link", name=f"10:00 to 10:15, {patient.name}, {words}", exact=True)
    expect(appointment).to_have_count(1)
    expect(column.get_by_role("link", name="09:00 to 09:15, free", exact=True)).to_have_count(1)

    # One Tab stop; arrows move up, down, and to the same time of the next doctor.
    first = column.locator("ol a").first
    first.focus()
    for _key in range(4):
        page.keyboard.press("ArrowDown")
    expect(appointment).to_be_focused()
    assert page.locator(".col ol a[tabindex='0']").count() == 1
    page.keyboard.press("ArrowRight")
    expect(page.locator("#column-erin ol a:focus")).to_contain_text("10:00")
    page.keyboard.press("ArrowLeft")
    expect(appointment).to_be_focused()

    # Enter opens it beside the board, Escape leads back to it.
    page.keyboard.press("Enter")
    expect(page.locator("#panel-title")).to_be_focused()
    assert page.url.endswith(f"/board/{day}/appointments/{reference}")
    look(page)
    page.keyboard.press("Escape")
    expect(appointment).to_be_focused()
    assert page.url.endswith(f"/board/{day}")

    # Keys do nothing while a field has the focus, and can be switched off.
    page.keyboard.press("/")
    expect(page.locator("#find-patient")).to_be_focused()
    page.keyboard.type("t?")
    expect(page.locator("#find-patient")).to_have_value("t?")
    expect(page.locator("#keys")).to_be_hidden()
    appointment.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.get_by_label("Also use letters and signs").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    page.evaluate("localStorage.clear()")
    page.goto(f"/board/{day}")
    page.keyboard.press("j")
    expect(page.locator("h1")).not_to_have_text(page.title().partition(" · ")[0])
