"""Free times from the database: exactly those are offered that can be booked, with a constant number of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from tests.appointment_rows import appointment, put
from tests.cast import AMSTERDAM, NOW, Cast, local, promised
from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking
from webapp.clinic.service import get_clinic
from webapp.database import Database
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Unavailable
from webapp.models import (
    Appointment,
    ClinicSettings,
    Closure,
    Doctor,
    ExtraHours,
    OpeningHours,
    TimeOff,
    WorkingHours,
    doctor_visit_types,
)
from webapp.scheduling import checks
from webapp.scheduling.facts import BookingRequest, free_times, load_facts, next_free
from webapp.scheduling.slots import number_to_day, to_datetime
from webapp.scheduling.viewer import Viewer

TUESDAY = date(2026, 3, 3)
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


@contextmanager
def undone(database: Database) -> Iterator[Session]:
    """A session for writing that is rolled back at the end."""
    with Session(database.engine, expire_on_commit=False, info=database.session_info) as session:
        session.connection(execution_options={"docket_write": True})
        yield session
        session.rollback()


def wish_for(session: Session, slug: str, visit_type_id: int) -> BookingRequest:
    """A request for an appointment with a doctor."""
    return checks.find_booking_request(session, doctors.get_doctor(session, slug), visit_type_id)


def free(
    cast: Cast,
    day: date,
    *,
    doctor: str = "bob",
    visit_type: int | None = None,
    now: datetime = NOW,
    **options: Any,
) -> list[str]:
    """The free times of a local day, as people read them."""
    with cast.database.reading() as session:
        wish = wish_for(session, doctor, visit_type or cast.long)
        facts = load_facts(session, get_clinic(session), [wish], day, day, now=now, **options)
        times = free_times(facts[wish.doctor.id])
    for time in times:
        shown = to_datetime(time.start).astimezone(AMSTERDAM)
        assert (number_to_day(time.day), time.minute) == (shown.date(), shown.hour * 60 + shown.minute)
    return [to_datetime(time.start).astimezone(AMSTERDAM).strftime("%H:%M") for time in times]


# --------------------------------------------------------------------------------------------- single facts


def test_a_usual_day_is_open_from_nine_with_a_break_for_lunch(cast: Cast) -> None:
    times = free(cast, TUESDAY)
    assert (times[0], times[-1]) == ("09:00", "16:30")
    assert [time for time in times if "11:30" <= time <= "13:00"] == ["11:30", "13:00"]


def test_a_weekend_has_no_free_times(cast: Cast) -> None:
    assert free(cast, date(2026, 3, 7)) == free(cast, date(2026, 3, 8)) == []


def test_weekly_hours_count_from_their_first_to_their_last_day(cast: Cast) -> None:
    cast.change(sa.delete(WorkingHours))
    hours = WorkingHours(
        doctor_id=cast.doctor_ids["bob"],
        weekday=1,
        start_minute=600,
        end_minute=660,
        valid_from=date(2026, 3, 10),
        valid_until=date(2026, 3, 17),
    )
    cast.add(hours)
    days = [date(2026, 3, day) for day in (3, 10, 17, 24)]
    assert [bool(free(cast, day)) for day in days] == [False, True, True, False]


def test_a_closure_covers_its_first_and_its_last_day_whole(cast: Cast) -> None:
    cast.add(Closure(name="Works", starts_on=date(2026, 3, 4), ends_on=date(2026, 3, 5)))
    days = [date(2026, 3, day) for day in (3, 4, 5, 6)]
    assert [bool(free(cast, day)) for day in days] == [True, False, False, True]


def test_one_doctors_leave_and_extra_hours_are_not_anothers(cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    cast.add(TimeOff(doctor_id=bob, starts_at=local("2026-03-03 09:00"), ends_at=local("2026-03-03 17:00")))
    cast.add(ExtraHours(doctor_id=bob, day=TUESDAY, start_minute=18 * 60, end_minute=19 * 60))
    assert free(cast, TUESDAY) == ["18:00", "18:15", "18:30"]
    assert free(cast, TUESDAY, doctor="erin")[0] == "09:00"
    assert free(cast, TUESDAY, doctor="erin")[-1] == "16:30"


def test_leave_that_began_days_ago_still_counts(cast: Cast) -> None:
    off = TimeOff(
        doctor_id=cast.doctor_ids["bob"], starts_at=local("2026-02-01 00:00"), ends_at=local("2026-03-03 16:00")
    )
    cast.add(off)
    assert free(cast, TUESDAY) == ["16:00", "16:15", "16:30"]


def test_an_appointment_may_run_past_midnight_where_both_days_are_open(cast: Cast) -> None:
    for weekday, start, end in ((1, 1380, 1440), (2, 0, 30)):
        cast.add(OpeningHours(weekday=weekday, start_minute=start, end_minute=end))
        hours = WorkingHours(doctor_id=cast.doctor_ids["bob"], weekday=weekday, start_minute=start, end_minute=end)
        cast.add(hours)
    assert free(cast, TUESDAY)[-4:] == ["23:00", "23:15", "23:30", "23:45"]
    assert cast.book(cast.alice, "2026-03-03 23:45", visit_type=cast.long)
    assert free(cast, date(2026, 3, 4))[0] == "09:00"


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_a_clinic_open_all_night_offers_each_real_time_once(cast: Cast, day: date) -> None:
    for table in (OpeningHours, WorkingHours):
        cast.change(sa.delete(table))
    cast.add(OpeningHours(weekday=6, start_minute=0, end_minute=1440))
    erin = cast.doctor_ids["erin"]
    cast.add(WorkingHours(doctor_id=erin, weekday=6, start_minute=0, end_minute=300))
    times = free(cast, day, doctor="erin", now=datetime(day.year, day.month, 1, tzinfo=UTC))
    if day == SPRING:
        assert times == ["00:00", "00:30", "01:00", "01:30", "03:00", "03:30", "04:00", "04:30"]
    else:
        assert times[3:8] == ["01:30", "02:00", "02:30", "02:00", "02:30"]
        assert len(times) == 12


def test_the_ninetieth_day_is_the_last(cast: Cast) -> None:
    # Starting with Wednesday 4 March, day 90 is Tuesday 2 June.
    now = local("2026-03-04 23:59")
    assert free(cast, date(2026, 6, 2), now=now)[-1] == "16:30"
    assert free(cast, date(2026, 6, 3), now=now) == []
    assert free(cast, date(2026, 6, 3), now=now + timedelta(minutes=1))[-1] == "16:30"


def test_seconds_never_shorten_the_notice(cast: Cast) -> None:
    assert free(cast, TUESDAY, now=local("2026-03-03 08:00"))[0] == "10:00"
    assert free(cast, TUESDAY, now=local("2026-03-03 08:00") + timedelta(seconds=1))[0] == "10:15"


def test_signed_in_times_near_own_appointments_are_not_offered_and_strangers_see_them(cast: Cast) -> None:
    put(cast, "2026-03-03 10:00", doctor="erin")
    assert "10:00" in free(cast, TUESDAY)
    assert "10:00" in free(cast, TUESDAY, viewer=Viewer(user_id=cast.dave.user_id))
    own = free(cast, TUESDAY, viewer=Viewer(user_id=cast.alice.user_id))
    assert [time for time in own if time <= "11:00"] == ["09:00", "11:00"]
    assert own == free(cast, TUESDAY, viewer=Viewer(cast.patient_ids["alice"]))


def test_an_appointment_that_is_being_moved_blocks_no_time(cast: Cast) -> None:
    number = put(cast, "2026-03-03 10:00")
    assert not {"09:45", "10:00", "10:15"} & set(free(cast, TUESDAY, viewer=Viewer(user_id=cast.alice.user_id)))
    moving = free(cast, TUESDAY, viewer=Viewer(moving=number))
    assert {"09:45", "10:15"} <= set(moving)
    # Moving an appointment to its own time is no move.
    assert "10:00" not in moving


def test_moves_avoid_the_patients_other_appointments_even_without_an_account(
    cast: Cast,
) -> None:
    number = put(cast, "2026-03-03 10:00")
    put(cast, "2026-03-03 14:00", doctor="erin")
    assert "14:00" not in free(cast, TUESDAY, viewer=Viewer(moving=number))


@pytest.mark.parametrize("status", ["cancelled", "no_show"])
def test_an_appointment_that_does_not_occupy_its_time_leaves_it_free(cast: Cast, status: str) -> None:
    put(cast, "2026-03-03 10:00", status=status)
    assert "10:00" in free(cast, TUESDAY, viewer=Viewer(user_id=cast.alice.user_id))


def test_busy_ranges_that_reach_in_from_the_day_before_count(cast: Cast) -> None:
    put(cast, "2026-03-02 17:00", patient="dave", minutes=240, after=240)
    bob = cast.doctor_ids["bob"]
    cast.add(ExtraHours(doctor_id=bob, day=TUESDAY, start_minute=0, end_minute=120))
    assert free(cast, TUESDAY)[:2] == ["01:00", "01:15"]


# ----------------------------------------------------------------------------------------- the next free times


def next_times(cast: Cast, *, count: int = 1, **options: Any) -> list[str]:
    """Bob's next free times, as people read them."""
    with cast.database.reading() as session:
        wish = wish_for(session, "bob", cast.long)
        found = next_free(session, get_clinic(session), [wish], now=NOW, count=count, **options)[wish.doctor.id]
    return [to_datetime(time.start).astimezone(AMSTERDAM).strftime("%m-%d %H:%M") for time in found]


