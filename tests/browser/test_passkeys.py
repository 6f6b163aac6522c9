"""Passkeys of patients in a real browser, with Chromium's virtual authenticator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from tests.browser.conftest import Clinic
from webapp import models

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def by_name(clinic: Clinic) -> str:
    """The address of the clinic by the name of this machine: browsers accept no passkey for 127.0.0.1."""
    return clinic.url.replace("127.0.0.1", "localhost")


def give_authenticator(page: Page) -> None:
    browser = page.context.new_cdp_session(page)
    browser.send("WebAuthn.enable")
    browser.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})


def go(page: Page, clinic: Clinic, path: str) -> None:
    page.goto(by_name(clinic) + path)
    page.wait_for_load_state()


def add_passkey(page: Page, clinic: Clinic, name: str) -> None:
    go(page, clinic, "/account")
    page.get_by_label("Name for this passkey").fill(name)
    page.get_by_role("button", name="Add a passkey").click()


def enter(page: Page, clinic: Clinic, email: str) -> None:
    """Sign in with the password, at the address by name."""
    go(page, clinic, "/login")
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Password").fill("a long sentence for tests")
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_load_state()


def test_a_patient_adds_a_passkey_and_signs_in_with_it_alone(open_browser: Open, clinic: Clinic) -> None:
    patient = clinic.new_patient()
    page = open_browser(by_name(clinic))
    give_authenticator(page)
    enter(page, clinic, patient.email)
    add_passkey(page, clinic, "My phone")
    expect(page.get_by_role("status").first).to_contain_text("Your passkey is added.")
    expect(page.locator("section[aria-labelledby=passkeys-title]")).to_contain_text("My phone")
    page.context.clear_cookies()
    go(page, clinic, "/login?next=/appointments")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(f"{by_name(clinic)}/appointments")
    # It asks again with the passkey, and lets it be removed.
    clinic.cast.change(sa.update(models.UserSession).values(factor_at=None))
    go(page, clinic, "/account")
    page.get_by_role("button", name="Remove: My phone").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm it’s you")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{by_name(clinic)}/account")
    page.get_by_role("button", name="Remove: My phone").click()
    expect(page.get_by_role("status").first).to_contain_text("The passkey is removed.")
    page.context.clear_cookies()
    go(page, clinic, "/login")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.locator("body")).to_contain_text("That passkey didn’t work here.")


def test_there_is_no_button_where_passkeys_cannot_work(open_browser: Open, clinic: Clinic) -> None:
    for address, options in ((clinic.url, {}), (by_name(clinic), {"java_script_enabled": False})):
        page = open_browser(f"{address}/login", **options)
        expect(page.get_by_role("button", name="Email me a code")).to_be_visible()
        expect(page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
