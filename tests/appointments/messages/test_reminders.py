"""Reminders: for which appointments, to which patients, when, and only once. They are due 7 days and 1 day before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tests.appointment_rows import put
from tests.calendars import read_calendar
from tests.cast import AMSTERDAM, NOW, Cast, local
from webapp import models
from webapp.appointments.booking import service, status_service
from webapp.appointments.messages import reminders
from webapp.appointments.schemas import Cancellation, ChangeStatus, Move
from webapp.notifications.mail import compose
from webapp.notifications.models import OutboxMessage
from webapp.notifications.rendering import render

WEDNESDAY = local("2026-03-04 09:00")
KEYS = ["made-for-tests-0123456789-abcdefghijklmnop"]


def run(cast: Cast, now: datetime = WEDNESDAY) -> int:
    """Write the due reminders, after checking that the question whether any are due has the same answer."""
    with cast.database.reading() as session:
        due = reminders.is_any_due(session, now=now)
    written = cast.database.write(reminders.enqueue_due, now=now)
    assert due == bool(written)
    return written


def messages(cast: Cast) -> list[Any]:
    """The reminders in the outbox."""
    table = OutboxMessage.__table__
    query = sa.select(table).where(table.c.template == "visit_reminder").order_by(table.c.id)
    with cast.database.reading() as session:
        return list(session.execute(query))


def written(cast: Cast) -> set[tuple[str, str]]:
    """Each reminder as its recipient's first name and the times of its appointments."""
    found = set()
    for each in messages(cast):
        starts = [
            datetime.fromisoformat(appointment["starts_at"]).astimezone(AMSTERDAM)
            for appointment in each.values["visits"]
        ]
        found.add((each.recipient.partition("@")[0], ", ".join(f"{start:%d %H:%M}" for start in starts)))
    return found


def reference_of(cast: Cast, appointment_id: int) -> str:
    """The public reference of an appointment."""
    with cast.database.reading() as session:
        query = sa.select(models.Appointment.reference).where(models.Appointment.id == appointment_id)
        return session.scalars(query).one()


def add_child(cast: Cast) -> None:
    """Mia, for whom Alice books."""
    mia = models.Patient(name="Mia Adams", managed_by_id=cast.patient_ids["alice"], created_at=NOW)
    cast.patient_ids["mia"] = cast.add(mia)


def test_each_is_reminded_once_a_day_of_all_appointments_of_a_day(cast: Cast) -> None:
    cast.change(sa.update(models.User).values(email_confirmed_at=NOW))
    add_child(cast)
    put(cast, "2026-03-05 10:00")
    put(cast, "2026-03-05 15:00", doctor="erin", status="confirmed")
    put(cast, "2026-03-05 11:00", patient="mia", doctor="erin")
    put(cast, "2026-03-05 11:00", patient="dave")
    put(cast, "2026-03-11 10:00", patient="dave")
    put(cast, "2026-03-06 10:00")
    put(cast, "2026-03-05 16:00", status="cancelled")
    assert run(cast) == 3
    assert written(cast) == {("alice", "05 10:00, 05 11:00, 05 15:00"), ("dave", "05 11:00"), ("dave", "11 10:00")}
    assert run(cast) == run(cast, WEDNESDAY + timedelta(hours=8)) == 0
    (alices,) = (each for each in messages(cast) if each.recipient.startswith("alice"))
    assert alices.expires_at == local("2026-03-05 10:00")
    said = render("visit_reminder", "email", alices.recipient, alices.values, base_url="https://d.test", keys=KEYS)
    assert said.subject == "Reminder: 3 appointments on Thursday 5 March 2026"
    assert said.text.count("/confirmation") == 2
    assert said.text.count("For: Mia Adams") == 1
    assert "Allergy" not in said.text + said.html
    calendar = read_calendar(said.calendar)
    assert calendar.all("METHOD") == []
    assert [f"{calendar.starts_at(each).astimezone(AMSTERDAM):%d %H:%M}" for each in calendar.events] == [
        "05 10:00",
        "05 11:00",
        "05 15:00",
    ]
    assert not [line for each in calendar.events for line in each.all("ATTENDEE") + each.all("ORGANIZER")]
    assert "for Mia Adams" in calendar.events[1].text("SUMMARY")
    # A reminder is no invitation, so the file is its only attachment.
    mail = compose(alices.recipient, "one", said, mail_from="us@d.test", now=NOW)
    (file,) = (part for part in mail.walk() if part.get_content_type() == "text/calendar")
    assert file.get_filename() == "visit.ics"
    assert file.get_content_charset() == "utf-8"
    short = render("visit_reminder", "sms", "+31 6", alices.values, base_url="https://d.test", keys=KEYS).text
    assert short.count("https://d.test/visit/") == 3


