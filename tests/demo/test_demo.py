"""Demo data is plausible, reproducible and breaks no rule; and it is never mixed with other data."""

from __future__ import annotations

import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.cast import assemble, local
from tests.postgres import new_database
from webapp.appointments import queries
from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking
from webapp.audit.models import AuditEvent
from webapp.auth.models import User
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor
from webapp.clinic.models import Closure, OpeningHours, VisitType
from webapp.clinic.service import get_clinic
from webapp.database import Base, Database
from webapp.demo import DEMO_ACCOUNTS, DEMO_PASSWORD
from webapp.demo.cast import make_doctors, slug_of
from webapp.demo.generate import DemoSummary, HoldsOtherData, is_empty, make_demo
from webapp.demo.hours import closures, months_before
from webapp.doctors.models import Doctor, ExtraHours, TimeOff, WorkingHours, doctor_visit_types
from webapp.doctors.service import DoctorRow, list_doctors
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError, Invalid
from webapp.integrity.problems import find_problems
from webapp.patients.models import Patient
from webapp.scheduling.facts import BookingRequest, FreeTime, free_times, load_facts
from webapp.scheduling.models import ACTIVE, OCCUPYING, Appointment
from webapp.scheduling.rules import Facts, refusals
from webapp.scheduling.slots import Span, day_number, to_datetime, to_minute
from webapp.scheduling.viewer import Viewer
from webapp.staff.users.forms import ROLE_NAMES

TODAY = date(2026, 11, 23)
MIDNIGHT = local("2026-11-23 00:00")
NOW = local("2026-11-23 08:00")
AHEAD = 42
# Rules about the clock or the number of bookings; time has passed since the appointments were booked.
ABOUT_THE_CLOCK = {"in_the_past", "too_soon", "too_far_ahead", "too_many_visits"}
Rows = dict[str, list[tuple[Any, ...]]]


def silent(done: int, total: int) -> None:
    """A progress callback that does nothing."""


def make(database: Database, **wanted: Any) -> DemoSummary:
    """Make demo data with the default sizes, except where a test says otherwise."""
    return make_demo(database, **{"today": TODAY, "now": NOW, "progress": silent, **wanted})


def rows_of(database: Database) -> Rows:
    """All rows of the database.

    Versions of schedules are left out because they are random, and ids of busy times because triggers assign them.
    """
    with database.reading() as session:
        return {
            table.name: [
                tuple(row)
                for row in session.execute(
                    sa.select(
                        *(column for column in table.columns if table.name != "busy_times" or column.name != "id")
                    )
                    .select_from(table)
                    .order_by(*table.primary_key)
                )
            ]
            for table in Base.metadata.sorted_tables
            if table.name not in {"schedule_versions", "live_changes"}
        }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The default demo clinic, once on each kind of database; tests only read it."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("demo") / "docket.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield from _made(f"sqlite:///{path}")
    else:
        template = request.getfixturevalue("postgres_template")
        with new_database(request.getfixturevalue("postgres_url"), template=template) as url:
            yield from _made(url)


def _made(url: str) -> Iterator[Database]:
    database = wired_database(url)
    assert make(database).created
    yield database
    database.dispose()


