"""Free times for the bookings that are measured: each booking uses up one of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp import models
from webapp.auth import sessions
from webapp.clinic.service import get_clinic
from webapp.doctors.service import list_doctors
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.slots import to_datetime

# The first day is far enough ahead to be empty in the demo data, and the last one lies inside the clinic's horizon.
FIRST_DAY, LAST_DAY = 45, 88
A_DAY = 3
APART = timedelta(hours=2)


class SignedInPatient(NamedTuple):
    """A patient with a session."""

    user_id: int
    patient_id: int
    secret: str


class PlannedBooking(NamedTuple):
    """One booking, with all values that the raw transaction needs."""

    patient: SignedInPatient
    doctor_id: int
    doctor_slug: str
    visit_type_id: int
    starts_at: datetime
    ends_at: datetime
    busy_from: datetime
    busy_until: datetime
    now: datetime
    reason: str = "The rash on my arm came back."

    @property
    def user_id(self) -> int:
        """The account that books."""
        return self.patient.user_id

    @property
    def patient_id(self) -> int:
        """The patient who has the appointment."""
        return self.patient.patient_id

    def form(self) -> dict[str, str]:
        """The fields of the booking page's form."""
        return {
            "doctor": self.doctor_slug,
            "visit_type": str(self.visit_type_id),
            "starts_at": f"{self.starts_at:%Y-%m-%dT%H:%M:%SZ}",
            "reason": self.reason,
            "notes": "",
        }


def sign_in(session: Session, count: int, now: datetime) -> list[SignedInPatient]:
    """Start a session for each of the first patients, without the cost of checking a password."""
    query = (
        sa.select(models.Patient.user_id, models.Patient.id)
        .where(models.Patient.user_id.is_not(None))
        .order_by(models.Patient.id)
        .limit(count)
    )
    return [
        SignedInPatient(
            user_id,
            patient_id,
            sessions.start_session(session, user_id, address="127.0.0.1", user_agent="bench", now=now),
        )
        for user_id, patient_id in session.execute(query).all()
        if user_id is not None
    ]


def plan_bookings(session: Session, patients: list[SignedInPatient], now: datetime) -> Iterator[PlannedBooking]:
    """Bookings of free times with all doctors: no patient has two on one day, and no two times are close together."""
    clinic = get_clinic(session)
    requests = [BookingRequest(doctor, kind) for doctor in list_doctors(session) if (kind := doctor.visit_type(None))]
    first = clinic.today(now) + timedelta(days=FIRST_DAY)
    for ahead in range(LAST_DAY - FIRST_DAY):
        day = first + timedelta(days=ahead)
        facts = load_facts(session, clinic, requests, day, day, now=now)
        waiting = iter(patients)
        for request in requests:
            latest: datetime | None = None
            for time in free_times(facts[request.doctor.id]):
                start = to_datetime(time.start)
                if latest is not None and start < latest + APART:
                    continue
                patient = next(waiting, None)
                if patient is None:
                    break
                latest = start
                yield _planned(request, patient, start, now)


def _planned(request: BookingRequest, patient: SignedInPatient, start: datetime, now: datetime) -> PlannedBooking:
    kind = request.visit_type
    end = start + timedelta(minutes=kind.minutes)
    return PlannedBooking(
        patient,
        request.doctor.id,
        request.doctor.slug,
        kind.id,
        start,
        end,
        start - timedelta(minutes=kind.buffer_before),
        end + timedelta(minutes=kind.buffer_after),
        now,
    )
