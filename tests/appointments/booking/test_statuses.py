"""The statuses of an appointment: the table of transitions, undoing the last change, and the doctor's private note."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from tests.appointment_rows import put, take_guard_away
from tests.cast import Cast, local
from webapp import models
from webapp.appointments.booking import service, status_service, statuses
from webapp.appointments.exceptions import ChangedMeanwhile, NoSuchAppointment, NothingToUndo, StatusNotPossible
from webapp.appointments.schemas import Cancellation, ChangeStatus, Move, UndoStatus, WriteNote
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import default_clinic
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.exceptions import Forbidden
from webapp.scheduling.exceptions import PatientBusy, SlotTaken

START = local("2026-03-03 10:00")
THE_DAY_BEFORE, THAT_MORNING = local("2026-03-02 23:59"), local("2026-03-03 00:00")
DURING, THE_DAY_AFTER = local("2026-03-03 10:05"), local("2026-03-04 00:00")


class State(NamedTuple):
    """The columns of an appointment that the table depends on."""

    status: str
    starts_at: datetime = START
    previous_status: str | None = None


def possible(status: str, now: datetime, actor: Actor) -> set[str]:
    return set(statuses.possible_statuses(State(status), actor, default_clinic(), now))


@pytest.mark.parametrize(
    ("status", "before", "morning", "during", "after"),
    [
        (
            "scheduled",
            {"confirmed"},
            {"confirmed", "arrived"},
            {"confirmed", "arrived", "completed", "no_show"},
            {"confirmed", "completed", "no_show"},
        ),
        ("confirmed", set(), {"arrived"}, {"arrived", "completed", "no_show"}, {"completed", "no_show"}),
        ("arrived", set(), set(), {"completed"}, {"completed"}),
        ("completed", set(), set(), set(), set()),
        ("no_show", set(), set(), set(), set()),
        ("cancelled", set(), set(), set(), set()),
    ],
)
def test_the_table_of_statuses(
    status: str, before: set[str], morning: set[str], during: set[str], after: set[str]
) -> None:
    bob = Actor(1, 0, "Bob", "bob@docket.example", "doctor")
    moments = (THE_DAY_BEFORE, THAT_MORNING, DURING, THE_DAY_AFTER)
    assert [possible(status, now, bob) for now in moments] == [before, morning, during, after]
    assert possible(status, START, bob) == during
    assert possible(status, START - timedelta(seconds=1), bob) == morning


def test_patients_change_no_status(cast: Cast) -> None:
    for status in statuses.WORDS:
        assert possible(status, DURING, cast.alice) == set()
    assert not statuses.may_undo(State("no_show", previous_status="scheduled"), cast.alice)
    assert statuses.may_undo(State("no_show", previous_status="scheduled"), cast.carol)
    assert not statuses.may_undo(State("no_show"), cast.carol)


def change(cast: Cast, actor: Actor, reference: str, status: str, *, now: datetime, version: int | None = None) -> None:
    command = ChangeStatus(status=status, version=version)  # type: ignore[arg-type]
    cast.database.write(status_service.change_status, actor, reference, command, now=now)


def undo(cast: Cast, actor: Actor, reference: str, *, now: datetime = DURING, version: int | None = None) -> None:
    cast.database.write(status_service.undo, actor, reference, UndoStatus(version=version), now=now)


def row(cast: Cast, reference: str) -> models.Appointment:
    with cast.database.reading() as session:
        return session.scalars(sa.select(models.Appointment).where(models.Appointment.reference == reference)).one()


def history(cast: Cast, reference: str) -> list[str]:
    with cast.database.reading() as session:
        return [entry.action for entry in audit.history(session, ("appointment", row(cast, reference).id))]


def test_each_status_of_an_appointment_is_in_its_history(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    change(cast, cast.carol, reference, "confirmed", now=cast.now)
    change(cast, cast.bob, reference, "arrived", now=THAT_MORNING)
    change(cast, cast.bob, reference, "completed", now=DURING, version=3)
    saved = row(cast, reference)
    assert (saved.status, saved.previous_status, saved.version) == ("completed", "arrived", 4)
    assert history(cast, reference) == ["booked", "confirmed", "arrived", "completed"]


def test_a_step_that_the_table_does_not_have_says_why(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    for status, now, why in (
        ("arrived", cast.now, "only arrive on the day"),
        ("completed", THAT_MORNING, "seen before the appointment starts"),
        ("no_show", THAT_MORNING, "before it starts"),
    ):
        with pytest.raises(StatusNotPossible, match=why):
            change(cast, cast.bob, reference, status, now=now)
    change(cast, cast.bob, reference, "no_show", now=DURING)
    with pytest.raises(StatusNotPossible, match="can’t change from “No-show” to “Arrived”"):
        change(cast, cast.bob, reference, "arrived", now=DURING)
    assert row(cast, reference).version == 2


def test_only_the_appointments_staff_change_it_and_only_the_version_they_saw(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    with pytest.raises(Forbidden):
        change(cast, cast.alice, reference, "confirmed", now=cast.now)
    with pytest.raises(Forbidden):
        undo(cast, cast.alice, reference)
    with pytest.raises(NoSuchAppointment):
        change(cast, cast.erin, reference, "confirmed", now=cast.now)
    change(cast, cast.carol, reference, "confirmed", now=cast.now, version=1)
    with pytest.raises(ChangedMeanwhile):
        change(cast, cast.bob, reference, "arrived", now=DURING, version=1)
    with pytest.raises(ChangedMeanwhile):
        undo(cast, cast.bob, reference, version=1)


def test_undo_leads_back_one_step_and_no_further(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    with pytest.raises(NothingToUndo):
        undo(cast, cast.bob, reference)
    change(cast, cast.bob, reference, "arrived", now=DURING)
    change(cast, cast.bob, reference, "completed", now=DURING)
    undo(cast, cast.bob, reference)
    saved = row(cast, reference)
    assert (saved.status, saved.previous_status) == ("arrived", None)
    with pytest.raises(NothingToUndo):
        undo(cast, cast.bob, reference)
    assert history(cast, reference)[-1] == "undone"


def test_an_arrival_is_remembered_until_it_is_undone(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    change(cast, cast.fiona, reference, "arrived", now=THAT_MORNING)
    assert row(cast, reference).arrived_at == THAT_MORNING
    assert statuses.wait_since(row(cast, reference), THAT_MORNING + timedelta(minutes=14)) == (14, False)
    assert statuses.wait_since(row(cast, reference), THAT_MORNING + timedelta(minutes=15)) == (15, True)
    # A patient who was never marked as seen is not there for days.
    assert statuses.wait_since(row(cast, reference), THE_DAY_AFTER) is None
    change(cast, cast.bob, reference, "completed", now=DURING)
    assert row(cast, reference).arrived_at == THAT_MORNING
    assert statuses.wait_since(row(cast, reference), DURING) is None
    undo(cast, cast.bob, reference)
    assert row(cast, reference).arrived_at == THAT_MORNING
    other = cast.book(cast.dave, "2026-03-03 11:00")
    change(cast, cast.fiona, other, "arrived", now=THAT_MORNING)
    undo(cast, cast.fiona, other)
    assert row(cast, other).arrived_at is None


def test_a_cancellation_by_the_patient_is_final_only_for_the_patient(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    command = Cancellation(reason="A cold.")
    cast.database.write(service.cancel, cast.alice, reference, command, now=cast.now)
    with pytest.raises(Forbidden):
        undo(cast, cast.alice, reference)
    undo(cast, cast.carol, reference, now=cast.now)
    saved = row(cast, reference)
    assert (saved.status, saved.cancellation_reason, saved.flagged_why) == ("scheduled", "", "")


def test_moving_leaves_nothing_to_undo(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    change(cast, cast.bob, reference, "confirmed", now=cast.now)
    command = Move(starts_at=local("2026-03-05 11:00"))
    cast.database.write(service.move, cast.alice, reference, command, now=cast.now)
    with pytest.raises(NothingToUndo):
        undo(cast, cast.bob, reference, now=cast.now)


def _cancelled(cast: Cast, reference: str) -> None:
    cast.database.write(service.cancel, cast.bob, reference, Cancellation(), now=cast.now)


def _missed(cast: Cast, reference: str) -> None:
    change(cast, cast.bob, reference, "no_show", now=DURING)


@pytest.mark.parametrize("leave", [_cancelled, _missed])
def test_an_appointment_whose_time_was_taken_cannot_be_restored(cast: Cast, leave: Callable[[Cast, str], None]) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    leave(cast, reference)
    put(cast, "2026-03-03 10:00", patient="dave")
    with pytest.raises(SlotTaken, match="Another appointment now has this time"):
        undo(cast, cast.bob, reference)
    assert row(cast, reference).previous_status == "scheduled"
    assert history(cast, reference)[-1] != "undone"


def test_the_patients_own_time_is_guarded_too(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    _cancelled(cast, reference)
    put(cast, "2026-03-03 10:00", doctor="erin")
    with pytest.raises(PatientBusy):
        undo(cast, cast.bob, reference)


def test_without_the_guard_the_locks_are_enough_for_an_undo(cast: Cast) -> None:
    take_guard_away(cast.database)
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    _cancelled(cast, reference)
    put(cast, "2026-03-03 10:10", patient="dave")
    with pytest.raises(SlotTaken, match="Another appointment now has this time"):
        undo(cast, cast.bob, reference)
    cast.change(sa.update(models.Appointment).values(status="cancelled"))
    put(cast, "2026-03-03 10:10", doctor="erin")
    with pytest.raises(PatientBusy):
        undo(cast, cast.bob, reference)


@pytest.mark.parametrize("override_reason", ["", "She is here for one day only."])
def test_an_appointment_that_comes_back_into_leave_is_flagged(cast: Cast, override_reason: str) -> None:
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    cast.change(sa.update(models.Appointment).values(override_reason=override_reason))
    _cancelled(cast, reference)
    cast.add(
        models.TimeOff(
            doctor_id=cast.doctor_ids["bob"], starts_at=local("2026-03-05 00:00"), ends_at=local("2026-03-06 00:00")
        )
    )
    undo(cast, cast.bob, reference, now=cast.now)
    saved = row(cast, reference)
    assert (saved.status, saved.flagged_why) == ("scheduled", "time_off")


@pytest.mark.parametrize(("status", "flag"), [("arrived", "time_off"), ("completed", ""), ("no_show", "")])
def test_an_appointment_that_is_over_needs_no_decision_any_more(cast: Cast, status: str, flag: str) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    cast.change(sa.update(models.Appointment).values(flagged_why="time_off"))
    change(cast, cast.bob, reference, status, now=DURING)
    assert row(cast, reference).flagged_why == flag


# ---------------------------------------------------------------------------------------------------- the note


def write_note(cast: Cast, actor: Actor, reference: str, text: str, seen: str = "") -> None:
    command = WriteNote(private_note=text, seen=seen)
    cast.database.write(status_service.write_note, actor, reference, command, now=cast.now)


def read_note(cast: Cast, actor: Actor, reference: str) -> status_service.SavedNote:
    with cast.database.reading() as session:
        return status_service.get_note(session, actor, reference)[1]


def test_the_note_is_private_to_its_doctor_and_no_change_of_the_appointment(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    write_note(cast, cast.bob, reference, "  Worried about her mother.  ")
    assert read_note(cast, cast.bob, reference).private_note == "Worried about her mother."
    assert row(cast, reference).version == 1
    for other in (cast.alice, cast.carol):
        with pytest.raises(Forbidden):
            read_note(cast, other, reference)
        with pytest.raises(Forbidden):
            write_note(cast, other, reference, "Mine")
    with pytest.raises(NoSuchAppointment):
        read_note(cast, cast.erin, reference)
    with pytest.raises(NoSuchAppointment):
        write_note(cast, cast.erin, reference, "Mine")


def test_the_notes_text_is_in_no_audit_row_and_never_shown_to_the_patient(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    write_note(cast, cast.bob, reference, "Worried about her mother.")
    assert history(cast, reference) == ["booked"]
    with cast.database.reading() as session:
        rows: list[Any] = session.execute(sa.select(models.AuditEvent.action, models.AuditEvent.details)).all()  # type: ignore[assignment]
    assert rows[-1].action == "note_changed"
    assert "mother" not in str(rows)


def test_two_windows_with_one_note_do_not_overwrite_each_other(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    seen = fingerprint(read_note(cast, cast.bob, reference))
    write_note(cast, cast.bob, reference, "First", seen)
    with pytest.raises(EditedMeanwhile) as told:
        write_note(cast, cast.bob, reference, "Second", seen)
    assert told.value.saved == status_service.SavedNote(private_note="First")
    assert read_note(cast, cast.bob, reference).private_note == "First"
