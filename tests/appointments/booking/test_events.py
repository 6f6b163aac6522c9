"""The events of booking, moving, cancelling and changes of status, which are published in the same transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local
from tests.recorded_events import record_events, wire
from webapp.appointments.booking import service, status_service
from webapp.appointments.exceptions import TooLateToChange
from webapp.appointments.impact import schedule_impact
from webapp.appointments.impact.decisions import AppointmentsAffected
from webapp.appointments.impact.schemas import Decision, Decisions
from webapp.appointments.schemas import (
    Booking,
    Cancellation,
    Changes,
    ChangeStatus,
    ChangeWords,
    Move,
    UndoStatus,
)
from webapp.auth.schemas import NO_ACCOUNT, Actor
from webapp.database import Database
from webapp.events.kinds import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentMoved,
    AppointmentStatusChanged,
    DoneBy,
    Event,
    TimeFreed,
)
from webapp.events.publishing import NotWired, on
from webapp.exceptions import AppError
from webapp.models import Appointment, OutboxMessage, VisitType
from webapp.scheduling.exceptions import SlotTaken

MINUTE = timedelta(minutes=1)
SOON = NOW + timedelta(hours=3)


@pytest.fixture
def heard(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The published events, in order."""
    return record_events(cast.database, monkeypatch)


def book(cast: Cast, actor: Actor, start: str, *, visit_type: int | None = None) -> tuple[str, dict[str, Any]]:
    """Book with Bob for Alice; returns the reference, and what each event about the appointment says."""
    command = Booking(
        doctor="bob",
        visit_type_id=visit_type or cast.short,
        starts_at=local(start),
        patient_id=cast.patient_ids["alice"],
    )
    reference = cast.database.write(service.book, actor, command, now=NOW)
    return reference, about(cast, reference)


def about(cast: Cast, reference: str) -> dict[str, Any]:
    with cast.database.reading() as session:
        number = session.scalars(sa.select(Appointment.id).where(Appointment.reference == reference)).one()
    return {
        "appointment_id": number,
        "doctor_id": cast.doctor_ids["bob"],
        "patient_id": cast.patient_ids["alice"],
    }


def by(actor: Actor) -> DoneBy:
    return DoneBy(actor.user_id, actor.role, actor.name)


def freed(cast: Cast, actor: Actor, start: str, minutes: int) -> TimeFreed:
    """The event that Bob's time is free, starting at this time of the clinic's clock."""
    begins = local(start)
    return TimeFreed(
        by=by(actor), doctor_id=cast.doctor_ids["bob"], busy_from=begins, busy_until=begins + minutes * MINUTE
    )


def counts(cast: Cast) -> tuple[int, int]:
    """How many appointments and how many messages there are."""
    with cast.database.reading() as session:
        found = [session.scalar(sa.select(sa.func.count()).select_from(each)) for each in (Appointment, OutboxMessage)]
    return found[0] or 0, found[1] or 0


# ------------------------------------------------------------------------------------- booking and moving


def test_a_booking_says_who_made_it(cast: Cast, heard: list[Event]) -> None:
    _reference, facts = book(cast, cast.carol, "2026-03-05 09:30")
    assert heard == [AppointmentBooked(by=by(cast.carol), **facts)]


def test_a_booking_that_is_refused_says_nothing(cast: Cast, heard: list[Event]) -> None:
    book(cast, cast.alice, "2026-03-05 09:30")
    heard.clear()
    with pytest.raises(SlotTaken):
        cast.book(cast.dave, "2026-03-05 09:30")
    assert heard == []


def test_a_move_names_the_old_time_and_frees_it_with_its_buffers(cast: Cast, heard: list[Event]) -> None:
    reference, facts = book(cast, cast.alice, "2026-03-05 09:30", visit_type=cast.buffered)
    heard.clear()
    cast.database.write(
        service.move, cast.bob, reference, Move(starts_at=local("2026-03-06 10:00")), now=NOW, why="We are closed."
    )
    assert heard == [
        AppointmentMoved(by=by(cast.bob), before=local("2026-03-05 09:30"), why="We are closed.", **facts),
        freed(cast, cast.bob, "2026-03-05 09:25", 60),
    ]


@pytest.mark.parametrize(
    ("start", "stretches"),
    [
        # 09:25 to 10:25 was taken.
        ("2026-03-05 09:45", [("2026-03-05 09:25", 15)]),
        ("2026-03-05 09:15", [("2026-03-05 10:10", 15)]),
        ("2026-03-05 10:30", [("2026-03-05 09:25", 60)]),
        ("2026-03-05 13:30", [("2026-03-05 09:25", 60)]),
    ],
)
def test_a_move_frees_only_what_the_new_time_does_not_take(
    sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch, start: str, stretches: list[tuple[str, int]]
) -> None:
    cast = sqlite_cast
    reference, _facts = book(cast, cast.alice, "2026-03-05 09:30", visit_type=cast.buffered)
    heard = record_events(cast.database, monkeypatch)
    cast.database.write(service.move, cast.alice, reference, Move(starts_at=local(start)), now=NOW)
    assert heard[1:] == [freed(cast, cast.alice, *stretch) for stretch in stretches]


