"""A clinic from an empty database, only through the browser, until a patient books with one of its doctors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import EVERY_DATABASE
from tests.browser.shared_server import SharedServer
from tests.cast import AMSTERDAM
from tests.postgres import new_database
from tests.servers import live_server
from webapp.accounts import create_account
from webapp.core.clock import utc_now
from webapp.event_handlers import wired_database

pytestmark = pytest.mark.browser

ADMIN = ("carol@docket.example", "walrus teapot orbit")
DOCTOR = "amara@docket.example"
OPTIONS: dict[str, Any] = {"locale": "en-GB", "reduced_motion": "reduce"}


@pytest.fixture(params=EVERY_DATABASE or ["postgresql"])
def empty_clinic(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Docket with a migrated and empty database, whose only account is the first admin's."""
    with ExitStack() as stack:
        if request.param == "postgresql":
            template = request.getfixturevalue("postgres_template")
            url = stack.enter_context(new_database(request.getfixturevalue("postgres_url"), template=template))
            at = stack.enter_context(live_server(url)).url
        else:
            shared: SharedServer = request.getfixturevalue("shared_server")
            shared.fill_from(request.getfixturevalue("sqlite_template"))
            url, at = shared.database_url, shared.url
        database = wired_database(url)
        stack.callback(database.dispose)
        email, password = ADMIN
        # As `docket user create` does it.
        create_account(database, role="admin", email=email, name="Carol Clark", password=password, now=utc_now())
        yield at


def sign_in(page: Page, email: str, password: str) -> None:
    """Sign in through the form."""
    page.goto("/login")
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


def set_up_two_steps(page: Page) -> None:
    """Set up an authenticator app, which a new clinic requires of staff before anything else."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up two-step sign-in")
    page.get_by_text("Can’t scan it?").click()
    secret = page.get_by_label("Key to type instead").input_value().replace(" ", "")
    page.get_by_label("Code from the app").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    page.get_by_role("link", name="I’ve saved them").click()


def fill_week(page: Page, hours: str) -> None:
    """Enter the same hours from Monday to Friday."""
    for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"):
        page.get_by_label(day, exact=True).fill(hours)


def add_visit_type(page: Page, name: str, minutes: int) -> None:
    """Add a visit type."""
    page.goto("/admin/visit-types/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Length in minutes").fill(str(minutes))
    page.get_by_role("button", name="Save visit type").click()
    expect(page.get_by_role("status").first).to_be_visible()


def add_doctor(page: Page, name: str, hours: str, *, email: str = "") -> str | None:
    """Add a doctor with hours; returns the link for choosing a password if the doctor gets an account."""
    page.goto("/admin/doctors/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Specialty").fill("General practice")
    page.get_by_label("Check-up").check()
    page.get_by_label("Follow-up").check()
    if email:
        page.get_by_label(re.compile("Email address")).fill(email)
    page.get_by_role("button", name="Add doctor").click()
    link = None
    if email:
        link = page.get_by_label("Link to choose a password").input_value()
        page.get_by_role("link", name="Next: set working hours").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New working hours")
    fill_week(page, hours)
    page.get_by_role("button", name="Save hours").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Working hours of {name}")
    return link


def test_a_clinic_is_set_up_and_a_patient_books(browser: Browser, empty_clinic: str) -> None:
    """The admin works with scripts and then without, and each of the forms that are used twice is used both ways."""
    context = browser.new_context(base_url=empty_clinic, **OPTIONS)
    admin = context.new_page()
    sign_in(admin, *ADMIN)
    set_up_two_steps(admin)

    # The overview says what comes first, and each step has its form.
    expect(admin.locator(".todo h3").first).to_have_text("Set the clinic’s time zone")
    admin.goto("/admin/clinic/time-zone")
    admin.get_by_role("button", name="Confirm time zone").click()
    admin.goto("/admin")
    expect(admin.locator(".todo h3").first).to_have_text("Set the clinic’s opening hours")
    admin.goto("/admin/clinic/details")
    admin.get_by_label("Name of the clinic").fill("Harbour Lane Clinic")
    admin.get_by_label("Address", exact=False).first.fill("18 Harbour Lane, 1011 AB Amsterdam")
    admin.get_by_role("main").get_by_role("button", name="Save").first.click()
    add_visit_type(admin, "Check-up", 30)
    without_scripts = browser.new_context(base_url=empty_clinic, java_script_enabled=False, **OPTIONS)
    without_scripts.add_cookies(context.cookies())  # type: ignore[arg-type]
    plain = without_scripts.new_page()
    plain.goto("/admin/clinic/opening-hours")
    fill_week(plain, "9-17")
    plain.get_by_role("button", name="Save opening hours").click()
    add_visit_type(plain, "Follow-up", 15)
    link = add_doctor(admin, "Dr. Amara Okafor", "9-12, 13-17", email=DOCTOR)
    add_doctor(plain, "Dr. Bob Brown", "8:00-16:00")
    assert link is not None

    # The clinic is closed on the next working day after tomorrow, so nothing can be booked then.
    closed = datetime.now(AMSTERDAM).date() + timedelta(days=2)
    closed += timedelta(days=max(0, closed.weekday() - 4) and 7 - closed.weekday())
    plain.goto("/admin/closures/new")
    plain.get_by_label("Name", exact=True).fill("Rebuilding")
    for label in ("First day", "Last day"):
        plain.get_by_label(label).fill(closed.isoformat())
    plain.get_by_role("button", name="Save closure").click()
    expect(plain.get_by_role("main")).to_contain_text("Rebuilding")
    admin.goto("/admin")
    expect(admin.locator(".todo h3").first).to_have_text("Nothing needs your attention")
    context.clear_cookies()
    without_scripts.clear_cookies()

    # The doctor chooses a password with the link, and sees a day.
    doctor = plain
    doctor.goto(link)
    doctor.get_by_label("New password").fill("lantern harbour piano")
    doctor.get_by_role("button", name="Set password").click()
    sign_in(doctor, DOCTOR, "lantern harbour piano")
    set_up_two_steps(doctor)
    expect(doctor).to_have_url(re.compile(r"/schedule$"))
    without_scripts.close()

    # A patient registers on the way and books with the first doctor the time that was chosen.
    patient = admin
    patient.goto("/")
    expect(patient.locator("#doctor-list h2")).to_have_text("2 doctors")
    patient.get_by_role("link", name="Dr. Amara Okafor", exact=True).click()
    patient.locator("#calendar .slot >> visible=true").last.click()
    intent = patient.locator(".intent").inner_text()
    patient.get_by_role("main").get_by_role("link", name="Create an account").click()
    expect(patient.locator(".intent")).to_have_text(intent)
    patient.get_by_label("Your name").fill("Alice Adams")
    patient.get_by_label("Email address").fill("alice@docket.example")
    patient.get_by_label("Password").fill("walrus teapot orbit")
    patient.get_by_role("button", name="Create an account").click()
    patient.get_by_label("Code").fill(patient.locator("#shown-code").inner_text())
    patient.get_by_role("button", name="Continue").click()
    expect(patient.get_by_role("status").first).to_contain_text("Welcome. Your account is ready.")
    patient.get_by_label("Reason for the appointment").fill("My knee")
    patient.get_by_role("button", name=re.compile("^Book ")).click()
    expect(patient.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")
    expect(patient.locator(".slip")).to_contain_text("Dr. Amara Okafor")
    context.close()
