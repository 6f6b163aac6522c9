"""The pages behind the links in messages, checked in every way, and an appointment's life through them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from tests.browser.conftest import Clinic
from tests.browser.looking import look
from tests.servers import SECRET_KEY
from webapp import models
from webapp.appointments.messages.recipients import LINK_PURPOSE
from webapp.core.signing import sign

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def test_an_appointment_is_confirmed_moved_and_cancelled_without_a_log_in(open_browser: Open, clinic: Clinic) -> None:
    patient = clinic.new_patient()
    reference = clinic.cast.book(patient, clinic.free_time(days=6, hour=9), visit_type=clinic.cast.long)
    here = f"/visit/{sign([SECRET_KEY], LINK_PURPOSE, [reference, patient.email])}"
    page = open_browser(here)
    look(page)
    page.goto(f"{here}/confirmation")
    look(page)
    page.get_by_role("button", name="Yes, I’m coming").click()
    expect(page.get_by_role("status").first).to_contain_text("The appointment is confirmed.")
    look(page)
    # How the pages for moving and cancelling look is checked with an account, in test_every_page.py.
    page.get_by_role("link", name="Move").click()
    page.get_by_role("link", name="Next week").click()
    page.wait_for_url("**week=**")
    page.locator("#calendar .slot >> visible=true").last.click()
    expect(page.locator("h1")).to_have_text("Is this the right time?")
    page.get_by_role("button", name="Move to").click()
    expect(page.get_by_role("status").first).to_contain_text("The appointment is moved.")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel appointment").click()
    expect(page.get_by_role("status").first).to_contain_text("The appointment is cancelled.")
    look(page)
    # The address that the message was sent to is corrected, which ends the link.
    clinic.cast.change(
        sa.update(models.User).where(models.User.id == patient.user_id).values(email="new@docket.example")
    )
    page.goto(here)
    expect(page.locator("h1")).to_have_text("This link no longer works")
    look(page)
