"""Writes the demo clinic: its rows in order of dependency, then appointments and audit rows in chronological order."""

from __future__ import annotations

import random
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.booking.appointment_row import REFERENCE_ALPHABET
from webapp.audit.models import AuditEvent
from webapp.auth.models import SignInRules, User
from webapp.clinic.models import ClinicSettings, Closure, OpeningHours, VisitType
from webapp.clinic.service import get_clinic
from webapp.core import formats
from webapp.core.local_time import wall_minute
from webapp.database import table_of
from webapp.demo import hours
from webapp.demo.cast import DemoDoctor, make_doctors
from webapp.demo.catalogue import KINDS
from webapp.demo.diary import Attendance, PlannedAppointment, Planner
from webapp.demo.people import Person, groups_of, make_people
from webapp.demo.writer import Row, Writer
from webapp.doctors.models import Doctor, ExtraHours, TimeOff, WorkingHours, doctor_visit_types
from webapp.doctors.service import list_doctors
from webapp.patients.models import Patient, PatientWord
from webapp.patients.search_index import words_of
from webapp.scheduling.facts import BookingRequest, load_facts
from webapp.scheduling.models import Appointment
from webapp.scheduling.slots import day_number, to_datetime, to_minute

ZONE = "Europe/Amsterdam"
CLINIC = {
    "name": "Oosterkade Clinic",
    "address": "Oosterkade 18, 1019 ZX Amsterdam",
    "phone": "+31200147200",
    "time_zone": ZONE,
    "zone_confirmed": True,
    "first_specialty": "General practice",
    "demo": True,
}
ADMIN_NAME = "Nell Barrow"
DESK_NAME = "Sam Hollis"
DOMAIN = "docket.example"
PLANNED_PERCENT = 30

Progress = Callable[[int, int], None]


class _DemoAction(NamedTuple):
    action: str
    subject_type: str
    subject_id: int


# How the audit log records that demo data was made, and from which order.
MADE = _DemoAction("demo_made", "clinic", 1)


class DemoParameters(NamedTuple):
    """The parameters of the demo data."""

    today: date
    doctors: int
    patients: int
    months: int
    seed: int

    @property
    def first(self) -> date:
        """The first day of the history."""
        return hours.months_before(self.today, self.months)

    @property
    def last(self) -> date:
        """The last day that has appointments."""
        return self.today + timedelta(days=hours.DAYS_AHEAD)

    @property
    def midnight(self) -> datetime:
        """When `today` begins. No row is dated later, so none comes from the future."""
        return datetime.combine(self.today, time(), ZoneInfo(ZONE)).astimezone(UTC)

    def details(self) -> dict[str, Any]:
        """The order as the audit log stores it."""
        return {**self._asdict(), "today": self.today.isoformat()}


