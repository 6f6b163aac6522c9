"""Every page, light and dark, on a phone and on a wide screen: axe finds nothing, nothing scrolls sideways.

The same holds with text of twice the size, of which nothing may be cut off.

Each page is opened once and then checked in every way; pages that have only elements of others are checked briefly: see
`tests.browser.looking`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from tests.appointment_rows import appointment, insert, put
from tests.browser.conftest import Clinic, sign_in
from tests.browser.looking import check_similar_pages, look
from tests.cast import PASSWORD
from webapp import models
from webapp.clinic import documents, poster
from webapp.clinic.service import get_clinic
from webapp.core.clock import utc_now
from webapp.core.formats import iso

pytestmark = pytest.mark.browser
Open = Callable[..., Page]

# Elements that are kept whole although they are longer than a sheet: the sheet before them would stay blank.
TORN = """() => [...document.querySelectorAll("body *")]
  .filter((each) => getComputedStyle(each).breakInside === "avoid" && each.getBoundingClientRect().height > 900)
  .map((each) => `${each.tagName} ${each.className}`)"""


def test_the_public_pages(open_browser: Open, clinic: Clinic) -> None:
    for kind in documents.KINDS:
        text = documents.PublishDocument(text="# Who we are\nThe clinic.\n\n# What we keep\nWhat you tell us.")
        clinic.cast.database.write(documents.publish_document, clinic.cast.carol, kind, text, now=utc_now())
    clinic.cast.database.write(poster.renew, clinic.cast.carol, now=utc_now())
    with clinic.cast.database.reading() as session:
        key = get_clinic(session).poster_key
    page = open_browser()
    for path in (
        "/",
        f"/here/{key}",
        "/doctors?q=nobody-of-that-name",
        "/doctors/bob",
        "/doctors/erin?week=2020-W10",
        "/login?next=" + book_address(clinic, clinic.free_time(days=5)).replace("&", "%26"),
        "/password/reset/nothing",
        "/email/confirm/nothing",
        "/privacy",
        "/nowhere",
    ):
        page.goto(path)
        look(page)
    check_similar_pages(page, "/register", "/password/forgot")
    page.goto("/login?next=" + book_address(clinic, clinic.free_time(days=5)).replace("&", "%26"))
    page.get_by_label("Email address").fill("a.new.patient@docket.example")
    page.get_by_role("button", name="Email me a code").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page)
    page.get_by_label("Code").fill(page.locator("#shown-code").inner_text())
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Book").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page)


def test_forms_with_mistakes(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser()
    page.goto("/login")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page)
    sign_in(page, clinic.new_patient().email)
    page.goto("/account")
    look(page)
    page.get_by_label("Your name").fill("")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page)


def test_the_pages_of_a_patient(open_browser: Open, clinic: Clinic) -> None:
    patient = clinic.new_patient()
    page = open_browser()
    sign_in(page, patient.email)
    page.goto("/appointments")
    look(page)
    start = clinic.free_time(days=6, hour=14)
    page.goto(book_address(clinic, start, kind=clinic.cast.long))
    look(page)
    page.get_by_label("Reason for the appointment").fill("A very long word: " + "knee" * 100)
    page.get_by_role("button", name="Book ").click()
    expect(page.locator("h1")).to_have_text("Your appointment is booked")
    look(page)
    reference = page.locator(".reference").inner_text()
    page.goto("/appointments")
    look(page)
    check_similar_pages(page, "/account/deletion", "/account/data")
    page.goto("/account/data")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Show as a page").click()
    expect(page.locator("h1")).to_have_text("Copy of your data")
    look(page)
    for path in ("/cancellation", "/reschedule"):
        page.goto(f"/appointments/{reference}{path}")
        look(page)
    page.locator("#calendar .slot >> visible=true").last.click()
    expect(page.locator("h1")).to_have_text("Is this the right time?")
    look(page)
    page.goto(f"/appointments/{reference}/cancellation")
    page.get_by_label("Why are you cancelling?").evaluate(
        "(field) => { field.maxLength = 900; field.value = 'a '.repeat(400) }"
    )
    page.get_by_role("button", name="Cancel appointment").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page)
    page.get_by_label("Why are you cancelling?").fill("")
    page.get_by_role("button", name="Cancel appointment").click()
    expect(page.get_by_role("status").first).to_contain_text("The appointment is cancelled.")
    look(page)


def test_a_form_that_is_continued_after_signing_in_again(open_browser: Open, clinic: Clinic) -> None:
    """By keyboard, and with the words that were typed."""
    patient = clinic.new_patient()
    page = open_browser()
    sign_in(page, patient.email)
    page.goto(book_address(clinic, clinic.free_time(days=7, hour=14)))
    page.get_by_label("Reason for the appointment").fill("My knee")
    page.get_by_role("button", name="Choose another time").press("Enter")
    page.locator("#calendar .slot >> visible=true").last.click()
    expect(page.get_by_label("Reason for the appointment")).to_have_value("My knee")
    look(page)
    clinic.cast.change(sa.delete(models.UserSession))
    page.get_by_role("button", name="Book ").click()
    expect(page.locator("h1")).to_have_text("Please sign in")
    look(page)
    # Any other form.
    sign_in(page, patient.email)
    page.goto("/account/people/new")
    page.get_by_label("Name").fill("Ada Adams")
    clinic.cast.change(sa.delete(models.UserSession))
    page.get_by_role("main").locator("[type=submit]").press("Enter")
    page.locator("#fragment").get_by_role("link", name="Sign in").click()
    page.get_by_label("Email address").fill(patient.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Your form is still here")
    look(page)
    page.get_by_role("button", name="Show the form").press("Enter")
    expect(page.locator("[data-error-summary]")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("Ada Adams")
    look(page)


def test_when_booking_does_not_succeed(open_browser: Open, clinic: Clinic) -> None:
    patient, other = clinic.new_patient(), clinic.new_patient()
    page = open_browser()
    sign_in(page, patient.email)
    taken = clinic.free_time(days=8, hour=11)
    page.goto(book_address(clinic, taken))
    page.get_by_label("Reason for the appointment").fill("Knee")
    clinic.cast.book(other, taken)
    page.get_by_role("button", name="Book ").click()
    expect(page.get_by_role("alert")).to_contain_text("That time has just been taken")
    look(page)
    mine = clinic.cast.book(patient, clinic.free_time(days=9, hour=11))
    page.goto(f"/appointments/{mine}/reschedule?starts_at={iso(clinic.cast.local(taken))}")
    expect(page.get_by_role("alert")).to_contain_text("That time has just been taken")
    look(page)
    page.goto(book_address(clinic, clinic.free_time(days=8, hour=12)))
    expect(page.get_by_role("alert")).to_contain_text("The doctor is not working")
    look(page)
    page.goto("/appointments/ZZZZ-ZZZZ")
    look(page)


def test_a_week_without_times_and_too_many_appointments(open_browser: Open, clinic: Clinic) -> None:
    patient = clinic.new_patient()
    page = open_browser()
    sign_in(page, patient.email)
    with changed(clinic, sa.update(models.ClinicSettings).values(max_active_visits=0)):
        page.goto("/doctors/erin")
        expect(page.get_by_text("which is the most you can book online")).to_be_visible()
        look(page)
    monday = date.fromisoformat(clinic.free_time(days=0)[:10]) + timedelta(days=21)
    monday -= timedelta(days=monday.weekday())
    clinic.cast.add(models.Closure(name="Rebuilding", starts_on=monday, ends_on=monday + timedelta(days=6)))
    year, week, _ = monday.isocalendar()
    page.goto(f"/doctors/erin?week={year}-W{week:02d}")
    expect(page.get_by_text("No free times this week").last).to_be_visible()
    look(page)
    with changed(clinic, sa.update(models.VisitType).values(online=False)):
        page.goto("/")
        look(page)


def test_the_pages_of_the_staff(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=12)[:10]
    patient = clinic.new_patient()
    reference = clinic.cast.book(patient, f"{day} 10:00")
    statuses = ("confirmed", "arrived", "completed", "no_show", "cancelled")
    for hour, status in zip((11, 13, 14, 15, 16), statuses, strict=True):
        other = clinic.cast.book(patient, f"{day} {hour}:00")
        of_it = models.Appointment.reference == other
        clinic.cast.change(sa.update(models.Appointment).where(of_it).values(status=status, reason="Knee " * 20))
    told = {"notes": "A wheelchair", "private_note": "Ask", "flagged_why": "Away", "override_reason": "Urgent"}
    clinic.cast.change(
        sa.update(models.Appointment)
        .where(models.Appointment.reference == reference)
        .values(**told, previous_status="confirmed")
    )
    put(clinic.cast, f"{day} 10:00", patient="dave", minutes=15, squeezed="A child with a fever")
    # A patient who waits today has the longest row of signs and actions.
    came = utc_now() - timedelta(minutes=5)
    row = appointment(clinic.cast, f"{came.astimezone(clinic.cast.zone):%Y-%m-%d %H:%M}", status="arrived")
    insert(clinic.cast, row | {"arrived_at": came})
    page = open_browser()
    sign_in(page, "bob@docket.example")
    for path in (
        f"/schedule/{day}?changed={reference}",
        f"/schedule/week/{date.fromisoformat(day):%G-W%V}",
        "/schedule",
        f"/appointments/{reference}?booked=1",
    ):
        page.goto(path)
        look(page)
    details = (f"/appointments/{reference}/{each}" for each in ("reason", "patient"))
    check_similar_pages(page, "/schedule/hours/squeeze-ins", *details)
    for hour in range(9, 17):
        for minute in (15, 30, 45):
            if hour != 12:
                clinic.cast.book(clinic.new_patient(), f"{day} {hour:02d}:{minute}")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 900})
    page.goto(f"/schedule/week/{date.fromisoformat(day):%G-W%V}")
    assert page.evaluate("document.documentElement.scrollHeight") > 1000
    assert page.evaluate(TORN) == []


def test_too_large_too_many_and_broken(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser(extra_http_headers={"x-forwarded-for": "192.0.2.1"})
    sign_in(page, clinic.new_patient().email)
    page.goto(book_address(clinic, clinic.free_time(days=6)))
    page.get_by_label("Reason for the appointment").evaluate(
        "(field) => { field.maxLength = 2_000_000; field.value = 'knee '.repeat(300_000) }"
    )
    page.get_by_role("button", name="Book ").click()
    expect(page.locator("h1")).to_have_text("That’s too much text")
    look(page)

    with broken(clinic):
        answer = page.goto("/doctors/bob")
        assert answer is not None
        assert answer.status == 500
        look(page)

    for _ in range(10):
        clinic.cast.add(models.FailedLogin(account="somebody's", address="192.0.2.2", judged=True, at=utc_now()))
    guesser = open_browser("/login", extra_http_headers={"x-forwarded-for": "192.0.2.2"})
    guesser.get_by_label("Email address").fill("dave@docket.example")
    guesser.get_by_label("Password").fill("wrong")
    guesser.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(guesser.get_by_role("alert")).to_contain_text("There have been too many wrong passwords.")
    look(guesser)


def book_address(clinic: Clinic, start: str, *, kind: int | None = None) -> str:
    return f"/book?doctor=bob&visit_type={kind or clinic.cast.short}&starts_at={iso(clinic.cast.local(start))}"


@contextmanager
def changed(clinic: Clinic, statement: sa.Update) -> Iterator[None]:
    """Run the statement for the block; afterwards the settings and visit types are as before."""
    clinic.cast.change(statement)
    yield
    clinic.cast.change(sa.update(models.ClinicSettings).values(max_active_visits=10))
    by_phone = models.VisitType.id == clinic.cast.by_phone
    clinic.cast.change(sa.update(models.VisitType).where(~by_phone).values(online=True))


@contextmanager
def broken(clinic: Clinic) -> Iterator[None]:
    """A clinic whose database lacks a table that every page expects."""
    engine = clinic.cast.database.engine
    with closing(engine.raw_connection()) as connection:
        # Another version of each schedule, or the server would answer from its cache.
        connection.cursor().execute("UPDATE working_hours SET weekday = weekday")
        connection.cursor().execute("ALTER TABLE working_hours RENAME TO working_hours_away")
        yield
        connection.cursor().execute("ALTER TABLE working_hours_away RENAME TO working_hours")