@pytest.fixture(scope="module")
def made_later(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Rows:
    """The rows of the default demo clinic made nine hours later on the same day."""
    path = shutil.copyfile(sqlite_template, tmp_path_factory.mktemp("later") / "docket.db")
    database = wired_database(f"sqlite:///{path}")
    make(database, now=NOW + timedelta(hours=9))
    rows = rows_of(database)
    database.dispose()
    return rows


@pytest.fixture
def small(sqlite_url: str, open_database: Callable[[str], Database]) -> Iterator[Database]:
    """An empty SQLite database, for tests that do not depend on the database."""
    database = open_database(sqlite_url)
    yield database
    database.dispose()


# ------------------------------------------------------------------------------- always the same, and once


def test_the_same_order_gives_the_same_rows_on_every_database(demo: Database, made_later: Rows) -> None:
    assert made_later == rows_of(demo)


def test_another_seed_gives_another_clinic(tmp_path: Path, sqlite_template: Path) -> None:
    found = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.db"
        shutil.copyfile(sqlite_template, path)
        database = wired_database(f"sqlite:///{path}")
        make(database, patients=30, months=1, seed=seed)
        found.append(rows_of(database))
        database.dispose()
    assert found[0]["patients"] != found[1]["patients"]
    assert found[0]["appointments"] != found[1]["appointments"]


def test_a_second_run_changes_nothing_and_says_so(database: Database) -> None:
    first = make(database, patients=30, months=1)
    before = rows_of(database)
    again = make(database, patients=30, months=1)
    later = make(database, patients=30, months=1, today=TODAY + timedelta(days=3))
    assert first.created
    assert again == later == first._replace(created=False)
    assert rows_of(database) == before


def test_an_order_of_another_size_is_refused(small: Database) -> None:
    make(small, patients=30, months=1)
    before = rows_of(small)
    with pytest.raises(HoldsOtherData, match="30 patients"):
        make(small, patients=40, months=1)
    assert rows_of(small) == before


def test_other_data_is_left_alone(database: Database) -> None:
    assert is_empty(database)
    assemble(database)
    before = rows_of(database)
    with pytest.raises(HoldsOtherData) as refused:
        make(database)
    assert isinstance(refused.value, AppError)
    assert refused.value.status == 409
    assert "empty" in refused.value.message
    assert rows_of(database) == before
    assert not is_empty(database)


def test_a_run_that_breaks_off_leaves_nothing_and_the_next_is_as_good(database: Database, small: Database) -> None:
    def stop(done: int, total: int) -> None:
        if done > 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(database, patients=30, months=1, progress=stop)
    assert is_empty(database)
    make(database, patients=30, months=1)
    make(small, patients=30, months=1)
    assert rows_of(database) == rows_of(small)


def test_progress_goes_up_to_the_end(small: Database) -> None:
    told: list[tuple[int, int]] = []
    make(small, patients=30, months=1, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[0] == (0, 100)
    assert told[-1] == (100, 100)
    assert len(told) > 12


@pytest.mark.parametrize(
    "wrong", [{"doctors": 0}, {"doctors": 201}, {"patients": 0}, {"months": -1}, {"today": date(9999, 12, 31)}]
)
def test_an_order_out_of_bounds_is_refused(small: Database, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        make(small, **wrong)
    assert is_empty(small)


# --------------------------------------------------------------------------------------- what there is


def test_the_sizes_are_those_of_the_order(demo: Database) -> None:
    with demo.reading() as session:
        doctors = list_doctors(session)
        patients = session.scalar(sa.select(sa.func.count(Patient.id)))
        first, last = session.execute(
            sa.select(sa.func.min(Appointment.starts_at), sa.func.max(Appointment.starts_at))
        ).one()
    assert len(doctors) == 12
    assert len({doctor.specialty for doctor in doctors}) == 6
    assert "Dermatology" in {doctor.specialty for doctor in doctors}
    assert patients == 200
    assert local("2026-08-23 00:00") <= first < local("2026-08-26 00:00")
    assert local("2026-12-31 00:00") <= last < local("2027-01-05 00:00")


def test_dr_okafor_is_the_first(demo: Database) -> None:
    with demo.reading() as session:
        okafor = list_doctors(session)[0]
        email = session.scalar(
            sa.select(User.email).join(Doctor, Doctor.user_id == User.id).where(Doctor.id == okafor.id)
        )
    assert (okafor.name, okafor.slug, okafor.specialty) == ("Dr. Amara Okafor", "amara-okafor", "General practice")
    assert email == "doctor@docket.example"
    assert all((okafor.bio, okafor.room, okafor.languages))


def test_four_doctors_have_short_steps_and_buffered_appointments(demo: Database) -> None:
    with demo.reading() as session:
        doctors = list_doctors(session)
    short = [doctor for doctor in doctors if doctor.slot_step == 15]
    assert len(short) == 4
    for doctor in short:
        online = [kind for kind in doctor.visit_types if kind.online]
        assert [kind.minutes for kind in online] == [20, 30, 45]
        assert all(kind.buffer_before + kind.buffer_after for kind in online)
    for doctor in doctors:
        if doctor not in short:
            assert doctor.slot_step in (20, 30)
            assert 30 in [kind.minutes for kind in doctor.visit_types]


def test_visit_types_are_offered_and_explained(demo: Database) -> None:
    with demo.reading() as session:
        kinds = session.execute(sa.select(VisitType.id, VisitType.online, VisitType.preparation)).all()
        offered = set(session.scalars(sa.select(doctor_visit_types.c.visit_type_id)))
    assert {number for number, online, _ in kinds if online} <= offered
    assert [online for _, online, _ in kinds].count(False) == 1
    assert all(len(preparation.splitlines()) >= 2 for _, _, preparation in kinds)


def test_the_clinic_is_open_and_closed_as_it_should(demo: Database) -> None:
    with demo.reading() as session:
        clinic = get_clinic(session)
        opening = session.execute(
            sa.select(OpeningHours.weekday, OpeningHours.start_minute, OpeningHours.end_minute)
        ).all()
        closed = session.execute(sa.select(Closure.name, Closure.starts_on).order_by(Closure.starts_on)).all()
    assert clinic.demo
    assert clinic.time_zone == "Europe/Amsterdam"
    assert all((clinic.name, clinic.address, clinic.phone))
    assert [tuple(row) for row in opening] == [(weekday, 540, 1020) for weekday in range(5)]
    assert [name for name, _ in closed] == ["Team training day", "Christmas", "New Year’s Day"]
    assert TODAY < closed[0].starts_on < TODAY + timedelta(weeks=5)


def test_hours_leave_and_extra_hours_have_their_variety(demo: Database) -> None:
    with demo.reading() as session:
        hours = session.execute(sa.select(WorkingHours)).scalars().all()
        leave = session.execute(sa.select(TimeOff)).scalars().all()
        extra = session.execute(sa.select(ExtraHours)).scalars().all()
    days: dict[int, Counter[int]] = defaultdict(Counter)
    for span in hours:
        days[span.doctor_id][span.weekday] += 1
    assert any(max(weekdays.values()) == 2 for weekdays in days.values()), "lunch breaks"
    assert any(len(weekdays) == 3 for weekdays in days.values()), "part-time"
    assert (
        {span.doctor_id for span in hours if span.valid_from}
        == {span.doctor_id for span in hours if span.valid_until}
        != set()
    )
    assert any(day.day.weekday() == 5 and day.day > TODAY for day in extra)
    assert any(off.ends_at - off.starts_at >= timedelta(days=2) for off in leave)
    assert any(off.ends_at - off.starts_at < timedelta(days=1) for off in leave)
    assert all(off.starts_at > MIDNIGHT for off in leave)


def test_all_demo_accounts_have_the_demo_password(demo: Database) -> None:
    with demo.reading() as session:
        accounts = session.execute(sa.select(User.email, User.role, User.password_hash)).all()
    roles = {email: role for email, role, _ in accounts}
    assert [str(ROLE_NAMES[roles[email]]) for _, email in DEMO_ACCOUNTS] == [who for who, _ in DEMO_ACCOUNTS]
    assert {f"patient{number}@docket.example" for number in range(1, 200)} <= set(roles)
    hashes = {stored for _, _, stored in accounts}
    assert len(hashes) == 1
    assert passwords.verify(DEMO_PASSWORD, hashes.pop()) == (True, None)


def test_patients_are_people(demo: Database) -> None:
    with demo.reading() as session:
        patients = session.execute(sa.select(Patient)).scalars().all()
    ages = [(TODAY - patient.birth_date).days // 365 for patient in patients if patient.birth_date]
    assert len(ages) == len(patients)
    assert min(ages) <= 2
    assert max(ages) >= 90
    assert len({patient.name for patient in patients}) > 180
    assert any(not patient.name.isascii() for patient in patients)
    assert all(patient.phone and patient.email and patient.created_at < MIDNIGHT for patient in patients)


def test_the_demo_patient_has_a_past_and_a_future_and_room_for_more(demo: Database) -> None:
    with demo.reading() as session:
        appointments = session.execute(
            sa.select(Appointment.starts_at, Appointment.status)
            .join(Patient, Patient.id == Appointment.patient_id)
            .where(Patient.email == "patient@docket.example")
            .order_by(Appointment.starts_at)
        ).all()
    upcoming = [start for start, status in appointments if start > NOW and status in ACTIVE]
    assert 2 <= len(upcoming) <= 3
    assert all(later - sooner > timedelta(days=5) for sooner, later in pairwise(upcoming))
    statuses = [status for _, status in appointments]
    assert statuses.count("completed") >= 2
    assert statuses.count("cancelled") == 1


# ------------------------------------------------------------------------------------------ the appointments


def test_no_appointment_breaks_a_rule(demo: Database) -> None:
    """Each appointment is checked as if it were booked now beside all the others, the cancelled ones included."""
    with demo.reading() as session:
        appointments = session.execute(sa.select(Appointment)).scalars().all()
        facts_of = {doctor.id: (doctor, facts) for doctor, facts in _facts(demo)}
    theirs: dict[int, list[Span]] = defaultdict(list)
    for appointment in appointments:
        if appointment.status in OCCUPYING:
            theirs[appointment.patient_id].append((to_minute(appointment.starts_at), to_minute(appointment.ends_at)))
    broken = []
    for appointment in appointments:
        doctor, facts = facts_of[appointment.doctor_id]
        for refusal in refusals(
            _beside_the_others(facts, doctor, appointment, theirs), to_minute(appointment.starts_at)
        ):
            if refusal.code not in ABOUT_THE_CLOCK and not (refusal.clash and appointment.status == "cancelled"):
                broken.append((appointment.reference, refusal.code))
    assert broken == []


def _facts(database: Database) -> Iterator[tuple[DoctorRow, Facts]]:
    """The facts of each doctor for the whole time that has appointments."""
    with database.reading() as session:
        doctors = list_doctors(session)
        facts = load_facts(
            session,
            get_clinic(session),
            [BookingRequest(doctor, doctor.visit_types[0]) for doctor in doctors],
            months_before(TODAY, 3),
            TODAY + timedelta(days=AHEAD),
            now=NOW,
        )
        for doctor in doctors:
            yield doctor, facts[doctor.id]


def _beside_the_others(
    facts: Facts, doctor: DoctorRow, appointment: Appointment, theirs: dict[int, list[Span]]
) -> Facts:
    """The facts for this appointment, without itself among the doctor's and the patient's appointments.

    Only the day around it is included, because the whole half year would take long for each of thousands.
    """
    kind = doctor.visit_type(appointment.visit_type_id)
    assert kind is not None
    start, end = to_minute(appointment.starts_at), to_minute(appointment.ends_at)
    busy = (to_minute(appointment.busy_from), to_minute(appointment.busy_until))
    assert (start, end) == (busy[0] + kind.buffer_before, busy[1] - kind.buffer_after)
    assert end - start == kind.minutes
    low, high = start - 600, start + 600

    def near(spans: list[Span]) -> list[Span]:
        return [span for span in spans if span[0] < high and span[1] > low]

    return replace(
        facts,
        window=(low, high),
        minutes=kind.minutes,
        before=kind.buffer_before,
        after=kind.buffer_after,
        offered_online=kind.online,
        opening=near(facts.opening),
        working=near(facts.working),
        extra=near(facts.extra),
        doctor_busy=[span for span in near(facts.doctor_busy) if span != busy],
        patient_appointments=[span for span in theirs[appointment.patient_id] if span != (start, end)],
    )


def test_the_check_finds_nothing(demo: Database) -> None:
    assert list(find_problems(demo, now=NOW)) == []
    assert list(find_problems(demo, now=local("2026-08-01 00:00"))) == []


def test_statuses_fit_the_day(demo: Database) -> None:
    with demo.reading() as session:
        appointments = session.execute(sa.select(Appointment.starts_at, Appointment.status)).all()
    past = Counter(status for start, status in appointments if start < MIDNIGHT)
    coming = Counter(status for start, status in appointments if start >= MIDNIGHT)
    assert set(past) == {"completed", "no_show", "cancelled"}
    assert set(coming) == {"scheduled", "confirmed", "cancelled"}
    assert past["completed"] > 10 * past["no_show"] > 0
    assert past["completed"] > 5 * past["cancelled"] > 0


def test_nothing_was_recorded_after_the_beginning_of_today(demo: Database) -> None:
    with demo.reading() as session:
        appointments = session.execute(sa.select(Appointment).order_by(Appointment.id)).scalars().all()
        latest = session.scalar(sa.select(sa.func.max(AuditEvent.at)))
    assert latest == MIDNIGHT
    for appointment in appointments:
        assert appointment.created_at <= appointment.updated_at <= MIDNIGHT
        assert timedelta(hours=2) <= appointment.starts_at - appointment.created_at < timedelta(days=90)
        assert (appointment.version == 1) == (appointment.status == "scheduled")
        if appointment.status == "cancelled":
            assert appointment.updated_at <= appointment.starts_at - timedelta(days=1)
    assert all(earlier.created_at <= later.created_at for earlier, later in pairwise(appointments))


def test_days_are_about_as_full_as_they_should_be(demo: Database) -> None:
    booked, worked = Counter[str](), Counter[str]()
    for _, facts in _facts(demo):
        for spans, minutes in ((facts.doctor_busy, booked), (facts.working, worked)):
            for start, end in spans:
                days = (to_datetime(start) - MIDNIGHT).days
                when = "past" if days < 0 else "soon" if days < 7 else "late" if days >= 35 else "between"
                minutes[when] += end - start
    share = {when: booked[when] / worked[when] for when in worked}
    assert 0.7 < share["past"] < 0.82
    assert 0.68 < share["soon"] < 0.85
    assert 0.18 < share["late"] < 0.35
    assert share["soon"] > share["between"] > share["late"]


def test_every_doctor_has_a_free_time_in_every_week(demo: Database) -> None:
    with demo.reading() as session:
        doctors = list_doctors(session)
        for kinds in (min, max):
            wishes = [
                BookingRequest(
                    doctor, kinds((kind for kind in doctor.visit_types if kind.online), key=lambda kind: kind.minutes)
                )
                for doctor in doctors
            ]
            facts = load_facts(session, get_clinic(session), wishes, TODAY, TODAY + timedelta(days=AHEAD - 1), now=NOW)
            for doctor in doctors:
                assert _weeks(free_times(facts[doctor.id])) == set(range(6)), doctor.name


def _weeks(times: list[FreeTime]) -> set[int]:
    return {(time.day - day_number(TODAY)) // 7 for time in times}


def test_no_patient_is_near_the_limit(demo: Database) -> None:
    with demo.reading() as session:
        limit = get_clinic(session).max_active_visits
        most = session.scalars(
            sa.select(sa.func.count())
            .select_from(Appointment)
            .where(Appointment.status.in_(ACTIVE), Appointment.starts_at > NOW)
            .group_by(Appointment.patient_id)
        )
        assert max(most) <= limit - 3


def test_the_history_says_who_booked_and_who_cancelled(demo: Database) -> None:
    with demo.reading() as session:
        appointments = session.execute(
            sa.select(Appointment.id, Appointment.status, Patient.user_id, Appointment.starts_at).join(
                Patient, Patient.id == Appointment.patient_id
            )
        ).all()
        log = session.execute(
            sa.select(AuditEvent).where(AuditEvent.subject_type == "appointment").order_by(AuditEvent.id)
        )
        told: dict[int, list[AuditEvent]] = defaultdict(list)
        for event in log.scalars():
            told[event.subject_id].append(event)
    for number, status, user_id, starts_at in appointments:
        expected = ["booked", "cancelled"] if status == "cancelled" else ["booked"]
        assert [event.action for event in told[number]] == expected
        for event in told[number]:
            assert (event.actor_user_id, event.actor_role, event.visible) == (user_id, "patient", True)
            assert event.details == {"starts_at": starts_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def test_the_clinic_works_after_it_was_made(database: Database) -> None:
    """New rows get ids, and the guard is there."""
    make(database, patients=30, months=1)
    with database.reading() as session:
        clinic, doctor = get_clinic(session), list_doctors(session)[0]
        user = session.execute(sa.select(User).where(User.email == "patient@docket.example")).scalar_one()
        wish = BookingRequest(doctor, doctor.visit_types[0])
        facts = load_facts(
            session, clinic, [wish], TODAY, TODAY + timedelta(days=30), now=NOW, viewer=Viewer(user_id=user.id)
        )
        time = free_times(facts[doctor.id])[0]
    actor = Actor(user.id, 0, user.name, user.email, "patient")
    command = Booking(doctor=doctor.slug, starts_at=to_datetime(time.start))
    reference = database.write(service.book, actor, command, now=NOW)
    with database.reading() as session:
        assert queries.get_appointment(session, actor, reference).status == "scheduled"
    assert list(find_problems(database, now=NOW)) == []


# --------------------------------------------------------------------------------------- other orders


@pytest.mark.parametrize(
    "order",
    [
        {"doctors": 1, "patients": 1, "months": 0},
        {"doctors": 3, "patients": 5, "months": 1, "today": date(2027, 3, 27)},
        {"doctors": 14, "patients": 60, "months": 1, "today": date(2024, 2, 29), "seed": 7},
        {"doctors": 12, "patients": 40, "months": 1, "today": date(2025, 12, 20)},
    ],
)
def test_other_orders_keep_the_rules_too(small: Database, order: dict[str, Any]) -> None:
    summary = make(small, **order)
    assert summary.doctors == order["doctors"]
    assert summary.patients == order["patients"]
    assert list(find_problems(small, now=datetime(2020, 1, 1, tzinfo=UTC))) == []


def test_two_hundred_doctors_have_two_hundred_addresses() -> None:
    doctors = make_doctors(200, random.Random(1))
    assert len({doctor.slug for doctor in doctors}) == len({doctor.name for doctor in doctors}) == 200
    assert all(doctor.slug.replace("-", "").isascii() and doctor.slug.replace("-", "").isalpha() for doctor in doctors)


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Dr. Emre Yıldız", "emre-yildiz"), ("Dr. Inès Moreau", "ines-moreau"), ("Zoë Wójcik", "zoe-wojcik")],
)
def test_addresses_are_plain_letters(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize("years", range(2024, 2036))
def test_demo_data_of_any_day_has_a_closure_in_the_coming_weeks(years: int) -> None:
    for today in (date(years, 1, 1) + timedelta(days=day) for day in range(0, 365, 3)):
        training = [row for row in closures(today, today) if row["name"] == "Team training day"]
        assert len(training) == 1
        assert timedelta(days=7) < training[0]["starts_on"] - today < timedelta(weeks=6)


@pytest.mark.parametrize(
    ("year", "day"), [(2024, "2024-04-01"), (2025, "2025-04-21"), (2026, "2026-04-06"), (2038, "2038-04-26")]
)
def test_easter_monday_is_computed(year: int, day: str) -> None:
    found = [row["starts_on"] for row in closures(date(year, 1, 1), date(year, 6, 1)) if row["name"] == "Easter Monday"]
    assert found == [date.fromisoformat(day)]


@pytest.mark.parametrize(
    ("day", "months", "earlier"),
    [
        ("2026-11-23", 3, "2026-08-23"),
        ("2026-03-31", 1, "2026-02-28"),
        ("2026-01-31", 2, "2025-11-30"),
        ("2024-02-29", 12, "2023-02-28"),
        ("2026-12-31", 0, "2026-12-31"),
    ],
)
def test_months_are_counted_back(day: str, months: int, earlier: str) -> None:
    assert months_before(date.fromisoformat(day), months) == date.fromisoformat(earlier)
