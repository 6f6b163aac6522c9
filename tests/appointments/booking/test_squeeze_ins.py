"""Staff squeeze an urgent appointment in beside a taken time, as often as the doctor allows, and with a reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast, local
from webapp.appointments.booking import service, status_service
from webapp.appointments.schemas import Booking, Cancellation, Move, UndoStatus
from webapp.auth.schemas import Actor
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, AuditEvent, Doctor, OutboxMessage, Patient
from webapp.scheduling.exceptions import (
    PatientBusy,
    RuleBroken,
    SlotTaken,
    SqueezeInFull,
    SqueezeInNotAllowed,
)

TEN, ELEVEN, AFTERNOON = "2026-03-03 10:00", "2026-03-03 11:00", "2026-03-03 14:00"
WHY = "A child with a fever"


class Placed(NamedTuple):
    """The lane of an appointment, and the reasons that staff gave."""

    lane: int
    squeeze_reason: str
    override_reason: str = ""


def allow(cast: Cast, most: int, doctor: str = "bob") -> None:
    cast.change(sa.update(Doctor).where(Doctor.slug == doctor).values(squeeze_ins=most))


def squeeze(cast: Cast, patient_id: int, start: str, *, why: str = WHY, actor: Actor | None = None) -> str:
    """Squeeze a short appointment in with Bob as Carol does at the desk; returns the reference."""
    command = Booking(
        doctor="bob", visit_type_id=cast.short, starts_at=local(start), patient_id=patient_id, squeeze_reason=why
    )
    return cast.database.write(service.book, actor or cast.carol, command, now=NOW)


def move(cast: Cast, reference: str, start: str, *, why: str = "") -> None:
    command = Move(starts_at=local(start), squeeze_reason=why)
    cast.database.write(service.move, cast.carol, reference, command, now=NOW)


def cancel(cast: Cast, reference: str) -> None:
    cast.database.write(service.cancel, cast.carol, reference, Cancellation(), now=NOW)


def undo(cast: Cast, reference: str) -> None:
    cast.database.write(status_service.undo, cast.carol, reference, UndoStatus(), now=NOW)


def placed(cast: Cast, reference: str) -> Placed:
    query = sa.select(Appointment.lane, Appointment.squeeze_reason, Appointment.override_reason)
    with cast.database.reading() as session:
        return Placed(*session.execute(query.where(Appointment.reference == reference)).one())


def patients(cast: Cast, count: int) -> list[int]:
    return [cast.add(Patient(name=f"Patient {number}", created_at=NOW)) for number in range(count)]


def test_an_urgent_appointment_is_squeezed_in_and_the_next_one_is_refused(cast: Cast) -> None:
    dave, (other,) = cast.patient_ids["dave"], patients(cast, 1)
    taken = cast.book(cast.alice, TEN)
    with pytest.raises(SqueezeInNotAllowed, match=r"Dr\. Bob Brown does not allow squeeze-ins"):
        squeeze(cast, dave, TEN)
    allow(cast, 1)
    with pytest.raises(SlotTaken, match="another appointment") as plain:
        squeeze(cast, dave, TEN, why="")
    urgent = squeeze(cast, dave, TEN)
    with pytest.raises(SqueezeInFull, match="1 squeeze-in at a time, and that time already has one"):
        squeeze(cast, other, TEN)

    assert plain.value.code == "slot_taken"
    assert (placed(cast, taken), placed(cast, urgent)) == (Placed(0, ""), Placed(1, WHY))
    assert list(find_problems(cast.database, now=NOW)) == []
    with cast.database.reading() as session:
        actions = list(session.scalars(sa.select(AuditEvent.action).order_by(AuditEvent.id)))
        told = session.scalars(sa.select(OutboxMessage.template).order_by(OutboxMessage.id.desc())).first()
        details = session.scalars(sa.select(AuditEvent.details).where(AuditEvent.action == "squeezed_in")).one()
    assert actions[-2:] == ["booked", "squeezed_in"]
    # The reason may concern the patient's health.
    assert WHY not in str(details)
    assert told == "visit_booked"


def test_two_are_squeezed_in_where_the_doctor_allows_two(cast: Cast) -> None:
    allow(cast, 2)
    cast.book(cast.alice, TEN)
    numbers = patients(cast, 3)
    lanes = [placed(cast, squeeze(cast, number, TEN)).lane for number in numbers[:2]]
    with pytest.raises(SqueezeInFull, match="2 squeeze-ins at a time, and that time already has as many"):
        squeeze(cast, numbers[2], TEN)
    assert lanes == [1, 2]


def test_at_a_free_time_it_is_an_ordinary_appointment_and_beside_a_squeezed_one_it_needs_a_reason(cast: Cast) -> None:
    allow(cast, 1)
    assert placed(cast, squeeze(cast, cast.patient_ids["dave"], ELEVEN)) == Placed(0, "")
    taken = cast.book(cast.alice, TEN)
    one, two, three = patients(cast, 3)
    squeeze(cast, one, TEN)
    cancel(cast, taken)
    with pytest.raises(SlotTaken):
        squeeze(cast, two, TEN, why="")
    assert placed(cast, squeeze(cast, two, TEN)) == Placed(0, WHY)
    with pytest.raises(SqueezeInFull):
        squeeze(cast, three, TEN)


def test_the_reason_also_counts_for_exceptions_and_other_clashes_stay(cast: Cast) -> None:
    allow(cast, 1)
    cast.book(cast.alice, TEN)
    # 10:07 is off the grid.
    urgent = squeeze(cast, cast.patient_ids["dave"], "2026-03-03 10:07")
    assert placed(cast, urgent) == Placed(1, WHY, WHY)
    with pytest.raises(PatientBusy):
        squeeze(cast, cast.patient_ids["alice"], TEN)
    # At a free time there is nothing to squeeze in, and the exception needs its own reason.
    with pytest.raises(RuleBroken) as refused:
        squeeze(cast, cast.patient_ids["dave"], "2026-03-03 11:07")
    assert refused.value.code == "off_grid"


def test_a_patients_reason_has_no_effect(cast: Cast) -> None:
    allow(cast, 1)
    cast.book(cast.alice, TEN)
    with pytest.raises(SlotTaken) as refused:
        squeeze(cast, cast.patient_ids["dave"], TEN, actor=cast.dave)
    assert refused.value.code == "slot_taken"


def test_moved_to_a_free_time_it_is_an_ordinary_one_and_can_be_squeezed_in_elsewhere(cast: Cast) -> None:
    allow(cast, 1)
    cast.book(cast.alice, TEN)
    one, two = patients(cast, 2)
    urgent = squeeze(cast, one, TEN)
    squeeze(cast, two, ELEVEN)
    with pytest.raises(SlotTaken):
        move(cast, urgent, ELEVEN)
    move(cast, urgent, ELEVEN, why="Now later")
    assert placed(cast, urgent) == Placed(1, "Now later")
    move(cast, urgent, AFTERNOON)
    assert placed(cast, urgent) == Placed(0, "")


def test_a_restored_appointment_is_beside_the_one_that_has_its_time_now(cast: Cast) -> None:
    allow(cast, 1)
    taken = cast.book(cast.alice, TEN)
    one, two = patients(cast, 2)
    urgent = squeeze(cast, one, TEN)
    cancel(cast, urgent)
    # Its lane is free, so the earlier reason is enough.
    allow(cast, 0)
    undo(cast, urgent)
    assert placed(cast, urgent) == Placed(1, WHY)
    cancel(cast, urgent)
    allow(cast, 1)
    second = squeeze(cast, two, TEN)
    with pytest.raises(SqueezeInFull):
        undo(cast, urgent)
    allow(cast, 0)
    with pytest.raises(SqueezeInNotAllowed):
        undo(cast, urgent)
    cancel(cast, second)
    cancel(cast, taken)
    undo(cast, urgent)
    assert placed(cast, urgent) == Placed(0, "")
    with pytest.raises(SlotTaken):
        undo(cast, taken)


def test_after_the_doctor_allows_fewer_no_more_stand_side_by_side_than_that(cast: Cast) -> None:
    allow(cast, 2)
    taken = cast.book(cast.alice, TEN)
    one, two, three = patients(cast, 3)
    second, third = squeeze(cast, one, TEN), squeeze(cast, two, TEN)
    cancel(cast, third)
    allow(cast, 1)
    # Its lane is free, but there are two others at that time already.
    with pytest.raises(SqueezeInFull):
        undo(cast, third)
    allow(cast, 2)
    undo(cast, third)
    cancel(cast, second)
    allow(cast, 1)
    # The first lane is free, and beside it are lanes 0 and 2.
    with pytest.raises(SqueezeInFull):
        squeeze(cast, three, TEN)
    with pytest.raises(SqueezeInFull):
        undo(cast, second)
    allow(cast, 2)
    undo(cast, second)
    cancel(cast, taken)
    allow(cast, 1)
    with pytest.raises(SlotTaken) as refused:
        undo(cast, taken)
    assert refused.value.code == "slot_taken"


def test_of_receptionists_at_one_instant_one_gets_in_and_the_others_are_told_why(cast: Cast) -> None:
    allow(cast, 1)
    cast.book(cast.alice, TEN)
    numbers = patients(cast, 5)
    together = Barrier(len(numbers))

    def receptionist(patient_id: int) -> str:
        together.wait()
        try:
            squeeze(cast, patient_id, TEN)
        except SqueezeInFull as refused:
            return refused.code
        return "in"

    with ThreadPoolExecutor(len(numbers)) as receptionists:
        answers = sorted(receptionists.map(receptionist, numbers))
    assert answers == ["in", *["squeeze_in_full"] * (len(numbers) - 1)]
    assert list(find_problems(cast.database, now=NOW)) == []
