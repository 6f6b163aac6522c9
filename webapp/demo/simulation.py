"""Simulates the day of a demo clinic: people call, confirm, come, are seen, move and cancel, as at a front desk.

In the evening and on a Sunday it is the next day with appointments. Everything goes through the services, as if the
demo's front desk had done it on its pages.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import walk_ins
from webapp.appointments.booking import service, status_service
from webapp.appointments.schemas import Booking, Cancellation, ChangeStatus, Move
from webapp.appointments.walk_ins import Queue
from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic
from webapp.core.local_time import first_instant
from webapp.database import Database
from webapp.demo import DEMO_ACCOUNTS
from webapp.doctors.models import Doctor
from webapp.doctors.service import DoctorRow, get_doctor_by_id, list_doctors
from webapp.exceptions import AppError, Conflict
from webapp.i18n import gettext as _
from webapp.patients.models import Patient
from webapp.scheduling.facts import BookingRequest, FreeTime, free_times, load_facts, within_notice
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.slots import to_datetime, to_minute
from webapp.scheduling.viewer import Viewer

# Patients come a little early.
EARLY = timedelta(minutes=20)
# After this the front desk gives up on them.
LATE = timedelta(hours=1)
BOOKED_FOR_EACH_CANCELLED = 4
# At most this many walk-ins wait. A doctor who has time within this time takes them in.
MOST_WALK_INS = 4
SOON = timedelta(minutes=30)


class NoDemo(Conflict):
    """The database is no demo clinic: a real one must not be simulated."""

    code = "no_demo"


class Simulation:
    """The simulated front desk of a demo clinic."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, seed: int = 1) -> None:
        self._database = database
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - nothing secret is made.
        self._booked = self._cancelled = 0
        with database.reading() as session:
            self._desk = _desk_of(session)

    def do_something(self) -> str | None:
        """Do one thing in the clinic's day, and describe it; None if nothing is possible now."""
        actions = [self._arrive, self._arrive, self._complete, self._complete, self._confirm]
        actions += [self._book, self._book, self._move, self._cancel, self._walk_in, self._take_in]
        self._random.shuffle(actions)
        for action in actions:
            try:
                done = action(self._clock())
            except AppError:
                # A rule refuses it, or a visitor of the demo was quicker.
                continue
            if done is not None:
                return done
        return None

    def let_walk_ins_come(self, count: int) -> None:
        """Let `count` patients come without an appointment, if the clinic is open now."""
        for _number in range(count):
            with suppress(AppError):
                self._walk_in(self._clock())

    def day(self) -> date:
        """The simulated day: today while a patient is still expected or waiting, else the next such day."""
        now = self._clock()
        with self._database.reading() as session:
            clinic = get_clinic(session)
            begins = first_instant(clinic.today(now), clinic.zone)
            left = sa.and_(Appointment.status.in_((*ACTIVE, "arrived")), Appointment.starts_at > now - LATE)
            query = sa.select(sa.func.min(Appointment.starts_at)).where(Appointment.starts_at >= begins, left)
            first: datetime | None = session.scalar(query)
        return clinic.today(first or now)

    def _confirm(self, now: datetime) -> str | None:
        found = self._pick(Appointment.status == "scheduled", Appointment.starts_at > now)
        return found and self._set(found, "confirmed", _("%(name)s confirmed."), now=now)

    def _arrive(self, now: datetime) -> str | None:
        found = self._pick(Appointment.status.in_(ACTIVE), Appointment.starts_at <= now + EARLY)
        return found and self._set(found, "arrived", _("%(name)s arrived."), now=now)

    def _complete(self, now: datetime) -> str | None:
        found = self._pick(Appointment.status == "arrived", Appointment.starts_at <= now)
        return found and self._set(found, "completed", _("%(name)s was seen."), now=now)

    def _book(self, now: datetime) -> str | None:
        with self._database.reading() as session:
            doctor = self._random.choice(list_doctors(session))
            time = self._free_time(session, doctor, now=now)
            patients = session.execute(sa.select(Patient.id, Patient.name).where(Patient.closed_at.is_(None))).all()
        if time is None or not patients:
            return None
        patient_id, name = self._random.choice(patients)
        command = Booking(doctor=doctor.slug, starts_at=to_datetime(time.start), patient_id=patient_id)
        self._database.write(service.book, self._desk, command, now=now)
        self._booked += 1
        return _("%(name)s called and got an appointment with %(doctor)s.") % {"name": name, "doctor": doctor.name}

    def _move(self, now: datetime) -> str | None:
        found = self._pick(Appointment.status.in_(ACTIVE), Appointment.starts_at > now)
        if found is None:
            return None
        with self._database.reading() as session:
            doctor = get_doctor_by_id(session, found.doctor_id)
            time = self._free_time(session, doctor, now=now)
        if time is None:
            return None
        command = Move(starts_at=to_datetime(time.start))
        self._database.write(service.move, self._desk, found.reference, command, now=now)
        return _("%(name)s has another time.") % {"name": found.name}

    def _cancel(self, now: datetime) -> str | None:
        # Fewer patients cancel than book: otherwise no appointment would be left in the end, for example in the
        # evening.
        if self._booked < BOOKED_FOR_EACH_CANCELLED * (self._cancelled + 1):
            return None
        found = self._pick(Appointment.status.in_(ACTIVE), Appointment.starts_at > now)
        if found is None:
            return None
        self._database.write(service.cancel, self._desk, found.reference, Cancellation(), now=now)
        self._cancelled += 1
        return _("%(name)s cancelled.") % {"name": found.name}

    def _walk_in(self, now: datetime) -> str | None:
        """While the clinic is open, a patient comes who has no appointment, for a doctor, a specialty or any doctor."""
        with self._database.reading() as session:
            today = get_clinic(session).today(now)
            waiting = sum(each.status == "waiting" for each in walk_ins.list_of_day(session, today))
            begun = session.scalar(sa.select(sa.func.max(Appointment.starts_at)).where(Appointment.starts_at <= now))
            is_open = begun is not None and get_clinic(session).today(begun) == today == self.day()
            begins, ends = (first_instant(today + timedelta(days=days), get_clinic(session).zone) for days in (0, 1))
            today_too = sa.select(Appointment.patient_id).where(
                Appointment.starts_at >= begins, Appointment.starts_at < ends, Appointment.status != "cancelled"
            )
            others = Patient.closed_at.is_(None), Patient.id.not_in(today_too)
            patients = session.execute(sa.select(Patient.id, Patient.name).where(*others)).all()
        # They come to a doctor who is still to see patients today.
        due = self._pick(Appointment.status.in_(ACTIVE), Appointment.starts_at > now)
        if not is_open or waiting >= MOST_WALK_INS or not patients or due is None:
            return None
        with self._database.reading() as session:
            doctor = get_doctor_by_id(session, due.doctor_id)
        patient_id, name = self._random.choice(patients)
        queues = [Queue(), Queue(specialty=doctor.specialty), Queue(doctor=doctor.slug)]
        queue = self._random.choice(queues)
        queue.urgent = self._random.random() < 0.2
        self._database.write(walk_ins.join, self._desk, patient_id, queue, now=now)
        return _("%(name)s came without an appointment.") % {"name": name}

    def _take_in(self, now: datetime) -> str | None:
        """Let the first walk-in for whom a doctor has time soon go to the doctor who has time first."""
        with self._database.reading() as session:
            clinic = get_clinic(session)
            today, listed = clinic.today(now), list_doctors(session)
            waiting = [each for each in walk_ins.list_of_day(session, today) if each.status == "waiting"]
            wishes, viewer = [BookingRequest(each, each.visit_types[0]) for each in listed], Viewer(by_staff=True)
            facts = load_facts(session, clinic, wishes, today, today, now=now, viewer=viewer)
        soon = to_minute(now + SOON)
        free = [(times[0].start, each) for each in listed if (times := within_notice(facts[each.id]))]
        for view in waiting:
            fitting = [
                (start, each)
                for start, each in free
                if start <= soon and view.doctor_id in {None, each.id} and each.fits(specialty=view.specialty)
            ]
            if fitting:
                start, doctor = min(fitting, key=lambda each: each[0])
                reason = _("Walk-in")
                command = Booking(doctor=doctor.slug, starts_at=to_datetime(start), override_reason=reason)
                self._database.write(walk_ins.take_in, self._desk, view.id, command, now=now)
                return _("%(name)s was taken in by %(doctor)s.") % {"name": view.patient_name, "doctor": doctor.name}
        return None

    def _set(self, found: sa.Row[*tuple[str, int, str]], status: str, words: str, *, now: datetime) -> str:
        command = ChangeStatus.model_validate({"status": status})
        self._database.write(status_service.change_status, self._desk, found.reference, command, now=now)
        return words % {"name": found.name}

    def _pick(self, *conditions: sa.ColumnElement[bool]) -> sa.Row[*tuple[str, int, str]] | None:
        """One of the day's appointments: its reference, its doctor's id and its patient's name."""
        day = self.day()
        with self._database.reading() as session:
            begins = first_instant(day, get_clinic(session).zone)
            today = Appointment.starts_at.between(begins, begins + timedelta(days=1))
            query = (
                sa.select(Appointment.reference, Appointment.doctor_id, Patient.name)
                .join(Patient, Patient.id == Appointment.patient_id)
                .join(Doctor, Doctor.id == Appointment.doctor_id)
                .where(today, Doctor.active.is_(True), *conditions)
                .order_by(Appointment.starts_at)
            )
            found = session.execute(query).all()
        return self._random.choice(found) if found else None

    def _free_time(self, session: Session, doctor: DoctorRow, *, now: datetime) -> FreeTime | None:
        """A free time of this doctor on the simulated day, or else on the next one."""
        clinic, viewer = get_clinic(session), Viewer(by_staff=True)
        for day in (self.day(), self.day() + timedelta(days=1)):
            wish = BookingRequest(doctor, doctor.visit_types[0])
            times = free_times(load_facts(session, clinic, [wish], day, day, now=now, viewer=viewer)[doctor.id])
            if times:
                return self._random.choice(times)
        return None


def _desk_of(session: Session) -> Actor:
    """The demo's front desk.

    Raises:
        NoDemo: this is no demo clinic.
    """
    email = dict(DEMO_ACCOUNTS)["Front desk"]
    user = session.execute(sa.select(User.id, User.name, User.role).where(User.email == email)).one_or_none()
    if user is None or not get_clinic(session).demo:
        raise NoDemo(_("This isn’t a demo clinic, so nothing moves by itself."))
    return Actor(user.id, 0, user.name, email, user.role)
