"""An appointment that was booked for the wrong patient is given to the right one, and both get the right messages."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast, local
from webapp import models
from webapp.appointments import queries, reassigning
from webapp.appointments.booking import service, status_service
from webapp.appointments.exceptions import NotActive, SamePatient
from webapp.appointments.schemas import Booking, Cancellation, ChangeStatus, GiveToPatient
from webapp.auth.schemas import Actor
from webapp.exceptions import Forbidden
from webapp.patients.exceptions import NoSuchPatient
from webapp.scheduling.exceptions import PatientBusy

TEN = "2026-03-05 10:00"


def booked_for(cast: Cast, patient: str, start: str = TEN) -> str:
    command = Booking(
        doctor="bob", visit_type_id=cast.short, starts_at=local(start), patient_id=cast.patient_ids[patient]
    )
    return cast.database.write(service.book, cast.carol, command, now=NOW)


def give(cast: Cast, reference: str, patient: str = "dave", actor: Actor | None = None, why: str = "") -> None:
    command = GiveToPatient(patient_id=cast.patient_ids[patient], override_reason=why)
    cast.database.write(reassigning.give_to_patient, actor or cast.carol, reference, command, now=NOW)


def told(cast: Cast) -> list[tuple[str, str]]:
    with cast.database.reading() as session:
        query = sa.select(models.OutboxMessage.recipient, models.OutboxMessage.template)
        return [
            (row.recipient.split("@")[0], row.template)
            for row in session.execute(query.order_by(models.OutboxMessage.id))
        ]


def deliver(cast: Cast) -> None:
    cast.change(sa.update(models.OutboxMessage).values(status="sent"))


def test_a_patient_without_messages_gets_none_and_the_right_patient_gets_the_booking(cast: Cast) -> None:
    reference = booked_for(cast, "alice")
    assert told(cast) == [("alice", "visit_booked")]
    give(cast, reference)
    assert told(cast) == [("dave", "visit_booked")]
    with cast.database.reading() as session:
        view = queries.get_appointment(session, cast.dave, reference)
    assert (view.patient_id, view.status, view.starts_at) == (cast.patient_ids["dave"], "scheduled", local(TEN))


def test_a_patient_who_was_told_gets_a_cancellation_and_the_old_links_end(cast: Cast) -> None:
    reference = booked_for(cast, "alice")
    cast.database.write(status_service.change_status, cast.bob, reference, ChangeStatus(status="confirmed"), now=NOW)
    deliver(cast)
    with cast.database.reading() as session:
        before = session.scalar(sa.select(models.Appointment.link_key))
    give(cast, reference)
    assert told(cast) == [("alice", "visit_booked"), ("alice", "visit_cancelled"), ("dave", "visit_booked")]
    with cast.database.reading() as session:
        assert session.scalar(sa.select(models.Appointment.link_key)) != before
        # The right patient has confirmed nothing.
        assert session.scalar(sa.select(models.Appointment.status)) == "scheduled"


def test_a_patient_who_booked_it_knows_of_it(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    give(cast, reference)
    assert told(cast) == [("alice", "visit_cancelled"), ("dave", "visit_booked")]


def test_the_rules_about_the_right_patient_hold(cast: Cast) -> None:
    reference = booked_for(cast, "alice")
    booked_for(cast, "dave", "2026-03-05 10:30")
    with pytest.raises(PatientBusy):
        give(cast, reference)
    give(cast, reference, why="They come together")
    cast.book(cast.dave, "2026-03-06 10:00")
    clash = cast.book(cast.alice, "2026-03-06 10:00", doctor="erin", visit_type=cast.long)
    with pytest.raises(PatientBusy):
        give(cast, clash, why="It does not help")


def test_only_staff_do_that_and_only_with_upcoming_appointments(cast: Cast) -> None:
    reference = booked_for(cast, "alice")
    with pytest.raises(Forbidden):
        give(cast, reference, actor=cast.alice)
    with pytest.raises(SamePatient):
        give(cast, reference, "alice")
    cast.patient_ids["nobody"] = 999
    with pytest.raises(NoSuchPatient):
        give(cast, reference, "nobody")
    cast.database.write(service.cancel, cast.carol, reference, Cancellation(), now=NOW)
    with pytest.raises(NotActive):
        give(cast, reference)