def test_a_visit_type_that_became_shorter_frees_time_on_both_sides(
    sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast = sqlite_cast
    reference, _facts = book(cast, cast.alice, "2026-03-05 09:30", visit_type=cast.buffered)
    cast.change(sa.update(VisitType).where(VisitType.id == cast.buffered).values(minutes=15, buffer_after=0))
    heard = record_events(cast.database, monkeypatch)
    cast.database.write(service.move, cast.alice, reference, Move(starts_at=local("2026-03-05 09:45")), now=NOW)
    # 09:25 to 10:25 was taken; now 09:40 to 10:00 is.
    assert heard[1:] == [
        freed(cast, cast.alice, "2026-03-05 09:25", 15),
        freed(cast, cast.alice, "2026-03-05 10:00", 25),
    ]


# ---------------------------------------------------------------------------- cancelling and changes of status


def test_a_cancellation_frees_the_time(cast: Cast, heard: list[Event]) -> None:
    reference, facts = book(cast, cast.alice, "2026-03-05 09:30")
    heard.clear()
    cast.database.write(service.cancel, cast.alice, reference, Cancellation(), now=NOW, why="")
    assert heard == [
        AppointmentCancelled(by=by(cast.alice), why="", **facts),
        freed(cast, cast.alice, "2026-03-05 09:30", 15),
    ]


def test_a_cancellation_that_is_refused_says_nothing(cast: Cast, heard: list[Event]) -> None:
    reference, _facts = book(cast, cast.alice, "2026-03-02 11:00")
    heard.clear()
    with pytest.raises(TooLateToChange):
        cast.database.write(service.cancel, cast.alice, reference, Cancellation(), now=SOON - timedelta(minutes=90))
    assert heard == []


@pytest.mark.parametrize("status", ["confirmed", "arrived", "completed"])
def test_a_status_that_takes_time_frees_none(sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch, status: Any) -> None:
    cast = sqlite_cast
    reference, facts = book(cast, cast.alice, "2026-03-02 11:00")
    heard = record_events(cast.database, monkeypatch)
    cast.database.write(status_service.change_status, cast.bob, reference, ChangeStatus(status=status), now=SOON)
    assert heard == [AppointmentStatusChanged(by=by(cast.bob), before="scheduled", after=status, **facts)]


def test_a_patient_who_does_not_come_frees_the_time_and_takes_it_again_when_that_is_undone(
    cast: Cast, heard: list[Event]
) -> None:
    reference, facts = book(cast, cast.alice, "2026-03-02 11:00")
    heard.clear()
    later = SOON + timedelta(minutes=10)
    cast.database.write(status_service.change_status, cast.bob, reference, ChangeStatus(status="no_show"), now=later)
    assert heard == [
        AppointmentStatusChanged(by=by(cast.bob), before="scheduled", after="no_show", **facts),
        freed(cast, cast.bob, "2026-03-02 11:00", 15),
    ]
    heard.clear()
    cast.database.write(status_service.undo, cast.carol, reference, UndoStatus(), now=later)
    assert heard == [AppointmentStatusChanged(by=by(cast.carol), before="no_show", after="scheduled", **facts)]


def test_a_cancellation_taken_back_is_a_change_of_status(cast: Cast, heard: list[Event]) -> None:
    reference, facts = book(cast, cast.alice, "2026-03-05 09:30")
    cast.database.write(service.cancel, cast.alice, reference, Cancellation(), now=NOW)
    heard.clear()
    cast.database.write(status_service.undo, cast.carol, reference, UndoStatus(), now=NOW)
    assert heard == [AppointmentStatusChanged(by=by(cast.carol), before="cancelled", after="scheduled", **facts)]


def test_a_return_that_is_refused_says_nothing(cast: Cast, heard: list[Event]) -> None:
    reference, _facts = book(cast, cast.alice, "2026-03-05 09:30")
    cast.database.write(service.cancel, cast.alice, reference, Cancellation(), now=NOW)
    cast.book(cast.dave, "2026-03-05 09:30")
    heard.clear()
    with pytest.raises(SlotTaken):
        cast.database.write(status_service.undo, cast.carol, reference, UndoStatus(), now=NOW)
    assert heard == []


def test_the_holder_of_a_link_has_no_account_but_is_a_patient(cast: Cast, heard: list[Event]) -> None:
    reference, facts = book(cast, cast.alice, "2026-03-05 09:30")
    heard.clear()
    alice = cast.patient_ids["alice"]
    holder = Actor(
        NO_ACCOUNT, 0, "Alice Adams", "+31 20", "patient", appointment_id=facts["appointment_id"], patient_id=alice
    )
    cast.database.write(status_service.confirm, holder, reference, ChangeStatus(status="confirmed"), now=NOW)
    cast.database.write(status_service.confirm, holder, reference, ChangeStatus(status="confirmed"), now=NOW)
    done_by = DoneBy(None, "patient", "Alice Adams", alice)
    # Confirming again changes nothing.
    assert heard == [AppointmentStatusChanged(by=done_by, before="scheduled", after="confirmed", **facts)]


def test_several_changes_in_one_request_are_several_events(cast: Cast, heard: list[Event]) -> None:
    _reference, facts = book(cast, cast.alice, "2026-03-05 09:30")
    heard.clear()
    command = Changes(starts_at=local("2026-03-05 11:00"), reason="a rash", status="confirmed")
    cast.database.write(status_service.change, cast.bob, facts["appointment_id"], command, now=NOW)
    assert heard == [
        AppointmentMoved(by=by(cast.bob), before=local("2026-03-05 09:30"), **facts),
        freed(cast, cast.bob, "2026-03-05 09:30", 15),
        AppointmentStatusChanged(by=by(cast.bob), before="scheduled", after="confirmed", **facts),
    ]


def test_changing_texts_publishes_no_event(cast: Cast, heard: list[Event]) -> None:
    reference, _facts = book(cast, cast.alice, "2026-03-05 09:30")
    heard.clear()
    cast.database.write(service.change_words, cast.alice, reference, ChangeWords(reason="a rash"), now=NOW)
    assert heard == []


# ------------------------------------------------------------------------------------ decisions about a change


def end_mornings_at_ten(cast: Cast) -> Any:
    """A change of Bob's hours that affects his appointments at eleven."""
    statement = sa.text("UPDATE working_hours SET end_minute = 600 WHERE end_minute = 720 AND doctor_id = :bob")
    return lambda session: session.execute(statement, {"bob": cast.doctor_ids["bob"]})


def test_decisions_about_affected_appointments_publish_what_they_do(cast: Cast, heard: list[Event]) -> None:
    (kept, _), (moved, of_moved), (cancelled, of_cancelled) = (
        book(cast, cast.alice, f"2026-03-{day:02} 11:00") for day in (9, 10, 11)
    )
    heard.clear()
    decisions = Decisions(
        each={
            kept: Decision(kind="keep", version=1),
            moved: Decision(kind="move", version=1, starts_at=local("2026-03-10 09:30")),
            cancelled: Decision(kind="cancel", version=1),
        }
    )
    cast.database.write(
        schedule_impact.carry_out,
        cast.carol,
        end_mornings_at_ten(cast),
        doctor_ids=[cast.doctor_ids["bob"]],
        decisions=decisions,
        now=NOW,
    )
    why = "outside_working_hours"
    assert heard == [
        AppointmentMoved(by=by(cast.carol), before=local("2026-03-10 11:00"), why=why, **of_moved),
        freed(cast, cast.carol, "2026-03-10 11:00", 15),
        AppointmentCancelled(by=by(cast.carol), why=why, **of_cancelled),
        freed(cast, cast.carol, "2026-03-11 11:00", 15),
    ]


def test_a_decision_that_fails_takes_the_messages_of_the_others_with_it(cast: Cast) -> None:
    cancelled, _ = book(cast, cast.alice, "2026-03-10 11:00")
    moved, _ = book(cast, cast.alice, "2026-03-11 11:00")
    decisions = Decisions(
        each={
            cancelled: Decision(kind="cancel", version=1),
            # It is outside the doctor's hours, so it is refused after the other one was cancelled.
            moved: Decision(kind="move", version=1, starts_at=local("2026-03-11 20:00")),
        }
    )
    before = counts(cast)
    with pytest.raises(AppointmentsAffected):
        cast.database.write(
            schedule_impact.carry_out,
            cast.carol,
            end_mornings_at_ten(cast),
            doctor_ids=[cast.doctor_ids["bob"]],
            decisions=decisions,
            now=NOW,
        )
    assert counts(cast) == before


# --------------------------------------------------------------------------------------- one transaction


def test_messages_are_written_and_undone_with_the_booking(cast: Cast) -> None:
    def book_and_fail(session: Session) -> None:
        command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local("2026-03-05 09:30"))
        service.book(session, cast.alice, command, now=NOW)
        assert session.scalar(sa.select(sa.func.count()).select_from(OutboxMessage)) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cast.database.write(book_and_fail)
    assert counts(cast) == (0, 0)


def test_the_error_of_a_handler_undoes_the_booking(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoRoom(AppError):
        """An error that a handler may raise."""

    def refuse(_session: Session, _event: AppointmentBooked, /, *, now: datetime) -> None:
        raise NoRoom("There is no room.")

    wire(cast.database, monkeypatch, on(AppointmentBooked, refuse))
    with pytest.raises(NoRoom):
        cast.book(cast.alice, "2026-03-05 09:30")
    assert counts(cast) == (0, 0)


def test_without_wired_handlers_nothing_is_booked(cast: Cast) -> None:
    plain = Database(cast.url)
    command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local("2026-03-05 09:30"))
    try:
        with pytest.raises(NotWired, match="AppointmentBooked"):
            plain.write(service.book, cast.alice, command, now=NOW)
    finally:
        plain.dispose()
    assert counts(cast) == (0, 0)


def test_rows_written_without_the_service_publish_nothing(cast: Cast, heard: list[Event]) -> None:
    """Rows of an import or of demo data send no messages to patients."""
    put(cast, "2026-03-05 09:30")
    assert heard == []
    assert counts(cast) == (1, 0)