def test_reminders_come_in_daytime_and_on_their_day_alone(cast: Cast) -> None:
    put(cast, "2026-03-05 10:00")
    assert run(cast, local("2026-03-04 08:59")) == 0
    assert run(cast, local("2026-03-04 20:00")) == 0
    assert run(cast, local("2026-03-05 09:00")) == 0
    assert run(cast, local("2026-03-04 19:59")) == 1


def test_an_appointment_booked_or_moved_that_day_gets_no_reminder(cast: Cast) -> None:
    early = local("2026-03-04 08:00")
    book = cast.book(cast.alice, "2026-03-06 10:00")
    cast.database.write(service.move, cast.alice, book, Move(starts_at=local("2026-03-05 10:00")), now=early)
    cast.now = early
    cast.book(cast.dave, "2026-03-05 11:00")
    assert run(cast) == 0
    confirmed = put(cast, "2026-03-05 15:00")
    change = ChangeStatus(status="confirmed")
    cast.database.write(status_service.change_status, cast.bob, reference_of(cast, confirmed), change, now=early)
    assert run(cast) == 1
    assert written(cast) == {("alice", "05 15:00")}


def test_a_waiting_reminder_is_rewritten_when_one_of_its_appointments_is_cancelled(cast: Cast) -> None:
    add_child(cast)
    put(cast, "2026-03-05 10:00")
    childs = put(cast, "2026-03-05 11:00", patient="mia", doctor="erin")
    put(cast, "2026-03-11 10:00")
    run(cast)
    cancel = (reference_of(cast, childs), Cancellation())
    cast.database.write(service.cancel, cast.carol, *cancel, now=WEDNESDAY + timedelta(minutes=1))
    assert written(cast) == {("alice", "11 10:00")}
    assert run(cast, WEDNESDAY + timedelta(minutes=2)) == 1
    assert written(cast) == {("alice", "11 10:00"), ("alice", "05 10:00")}


def test_a_shared_address_is_not_reminded_of_a_cancelled_appointment(cast: Cast) -> None:
    """Two children, for whom staff wrote down the address of one parent without an account."""
    for name in ("ana", "ben"):
        child = models.Patient(name=f"{name.title()} Adams", email="parent@docket.example", created_at=NOW)
        cast.patient_ids[name] = cast.add(child)
    put(cast, "2026-03-05 10:00", patient="ana")
    bens = put(cast, "2026-03-05 11:00", patient="ben")
    run(cast)
    assert written(cast) == {("parent", "05 10:00, 05 11:00")}
    later = WEDNESDAY + timedelta(minutes=1)
    cast.database.write(service.cancel, cast.carol, reference_of(cast, bens), Cancellation(), now=later)
    run(cast, later)
    assert written(cast) == {("parent", "05 10:00")}


def test_a_reminder_that_was_sent_is_not_written_again(cast: Cast) -> None:
    first = put(cast, "2026-03-05 10:00")
    put(cast, "2026-03-05 15:00", doctor="erin")
    run(cast)
    cast.change(sa.update(OutboxMessage).values(status="sent"))
    later = WEDNESDAY + timedelta(minutes=1)
    cast.database.write(service.cancel, cast.carol, reference_of(cast, first), Cancellation(), now=later)
    assert run(cast, later) == 0
    assert len(messages(cast)) == 1


def test_clinics_and_patients_can_switch_reminders_off(cast: Cast) -> None:
    put(cast, "2026-03-05 10:00")
    cast.change(sa.update(models.ClinicSettings).values(reminder_days=""))
    assert run(cast) == 0
    cast.change(sa.update(models.ClinicSettings).values(reminder_days="1"))
    cast.change(sa.update(models.Patient).values(wants_email=False))
    assert run(cast) == 0
    cast.change(sa.update(models.Patient).values(wants_sms=True, phone="+31612345678"))
    assert run(cast) == 1
    assert messages(cast)[0].channel == "sms"


def test_many_reminders_are_written_in_batches(cast: Cast) -> None:
    put(cast, "2026-03-05 10:00")
    put(cast, "2026-03-05 11:00", patient="dave")
    put(cast, "2026-03-11 10:00")
    portion, reminders.PORTION = reminders.PORTION, 2
    try:
        assert [run(cast), run(cast), run(cast)] == [2, 1, 0]
    finally:
        reminders.PORTION = portion