def test_the_next_free_time_respects_the_notice(cast: Cast) -> None:
    assert next_times(cast, count=2) == ["03-02 10:00", "03-02 10:15"]


def test_the_next_free_time_is_found_beyond_the_first_look(cast: Cast) -> None:
    cast.add(Closure(name="Works", starts_on=date(2026, 3, 1), ends_on=date(2026, 5, 29)))
    # Sunday 31 May is the ninetieth day, so nothing is left.
    assert next_times(cast) == []
    cast.change(sa.update(Closure).values(ends_on=date(2026, 5, 28)))
    assert next_times(cast, count=2) == ["05-29 09:00", "05-29 09:15"]


def test_the_next_free_time_lies_on_the_last_day_of_the_first_look_or_the_first_after_it(cast: Cast) -> None:
    cast.add(Closure(name="Works", starts_on=date(2026, 3, 1), ends_on=date(2026, 3, 15)))
    assert next_times(cast) == ["03-16 09:00"]
    cast.change(sa.update(Closure).values(ends_on=date(2026, 3, 16)))
    assert next_times(cast) == ["03-17 09:00"]


# --------------------------------------------------------------------------------- a constant number of queries


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The SQL statements that were sent while the block ran, except queries that were sent together with BEGIN."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


def add_doctors(cast: Cast, count: int) -> None:
    """Add doctors with hours, leave and appointments."""

    def work(session: Session) -> None:
        for number in range(count):
            doctor = Doctor(slug=f"extra{number}", name=f"Dr. {number}", specialty="Other", slot_step=15, position=9)
            session.add(doctor)
            session.flush()
            session.add(WorkingHours(doctor_id=doctor.id, weekday=1, start_minute=600, end_minute=720))
            off = {"starts_at": local("2026-03-10 10:00"), "ends_at": local("2026-03-10 10:30")}
            session.add(TimeOff(doctor_id=doctor.id, **off))
            session.execute(sa.insert(doctor_visit_types).values(doctor_id=doctor.id, visit_type_id=cast.long))
            start = f"2026-03-{17 + number % 3} {10 + number}:00"
            row = appointment(cast, start, patient="dave")
            session.execute(sa.insert(Appointment).values({**row, "doctor_id": doctor.id}))

    cast.database.write(work)


