"""The guard: the database itself refuses overlaps, also in races.

The control at the end removes the guard and sees the overlap stored, which proves that these tests can fail.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.appointment_rows import GUARDS, appointment, insert, put, take_guard_away
from tests.cast import NOW, Cast, assemble, local, promised
from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking, Move
from webapp.auth.schemas import Actor
from webapp.event_handlers import wired_database
from webapp.integrity.guard_trial import guard_is_in_place
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, Patient, User
from webapp.scheduling.exceptions import PatientBusy, RuleBroken, SlotTaken

TEN = "2026-03-03 10:00"


def overlaps(cast: Cast) -> int:
    """The number of pairs of occupying appointments that share time and doctor, or time and patient."""
    one, two = sa.orm.aliased(Appointment), sa.orm.aliased(Appointment)
    same_doctor = sa.and_(
        one.doctor_id == two.doctor_id, one.busy_from < two.busy_until, two.busy_from < one.busy_until
    )
    same_patient = sa.and_(one.patient_id == two.patient_id, one.starts_at < two.ends_at, two.starts_at < one.ends_at)
    free = ("cancelled", "no_show")
    query = sa.select(sa.func.count()).where(
        one.id < two.id, sa.or_(same_doctor, same_patient), one.status.not_in(free), two.status.not_in(free)
    )
    with cast.database.reading() as session:
        return session.scalar(query) or 0


def refuse(cast: Cast, who: str, start: str, **details: Any) -> None:
    """Check that the database refuses this appointment because of an overlap of `who`."""
    with pytest.raises(IntegrityError, match=GUARDS[who]):
        put(cast, start, **details)


# ----------------------------------------------------------------------------------------------- one at a time


def test_appointments_of_one_doctor_may_touch_and_not_overlap(cast: Cast) -> None:
    put(cast, TEN)
    for start, minutes in (
        ("2026-03-03 10:00", 30),
        ("2026-03-03 09:31", 30),
        ("2026-03-03 10:29", 30),
        ("2026-03-03 10:10", 5),
        ("2026-03-03 09:00", 240),
    ):
        refuse(cast, "doctor", start, patient="dave", minutes=minutes)
    put(cast, "2026-03-03 09:30", patient="dave")
    put(cast, "2026-03-03 10:30", patient="dave")
    put(cast, TEN, doctor="erin", patient="dave")


def test_appointments_of_one_patient_may_touch_and_not_overlap(cast: Cast) -> None:
    put(cast, TEN)
    for start in ("2026-03-03 10:00", "2026-03-03 09:31", "2026-03-03 10:29"):
        refuse(cast, "patient", start, doctor="erin")
    put(cast, "2026-03-03 09:30", doctor="erin")
    put(cast, "2026-03-03 10:30", doctor="erin")


def test_buffers_occupy_the_doctor_and_not_the_patient(cast: Cast) -> None:
    put(cast, TEN, before=10, after=20)
    refuse(cast, "doctor", "2026-03-03 10:49", patient="dave")
    refuse(cast, "doctor", "2026-03-03 09:21", patient="dave")
    refuse(cast, "doctor", "2026-03-03 10:55", patient="dave", before=6)
    put(cast, "2026-03-03 10:30", doctor="erin")
    put(cast, "2026-03-03 10:50", patient="dave")
    put(cast, "2026-03-03 09:20", patient="dave")


def test_eight_hours_are_guarded_from_end_to_end(cast: Cast) -> None:
    put(cast, "2026-03-03 09:00", minutes=480)
    refuse(cast, "doctor", "2026-03-03 16:59", patient="dave", minutes=1)
    refuse(cast, "doctor", "2026-03-03 01:01", patient="dave", minutes=480)
    refuse(cast, "patient", "2026-03-03 16:59", doctor="erin", minutes=1)
    put(cast, "2026-03-03 17:00", patient="dave")
    put(cast, "2026-03-03 01:00", patient="dave", minutes=480)


def test_an_appointment_that_does_not_occupy_time_blocks_no_other(cast: Cast) -> None:
    put(cast, TEN, status="cancelled")
    put(cast, TEN, status="no_show")
    put(cast, TEN)
    put(cast, TEN, status="cancelled")
    put(cast, TEN, status="no_show")
    refuse(cast, "doctor", TEN, patient="dave")


def test_every_other_status_occupies(cast: Cast) -> None:
    occupying = ["scheduled", "confirmed", "arrived", "completed"]
    for hour, status in enumerate(occupying, 9):
        put(cast, f"2026-03-03 {hour:02d}:00", status=status)
        for other in occupying:
            refuse(cast, "doctor", f"2026-03-03 {hour:02d}:00", patient="dave", status=other)


def test_no_update_of_a_row_bypasses_the_guard(cast: Cast) -> None:
    put(cast, TEN)
    cancelled = put(cast, TEN, patient="dave", status="cancelled")
    elsewhere = put(cast, TEN, patient="dave", doctor="erin")
    later = put(cast, "2026-03-03 11:00", patient="dave")
    times = ("starts_at", "ends_at", "promised_minute", "busy_from", "busy_until")
    at_ten = {name: appointment(cast, TEN)[name] for name in times}
    changes: list[tuple[int, dict[str, Any], str]] = [
        (cancelled, {"status": "confirmed", "patient_id": cast.patient_ids["alice"]}, "overlap"),
        (elsewhere, {"doctor_id": cast.doctor_ids["bob"]}, GUARDS["doctor"]),
        (elsewhere, {"patient_id": cast.patient_ids["alice"]}, GUARDS["patient"]),
        (later, at_ten, "overlap"),
        (later, {"busy_from": local("2026-03-03 10:29")}, GUARDS["doctor"]),
    ]
    for number, values, name in changes:
        with pytest.raises(IntegrityError, match=name):
            cast.change(sa.update(Appointment).where(Appointment.id == number).values(values))
    cast.change(sa.update(Appointment).where(Appointment.id == cancelled).values(status="no_show"))
    cast.change(sa.update(Appointment).where(Appointment.id == later).values(status="arrived"))
    assert overlaps(cast) == 0


def test_an_invalid_appointment_is_refused(cast: Cast) -> None:
    spoiled: list[tuple[dict[str, Any], str]] = [
        ({"minutes": 481}, "longest"),
        ({"minutes": 470, "before": 6, "after": 5}, "longest"),
        ({"minutes": 0}, "order"),
        ({"minutes": -30}, "order"),
        ({"before": -1}, "order"),
        ({"after": -1}, "order"),
        ({"status": "nonsense"}, "status"),
    ]
    for details, name in spoiled:
        with pytest.raises(IntegrityError, match=f"ck_appointments_{name}"):
            put(cast, TEN, **details)
    put(cast, TEN, minutes=470, before=5, after=5)


def test_instants_have_no_seconds_and_texts_their_lengths(cast: Cast) -> None:
    for column in ("starts_at", "ends_at", "busy_from", "busy_until"):
        row = appointment(cast, TEN, minutes=40, before=10, after=10)
        row[column] += timedelta(seconds=1)
        with pytest.raises(IntegrityError, match="ck_appointments_whole_minutes"):
            insert(cast, row)
    with pytest.raises((IntegrityError, sa.exc.DataError)):
        insert(cast, appointment(cast, TEN) | {"reason": "x" * 501})
    with pytest.raises((IntegrityError, sa.exc.DataError)):
        insert(cast, appointment(cast, TEN) | {"notes": "x" * 1001})


def test_every_statement_that_writes_a_start_also_writes_the_promise(cast: Cast) -> None:
    row = appointment(cast, TEN)
    with pytest.raises(IntegrityError, match="promised"):
        insert(cast, row | {"promised_minute": promised(local("2026-03-04 10:00"))})
    row.pop("promised_minute")
    with pytest.raises(IntegrityError, match="promised_minute"):
        insert(cast, row)
    there = put(cast, TEN)
    times = ("starts_at", "ends_at", "busy_from", "busy_until")
    later = {name: appointment(cast, "2026-03-05 10:00")[name] for name in times}
    with pytest.raises(IntegrityError, match="promised"):
        cast.change(sa.update(Appointment).where(Appointment.id == there).values(later))


def test_sqlite_takes_only_the_one_form_of_an_instant_that_compares(sqlite_url: str) -> None:
    forms = ["2026-03-03T09:00:00", "2026-03-03 09:00", "2026-03-03 09:00:00+00:00", "2026-3-3 9:00:00"]
    database = wired_database(sqlite_url)
    number = put(cast := assemble(database), TEN)
    for text in [*forms, "garbage", "", "1772528400"]:
        for column in ("starts_at", "ends_at", "busy_from", "busy_until"):
            changed = {column: sa.literal(text, sa.String)}
            with pytest.raises(IntegrityError):
                cast.change(sa.update(Appointment).where(Appointment.id == number).values(changed))
    database.dispose()


# ------------------------------------------------------------------------------------------------- all at once

CONTENDERS = 8


def more_patients(cast: Cast, count: int) -> list[Actor]:
    """Accounts of patients, enough for races."""

    def work(session: Session) -> list[Actor]:
        users = [
            User(
                email=f"p{number}@docket.example",
                name=f"Patient {number}",
                role="patient",
                password_hash="",
                created_at=NOW,
                email_confirmed_at=NOW,
            )
            for number in range(count)
        ]
        session.add_all(users)
        session.flush()
        session.add_all(Patient(user_id=user.id, name=user.name, created_at=NOW) for user in users)
        return [Actor(user.id, 0, user.name, user.email, "patient") for user in users]

    return cast.database.write(work)


def race(cast: Cast, commands: list[tuple[Actor, Booking]]) -> list[str | Exception]:
    """Book all at once, each in its own thread and transaction; returns the outcomes."""
    start = Barrier(len(commands))

    def book(actor: Actor, command: Booking) -> str | Exception:
        start.wait()
        try:
            return cast.database.write(service.book, actor, command, now=NOW)
        except (SlotTaken, PatientBusy) as error:
            return error

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda pair: book(*pair), commands))


def test_of_eight_concurrent_overlapping_bookings_exactly_one_succeeds(cast: Cast) -> None:
    actors = more_patients(cast, CONTENDERS)
    for hour in (9, 13, 15):
        # 45 minutes, 30 and 15, starting at :00, :15 and :30: any two overlap, as the longest has buffers around it.
        requests = [(0, cast.buffered), (15, cast.buffered), (30, cast.buffered), (30, cast.short)]
        commands = []
        for number, actor in enumerate(actors):
            minute, kind = requests[number % len(requests)]
            start = local(f"2026-03-03 {hour:02d}:{minute:02d}")
            commands.append((actor, Booking(doctor="bob", visit_type_id=kind, starts_at=start)))
        results = race(cast, commands)
        losers = [result for result in results if isinstance(result, SlotTaken)]
        assert len(losers) == CONTENDERS - 1, results
    assert overlaps(cast) == 0


def test_one_patient_in_eight_browsers_gets_one_appointment(cast: Cast) -> None:
    for hour in (9, 11, 14):
        start = local(f"2026-03-03 {hour:02d}:00")
        requests = [("bob", cast.long), ("erin", cast.long)] * 4
        results = race(
            cast,
            [(cast.alice, Booking(doctor=doctor, visit_type_id=kind, starts_at=start)) for doctor, kind in requests],
        )
        assert sum(isinstance(result, str) for result in results) == 1, results
    assert overlaps(cast) == 0


def test_the_quota_is_counted_under_the_patients_lock(cast: Cast) -> None:
    for clock in ("09:00", "10:00", "11:00", "13:00", "14:00", "15:00", "16:00"):
        cast.book(cast.alice, f"2026-03-03 {clock}")
    clocks = ["09:00", "10:00", "11:00", "13:00", "14:00", "15:00", "16:00", "16:45"]
    start = Barrier(CONTENDERS)

    def book(clock: str) -> str:
        command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local(f"2026-03-04 {clock}"))
        start.wait()
        try:
            cast.database.write(service.book, cast.alice, command, now=NOW)
        except RuleBroken as error:
            return error.code
        return "booked"

    with ThreadPoolExecutor(CONTENDERS) as pool:
        results = sorted(pool.map(book, clocks))
    assert results == ["booked"] * 3 + ["too_many_visits"] * (CONTENDERS - 3)


def test_bookings_that_cross_wait_for_each_other_without_a_deadlock(cast: Cast) -> None:
    """Two patients, two doctors, moves one way and bookings the other: all of them end with an answer."""
    moved = {
        (actor, doctor): cast.book(actor, start, doctor=doctor, visit_type=cast.long)
        for actor, doctor, start in (
            (cast.alice, "bob", "2026-03-05 09:00"),
            (cast.alice, "erin", "2026-03-05 11:00"),
            (cast.dave, "erin", "2026-03-05 09:00"),
            (cast.dave, "bob", "2026-03-05 11:00"),
        )
    }
    start = Barrier(CONTENDERS)

    def act(number: int) -> str:
        actor = (cast.alice, cast.dave)[number % 2]
        doctor = ("bob", "erin")[number // 2 % 2]
        goal = local(f"2026-03-06 {9 + number // 4 * 2:02d}:00")
        start.wait()
        try:
            if number < 4:
                command = Move(starts_at=goal)
                cast.database.write(service.move, actor, moved[actor, doctor], command, now=NOW)
            else:
                booking = Booking(doctor=doctor, visit_type_id=cast.long, starts_at=goal)
                cast.database.write(service.book, actor, booking, now=NOW)
        except (SlotTaken, PatientBusy) as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(CONTENDERS) as pool:
        results = list(pool.map(act, range(CONTENDERS)))
    assert set(results) <= {"done", "slot_taken", "patient_overlap", "patient_gap"}
    # At each of the two hours both doctors have exactly one of the two patients, or one patient is with one of them.
    assert 2 <= results.count("done") <= 4
    assert overlaps(cast) == 0


# ------------------------------------------------------------------------------------------------- the control


def test_without_the_guard_the_overlap_goes_in_and_is_found(cast: Cast) -> None:
    assert guard_is_in_place(cast.database)
    take_guard_away(cast.database)
    put(cast, TEN)
    put(cast, "2026-03-03 10:15")
    assert overlaps(cast) == 1
    assert not guard_is_in_place(cast.database)
    problems = list(find_problems(cast.database, now=NOW))
    assert problems[0].startswith("The guard is missing")
    # SQLite's guard is made of four triggers.
    problems = [problem for problem in problems if not problem.startswith("The trigger")]
    assert [problem.rpartition(" of ")[2].partition(" ")[0] for problem in problems[1:]] == ["doctor", "patient"]


@pytest.mark.parametrize("who", ["doctor", "patient"])
def test_an_incomplete_guard_is_reported(cast: Cast, who: str) -> None:
    name = GUARDS[who]
    take_guard_away(cast.database, name, f"{name}_on_insert", f"{name}_on_update")
    assert not guard_is_in_place(cast.database)


@pytest.mark.parametrize("event", ["insert", "update"])
@pytest.mark.parametrize("who", ["doctor", "patient"])
def test_each_of_sqlites_triggers_is_missed(sqlite_url: str, who: str, event: str) -> None:
    database = wired_database(sqlite_url)
    take_guard_away(database, f"{GUARDS[who]}_on_{event}")
    assert not guard_is_in_place(database)
    database.dispose()


def test_trying_the_guard_leaves_nothing_behind(cast: Cast) -> None:
    put(cast, TEN)
    assert guard_is_in_place(cast.database)
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.min(Appointment.id))) == 1
        assert session.scalar(sa.select(sa.func.count(Patient.id))) == 2
