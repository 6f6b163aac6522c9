"""Booking, moving and cancelling through the service layer, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local
from webapp.appointments import queries
from webapp.appointments.booking import service
from webapp.appointments.booking.appointment_row import REFERENCE_ALPHABET
from webapp.appointments.exceptions import (
    ChangedMeanwhile,
    NoSuchAppointment,
    NotActive,
    NotAPatient,
    TooLateToChange,
)
from webapp.appointments.schemas import AppointmentView, Booking, Cancellation, Move
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.exceptions import AppError, NotFound
from webapp.models import Appointment, AuditEvent, ClinicSettings, Closure, Doctor, ExtraHours, TimeOff, VisitType
from webapp.scheduling import checks
from webapp.scheduling.exceptions import PatientBusy, RuleBroken, SlotTaken

DAY = timedelta(days=1)


def close_and_send_away(cast: Cast) -> None:
    """Close the clinic on Wednesday, and give Bob time off on Thursday from 10:15 to 11:00."""
    cast.add(Closure(name="Works", starts_on=date(2026, 3, 4), ends_on=date(2026, 3, 4)))
    away = {"starts_at": local("2026-03-05 10:15"), "ends_at": local("2026-03-05 11:00")}
    cast.add(TimeOff(doctor_id=cast.doctor_ids["bob"], **away))


def move(
    cast: Cast, actor: Actor, reference: str, start: str, *, version: int | None = None, now: datetime | None = None
) -> None:
    """Move an appointment as the pages do."""
    command = Move(starts_at=local(start), version=version)
    cast.database.write(service.move, actor, reference, command, now=now or cast.now)


def cancel(
    cast: Cast,
    actor: Actor,
    reference: str,
    *,
    reason: str = "",
    version: int | None = None,
    now: datetime | None = None,
) -> None:
    """Cancel an appointment as the pages do."""
    command = Cancellation(reason=reason, version=version)
    cast.database.write(service.cancel, actor, reference, command, now=now or cast.now)


def see(cast: Cast, reference: str, actor: Actor | None = None) -> AppointmentView:
    """The appointment as the actor, or by default the admin, sees it."""
    with cast.database.reading() as session:
        return queries.get_appointment(session, actor or cast.carol, reference)


def rows(cast: Cast, table: Any = Appointment) -> int:
    """The number of rows in a table."""
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def refused(action: Callable[[], Any]) -> str:
    """The code of the rule that the action breaks."""
    with pytest.raises(RuleBroken) as caught:
        action()
    assert caught.value.status == 422
    assert caught.value.field == "starts_at"
    assert "%(" not in caught.value.message
    return caught.value.code


# ------------------------------------------------------------------------------------------------- booking


def test_a_time_is_given_once(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    with pytest.raises(SlotTaken):
        cast.book(cast.dave, "2026-03-03 09:30")


def test_a_patient_is_in_one_place_at_a_time(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    with pytest.raises(PatientBusy):
        cast.book(cast.alice, "2026-03-03 09:30", doctor="erin", visit_type=cast.long)


def test_a_booking_is_stored_as_requested(cast: Cast) -> None:
    command = Booking(
        doctor="bob",
        visit_type_id=cast.buffered,
        starts_at=local("2026-03-03 09:30"),
        reason="  A mole  ",
        notes="Wheelchair",
    )
    reference = cast.database.write(service.book, cast.alice, command, now=NOW)
    seen = see(cast, reference, cast.alice)
    assert (seen.reason, seen.notes, seen.status, seen.version) == ("A mole", "Wheelchair", "scheduled", 1)
    assert (seen.starts_at, seen.ends_at) == (local("2026-03-03 09:30"), local("2026-03-03 10:15"))
    assert (seen.patient_name, seen.doctor_slug, seen.visit_type_id) == ("Alice Adams", "bob", cast.buffered)
    with cast.database.reading() as session:
        busy = session.execute(sa.select(Appointment.busy_from, Appointment.busy_until, Appointment.booked_by)).one()
    assert busy == (local("2026-03-03 09:25"), local("2026-03-03 10:25"), cast.alice.user_id)


def test_a_reference_can_be_read_out_and_is_found_in_any_case(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:30")
    assert len(reference) == 9
    assert reference[4] == "-"
    assert set(reference) - {"-"} <= set(REFERENCE_ALPHABET)
    assert not set("01IO") & set(REFERENCE_ALPHABET)
    assert see(cast, reference.lower(), cast.alice).reference == reference


def test_without_a_visit_type_it_is_the_doctors_first(cast: Cast) -> None:
    command = Booking(doctor="bob", starts_at=local("2026-03-03 09:30"))
    reference = cast.database.write(service.book, cast.alice, command, now=NOW)
    assert see(cast, reference).visit_type_id == cast.short


@pytest.mark.parametrize(("start", "kind", "code"), [
    ("2026-03-07 10:00", "long", "clinic_closed"),
    ("2026-03-03 08:59", "long", "off_grid"),
    ("2026-03-03 08:45", "long", "clinic_closed"),
    ("2026-03-03 16:45", "long", "clinic_closed"),
    ("2026-03-03 11:45", "long", "outside_working_hours"),
    ("2026-03-02 07:45", "long", "in_the_past"),
    ("2026-02-27 10:00", "long", "in_the_past"),
    ("2026-03-02 09:45", "long", "too_soon"),
    ("2026-06-01 10:00", "long", "too_far_ahead"),
    ("2026-03-03 09:31", "long", "off_grid"),
    ("2026-03-03 10:00", "erins_only", "visit_type_not_offered"),
    ("2026-03-03 10:00", "by_phone", "visit_type_not_online"),
    ("2026-03-04 10:00", "long", "closure"),
    ("2026-03-05 10:00", "long", "time_off"),
])  # fmt: skip
def test_a_time_that_a_rule_refuses_is_not_booked(sqlite_cast: Cast, start: str, kind: str, code: str) -> None:
    cast = sqlite_cast
    close_and_send_away(cast)
    assert refused(lambda: cast.book(cast.alice, start, visit_type=getattr(cast, kind))) == code
    assert (rows(cast), rows(cast, AuditEvent)) == (0, 0)


def test_refusals_by_the_rules_are_the_same_on_both_databases(cast: Cast) -> None:
    close_and_send_away(cast)
    assert refused(lambda: cast.book(cast.alice, "2026-03-04 10:00")) == "closure"
    assert refused(lambda: cast.book(cast.alice, "2026-03-05 10:30")) == "time_off"
    assert refused(lambda: cast.book(cast.alice, "2026-03-07 10:00")) == "clinic_closed"
    assert cast.book(cast.alice, "2026-03-05 10:00")
    assert cast.book(cast.alice, "2026-03-05 11:00")


def test_a_start_with_seconds_is_off_every_grid(cast: Cast) -> None:
    command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local("2026-03-03 09:30:01"))
    assert refused(lambda: cast.database.write(service.book, cast.alice, command, now=NOW)) == "off_grid"


@pytest.mark.parametrize("offset", ["-12:00", "Z", "+12:00"])
def test_a_time_at_the_edge_of_the_calendar_is_refused_in_words(sqlite_cast: Cast, offset: str) -> None:
    cast = sqlite_cast
    for day in (
        "0001-01-01T00:00:00",
        "1999-12-31T23:45:00",
        "2000-01-01T09:00:00",
        "2100-12-31T23:45:00",
        "9999-12-31T23:45:00",
    ):
        try:
            command = Booking.model_validate({"doctor": "bob", "starts_at": f"{day}{offset}"})
        except ValidationError:
            continue
        with pytest.raises(AppError) as caught:
            cast.database.write(service.book, cast.alice, command, now=NOW)
        assert caught.value.status == 422


def test_a_doctor_who_takes_no_bookings_is_not_found(cast: Cast) -> None:
    cast.change(sa.update(Doctor).where(Doctor.slug == "bob").values(active=False))
    with pytest.raises(NotFound):
        cast.book(cast.alice, "2026-03-03 09:30")


def test_an_unknown_doctor_or_visit_type_is_not_found(cast: Cast) -> None:
    with pytest.raises(NotFound):
        cast.book(cast.alice, "2026-03-03 09:30", doctor="nobody")
    with pytest.raises(NotFound):
        cast.book(cast.alice, "2026-03-03 09:30", visit_type=987_654)


def test_a_visit_type_that_is_no_longer_offered_is_refused(cast: Cast) -> None:
    cast.change(sa.update(VisitType).where(VisitType.id == cast.long).values(active=False))
    booking = lambda: cast.book(cast.alice, "2026-03-03 09:30", visit_type=cast.long)  # noqa: E731
    assert refused(booking) == "visit_type_not_offered"


def test_staff_cannot_book_for_themselves(cast: Cast) -> None:
    for actor in (cast.bob, cast.carol):
        with pytest.raises(NotAPatient):
            cast.book(actor, "2026-03-03 09:30")


def test_thirty_minutes_must_lie_between_a_patients_appointments(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00", visit_type=cast.long)
    for start in ("2026-03-03 10:30", "2026-03-03 09:30"):
        with pytest.raises(PatientBusy) as caught:
            cast.book(cast.alice, start, doctor="erin", visit_type=cast.long)
        assert (caught.value.code, caught.value.status) == ("patient_gap", 409)
        assert "30 minutes" in caught.value.message
    assert cast.book(cast.alice, "2026-03-03 09:00", doctor="erin", visit_type=cast.long)
    assert cast.book(cast.alice, "2026-03-03 11:00", doctor="erin", visit_type=cast.long)
    assert cast.book(cast.dave, "2026-03-03 10:30", doctor="erin", visit_type=cast.long)


def test_an_overlap_with_the_patients_own_appointment_is_explained(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00", visit_type=cast.long)
    with pytest.raises(PatientBusy) as caught:
        cast.book(cast.alice, "2026-03-03 10:00", doctor="erin", visit_type=cast.long)
    assert caught.value.code == "patient_overlap"


def test_buffers_keep_the_doctor_free_around_an_appointment(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00", visit_type=cast.buffered)
    for start in ("2026-03-03 09:45", "2026-03-03 10:45"):
        with pytest.raises(SlotTaken) as caught:
            cast.book(cast.dave, start)
        assert (caught.value.code, caught.value.status) == ("slot_taken", 409)
    cast.book(cast.dave, "2026-03-03 09:30")
    cast.book(cast.dave, "2026-03-03 11:00")


def ten_appointments(cast: Cast) -> list[str]:
    """As many appointments of Alice as the clinic allows."""
    clocks = ("09:00", "10:00", "11:00", "13:00", "14:00")
    return [cast.book(cast.alice, f"2026-03-0{day} {clock}") for day in (3, 4) for clock in clocks]


def test_ten_appointments_are_enough_and_only_those_ahead_count(cast: Cast) -> None:
    put(cast, "2026-03-01 10:00")
    put(cast, "2026-03-05 10:00", status="cancelled")
    references = ten_appointments(cast)
    assert refused(lambda: cast.book(cast.alice, "2026-03-05 09:00")) == "too_many_visits"
    assert cast.book(cast.dave, "2026-03-05 09:00")
    move(cast, cast.alice, references[0], "2026-03-05 10:00")
    cancel(cast, cast.alice, references[1], now=NOW)
    assert cast.book(cast.alice, "2026-03-05 11:00")


def test_an_appointment_booked_for_a_repeated_hour_is_at_that_instant(cast: Cast) -> None:
    day = {"doctor_id": cast.doctor_ids["bob"], "day": date(2026, 10, 25)}
    cast.add(ExtraHours(**day, start_minute=120, end_minute=180))
    now = local("2026-10-01 10:00")
    for starts_at in (datetime.fromisoformat(f"2026-10-25T0{hour}:30:00Z") for hour in (0, 1)):
        command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=starts_at)
        reference = cast.database.write(service.book, cast.alice, command, now=now)
        assert see(cast, reference).starts_at == starts_at
    with pytest.raises(SlotTaken):
        cast.database.write(service.book, cast.dave, command, now=now)


# -------------------------------------------------------------------------------------------------- moving


def test_moving_keeps_reference_doctor_and_kind_and_frees_the_old_time(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00", visit_type=cast.buffered)
    before = see(cast, reference)
    move(cast, cast.alice, reference, "2026-03-04 14:00")
    after = see(cast, reference)
    assert after.starts_at == local("2026-03-04 14:00")
    assert after.ends_at == local("2026-03-04 14:45")
    unchanged = ("id", "reference", "doctor_id", "visit_type_id", "patient_id", "created_at", "reason")
    assert all(getattr(before, name) == getattr(after, name) for name in unchanged)
    assert (before.version, after.version) == (1, 2)
    assert cast.book(cast.dave, "2026-03-04 10:00", visit_type=cast.buffered)
    with pytest.raises(SlotTaken):
        cast.book(cast.dave, "2026-03-04 14:45")


def test_an_appointment_may_be_moved_onto_its_own_old_time(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00", visit_type=cast.buffered)
    move(cast, cast.alice, reference, "2026-03-04 10:15")
    move(cast, cast.alice, reference, "2026-03-04 09:45")
    assert see(cast, reference).starts_at == local("2026-03-04 09:45")


def test_a_confirmed_appointment_is_scheduled_again_when_it_moves(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    cast.change(sa.update(Appointment).values(status="confirmed"))
    move(cast, cast.alice, reference, "2026-03-04 11:00")
    assert see(cast, reference).status == "scheduled"


@pytest.mark.parametrize(("start", "expected"), [
    ("2026-03-04 14:00", SlotTaken),
    ("2026-03-04 14:15", SlotTaken),
    ("2026-03-05 10:15", PatientBusy),
    ("2026-03-04 08:45", RuleBroken),
    ("2026-03-04 10:00", RuleBroken),
    ("2026-03-02 08:00", RuleBroken),
])  # fmt: skip
def test_a_move_that_fails_leaves_everything_as_it_was(cast: Cast, start: str, expected: type[AppError]) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00", visit_type=cast.long)
    cast.book(cast.dave, "2026-03-04 14:00", visit_type=cast.long)
    cast.book(cast.alice, "2026-03-05 10:00", doctor="erin", visit_type=cast.long)
    before, events = see(cast, reference), rows(cast, AuditEvent)
    with pytest.raises(expected):
        move(cast, cast.alice, reference, start)
    assert see(cast, reference) == before
    assert rows(cast, AuditEvent) == events
    with pytest.raises(SlotTaken):
        cast.book(cast.dave, "2026-03-04 10:00")


def test_moving_to_the_same_time_says_so(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    assert refused(lambda: move(cast, cast.alice, reference, "2026-03-04 10:00")) == "same_time"


def test_an_appointment_with_a_doctor_who_left_can_be_cancelled_and_not_moved(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    cast.change(sa.update(Doctor).where(Doctor.slug == "bob").values(active=False))
    assert refused(lambda: move(cast, cast.alice, reference, "2026-03-04 11:00")) == "doctor_inactive"
    cancel(cast, cast.alice, reference)
    assert see(cast, reference).status == "cancelled"


# ----------------------------------------------------------------------------------------------- cancelling


def test_a_cancelled_appointment_frees_its_time_and_keeps_its_texts(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    cancel(cast, cast.alice, reference, reason=" On holiday ")
    seen = see(cast, reference)
    assert (seen.status, seen.cancellation_reason, seen.version) == ("cancelled", "On holiday", 2)
    assert cast.book(cast.dave, "2026-03-04 10:00") != reference
    assert cast.book(cast.alice, "2026-03-04 10:15")


def test_cancelled_or_past_appointments_can_no_longer_be_changed(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    later = local("2026-03-04 10:00")
    with pytest.raises(NotActive):
        cancel(cast, cast.alice, reference, now=later)
    cancel(cast, cast.carol, reference, now=later)
    with pytest.raises(NotActive) as caught:
        cancel(cast, cast.alice, reference)
    assert caught.value.status == 409
    with pytest.raises(NotActive):
        move(cast, cast.alice, reference, "2026-03-04 11:00")


@pytest.mark.parametrize("status", ["arrived", "completed", "no_show"])
def test_an_appointment_that_has_happened_is_not_cancelled(sqlite_cast: Cast, status: str) -> None:
    reference = sqlite_cast.book(sqlite_cast.alice, "2026-03-04 10:00")
    sqlite_cast.change(sa.update(Appointment).values(status=status))
    with pytest.raises(NotActive):
        cancel(sqlite_cast, sqlite_cast.alice, reference)


def test_a_patient_may_change_until_exactly_a_day_before(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    exactly = local("2026-03-04 10:00") - DAY
    for late in (exactly + timedelta(minutes=1), exactly + timedelta(seconds=1)):
        with pytest.raises(TooLateToChange) as caught:
            cancel(cast, cast.alice, reference, now=late)
        assert caught.value.status == 422
        assert "Tuesday 3 March at 10:00" in caught.value.message
        assert "020 123 4567" in caught.value.message
        with pytest.raises(TooLateToChange):
            move(cast, cast.alice, reference, "2026-03-06 10:00", now=late)
    move(cast, cast.alice, reference, "2026-03-04 10:15", now=exactly)
    cancel(cast, cast.alice, reference, now=exactly)


def test_staff_may_cancel_when_it_is_too_late_for_the_patient(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    cancel(cast, cast.bob, reference, now=local("2026-03-04 09:59"))
    assert see(cast, reference).status == "cancelled"


def test_a_patient_whom_the_clinic_moved_may_move_and_cancel_until_the_start(cast: Cast) -> None:
    minute = timedelta(minutes=1)
    reference, other = cast.book(cast.alice, "2026-03-05 10:00"), cast.book(cast.dave, "2026-03-05 11:00")
    move(cast, cast.carol, reference, "2026-03-04 10:00")
    move(cast, cast.bob, other, "2026-03-04 11:00")
    assert see(cast, reference).moved_by_clinic
    cancel(cast, cast.dave, other, now=local("2026-03-04 11:00") - minute)
    move(cast, cast.alice, reference, "2026-03-04 15:00", now=local("2026-03-04 10:00") - minute)
    # This time is the patient's own choice again.
    assert not see(cast, reference).moved_by_clinic
    with pytest.raises(TooLateToChange):
        cancel(cast, cast.alice, reference, now=local("2026-03-04 10:00"))


def test_an_appointment_that_the_clinic_moved_cannot_be_changed_once_it_has_begun(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    move(cast, cast.carol, reference, "2026-03-04 10:00")
    with pytest.raises(NotActive):
        cancel(cast, cast.alice, reference, now=local("2026-03-04 10:00"))


def test_the_window_is_a_setting_of_the_clinic(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    cast.change(sa.update(ClinicSettings).values(change_until_minutes=60))
    cancel(cast, cast.alice, reference, now=local("2026-03-04 09:00"))


# ------------------------------------------------------------------------------------- permissions, and what is kept


def test_a_strangers_appointment_is_not_found(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    for stranger in (cast.dave, cast.erin):
        with pytest.raises(NoSuchAppointment) as caught:
            see(cast, reference, stranger)
        assert caught.value.status == 404
        with pytest.raises(NoSuchAppointment):
            move(cast, stranger, reference, "2026-03-04 11:00")
        with pytest.raises(NoSuchAppointment):
            cancel(cast, stranger, reference)
    for known in (cast.alice, cast.bob, cast.carol):
        assert see(cast, reference, known).patient_name == "Alice Adams"
    with pytest.raises(NoSuchAppointment):
        see(cast, "AAAA-AAAA", cast.carol)


def test_a_change_from_an_outdated_page_is_refused(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    move(cast, cast.alice, reference, "2026-03-04 11:00", version=1)
    with pytest.raises(ChangedMeanwhile) as caught:
        move(cast, cast.alice, reference, "2026-03-04 14:00", version=1)
    assert caught.value.status == 409
    with pytest.raises(ChangedMeanwhile):
        cancel(cast, cast.bob, reference, version=1)
    assert see(cast, reference).starts_at == local("2026-03-04 11:00")
    cancel(cast, cast.alice, reference, version=2)


def test_the_history_says_who_did_what_and_has_no_health_text(cast: Cast) -> None:
    command = Booking(doctor="bob", starts_at=local("2026-03-04 10:00"), reason="SECRET-REASON", notes="SECRET-NOTES")
    reference = cast.database.write(service.book, cast.alice._replace(address="192.0.2.7"), command, now=NOW)
    later, latest = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)
    move(cast, cast.alice, reference, "2026-03-04 11:00", now=later)
    cancel(cast, cast.carol, reference, reason="SECRET-CANCELLATION", now=latest)
    with cast.database.reading() as session:
        history = audit.history(session, ("appointment", see(cast, reference).id))
        everything = session.execute(sa.select(*AuditEvent.__table__.columns)).all()
    ten, eleven = "2026-03-04T09:00:00Z", "2026-03-04T10:00:00Z"
    assert [(entry.action, entry.at, entry.actor_role, entry.details) for entry in history] == [
        ("booked", NOW, "patient", {"starts_at": ten}),
        ("moved", later, "patient", {"from": ten, "to": eleven}),
        ("cancelled", latest, "admin", {"starts_at": eleven}),
    ]
    assert [entry.actor_user_id for entry in history] == [cast.alice.user_id] * 2 + [cast.carol.user_id]
    assert everything[0].address == "192.0.2.7"
    assert "SECRET" not in str(everything)


def test_upcoming_past_and_cancelled_appointments_are_apart(cast: Cast) -> None:
    ahead = [cast.book(cast.alice, f"2026-03-0{day} 10:00") for day in (5, 4)]
    put(cast, "2026-02-27 10:00", status="completed")
    put(cast, "2026-02-26 10:00", status="no_show")
    gone = cast.book(cast.alice, "2026-03-06 10:00")
    cancel(cast, cast.alice, gone)
    cast.book(cast.dave, "2026-03-04 14:00")
    with cast.database.reading() as session:
        upcoming = queries.list_appointments(session, cast.alice, show="upcoming", now=NOW, skip=0, limit=10)
        past = queries.list_appointments(session, cast.alice, show="past", now=NOW, skip=0, limit=1)
        cancelled = queries.list_appointments(session, cast.alice, show="cancelled", now=NOW, skip=0, limit=1)
    assert [line.reference for line in upcoming.lines] == ahead[::-1]
    assert ([line.starts_at for line in past.lines], past.total) == ([local("2026-02-27 10:00")], 2)
    assert ([line.reference for line in cancelled.lines], cancelled.total) == ([gone], 1)


def test_refusals_by_the_guard_are_the_same_errors(cast: Cast) -> None:
    """If the check before an insert were wrong, the database's refusal would be the same error."""
    put(cast, "2026-03-03 10:00")
    clashes: list[tuple[dict[str, str], type[AppError]]] = [
        ({"patient": "dave"}, SlotTaken),
        ({"doctor": "erin"}, PatientBusy),
    ]
    for who, expected in clashes:
        with pytest.raises(expected) as caught, checks.guarded():
            put(cast, "2026-03-03 10:15", **who)
        assert (caught.value.status, caught.value.field) == (409, "starts_at")
    with pytest.raises(IntegrityError), checks.guarded():
        put(cast, "2026-03-03 14:00", status="nonsense")
