"""Staff give an appointment to another doctor, or change its visit type, under the rules of the new ones."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast, local
from webapp import models
from webapp.appointments import queries
from webapp.appointments.booking import service, status_service
from webapp.appointments.exceptions import NewBooking, NoSuchAppointment, OtherDoctorsAppointment
from webapp.appointments.schemas import AppointmentView, ChangeStatus, Move, WriteNote
from webapp.auth.schemas import Actor
from webapp.core.optimistic_lock import fingerprint
from webapp.exceptions import AppError
from webapp.integrity.problems import find_problems
from webapp.scheduling.exceptions import PatientBusy, RuleBroken, SlotTaken

TEN, NINE = "2026-03-05 10:00", "2026-03-05 09:00"


def change(cast: Cast, actor: Actor, reference: str, start: str = TEN, **more: Any) -> None:
    command = Move(starts_at=local(start), **more)
    cast.database.write(service.move, actor, reference, command, now=NOW)


def seen(cast: Cast, reference: str, actor: Actor | None = None) -> AppointmentView:
    with cast.database.reading() as session:
        return queries.get_appointment(session, actor or cast.carol, reference)


def actions(cast: Cast) -> list[str]:
    with cast.database.reading() as session:
        query = sa.select(models.AuditEvent.action).where(models.AuditEvent.subject_type == "appointment")
        return list(session.scalars(query.order_by(models.AuditEvent.id)))


def messages(cast: Cast) -> list[models.OutboxMessage]:
    with cast.database.reading() as session:
        return list(session.scalars(sa.select(models.OutboxMessage).order_by(models.OutboxMessage.id)))


def test_a_colleague_takes_an_appointment_over_at_the_same_time(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN, visit_type=cast.long)
    cast.database.write(status_service.change_status, cast.bob, reference, ChangeStatus(status="confirmed"), now=NOW)
    change(cast, cast.carol, reference, doctor_id=cast.doctor_ids["erin"])
    view = seen(cast, reference)
    assert (view.doctor_slug, view.starts_at, view.status) == ("erin", local(TEN), "scheduled")
    assert actions(cast)[-1] == "given_to_doctor"
    # Its time at the first doctor is free again, the time at the second one taken.
    with pytest.raises(SlotTaken):
        cast.book(cast.dave, TEN, doctor="erin", visit_type=cast.long)
    cast.book(cast.dave, TEN)
    assert list(find_problems(cast.database, now=NOW)) == []
    # It is the second doctor's from then on.
    with pytest.raises(NoSuchAppointment):
        seen(cast, reference, cast.bob)
    assert seen(cast, reference, cast.erin).reference == reference


def test_the_patient_hears_what_changed(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN, visit_type=cast.long)
    change(cast, cast.carol, reference, doctor_id=cast.doctor_ids["erin"])
    told = messages(cast)[-1]
    assert (told.template, told.values["before"]) == ("visit_moved", "")
    assert told.values["was"] == {"doctor": "Dr. Bob Brown", "visit_type": "", "minutes": 0}
    assert told.values["visit"]["doctor"] == "Dr. Erin Eze"
    cast.change(sa.update(models.VisitType).values(named_in_messages=True))
    change(cast, cast.carol, reference, NINE, visit_type_id=cast.short, doctor_id=cast.doctor_ids["bob"])
    told = messages(cast)[-1]
    assert told.values["was"] == {"doctor": "Dr. Erin Eze", "visit_type": "First visit", "minutes": 30}
    assert told.values["before"] == "2026-03-05T09:00:00Z"


def test_another_visit_type_takes_its_own_length_and_buffers_and_keeps_the_confirmation(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    cast.database.write(status_service.change_status, cast.bob, reference, ChangeStatus(status="confirmed"), now=NOW)
    change(cast, cast.bob, reference, visit_type_id=cast.buffered)
    view = seen(cast, reference)
    assert (view.ends_at, view.status) == (local("2026-03-05 10:45"), "confirmed")
    assert (view.busy_from, view.busy_until) == (local("2026-03-05 09:55"), local("2026-03-05 10:55"))
    assert actions(cast)[-1] == "type_changed"


@pytest.mark.parametrize(
    ("doctor", "kind", "start", "why"),
    [
        ("erin", "long", "2026-03-05 10:15", RuleBroken),  # Erin starts each half hour.
        ("erin", "short", TEN, RuleBroken),  # She does not offer it.
        ("erin", "long", "2026-03-05 11:00", SlotTaken),
        ("bob", "long", "2026-03-05 14:00", PatientBusy),
        ("bob", "buffered", "2026-03-05 11:30", RuleBroken),  # Longer than the morning.
        ("bob", "short", TEN, RuleBroken),  # Nothing changes.
    ],
)
def test_the_rules_of_the_new_doctor_and_type_refuse_it(
    cast: Cast, doctor: str, kind: str, start: str, why: type[AppError]
) -> None:
    reference = cast.book(cast.alice, TEN)
    cast.book(cast.dave, "2026-03-05 11:00", doctor="erin", visit_type=cast.long)
    cast.book(cast.alice, "2026-03-05 14:00", doctor="erin", visit_type=cast.long)
    before = seen(cast, reference)
    with pytest.raises(why):
        change(
            cast,
            cast.carol,
            reference,
            start,
            doctor_id=cast.doctor_ids[doctor],
            visit_type_id=getattr(cast, kind),
        )
    assert seen(cast, reference) == before


def test_patients_keep_doctor_and_type_and_doctors_give_nothing_away(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN, visit_type=cast.long)
    for wish in ({"doctor_id": cast.doctor_ids["erin"]}, {"visit_type_id": cast.short}):
        with pytest.raises(NewBooking):
            change(cast, cast.alice, reference, NINE, **wish)
    with pytest.raises(OtherDoctorsAppointment):
        change(cast, cast.bob, reference, NINE, doctor_id=cast.doctor_ids["erin"])
    change(cast, cast.alice, reference, NINE, doctor_id=cast.doctor_ids["bob"], visit_type_id=cast.long)


def write_note(cast: Cast, actor: Actor, reference: str, text: str) -> None:
    before = status_service.SavedNote(private_note=seen(cast, reference, actor).private_note)
    note = WriteNote(private_note=text, seen=fingerprint(before))
    cast.database.write(status_service.write_note, actor, reference, note, now=NOW)


def test_a_private_note_stays_with_the_doctor_who_wrote_it(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN, visit_type=cast.long)
    bob, erin = cast.doctor_ids["bob"], cast.doctor_ids["erin"]
    write_note(cast, cast.bob, reference, "Ask about her mother")
    change(cast, cast.carol, reference, doctor_id=erin)
    for reader in (cast.erin, cast.carol, cast.fiona, cast.alice):
        assert seen(cast, reference, reader).private_note == ""
    write_note(cast, cast.erin, reference, "Tired")
    change(cast, cast.carol, reference, doctor_id=bob)
    assert seen(cast, reference, cast.bob).private_note == "Ask about her mother"
    write_note(cast, cast.bob, reference, "")
    change(cast, cast.carol, reference, doctor_id=erin)
    assert seen(cast, reference, cast.erin).private_note == "Tired"
    # The note that Bob deleted does not come back; one that Erin deletes leaves his alone.
    change(cast, cast.carol, reference, doctor_id=bob)
    assert seen(cast, reference, cast.bob).private_note == ""
    write_note(cast, cast.bob, reference, "Better")
    change(cast, cast.carol, reference, doctor_id=erin)
    write_note(cast, cast.erin, reference, "")
    change(cast, cast.carol, reference, doctor_id=bob)
    assert seen(cast, reference, cast.bob).private_note == "Better"


def test_a_note_that_an_earlier_release_left_in_the_appointment_is_not_overwritten(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN, doctor="erin", visit_type=cast.long)
    bob = cast.doctor_ids["bob"]
    cast.change(sa.update(models.Appointment).values(private_note="Ask about her mother", note_doctor_id=bob))
    write_note(cast, cast.erin, reference, "Tired")
    assert seen(cast, reference, cast.erin).private_note == "Tired"
    change(cast, cast.carol, reference, doctor_id=bob)
    assert seen(cast, reference, cast.bob).private_note == "Ask about her mother"