Question = Callable[[Session, list[BookingRequest], Cast], Any]


def facts_of_a_month(session: Session, wishes: list[BookingRequest], cast: Cast) -> Any:
    """The facts of a month for a signed-in patient."""
    clinic = get_clinic(session)
    last = TUESDAY + timedelta(days=30)
    return load_facts(session, clinic, wishes, TUESDAY, last, now=NOW, viewer=Viewer(user_id=cast.alice.user_id))


def soonest(session: Session, wishes: list[BookingRequest], cast: Cast) -> Any:
    """The next free times of all doctors."""
    return next_free(session, get_clinic(session), wishes, now=NOW, viewer=Viewer(user_id=cast.alice.user_id))


@pytest.mark.parametrize(("question", "closed", "queries", "known"), [
    (facts_of_a_month, False, 4, 1),
    (soonest, False, 4, 1),
    (soonest, True, 6, 1),
])  # fmt: skip
def test_one_five_or_twelve_doctors_take_the_same_queries(
    cast: Cast, question: Question, closed: bool, queries: int, known: int
) -> None:
    add_doctors(cast, 10)
    if closed:
        cast.add(Closure(name="Works", starts_on=date(2026, 3, 1), ends_on=date(2026, 3, 30)))
    with cast.database.reading() as session:
        wishes = [BookingRequest(doctor, doctor.visit_types[0]) for doctor in doctors.list_doctors(session)]
    assert len(wishes) == 12
    for number in (1, 5, 12):
        process = Database(cast.url)
        # One of them reads the clinic; known schedules leave the patient. The versions are read together with BEGIN.
        for expected in (queries, known):
            with process.reading() as session, counted(process) as statements:
                found = question(session, wishes[:number], cast)
            assert len(statements) == expected, statements
            assert len(found) == number
            assert all(found.values())
        process.dispose()


