"""Every staff page, light and dark, on a phone and on a wide screen: axe finds nothing, nothing scrolls sideways.

Forms are checked with their errors too, and so is the list of appointments that a change affects.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect
from sqlalchemy.orm import Session

from tests.api_client import make_api_token
from tests.browser.conftest import Clinic, sign_in
from tests.browser.looking import check_similar_pages, look
from tests.cast import NOW
from webapp import models
from webapp.appointments import walk_ins
from webapp.appointments.joining import join_records
from webapp.appointments.messages import notification_lists
from webapp.appointments.walk_ins import Queue
from webapp.auth.programs.scopes import SCOPES
from webapp.core.clock import utc_now
from webapp.core.formats import iso
from webapp.patients import duplicates

pytestmark = pytest.mark.browser
Open = Callable[..., Page]

LISTS = (
    "/admin",
    "/admin/appointments",
    "/admin/appointments?patient=nobody-of-that-name",
    "/admin/appointments/why",
    "/desk/booking",
    "/admin/appointments/promised-hours",
    "/admin/patients",
    "/admin/patients?q=nobody-of-that-name",
    "/admin/doctors",
    "/admin/clinic",
    "/admin/closures",
    "/admin/messages",
    "/admin/messages?reference=nothing",
    "/admin/messages/sending",
    "/admin/users/tokens",
    "/board/2026-03-03/sheets",
    "/desk/calls/2026-03-03",
    "/desk/away/bob",
    "/desk/late/bob",
    "/desk/booking?walk_in=new",
    "/admin/audit",
)
FORMS = (
    "/admin/patients/new",
    "/admin/doctors/new",
    "/admin/doctors/bob",
    "/admin/doctors/bob/account",
    "/admin/doctors/bob/hours",
    "/admin/doctors/bob/hours/new",
    "/admin/doctors/bob/time-off/new",
    "/admin/clinic/details",
    "/admin/clinic/opening-hours",
    "/admin/clinic/rules",
    "/admin/clinic/search",
    "/admin/clinic/poster",
    "/admin/messages/previews/visit_moved_by_clinic",
    "/admin/clinic/time-zone",
)
# These pages have only elements that the pages above have, too.
PLAIN = (
    "/admin/visit-types",
    "/admin/messages/previews",
    "/admin/users",
    "/admin/reports",
    "/desk/told",
    "/admin/audit/security",
    "/admin/doctors/bob/activity",
    "/admin/doctors/bob/hours/extra",
    "/admin/doctors/bob/time-off",
    "/admin/visit-types/new",
    "/admin/clinic/new-patients",
    "/admin/clinic/sign-in",
    "/admin/clinic/reminders",
    "/admin/clinic/privacy",
    "/admin/clinic/emergency",
    "/admin/clinic/documents/privacy",
    "/admin/closures/new",
    "/admin/closures/holidays?country=NL",
    "/admin/users/new",
    "/admin/users/tokens/new",
)


def test_the_lists_of_admins(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=10)[:10]
    flagged = clinic.cast.book(clinic.new_patient(), f"{day} 10:00")
    flag = sa.update(models.Appointment).where(models.Appointment.reference == flagged)
    clinic.cast.change(flag.values(flagged_why="time_off"))
    make_api_token(clinic.cast, *SCOPES)
    page = open_browser()
    sign_in(page, "carol@docket.example")
    several = [
        f"/admin/appointments/selection?action={action}&chosen={flagged}" for action in ("confirm", "cancel", "message")
    ]
    for path in (*LISTS, *several, notification_list(clinic, flagged), f"/appointments/{flagged}/flag"):
        page.goto(path)
        look(page)
    # On a phone, a chosen name stays on one line of its filter.
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/admin/doctors")
    box = page.get_by_label("Bookings").bounding_box()
    assert box is not None
    assert (box["width"] > 300, box["height"] < 50) == (True, True)


def notification_list(clinic: Clinic, reference: str) -> str:
    """The address of a list with a call to make: no message about this appointment was written."""
    cast, of = clinic.cast, models.Appointment

    def work(session: Session) -> int:
        number, starts_at = session.execute(sa.select(of.id, of.starts_at).where(of.reference == reference)).one()
        made = notification_lists.begin(session, cast.carol, "cancel", words="The heating has failed.", now=NOW)
        notification_lists.note(session, made, number, "cancelled", was_at=starts_at)
        return made

    return f"/desk/told/{cast.database.write(work)}"


def waiting_walk_in(clinic: Clinic) -> int:
    """A patient who waits on today's board, urgently and for long."""
    queue = Queue(urgent=True, note="Cut on the hand")
    join, patient = walk_ins.join, clinic.cast.patient_ids["dave"]
    return clinic.cast.database.write(join, clinic.cast.carol, patient, queue, now=utc_now() - timedelta(minutes=31))


