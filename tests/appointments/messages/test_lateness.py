"""Messages about a doctor who is running late: who is told, of which changes, and how many the desk reads."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from tests.appointment_rows import put
from tests.cast import NOW, Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments.booking import service, status_service
from webapp.appointments.messages import lateness
from webapp.appointments.messages.redirection import redirect
from webapp.appointments.reassigning import give_to_patient
from webapp.appointments.schemas import Cancellation, ChangeStatus, GiveToPatient, Move
from webapp.doctors.lateness import RunLate
from webapp.notifications.models import OutboxMessage

MORNING = local("2026-03-03 09:00")


def tell_within(cast: Cast, hours: int) -> None:
    """Let the clinic notify patients of delays; all addresses are confirmed."""
    cast.change(sa.update(models.ClinicSettings).values(tell_late_hours=hours))
    cast.change(sa.update(models.User).values(email_confirmed_at=NOW))


def late(cast: Cast, minutes: int, now: datetime = MORNING) -> int:
    """Say that Bob is late; the page has promised the same number of messages before."""
    with cast.database.reading() as session:
        promised = lateness.find_audience(session, cast.doctor_ids["bob"], now=now).count(minutes)
    told = cast.database.write(lateness.run_late, cast.fiona, "bob", RunLate(minutes=minutes), now=now)
    assert told == promised
    return told


def sent(cast: Cast) -> list[tuple[str, int]]:
    """The recipients and delays of the messages; from now on these count as delivered."""
    table = OutboxMessage.__table__
    found = sa.select(table.c.recipient, table.c["values"]).where(table.c.template == "visit_late").order_by(table.c.id)
    with cast.database.reading() as session:
        said = [(recipient.partition("@")[0], values["late"]) for recipient, values in session.execute(found)]
    cast.change(sa.update(OutboxMessage).where(OutboxMessage.template == "visit_late").values(status="sent"))
    return said


def test_those_who_come_soon_are_told_once_of_each_change_that_matters(cast: Cast) -> None:
    tell_within(cast, 2)
    put(cast, "2026-03-03 10:00")
    put(cast, "2026-03-03 10:30", patient="dave")
    for at, status in (("08:40", "confirmed"), ("09:20", "arrived"), ("09:40", "cancelled"), ("11:30", "confirmed")):
        put(cast, f"2026-03-03 {at}", status=status)
    put(cast, "2026-03-03 09:30", doctor="erin", patient="dave")
    assert late(cast, 5) == 0
    assert late(cast, 20) == 2
    # These have not gone out yet, so the newer figure takes their place.
    assert late(cast, 25, MORNING + timedelta(minutes=1)) == 2
    assert sent(cast) == [("alice", 25), ("dave", 25)]
    assert late(cast, 30, MORNING + timedelta(minutes=2)) == 0
    assert late(cast, 40, MORNING + timedelta(minutes=3)) == 2
    assert sent(cast)[2:] == [("alice", 40), ("dave", 40)]
    # Alice has begun meanwhile; Dave hears that all is well, and only once.
    assert late(cast, 0, MORNING + timedelta(minutes=70)) == 1
    assert sent(cast)[4:] == [("dave", 0)]
    assert late(cast, 5, MORNING + timedelta(minutes=71)) == late(cast, 0, MORNING + timedelta(minutes=72)) == 0


def test_saying_one_thing_and_then_another_writes_once_in_ten_minutes(cast: Cast) -> None:
    tell_within(cast, 2)
    put(cast, "2026-03-03 10:00")
    for minute in range(24):
        late(cast, (30, 0)[minute % 2], MORNING + timedelta(minutes=minute))
        # What is due is delivered at once.
        due = OutboxMessage.template == "visit_late", OutboxMessage.due_at <= MORNING + timedelta(minutes=minute)
        cast.change(sa.update(OutboxMessage).where(*due).values(status="sent"))
    # Ten minutes after each message the figure of that minute is sent; the final one waits.
    assert [minutes for _to, minutes in sent(cast)] == [30, 0, 30, 0]


def test_a_typing_mistake_just_before_the_start_is_corrected_once(cast: Cast) -> None:
    tell_within(cast, 2)
    put(cast, "2026-03-03 10:00")
    began = MORNING + timedelta(minutes=55)
    assert late(cast, 90, began) == 1
    assert sent(cast) == [("alice", 90)]
    again = [late(cast, minutes, began + timedelta(seconds=60 + number)) for number, minutes in enumerate((0, 90, 0))]
    assert again == [1, 0, 1]
    with cast.database.reading() as session:
        due_at = session.scalars(sa.select(OutboxMessage.due_at).where(OutboxMessage.status == "waiting")).one()
    assert due_at == MORNING + timedelta(minutes=58)
    sent(cast)
    assert late(cast, 90, began + timedelta(minutes=4)) == 0


def test_waiting_messages_are_withdrawn_when_the_patient_arrives_or_is_not_coming(cast: Cast) -> None:
    tell_within(cast, 2)
    taken = [put(cast, f"2026-03-03 {at}", patient=who) for at, who in (("10:00", "alice"), ("09:30", "dave"))]
    moved = put(cast, "2026-03-03 10:30", patient="alice")
    with cast.database.reading() as session:
        query = sa.select(models.Appointment.id, models.Appointment.reference)
        named = {row.id: row.reference for row in session.execute(query)}
    assert late(cast, 20) == 3
    write, later = cast.database.write, local("2026-03-04 10:00")
    write(service.cancel, cast.fiona, named[taken[0]], Cancellation(), now=MORNING)
    write(service.move, cast.fiona, named[moved], Move(starts_at=later), now=MORNING)
    write(status_service.change_status, cast.fiona, named[taken[1]], ChangeStatus(status="arrived"), now=MORNING)
    assert sent(cast) == []


def test_the_right_patient_has_not_been_told_what_the_wrong_one_was(cast: Cast) -> None:
    tell_within(cast, 2)
    cast.change(
        sa.update(models.Appointment)
        .where(models.Appointment.id == put(cast, "2026-03-03 10:00"))
        .values(reference="K7QM-2F9X")
    )
    assert late(cast, 20) == 1
    assert sent(cast) == [("alice", 20)]
    right = GiveToPatient(patient_id=cast.patient_ids["dave"])
    cast.database.write(give_to_patient, cast.fiona, "K7QM-2F9X", right, now=MORNING)
    assert late(cast, 25, MORNING + timedelta(minutes=1)) == 1
    assert sent(cast)[1:] == [("dave", 25)]


def test_a_clinic_that_does_not_wish_it_tells_none(cast: Cast) -> None:
    put(cast, "2026-03-03 10:00")
    assert late(cast, 20) == 0
    assert sent(cast) == []


def test_a_waiting_message_follows_the_patient_to_another_address(cast: Cast) -> None:
    tell_within(cast, 2)
    put(cast, "2026-03-03 10:00")
    assert late(cast, 20) == 1

    def move(session: sa.orm.Session, now: datetime) -> None:
        change = sa.update(models.User).where(models.User.email.startswith("alice")).values(email="new@docket.example")
        session.execute(change)
        redirect(session, cast.patient_ids["alice"], "email", "alice@docket.example", now=now)

    cast.database.write(move, now=MORNING)
    assert sent(cast) == [("new", 20)]


def test_the_desk_reads_how_many_are_told_before_and_after(sqlite_cast: Cast) -> None:
    cast = sqlite_cast
    with client_for(cast.database, now=MORNING) as client:
        log_in(client, "fiona")
        page = read(client.get("/desk/late/bob"))
        assert "Patients get no message about this: the clinic’s settings send none." in page.text
        assert not page.all("a", href="/admin/clinic/reminders")
        log_in(client, "carol")
        assert read(client.get("/desk/late/bob")).one("a", href="/admin/clinic/reminders")
        log_in(client, "fiona")
        tell_within(cast, 2)
        assert "No messages are sent" in read(client.get("/desk/late/bob")).text
        put(cast, "2026-03-03 10:00")
        page = read(client.get("/desk/late/bob"))
        assert page.one("button", value="20").text == "20 minutes · 1 message"
        client.post("/desk/late/bob", data={"minutes": "20"})
        said = "Dr. Bob Brown is running about 20 minutes late. 1 patient gets a message."
        assert said in read(client.get("/board")).text
