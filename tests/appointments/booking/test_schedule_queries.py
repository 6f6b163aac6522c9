"""The queries for a doctor's schedule, on both kinds of database."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from tests.appointment_rows import appointment, insert, put
from tests.cast import Cast, local
from webapp import models
from webapp.appointments.booking import schedule_queries
from webapp.appointments.booking.schedule_queries import Past
from webapp.clinic.service import get_clinic
from webapp.doctors.service import get_doctor_by_id
from webapp.live.feed import version_seen
from webapp.scheduling.facts import load_working_time
from webapp.scheduling.slots import to_datetime, to_minute
from webapp.staff.schedule.days import build_day
from webapp.staff.schedule.weeks import build_week

DAY = (to_minute(local("2026-03-03 00:00")), to_minute(local("2026-03-04 00:00")))
WEEK = (to_minute(local("2026-03-02 00:00")), to_minute(local("2026-03-09 00:00")))


def test_a_days_appointments_come_in_order_with_their_patients(cast: Cast) -> None:
    late = appointment(cast, "2026-03-03 23:45", minutes=15, patient="dave")
    early = appointment(cast, "2026-03-03 00:00", status="cancelled")
    for row in (late, early):
        insert(cast, {**row, "private_note": "A note", "flagged_why": "time_off"})
    for other in ("2026-03-02 23:45", "2026-03-04 00:00"):
        put(cast, other, minutes=15)
    put(cast, "2026-03-03 10:00", doctor="erin")
    with cast.database.reading() as session:
        diary = schedule_queries.read_diary(session, cast.doctor_ids["bob"], DAY, WEEK, past=None)
        assert diary.live_version == version_seen(session)
    found, outline = diary.appointments, diary.outline
    assert [each.reference for each in found] == [early["reference"], late["reference"]]
    first, second = found
    assert (first.patient_name, first.visit_type, first.minutes) == ("Alice Adams", "First visit", 30)
    assert (first.private_note, first.flagged_why) == ("A note", "time_off")
    assert (first.occupies, second.occupies) == (False, True)
    # Alice was there the day before; it is Dave's first appointment.
    assert (first.first, second.first) == (False, True)
    assert [(each.start, each.status) for each in outline] == [
        (to_minute(local("2026-03-02 23:45")), "scheduled"),
        (to_minute(early["starts_at"]), "cancelled"),
        (to_minute(late["starts_at"]), "scheduled"),
        (to_minute(local("2026-03-04 00:00")), "scheduled"),
    ]


def test_earlier_appointments_are_those_with_this_doctor_the_latest_first(cast: Cast) -> None:
    references = []
    for number in range(schedule_queries.EARLIER_SHOWN + 1):
        row = appointment(cast, f"2026-02-{number + 1:02d} 10:00", status="completed")
        insert(cast, row)
        references.append(row["reference"])
    put(cast, "2026-02-20 10:00", doctor="erin")
    put(cast, "2026-02-21 10:00", patient="dave")
    put(cast, "2026-03-03 10:00")
    with cast.database.reading() as session:
        doctor_id, past = cast.doctor_ids["bob"], Past(cast.patient_ids["alice"], local("2026-03-03 10:00"))
        found = schedule_queries.list_earlier(session, doctor_id=doctor_id, **past._asdict())
        diary = schedule_queries.read_diary(session, doctor_id, DAY, WEEK, past=past)
    assert [each.reference for each in found] == references[:0:-1]
    assert (diary.past, diary.earlier) == (past, found)


def test_leave_of_a_day_includes_everything_that_overlaps_it(cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    for start, end, reason in (
        ("2026-03-02 10:00", "2026-03-03 00:00", "the day before"),
        ("2026-03-02 10:00", "2026-03-03 00:01", "until that day"),
        ("2026-03-03 23:59", "2026-03-05 00:00", "from that day on"),
        ("2026-03-04 00:00", "2026-03-05 00:00", "the day after"),
    ):
        cast.add(models.TimeOff(doctor_id=bob, starts_at=local(start), ends_at=local(end), reason=reason))
    with cast.database.reading() as session:
        found = [leave.reason for leave in schedule_queries.list_leave(session, bob, *map(to_datetime, DAY))]
    assert found == ["until that day", "from that day on"]


def test_working_time_is_that_of_the_days_asked_for(cast: Cast) -> None:
    bob, erin = cast.doctor_ids["bob"], cast.doctor_ids["erin"]
    cast.add(models.ExtraHours(doctor_id=bob, day=date(2026, 3, 7), start_minute=600, end_minute=660))
    cast.add(models.ExtraHours(doctor_id=bob, day=date(2026, 3, 9), start_minute=600, end_minute=660))
    cast.add(models.ExtraHours(doctor_id=erin, day=date(2026, 3, 7), start_minute=700, end_minute=760))
    with cast.database.reading() as session:
        time = load_working_time(session, get_clinic(session), bob, date(2026, 3, 6), date(2026, 3, 8))

    def minutes(*texts: str) -> tuple[int, ...]:
        return tuple(to_minute(local(text)) for text in texts)

    assert time.window == minutes("2026-03-06 00:00", "2026-03-09 00:00")
    assert time.opening == [minutes("2026-03-06 09:00", "2026-03-06 17:00")]
    assert time.working == [
        minutes("2026-03-06 09:00", "2026-03-06 12:00"),
        minutes("2026-03-06 13:00", "2026-03-06 17:00"),
    ]
    assert time.extra == [minutes("2026-03-07 10:00", "2026-03-07 11:00")]


@pytest.mark.parametrize(("birth_date", "age"), [(None, None), ("1984-03-03", 42), ("1984-03-04", 41)])
def test_age_changes_on_the_birthday(birth_date: str | None, age: int | None) -> None:
    born = date.fromisoformat(birth_date) if birth_date else None
    assert schedule_queries.age_on(date(2026, 3, 3), born) == age


def test_the_day_and_the_week_are_built_on_both_databases(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00", visit_type=cast.buffered)
    cast.change(sa.update(models.Appointment).values(status="confirmed"))
    with cast.database.reading() as session:
        clinic, doctor = get_clinic(session), get_doctor_by_id(session, cast.doctor_ids["bob"])
        day = build_day(session, cast.bob, clinic, doctor, date(2026, 3, 3), now=local("2026-03-03 10:10"))
        week = build_week(session, cast.bob, clinic, doctor, date(2026, 3, 2), now=cast.now)
    assert [row.kind for row in day.rows] == ["buffer", "appointment", "now", "buffer", "gap", "break", "gap"]
    assert [each.appointments for each in week.days] == [0, 1, 0, 0, 0]