def joined_records(clinic: Clinic) -> str:
    """The address of the page that separates two records again."""
    one, other = (clinic.cast.add(models.Patient(name=name, created_at=NOW)) for name in ("Rosa Bos", "Rose Bos"))

    def work(session: Session) -> str:
        duplicates.note_pair(session, one, other, now=NOW)
        stays = join_records(session, clinic.cast.carol, one, other, now=utc_now())
        return f"/admin/patients/{stays}/joined/{session.scalar(sa.select(models.JoinedRecord.id))}"

    return clinic.cast.database.write(work)


def test_the_front_desk_works_in_a_dense_list_with_the_keyboard(open_browser: Open, clinic: Clinic) -> None:
    patient, day = clinic.new_patient(), clinic.free_time(days=12)[:10]
    for hour in (9, 10):
        clinic.cast.book(patient, f"{day} {hour:02d}:00")
    address = f"/admin/appointments?from={day}&until={day}"
    page = open_browser(viewport={"width": 1280, "height": 800})
    sign_in(page, "fiona@docket.example", at=address)
    assert height_of(page.locator("tbody tr[id]").first) == 34
    page.get_by_role("link", name="Choose all on this page").first.press("Enter")
    expect(page.get_by_text("2 chosen")).to_be_visible()
    page.get_by_role("button", name="Confirm…").press("Enter")
    page.get_by_role("button", name="Confirm 2 appointments").press("Enter")
    expect(page.get_by_text("2 appointments are confirmed.")).to_be_visible()
    # Fingers need more room.
    touch = open_browser(viewport={"width": 390, "height": 800}, has_touch=True)
    sign_in(touch, "fiona@docket.example", at=address)
    for each in touch.locator("tbody tr[id]").first.locator("a, button, label").all():
        assert height_of(each) >= 44, each.inner_text()


def height_of(each: Locator) -> float:
    """How many pixels high an element is."""
    box = each.bounding_box()
    assert box is not None
    return box["height"]


def test_a_message_that_was_not_delivered_is_sent_again(open_browser: Open, clinic: Clinic) -> None:
    patient = clinic.new_patient()
    clinic.cast.book(patient, f"{clinic.free_time(days=11)[:10]} 14:00")
    theirs = sa.update(models.OutboxMessage).where(models.OutboxMessage.recipient == patient.email)
    dead = {"status": "dead", "tries": 1, "last_error": "There is no such mailbox.", "finished_at": clinic.cast.now}
    # The server's worker may have changed the message already.
    clinic.cast.change(theirs.values(**dead, claimed_by=""))
    page = open_browser()
    sign_in(page, "carol@docket.example")
    page.goto(f"/admin/messages?to={patient.email}")
    look(page)
    page.get_by_role("link", name="Appointment booked").click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    look(page)
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("The message will be sent again.")).to_be_visible()


