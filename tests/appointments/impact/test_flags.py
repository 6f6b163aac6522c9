"""When a flag is removed from an appointment automatically, and when it stays, on both databases."""

from __future__ import annotations

from datetime import date
from functools import partial

import sqlalchemy as sa

from tests.appointment_rows import put
from tests.cast import Cast
from webapp import models
from webapp.appointments.impact import schedule_impact


def flagged(cast: Cast, appointment_id: int) -> str:
    """The reason of the appointment's flag, or ''."""
    with cast.database.reading() as session:
        query = sa.select(models.Appointment.flagged_why).where(models.Appointment.id == appointment_id)
        return session.scalars(query).one()


def lengthen_bobs_saturday(cast: Cast) -> None:
    """A change of Bob's hours that affects no appointment."""
    extra = models.ExtraHours(doctor_id=cast.doctor_ids["bob"], day=date(2026, 3, 7), start_minute=600, end_minute=720)
    carry_out = partial(schedule_impact.carry_out, doctor_ids=[cast.doctor_ids["bob"]], now=cast.now)
    cast.database.write(carry_out, cast.bob, lambda session: session.add(extra))


def test_a_flag_goes_if_only_a_rule_about_when_to_book_is_broken(cast: Cast) -> None:
    put(cast, "2026-03-04 10:00")
    close = put(cast, "2026-03-04 10:40")
    cast.change(sa.update(models.ClinicSettings).values(patient_gap_minutes=60, horizon_days=1))
    cast.change(sa.update(models.Appointment).where(models.Appointment.id == close).values(flagged_why="patient_gap"))
    lengthen_bobs_saturday(cast)
    assert flagged(cast, close) == ""


def test_an_appointment_that_cannot_take_place_stays_flagged(cast: Cast) -> None:
    evening = put(cast, "2026-03-04 19:00")
    cast.change(sa.update(models.Appointment).values(flagged_why="outside_working_hours"))
    lengthen_bobs_saturday(cast)
    assert flagged(cast, evening) == "outside_working_hours"


def test_removing_a_flag_is_recorded(cast: Cast) -> None:
    healed = put(cast, "2026-03-04 10:40")
    cast.change(sa.update(models.Appointment).values(flagged_why="time_off"))
    lengthen_bobs_saturday(cast)
    assert flagged(cast, healed) == ""
    with cast.database.reading() as session:
        of_appointment = sa.select(
            models.AuditEvent.action, models.AuditEvent.actor_user_id, models.AuditEvent.visible
        ).where(models.AuditEvent.subject_type == "appointment", models.AuditEvent.subject_id == healed)
        assert [tuple(row) for row in session.execute(of_appointment)] == [("unflagged", cast.bob.user_id, False)]
