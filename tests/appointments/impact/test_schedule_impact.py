"""Changes that affect appointments, through the service layer, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from time import process_time
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from tests.appointment_rows import put
from tests.cast import Cast, assemble, local
from webapp import models
from webapp.appointments import joining, queries
from webapp.appointments.impact import schedule_impact
from webapp.appointments.impact.alternative_times import nearest_first
from webapp.appointments.impact.decisions import AppointmentsAffected
from webapp.appointments.impact.effects import Effect
from webapp.appointments.impact.schemas import Affected, Decision, Decisions
from webapp.appointments.schemas import AppointmentView
from webapp.auth.schemas import Actor
from webapp.core.codes import REASONS
from webapp.database import Database
from webapp.integrity.problems import find_problems

Work = Callable[[Session], Any]


def away(cast: Cast, start: str, end: str, doctor: str = "bob") -> Work:
    """Leave from one wall-clock time to another."""
    span = {"starts_at": local(start), "ends_at": local(end)}
    return lambda session: session.add(models.TimeOff(doctor_id=cast.doctor_ids[doctor], **span))


def run(statement: sa.Update | sa.Delete) -> Work:
    """A change that consists of one statement."""
    return lambda session: session.execute(statement)


def change(
    cast: Cast, work: Work, *, each: dict[str, Decision] | None = None, why: str = "", actor: Actor | None = None
) -> None:
    """Make a change that may affect all doctors, with these decisions."""
    decisions = Decisions(each=each or {}, why=why)
    carry_out = partial(schedule_impact.carry_out, doctor_ids=None, now=cast.now, decisions=decisions)
    cast.database.write(carry_out, actor or cast.carol, work)


def stranded(cast: Cast, work: Work) -> list[Affected]:
    """The appointments because of which the change is refused."""
    with pytest.raises(AppointmentsAffected) as caught:
        change(cast, work)
    assert caught.value.status == 409
    return caught.value.appointments


def effect_of(cast: Cast, work: Work) -> Effect:
    """What the change would do."""
    return schedule_impact.preview(cast.database, cast.carol, work, doctor_ids=None, now=cast.now)


def from_today(cast: Cast, work: Work) -> list[Affected]:
    """The affected appointments when staff ask for new times from today."""
    preview = partial(schedule_impact.preview, doctor_ids=None, now=cast.now, proposals_from="today")
    return preview(cast.database, cast.carol, work).appointments


def see(cast: Cast, reference: str) -> AppointmentView:
    """The appointment as the admin sees it."""
    with cast.database.reading() as session:
        return queries.get_appointment(session, cast.carol, reference)


def problems(cast: Cast) -> list[str]:
    """The problems that `docket check` finds."""
    return list(find_problems(cast.database, now=cast.now))


def leaves(cast: Cast) -> int:
    """The number of stretches of leave."""
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(models.TimeOff)) or 0


def decide(appointment: Affected, kind: str, **more: Any) -> dict[str, Decision]:
    """One decision about one appointment."""
    return {appointment.reference: Decision.model_validate({"kind": kind, "version": appointment.version, **more})}


def test_a_change_that_affects_no_appointment_is_made_without_a_question(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    change(cast, away(cast, "2026-03-05 09:00", "2026-03-06 17:00"))
    assert leaves(cast) == 1


def test_leave_over_an_appointment_lists_it_and_changes_nothing(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    (appointment,) = stranded(cast, away(cast, "2026-03-04 09:30", "2026-03-04 12:00"))

    assert (appointment.reference, appointment.patient_name, appointment.doctor_name) == (
        reference,
        "Alice Adams",
        "Dr. Bob Brown",
    )
    assert appointment.why == "The doctor is away."
    assert leaves(cast) == 0
    assert see(cast, reference).flagged_why == ""


def test_the_proposal_is_the_nearest_free_time_after_the_change(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    put(cast, "2026-03-04 09:00", patient="dave", minutes=30)
    (appointment,) = stranded(cast, away(cast, "2026-03-04 09:30", "2026-03-04 12:00"))
    # Before the leave is Dave's appointment, after it the break. 13:00 is three hours away, the day before 17 hours.
    assert appointment.proposal == local("2026-03-04 13:00")


def test_no_time_is_proposed_for_two_appointments(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    cast.book(cast.dave, "2026-03-04 10:15")
    first, second = stranded(cast, away(cast, "2026-03-04 09:00", "2026-03-04 12:00"))
    assert {first.proposal, second.proposal} == {local("2026-03-04 13:00"), local("2026-03-04 13:15")}


def test_a_proposal_keeps_clear_of_the_patients_other_appointments(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    put(cast, "2026-03-04 13:00", doctor="erin", minutes=30)
    (appointment,) = stranded(cast, away(cast, "2026-03-04 09:00", "2026-03-04 12:00"))
    assert appointment.proposal == local("2026-03-04 14:00")


def test_new_times_are_proposed_from_the_clinics_next_working_day(cast: Cast) -> None:
    # It is Friday, 11:00; the clinic is closed on Monday.
    cast.now = local("2026-03-06 11:00")
    put(cast, "2026-03-10 09:00")
    cast.add(models.Closure(name="Works", starts_on=date(2026, 3, 9), ends_on=date(2026, 3, 9)))
    saturday = {"day": date(2026, 3, 7), "start_minute": 540, "end_minute": 1020}
    cast.add(models.ExtraHours(doctor_id=cast.doctor_ids["bob"], **saturday))
    work = away(cast, "2026-03-10 09:00", "2026-03-20 17:00")
    (appointment,) = stranded(cast, work)
    assert appointment.proposal == local("2026-03-23 09:00")
    assert [each.proposal for each in from_today(cast, work)] == [local("2026-03-07 16:30")]


def test_times_from_today_keep_the_notice_that_patients_have(cast: Cast) -> None:
    cast.now = local("2026-03-02 11:05")
    put(cast, "2026-03-02 11:30")
    work = away(cast, "2026-03-02 11:30", "2026-03-02 12:00")
    assert [each.proposal for each in stranded(cast, work)] == [local("2026-03-03 09:00")]
    assert [each.proposal for each in from_today(cast, work)] == [local("2026-03-02 13:15")]


def test_a_patient_who_has_arrived_is_kept_and_no_time_is_proposed(cast: Cast) -> None:
    here = put(cast, "2026-03-02 10:00", status="arrived")
    work = away(cast, "2026-03-02 09:30", "2026-03-02 12:00")
    (appointment,) = stranded(cast, work)
    assert (appointment.id, appointment.arrived, appointment.proposal) == (here, True, None)
    with pytest.raises(AppointmentsAffected) as caught:
        change(cast, work, each=decide(appointment, "cancel"))
    assert [again.problem for again in caught.value.appointments] == [
        "This appointment can no longer be changed: the patient has arrived."
    ]
    change(cast, work, each=decide(appointment, "keep"))
    assert see(cast, appointment.reference).flagged_why == "time_off"


def test_keeping_flags_the_appointment_with_the_reason_and_the_check_finds_nothing(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    change(cast, work, each=decide(appointment, "keep"), why="Locum found.")

    kept = see(cast, reference)
    assert kept.flagged_why == "time_off:Locum found."
    assert REASONS.words(kept.flagged_why) == "The doctor is away. Locum found."
    assert (kept.status, kept.starts_at) == ("scheduled", local("2026-03-04 10:00"))
    assert leaves(cast) == 1
    assert problems(cast) == []


def test_moving_gives_the_proposed_time_and_leaves_no_flag(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    change(cast, work, each=decide(appointment, "move", starts_at=appointment.proposal))

    moved = see(cast, reference)
    assert (moved.starts_at, moved.flagged_why, moved.status) == (appointment.proposal, "", "scheduled")
    assert moved.moved_by_clinic
    assert problems(cast) == []


def test_cancelling_shows_the_reason(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    change(cast, work, each=decide(appointment, "cancel"))
    cancelled = see(cast, reference)
    assert (cancelled.status, cancelled.cancellation_reason) == ("cancelled", "")
    assert REASONS.words(cancelled.cancellation_code) == "The doctor is away."


def test_one_missing_decision_changes_nothing_at_all(cast: Cast) -> None:
    first, second = cast.book(cast.alice, "2026-03-04 10:00"), cast.book(cast.dave, "2026-03-04 10:15")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    listed = stranded(cast, work)
    with pytest.raises(AppointmentsAffected) as caught:
        change(cast, work, each=decide(listed[0], "cancel"))
    assert [appointment.reference for appointment in caught.value.appointments] == [first, second]
    assert see(cast, first).status == "scheduled"
    assert leaves(cast) == 0


def test_a_decision_about_an_older_state_of_an_appointment_does_not_count(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    cast.change(sa.update(models.Appointment).values(version=2, reason="Something else now"))
    with pytest.raises(AppointmentsAffected):
        change(cast, work, each=decide(appointment, "cancel"))
    assert see(cast, reference).status == "scheduled"


def test_a_move_to_a_taken_time_is_reported_and_asked_again(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:00", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    put(cast, "2026-03-04 13:00", patient="dave", minutes=15)
    with pytest.raises(AppointmentsAffected) as caught:
        change(cast, work, each=decide(appointment, "move", starts_at=appointment.proposal))
    (again,) = caught.value.appointments
    assert again.problem == "The doctor has another appointment at that time."
    assert again.proposal == local("2026-03-04 13:15")
    assert see(cast, reference).starts_at == local("2026-03-04 10:00")


def test_one_move_that_fails_changes_no_other_proposal(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    cast.book(cast.dave, "2026-03-04 11:00")
    work = away(cast, "2026-03-04 09:00", "2026-03-04 12:00")
    first, second = stranded(cast, work)
    inside_leave = local("2026-03-04 10:30")
    each = decide(first, "move", starts_at=first.proposal) | decide(second, "move", starts_at=inside_leave)
    with pytest.raises(AppointmentsAffected) as caught:
        change(cast, work, each=each)
    again, refused = caught.value.appointments
    assert (again.problem, again.proposal) == ("", first.proposal)
    assert refused.problem
    assert refused.proposal == second.proposal


@given(st.lists(st.integers(0, 60), unique=True, max_size=12), st.integers(-5, 65))
def test_the_nearest_starts_come_first_and_of_two_the_earlier(starts: list[int], wanted: int) -> None:
    starts.sort()
    assert list(nearest_first(starts, wanted)) == sorted(starts, key=lambda start: abs(start - wanted))


def test_removing_the_leave_removes_the_flag(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    change(cast, work, each=decide(appointment, "keep"))
    change(cast, run(sa.delete(models.TimeOff)))
    assert see(cast, reference).flagged_why == ""


def test_a_flagged_appointment_needs_no_decision_about_another_change(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    change(cast, work, each=decide(appointment, "keep"))
    change(cast, away(cast, "2026-03-04 08:00", "2026-03-04 11:00"))
    assert leaves(cast) == 2


def test_a_settled_flag_keeps_its_reason(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    change(cast, work, each=decide(appointment, "keep"))
    version = see(cast, reference).version
    cast.database.write(
        schedule_impact.settle_flag, cast.carol, reference, "A colleague takes it.", version, now=cast.now
    )
    settled = see(cast, reference)
    assert (settled.flagged_why, settled.override_reason) == ("", "A colleague takes it.")
    assert problems(cast) == []


def test_an_appointment_after_hours_is_affected_when_the_doctor_no_longer_works_that_day(cast: Cast) -> None:
    put(cast, "2026-03-04 17:30")
    cast.change(sa.update(models.Appointment).values(override_reason="He comes from work."))
    bob = models.WorkingHours.doctor_id == cast.doctor_ids["bob"]
    wednesday, thursday = (sa.and_(bob, models.WorkingHours.weekday == number) for number in (2, 3))
    change(cast, run(sa.delete(models.WorkingHours).where(thursday)))
    work = run(sa.delete(models.WorkingHours).where(wednesday))
    (appointment,) = stranded(cast, work)
    assert appointment.why == "The doctor is not working at that time."
    change(cast, work, each=decide(appointment, "keep"))
    assert REASONS.words(see(cast, appointment.reference).flagged_why) == appointment.why


def test_every_kind_of_change_is_seen(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 16:30")
    bob = models.WorkingHours.doctor_id == cast.doctor_ids["bob"]
    afternoon = sa.and_(bob, models.WorkingHours.start_minute == 13 * 60)
    closure = models.Closure(name="Works", starts_on=date(2026, 3, 4), ends_on=date(2026, 3, 4))
    offer = models.doctor_visit_types.c
    changes: list[tuple[Work, str]] = [
        (run(sa.delete(models.WorkingHours).where(afternoon)), "The doctor is not working at that time."),
        (run(sa.update(models.OpeningHours).values(end_minute=16 * 60)), "The clinic is closed at that time."),
        (lambda session: session.add(closure), "The clinic is closed on that day."),
        (run(sa.update(models.Doctor).values(active=False)), "The doctor no longer takes bookings."),
        (
            run(sa.delete(models.doctor_visit_types).where(offer.visit_type_id == cast.short)),
            "The doctor no longer offers this visit type.",
        ),
        (
            run(sa.update(models.VisitType).values(active=False)),
            "The doctor no longer offers this visit type.",
        ),
        (run(sa.update(models.ClinicSettings).values(time_zone="Asia/Tokyo")), "The clinic is closed at that time."),
    ]
    for work, why in changes:
        assert [appointment.why for appointment in stranded(cast, work)] == [why]


WHEN_TO_BOOK = {
    "notice_minutes": 14 * 24 * 60,
    "horizon_days": 1,
    "max_active_visits": 1,
    "patient_gap_minutes": 24 * 60,
    "change_until_minutes": 14 * 24 * 60,
}


@pytest.mark.parametrize("rule", WHEN_TO_BOOK)
def test_rules_about_when_one_may_book_affect_no_appointment(cast: Cast, rule: str) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    cast.book(cast.alice, "2026-03-04 10:45")
    cast.book(cast.dave, "2026-04-14 10:00")
    work = run(sa.update(models.ClinicSettings).values({rule: WHEN_TO_BOOK[rule]}))
    assert effect_of(cast, work).appointments == []
    change(cast, work)
    assert problems(cast) == []


def test_a_visit_type_that_is_no_longer_online_or_other_steps_affect_no_appointment(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:15")
    change(cast, run(sa.update(models.VisitType).values(online=False)))
    change(cast, run(sa.update(models.Doctor).values(slot_step=60)))
    assert problems(cast) == []


def test_past_or_cancelled_appointments_are_not_affected(cast: Cast) -> None:
    put(cast, "2026-03-04 10:00", status="cancelled")
    put(cast, "2026-03-01 10:00")
    change(cast, run(sa.delete(models.WorkingHours)))


def test_a_doctors_own_leave_touches_that_doctors_appointments_alone(cast: Cast) -> None:
    put(cast, "2026-03-04 10:00", doctor="erin")
    reference = cast.book(cast.dave, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    carry_out = partial(schedule_impact.carry_out, doctor_ids=[cast.doctor_ids["bob"]], now=cast.now)
    with pytest.raises(AppointmentsAffected) as caught:
        cast.database.write(carry_out, cast.bob, work)
    assert [appointment.reference for appointment in caught.value.appointments] == [reference]


def test_a_preview_counts_and_saves_nothing(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    effect = effect_of(cast, away(cast, "2026-03-04 09:00", "2026-03-04 12:00"))
    (day,) = effect.days
    assert (day.doctor_name, day.day, day.gained) == ("Dr. Bob Brown", date(2026, 3, 4), 0)
    # 15-minute steps from 09:00: 11 of 12 starts are free for the short visit type, and 10 and 8 for the other ones.
    assert effect.lost == day.lost > 11
    assert len(effect.appointments) == 1
    assert leaves(cast) == 0


def test_a_preview_of_longer_hours_counts_the_gained_times(cast: Cast) -> None:
    extra = models.ExtraHours(doctor_id=cast.doctor_ids["erin"], day=date(2026, 3, 7), start_minute=600, end_minute=720)
    effect = effect_of(cast, lambda session: session.add(extra))
    # Two hours in 30-minute steps for appointments of 30 minutes, for which Erin offers two visit types.
    assert (effect.gained, effect.lost, effect.appointments) == (8, 0, [])


def test_a_preview_covers_all_days_that_can_be_booked(cast: Cast) -> None:
    effect = effect_of(cast, away(cast, "2026-05-26 09:00", "2026-05-26 12:00"))
    assert [day.day for day in effect.days] == [date(2026, 5, 26)]
    # A wider window counts as well, and days beyond both do not.
    farther = effect_of(cast, run(sa.update(models.ClinicSettings).values(horizon_days=100)))
    assert (effect.days_ahead, farther.days_ahead, farther.lost) == (90, 100, 0)
    assert max(day.day for day in farther.days) == date(2026, 6, 10)
    assert effect_of(cast, away(cast, "2026-06-02 09:00", "2026-06-02 12:00")).days == []


def test_a_preview_says_how_many_appointments_lose_their_flag(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    work = away(cast, "2026-03-04 09:30", "2026-03-04 12:00")
    (appointment,) = stranded(cast, work)
    change(cast, work, each=decide(appointment, "keep"))
    effect = effect_of(cast, run(sa.delete(models.TimeOff)))
    assert (effect.unflagged, effect.gained > 0, effect.appointments) == (1, True, [])
    assert see(cast, appointment.reference).flagged_why


def test_an_appointment_decades_ahead_is_checked_without_the_days_between(cast: Cast) -> None:
    put(cast, "2026-03-04 10:00")
    far = put(cast, "2099-03-04 10:00", doctor="erin")
    put(cast, "2026-03-05 10:00", patient="dave")
    began = process_time()
    appointments = stranded(cast, away(cast, "2099-03-04 09:00", "2099-03-04 12:00", doctor="erin"))
    # All bookings wait meanwhile; going day by day through the years until then would take seconds.
    assert process_time() - began < 1
    assert [appointment.id for appointment in appointments] == [far]


def test_appointments_months_apart_are_both_found(cast: Cast) -> None:
    put(cast, "2026-03-04 10:00", patient="dave")
    soon, late = put(cast, "2026-03-04 11:00"), put(cast, "2026-11-04 10:00")
    work = away(cast, "2026-03-04 10:30", "2026-11-30 12:00")
    assert [appointment.id for appointment in stranded(cast, work)] == [soon, late]


@pytest.fixture
def postgresql_cast(postgresql_url: str, open_database: Callable[[str], Database]) -> Iterator[Cast]:
    """The cast on PostgreSQL alone: SQLite has one writer at a time."""
    database = open_database(postgresql_url)
    yield assemble(database)
    database.dispose()


def test_records_may_be_joined_while_a_change_is_refused(postgresql_cast: Cast) -> None:
    """Leave locks the doctor, and joining two records the patients: neither waits for the other."""
    cast = postgresql_cast
    database = cast.database
    row = sa.insert(models.Patient).values(name="Ann", created_at=cast.now).returning(models.Patient.id)
    stays, goes = (database.write(lambda session: session.scalars(row).one()) for _each in range(2))
    put(cast, "2026-03-03 10:00")
    cast.change(sa.update(models.Appointment).values(patient_id=goes))
    joined: list[int] = []

    def join_first(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "patients.phone" in statement and not joined:
            joined.append(0)
            joined[0] = database.write(joining.join_records, cast.carol, stays, goes, now=cast.now)

    sa.event.listen(database.engine, "before_cursor_execute", join_first)
    (affected,) = stranded(cast, away(cast, "2026-03-03 09:00", "2026-03-03 12:00"))
    assert (affected.patient_id, affected.patient_name, joined) == (stays, "Ann", [stays])