def test_the_forms_of_admins(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser()
    sign_in(page, "carol@docket.example")
    for path in FORMS:
        page.goto(path)
        look(page)
    check_similar_pages(page, *PLAIN)


def test_the_pages_of_one_patient_visit_type_and_user(open_browser: Open, clinic: Clinic) -> None:
    patient, user = clinic.cast.patient_ids["alice"], clinic.cast.alice.user_id
    other = clinic.cast.add(models.Patient(name="Adams, Alice", email="alice@docket.example", created_at=NOW))
    clinic.cast.database.write(duplicates.note_pair, patient, other, now=NOW)
    waiting, parting = waiting_walk_in(clinic), joined_records(clinic)
    page = open_browser()
    sign_in(page, "carol@docket.example")
    for path in (
        f"/admin/patients/{patient}",
        f"/admin/patients/{patient}/notes",
        f"/admin/patients/{patient}/data",
        f"/admin/patients/{patient}/duplicates/{other}",
        "/admin/patients/duplicates",
        "/board",
        f"/desk/booking?walk_in={waiting}",
        f"/admin/users/{user}",
    ):
        answer = page.goto(path)
        assert answer is not None
        assert answer.ok, path
        look(page)
    of_patient = [f"/admin/patients/{patient}/{each}" for each in ("edit", "people", "account", "deletion")]
    check_similar_pages(
        page,
        *of_patient,
        f"/admin/patients/{patient}/joining?q=adams",
        parting,
        f"/desk/walk-ins/{waiting}",
        f"/admin/visit-types/{clinic.cast.long}/activity",
        f"/admin/users/{user}/access",
    )


def test_forms_with_their_errors(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser()
    sign_in(page, "carol@docket.example")
    for path, field, button in (
        ("/admin/patients/new", "Name", "Add"),
        ("/admin/visit-types/new", "Name", "Save visit type"),
        ("/admin/clinic/opening-hours", "Monday", "Save opening hours"),
    ):
        page.goto(path)
        page.get_by_label(field, exact=True).first.fill("9-x" if "day" in field else "")
        page.get_by_role("main").get_by_role("button", name=button).first.click()
        expect(page.get_by_role("alert").first).to_be_visible()
        look(page)


def test_appointments_that_a_change_affects(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=16)[:10]
    clinic.cast.book(clinic.new_patient(), f"{day} 10:00")
    page = open_browser()
    sign_in(page, "bob@docket.example")
    page.goto(f"/schedule/time-off/new?from={day}T09:00&until={day}T12:00")
    page.get_by_role("button", name="Preview changes").click()
    expect(page.get_by_text("If you save this")).to_be_visible()
    look(page)
    page.locator("button[name=step][value=save]").last.click()
    expect(page.get_by_text("1 appointment is affected")).to_be_visible()
    look(page)


def test_the_pages_of_doctors(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=18)[:10]
    reference = clinic.cast.book(clinic.new_patient(), f"{day} 10:00")
    free, at_lunch = (iso(clinic.cast.local(f"{day} {clock}")) for clock in ("11:00", "12:10"))
    page = open_browser()
    sign_in(page, "bob@docket.example")
    for path in (
        f"/appointments/{reference}",
        f"/appointments/{reference}/cancellation",
        f"/appointments/{reference}/reschedule",
        f"/book?doctor=bob&starts_at={free}",
        f"/book?doctor=bob&starts_at={at_lunch}&patient={clinic.cast.patient_ids['dave']}",
        "/decisions?of=3&next=/schedule",
    ):
        page.goto(path)
        look(page)
    check_similar_pages(page, f"/appointments/{reference}/note", "/schedule/patients/new")
    mine = sa.select(models.Appointment.id).where(models.Appointment.reference == reference).scalar_subquery()
    waits = {"appointment_id": mine, "kind": "cancel", "version": 1, "code": "", "why": "", "decided_at": utc_now()}
    clinic.cast.change(sa.insert(models.PendingDecision).values(**waits))
    page.goto("/decisions?of=3&next=/schedule")
    expect(page.locator("h1")).to_have_text("2 of 3 done")
    look(page)
    clinic.cast.change(sa.delete(models.PendingDecision))