# ----------------------------------------------------------------------------------------- offered ⇔ bookable

DAYS = st.sampled_from([SPRING, AUTUMN, TUESDAY, date(2026, 3, 28), date(2026, 10, 24)])
HOURS = st.lists(
    st.tuples(st.integers(0, 95), st.integers(1, 60)).map(lambda s: (s[0] * 15, min(1440, (s[0] + s[1]) * 15))),
    max_size=3,
)
RULES_OF_CLINIC = st.fixed_dictionaries(
    {
        "notice_minutes": st.sampled_from([0, 120, 1000]),
        "horizon_days": st.sampled_from([1, 90]),
        "patient_gap_minutes": st.sampled_from([0, 30]),
        "max_active_visits": st.just(10),
    }
)


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    """A random day of Bob and random obstacles. Minutes count from the local midnight of the day."""
    appointments = st.lists(st.integers(0, 47), max_size=4, unique=True)
    return {
        "day": draw(DAYS),
        "ahead": draw(st.sampled_from([0, 240, 24 * 60, 48 * 60])),
        "rules": draw(RULES_OF_CLINIC),
        "opening": draw(st.one_of(st.just([(0, 1440)]), HOURS)),
        "working": draw(HOURS),
        "extra": draw(HOURS) if draw(st.booleans()) else [],
        "off": draw(st.lists(st.tuples(st.integers(0, 1440), st.integers(1, 200)), max_size=2)),
        "closed": draw(st.sampled_from([None, None, None, 0, 1])),
        "step": draw(st.sampled_from([15, 20, 30, 50])),
        "appointments": draw(appointments),
        "own": draw(appointments),
        "kind": draw(st.sampled_from(["short", "long", "buffered", "buffered", "by_phone", "erins_only"])),
    }


