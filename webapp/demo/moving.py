"""A demo clinic whose day moves: people call, confirm, come, are seen, move and cancel, as at a front desk.

In the evening and on a Sunday it is the next day with appointments. Everything goes through the services, as if the
demo's front desk had done it on its pages.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.booking import service, status_service
from webapp.appointments.schemas import Booking, Cancellation, ChangeStatus, Move
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
from webapp.scheduling.facts import BookingRequest, FreeTime, free_times, load_facts
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.slots import to_datetime
from webapp.scheduling.viewer import Viewer

# Patients come a little early.
EARLY = timedelta(minutes=20)
# After this the front desk gives up on them.
LATE = timedelta(hours=1)


class NoDemo(Conflict):
    """The database is no demo clinic: nothing must move in a real one by itself."""

    code = "no_demo"


class Moving:
    """The front desk of a demo clinic, and what it does next."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, seed: int = 1) -> None:
        self._database = database
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - nothing secret is made.
        with database.reading() as session:
            self._desk = _desk_of(session)

    def do_something(self) -> str | None:
        """Do one thing in the clinic's day, and return it in words; None if nothing is possible now."""
        deeds = [self._arrive, self._arrive, self._complete, self._complete, self._confirm]
        deeds += [self._book, self._book, self._move, self._cancel]
        self._random.shuffle(deeds)
        for deed in deeds:
            try:
                done = deed(self._clock())
            except AppError:
                # A rule is against it, or a visitor of the demo was quicker.
                continue
            if done is not None:
                return done
        return None

    def day(self) -> date:
        """The day that moves: today while someone is still to come or to be seen, else the next such day."""
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
        # Now and then: else no one would be left in the end.
        if self._random.random() > 0.3:
            return None
        found = self._pick(Appointment.status.in_(ACTIVE), Appointment.starts_at > now)
        if found is None:
            return None
        self._database.write(service.cancel, self._desk, found.reference, Cancellation(), now=now)
        return _("%(name)s cancelled.") % {"name": found.name}

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
        """A time of this doctor on the day that moves, or else on the one after it."""
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
