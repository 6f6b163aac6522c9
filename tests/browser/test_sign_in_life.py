"""The whole life of signing in, in a real browser: code by mail, app, recovery code, passkey, single sign-on, a thief.

The pages of the second step are looked at on the way. Passkeys of patients are in test_passkeys.py.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from tests.browser.conftest import EVERY_DATABASE, PHONE, Clinic
from tests.browser.looking import look
from tests.browser.test_passkeys import add_passkey, by_name, give_authenticator, go
from tests.cast import PASSWORD
from tests.oidc_provider import CLIENT, SECRET, OidcProvider, oidc_provider
from webapp import models

pytestmark = [
    pytest.mark.browser,
    # The other browser tests of signing in are on SQLite.
    pytest.mark.parametrize("clinic", EVERY_DATABASE or ["postgresql"], indirect=True),
]
Open = Callable[..., Page]
Form = dict[str, str | float | bool]
ERIN = "erin@docket.example"
OURS = {"sec-fetch-site": "same-origin"}
# What a thief may try with a session alone: routes that change how the account is signed in to.
CHANGES = ("factor/removal", "recovery-codes", "passkeys", "passkeys/1/removal", "identities/hospital")


@pytest.fixture(scope="module")
def hospital() -> Iterator[OidcProvider]:
    """A provider of single sign-on."""
    with oidc_provider() as provider:
        provider.now = time.time()
        yield provider


@pytest.fixture(scope="module")
def clinic_settings(hospital: OidcProvider) -> dict[str, str]:
    """The settings of the clinic that trusts it."""
    named = {"name": "hospital", "label": "St. Mary’s", "issuer": hospital.issuer}
    return {"DOCKET_OIDC_PROVIDERS": json.dumps([{**named, "client_id": CLIENT, "client_secret": SECRET}])}


def test_every_way_to_sign_in_and_a_stolen_session(open_browser: Open, clinic: Clinic, hospital: OidcProvider) -> None:
    book_with_a_code(open_browser("/doctors/bob", **PHONE))

    # An app and its recovery codes, each of which is good once.
    page = open_browser(by_name(clinic))
    with_password(page, clinic)
    go(page, clinic, "/account/factor/new")
    page.get_by_text("Can’t scan it?").click()
    look(page)
    app = pyotp.TOTP(page.get_by_label("Key to type instead").input_value().replace(" ", ""))
    page.get_by_label("Code from the app").fill(app.now())
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    look(page)
    recovery, another, *_others = page.locator(".codes li").all_inner_texts()
    # Docket takes the code of the next half minute too, and each one once.
    next_code = app.at(datetime.now(UTC), counter_offset=1)
    second_step(page, clinic, next_code)
    expect(page).to_have_url(f"{by_name(clinic)}/schedule")
    second_step(page, clinic, recovery)
    expect(page).to_have_url(f"{by_name(clinic)}/schedule")
    for used in (recovery, next_code):
        second_step(page, clinic, used)
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page).to_have_url(f"{by_name(clinic)}/login/factor")
    look(page)
    second_step(page, clinic, another)
    # `look` would remove the authenticator from this window.
    give_authenticator(page)
    add_passkey(page, clinic, "Laptop")
    expect(page.get_by_role("status").first).to_contain_text("Your passkey is added.")

    # A passkey as the second step, and then alone.
    page.context.clear_cookies()
    with_password(page, clinic)
    go(page, clinic, "/login/factor")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{by_name(clinic)}/schedule")
    page.context.clear_cookies()
    go(page, clinic, "/login")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(f"{by_name(clinic)}/schedule")

    # A person who copies the cookie sees what its owner sees, but cannot change how the account is signed in to.
    a_while_ago = datetime.now(UTC) - timedelta(minutes=11)
    clinic.cast.change(sa.update(models.UserSession).values(factor_at=a_while_ago))
    before = factors(clinic)
    thief = open_browser(by_name(clinic))
    thief.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    go(thief, clinic, "/account")
    look(thief)
    go(thief, clinic, "/account/factor/new")
    expect(thief.get_by_role("heading", level=1)).to_have_text("Confirm it’s you")
    expect(thief.get_by_label("Password")).to_have_count(0)
    look(thief)
    for guess in (recovery, "000000"):
        thief.get_by_label("Code").fill(guess)
        thief.get_by_role("main").get_by_role("button", name="Continue").click()
        expect(thief.get_by_role("alert")).to_be_visible()
    for change in CHANGES:
        address, form = f"{by_name(clinic)}/account/{change}", Form(name="Mine")
        answer = thief.context.request.post(address, form=form, headers=OURS, max_redirects=0)
        assert (answer.status, answer.headers["location"].partition("?")[0]) == (303, "/confirm"), change
    assert factors(clinic) == before
    # Its owner proves who they are with the passkey. The session then has a new id, and the copy is worthless.
    go(page, clinic, "/account/factor/new")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{by_name(clinic)}/account/factor/new")
    go(thief, clinic, "/account")
    expect(thief).to_have_url(f"{by_name(clinic)}/login?next=%2Faccount")

    # Single sign-on by a person whose address is known.
    staff = open_browser("/login")
    with staff.expect_navigation():
        staff.get_by_role("link", name="Sign in with St. Mary’s").click()
    staff.goto(hospital.let_in(staff.url, email="bob@docket.example"))
    expect(staff).to_have_url(f"{clinic.url}/schedule")


def book_with_a_code(page: Page) -> None:
    """Someone new books on a phone: a time, an e-mail address, a code and a name, and nothing else."""
    slot = page.locator("#calendar .slot >> visible=true").last
    time = slot.inner_text()
    slot.tap()

    # The address. The field has the focus, so that typing can begin at once.
    expect(page.locator(".intent")).to_contain_text(f"{time} with Dr. Bob Brown")
    expect(page.get_by_label("Email address")).to_be_focused()
    page.keyboard.type("nina@example.org")
    page.get_by_role("button", name="Email me a code").tap()

    # The code. A development machine without a mail server shows it.
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your email")
    expect(page.locator(".intent")).to_contain_text(f"{time} with Dr. Bob Brown")
    expect(page.get_by_label("Code")).to_be_focused()
    page.keyboard.type(page.locator("#shown-code").inner_text())
    page.get_by_role("button", name="Continue").tap()

    # The name, and the booking with it.
    expect(page.locator(".slip .time")).to_have_text(time)
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.type("Nina New")
    button = page.get_by_role("button", name=re.compile(rf"^Book \w+ \d+ \w+, {time}$"))
    expect(button).to_be_in_viewport()
    button.tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")


def with_password(page: Page, clinic: Clinic) -> None:
    """Send the password, as the form does that other tests use."""
    form: Form = {"email": ERIN, "password": PASSWORD}
    answer = page.context.request.post(f"{by_name(clinic)}/login", form=form, headers=OURS, max_redirects=0)
    assert answer.status == 303


def second_step(page: Page, clinic: Clinic, code: str) -> None:
    """Sign in again with the password and this code."""
    page.context.clear_cookies()
    with_password(page, clinic)
    go(page, clinic, "/login/factor")
    page.get_by_label("Code").fill(code)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_load_state()


def factors(clinic: Clinic) -> list[object]:
    """Everything that Docket stores about how people prove who they are."""
    tables = [models.Passkey, models.RecoveryCode, models.AuthenticatorApp, models.LinkedIdentity]
    with clinic.cast.database.reading() as session:
        return [session.execute(sa.select(table.__table__).order_by(sa.text("1"))).all() for table in tables]