def arrange(session: Session, cast: Cast, about: dict[str, Any]) -> datetime:
    """Store the situation and return the instant at which its day begins."""
    day, bob = about["day"], cast.doctor_ids["bob"]
    midnight = datetime(day.year, day.month, day.day, tzinfo=AMSTERDAM).astimezone(UTC)
    session.execute(sa.update(ClinicSettings).values(about["rules"]))
    session.execute(sa.update(Doctor).where(Doctor.id == bob).values(slot_step=about["step"]))
    session.execute(sa.delete(OpeningHours))
    session.execute(sa.delete(WorkingHours))
    for weekday in (day.weekday(), (day.weekday() + 1) % 7):
        for start, end in about["opening"]:
            session.add(OpeningHours(weekday=weekday, start_minute=start, end_minute=end))
        for start, end in about["working"]:
            session.add(WorkingHours(doctor_id=bob, weekday=weekday, start_minute=start, end_minute=end))
    for start, end in about["extra"]:
        session.add(ExtraHours(doctor_id=bob, day=day, start_minute=start, end_minute=end))
    for start, length in about["off"]:
        begins = midnight + timedelta(minutes=start)
        session.add(TimeOff(doctor_id=bob, starts_at=begins, ends_at=begins + timedelta(minutes=length)))
    if about["closed"] is not None:
        closed = day + timedelta(days=about["closed"])
        session.add(Closure(name="Works", starts_on=closed, ends_on=closed))
    session.flush()
    for doctor, patient, slots in (("bob", "dave", about["appointments"]), ("erin", "alice", about["own"])):
        for slot in slots:
            begins = midnight + timedelta(minutes=30 * slot)
            row = appointment(cast, "2026-01-01 00:00", doctor=doctor, patient=patient)
            times: dict[str, Any] = {"starts_at": begins, "promised_minute": promised(begins), "busy_from": begins}
            times |= dict.fromkeys(("ends_at", "busy_until"), begins + timedelta(minutes=20))
            session.execute(sa.insert(Appointment).values(row | times))
    return midnight


def can_book(session: Session, cast: Cast, starts_at: datetime, kind: int, now: datetime) -> bool:
    """Whether Alice can really book the time. The booking is rolled back."""
    attempt = session.begin_nested()
    try:
        service.book(session, cast.alice, Booking(doctor="bob", visit_type_id=kind, starts_at=starts_at), now=now)
    except Unavailable:
        # A database that does not answer says nothing about the time.
        raise
    except AppError:
        return False
    else:
        return True
    finally:
        attempt.rollback()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(about=situations(), minutes=st.lists(st.integers(0, 25 * 60), min_size=4, max_size=4), pick=st.randoms())
def test_a_time_is_offered_if_and_only_if_booking_it_succeeds(
    cast: Cast, about: dict[str, Any], minutes: list[int], pick: Any
) -> None:
    with undone(cast.database) as session:
        midnight = arrange(session, cast, about)
        now = midnight - timedelta(minutes=about["ahead"])
        kind, clinic, day = getattr(cast, about["kind"]), get_clinic(session), about["day"]
        wish = wish_for(session, "bob", kind)
        facts = load_facts(session, clinic, [wish], day, day, now=now, viewer=Viewer(user_id=cast.alice.user_id))
        offers = {to_datetime(time.start) for time in free_times(facts[wish.doctor.id])}
        asked = {midnight + timedelta(minutes=minute) for minute in minutes}
        asked |= {midnight + timedelta(minutes=minute - minute % about["step"]) for minute in minutes}
        if offers:
            some = pick.sample(sorted(offers), min(3, len(offers)))
            asked |= {*some, min(offers), max(offers), max(offers) + timedelta(minutes=about["step"])}
        for instant in sorted(asked):
            if instant.astimezone(AMSTERDAM).date() == day:
                assert can_book(session, cast, instant, kind, now) == (instant in offers), instant