class Maker:
    """One run: rows in order of dependency, then appointments and audit rows in chronological order."""

    def __init__(self, session: Session, order: DemoParameters, password_hash: str, progress: Progress) -> None:
        self._session = session
        self._writer = Writer(session)
        self._order = order
        self._password_hash = password_hash
        self._progress = progress
        self._rng = random.Random(order.seed)  # noqa: S311 - it must be predictable.

    def make(self) -> None:
        """Write the clinic, its doctors, the patients and their appointments."""
        self._progress(0, 100)
        closed = hours.closures(self._order.first, self._order.today)
        self._make_clinic(closed)
        cast = make_doctors(self._order.doctors, self._rng)
        people = make_people(self._order.patients, self._rng, first_day=self._order.first)
        staff, accounts = self._make_accounts(cast, people)
        self._make_doctors(cast, staff, closed)
        patients = self._make_patients(people, accounts)
        self._make_appointments(self._plan(cast, people), patients, accounts)

    def _make_clinic(self, closed: list[Row]) -> None:
        settings = self._session.get(ClinicSettings, 1) or ClinicSettings(id=1)
        for name, value in CLINIC.items():
            setattr(settings, name, value)
        self._session.add(settings)
        # Everyone may try the demo accounts, so they have no second factor.
        self._session.merge(SignInRules(id=1, factor_doctors=False, factor_desk=False, factor_admins=False))
        self._session.flush()
        self._session.execute(sa.delete(OpeningHours))
        weekly = ({"weekday": day, "start_minute": start, "end_minute": end} for day, start, end in hours.OPENING)
        self._writer.add(OpeningHours, weekly)
        self._writer.add(Closure, closed)

    def _make_accounts(self, cast: list[DemoDoctor], people: list[Person]) -> tuple[range, range]:
        """The accounts of the admin, the front desk, the doctors and the patients; all have the same password."""
        earliest = min(person.registered_on for person in people) - timedelta(days=30)
        admin = self._account(f"admin@{DOMAIN}", ADMIN_NAME, "admin", earliest)
        doctors = (
            self._account(f"doctor{number if number > 1 else ''}@{DOMAIN}", doctor.name, "doctor", earliest)
            for number, doctor in enumerate(cast, start=1)
        )
        desk = self._account(f"desk@{DOMAIN}", DESK_NAME, "receptionist", earliest)
        self._writer.add(User, [admin, desk])
        staff = self._writer.add(User, doctors)
        patients = (self._account(person.email, person.name, "patient", person.registered_on) for person in people)
        return staff, self._writer.add(User, patients)

    def _account(self, email: str, name: str, role: str, day: date) -> Row:
        return {
            "email": email,
            "name": name,
            "password_hash": self._password_hash,
            "role": role,
            "active": True,
            "created_at": _at_noon(day),
            "email_confirmed_at": _at_noon(day),
            "last_seen_at": _at_noon(day),
        }

    def _make_doctors(self, cast: list[DemoDoctor], staff: range, closed: list[Row]) -> None:
        """The doctors, the visit types that at least one of them offers, and who offers what."""
        offered = {name for doctor in cast for name in doctor.specialty.kinds}
        kinds = [kind for kind in KINDS if kind.name in offered]
        columns = ("name", "minutes", "buffer_before", "buffer_after", "preparation", "online", "suggested_for")
        rows = ({column: getattr(kind, column) for column in columns} for kind in kinds)
        ids = dict(zip((kind.name for kind in kinds), self._writer.add(VisitType, rows), strict=True))
        doctors = self._writer.add(
            Doctor, (_doctor_row(doctor, at, user) for at, (doctor, user) in enumerate(zip(cast, staff, strict=True)))
        )
        links = [
            {"doctor_id": doctor_id, "visit_type_id": ids[name]}
            for doctor_id, doctor in zip(doctors, cast, strict=True)
            for name in doctor.specialty.kinds
        ]
        self._writer.link(doctor_visit_types, links)
        self._make_hours(doctors, closed)

    def _make_hours(self, doctors: range, closed: list[Row]) -> None:
        zone, today, first = ZoneInfo(ZONE), self._order.today, self._order.first
        of_each = list(enumerate(doctors))
        working = [(number, hours.working_hours(at, today)) for at, number in of_each]
        extra = [(number, hours.extra_hours(at, first, today)) for at, number in of_each]
        away = [(number, hours.time_off(at, today, closed, zone, self._rng)) for at, number in of_each]
        for model, of_doctors in ((WorkingHours, working), (ExtraHours, extra), (TimeOff, away)):
            self._writer.add(model, ({"doctor_id": number, **row} for number, rows in of_doctors for row in rows))

    def _make_patients(self, people: list[Person], accounts: range) -> range:
        numbers = self._writer.add(
            Patient,
            (
                {
                    "user_id": user_id,
                    "name": person.name,
                    "birth_date": person.birth_date,
                    "phone": person.phone,
                    "email": person.email,
                    "created_at": _at_noon(person.registered_on),
                }
                for person, user_id in zip(people, accounts, strict=True)
            ),
        )
        words = [
            {"word": word, "patient_id": number}
            for number, person in zip(numbers, people, strict=True)
            for word in sorted(words_of(person.name, person.email, person.phone))
        ]
        self._writer.link(table_of(PatientWord), words)
        return numbers

    def _plan(self, cast: list[DemoDoctor], people: list[Person]) -> list[PlannedAppointment]:
        """All appointments, in the order in which they were booked. The facts come from the rows written so far."""
        order = self._order
        doctors = list_doctors(self._session)
        requests = [BookingRequest(doctor, doctor.visit_types[0]) for doctor in doctors]
        facts = load_facts(
            self._session, get_clinic(self._session), requests, order.first, order.last, now=order.midnight
        )
        attendance = Attendance(groups_of(people, today=order.today), len(people), self._rng)
        planner = Planner(self._rng, attendance, today=day_number(order.today), midnight=to_minute(order.midnight))
        planner.plan_by_hand(doctors, facts)
        for done, (doctor, demo_doctor) in enumerate(zip(doctors, cast, strict=True), start=1):
            planner.plan_past(doctor, demo_doctor.specialty.people, facts[doctor.id])
            self._progress(PLANNED_PERCENT * done // len(doctors), 100)
        planner.plan_coming()
        return sorted(planner.appointments, key=attrgetter("created", "start", "doctor_id", "person"))

    def _make_appointments(self, appointments: list[PlannedAppointment], patients: range, accounts: range) -> None:
        """The appointments, then the audit log of bookings and cancellations, in chronological order."""
        cancelled = [at for at, appointment in enumerate(appointments) if appointment.status == "cancelled"]
        events = sorted(
            [(appointment.created, at, "booked") for at, appointment in enumerate(appointments)]
            + [(appointments[at].changed, at, "cancelled") for at in cancelled]
        )

        def written(rows: int) -> None:
            share = rows / max(len(appointments) + len(events), 1)
            self._progress(PLANNED_PERCENT + int((99 - PLANNED_PERCENT) * share), 100)

        references = _references(self._rng)
        keys = _link_keys(self._order.seed)
        ids = self._writer.add(
            Appointment,
            (
                {
                    **_appointment_row(
                        appointment, next(references), patients[appointment.person], accounts[appointment.person]
                    ),
                    **next(keys),
                }
                for appointment in appointments
            ),
            written=written,
        )
        log = (
            _event_row(appointments[number], ids[number], accounts[appointments[number].person], action, at)
            for at, number, action in events
        )
        self._writer.add(AuditEvent, log, written=lambda rows: written(len(appointments) + rows))
        self._writer.add(AuditEvent, [_made_row(self._order)])


def _at_noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def _doctor_row(doctor: DemoDoctor, position: int, user_id: int) -> Row:
    return {
        "slug": doctor.slug,
        "user_id": user_id,
        "name": doctor.name,
        "specialty": doctor.specialty.name,
        "languages": doctor.languages,
        "bio": doctor.bio,
        "room": doctor.room,
        "tint": doctor.tint,
        "slot_step": doctor.specialty.slot_step,
        # Most doctors of a clinic see an urgent patient beside their list.
        "squeeze_ins": 0 if position % 4 == 0 else 1,
        "position": position,
    }


def _appointment_row(appointment: PlannedAppointment, reference: str, patient_id: int, user_id: int) -> Row:
    kind, end = appointment.kind, appointment.start + appointment.kind.minutes
    return {
        "reference": reference,
        "doctor_id": appointment.doctor_id,
        "patient_id": patient_id,
        "visit_type_id": kind.id,
        "starts_at": to_datetime(appointment.start),
        "ends_at": to_datetime(end),
        "promised_minute": wall_minute(to_datetime(appointment.start), ZoneInfo(ZONE)),
        "busy_from": to_datetime(appointment.start - kind.buffer_before),
        "busy_until": to_datetime(end + kind.buffer_after),
        "status": appointment.status,
        "reason": appointment.reason,
        "notes": appointment.notes,
        "cancellation_reason": appointment.cancellation_reason,
        "version": 1 if appointment.status == "scheduled" else 2,
        "booked_by": user_id,
        "created_at": to_datetime(appointment.created),
        "updated_at": to_datetime(appointment.changed),
    }


def _event_row(appointment: PlannedAppointment, appointment_id: int, user_id: int, action: str, at: int) -> Row:
    return {
        "at": to_datetime(at),
        "actor_user_id": user_id,
        "actor_role": "patient",
        "action": action,
        "subject_type": "appointment",
        "subject_id": appointment_id,
        "visible": True,
        "details": {"starts_at": formats.iso(to_datetime(appointment.start))},
    }


def _made_row(order: DemoParameters) -> Row:
    """The audit row with which a second run compares its order."""
    return {
        "at": order.midnight,
        "actor_role": "system",
        **MADE._asdict(),
        "details": order.details(),
    }


def _references(rng: random.Random) -> Iterator[str]:
    """Random public references without duplicates."""
    seen: set[int] = set()
    while True:
        number = rng.getrandbits(40)
        if number not in seen:
            seen.add(number)
            letters = "".join(REFERENCE_ALPHABET[number >> shift & 31] for shift in range(0, 40, 5))
            yield f"{letters[:4]}-{letters[4:]}"


def _link_keys(seed: int) -> Iterator[Row]:
    """The keys of links, which are no secrets: a link counts only with our signature.

    They have a separate random generator, so that the other data of a seed stays the same.
    """
    rng = random.Random(f"links of {seed}")  # noqa: S311 - it must be predictable.
    while True:
        yield {"link_key": urlsafe_b64encode(rng.randbytes(16)).rstrip(b"=").decode()}
