"""Times that can be booked: one after the other they are used up by the bookings that are measured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp import models
from webapp.auth import service as auth
from webapp.clinic.service import get_clinic
from webapp.doctors.service import list_doctors
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.slots import to_datetime

# A day far enough ahead that the demo has left it empty, and a day inside the clinic's horizon.
FIRST_DAY, LAST_DAY = 45, 88
A_DAY = 3
APART = timedelta(hours=2)


class Visitor(NamedTuple):
    """A patient who is signed in."""

    user_id: int
    patient_id: int
    secret: str


class BookingWish(NamedTuple):
    """One booking, with everything that the raw transaction needs to know."""

    visitor: Visitor
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
        return self.visitor.user_id

    @property
    def patient_id(self) -> int:
        """The patient who comes."""
        return self.visitor.patient_id

    def form(self) -> dict[str, str]:
        """The fields of the booking page."""
        return {
            "doctor": self.doctor_slug,
            "visit_type": str(self.visit_type_id),
            "starts_at": f"{self.starts_at:%Y-%m-%dT%H:%M:%SZ}",
            "reason": self.reason,
            "notes": "",
        }


def sign_in(session: Session, count: int, now: datetime) -> list[Visitor]:
    """Open a session for each of the first patients, without the cost of a password."""
    query = (
        sa.select(models.Patient.user_id, models.Patient.id)
        .where(models.Patient.user_id.is_not(None))
        .order_by(models.Patient.id)
        .limit(count)
    )
    return [
        Visitor(
            user_id, patient_id, auth.start_session(session, user_id, address="127.0.0.1", user_agent="bench", now=now)
        )
        for user_id, patient_id in session.execute(query).all()
        if user_id is not None
    ]


def find_wishes(session: Session, visitors: list[Visitor], now: datetime) -> Iterator[BookingWish]:
    """Free times of all doctors; no visitor comes twice on one day, and no two times are near each other."""
    clinic = get_clinic(session)
    wishes = [BookingRequest(doctor, kind) for doctor in list_doctors(session) if (kind := doctor.visit_type(None))]
    first = clinic.today(now) + timedelta(days=FIRST_DAY)
    for ahead in range(LAST_DAY - FIRST_DAY):
        day = first + timedelta(days=ahead)
        facts = load_facts(session, clinic, wishes, day, day, now=now)
        waiting = iter(visitors)
        for wish in wishes:
            latest: datetime | None = None
            for time in free_times(facts[wish.doctor.id]):
                start = to_datetime(time.start)
                if latest is not None and start < latest + APART:
                    continue
                visitor = next(waiting, None)
                if visitor is None:
                    break
                latest = start
                yield _wish(wish, visitor, start, now)


def _wish(wish: BookingRequest, visitor: Visitor, start: datetime, now: datetime) -> BookingWish:
    kind = wish.visit_type
    end = start + timedelta(minutes=kind.minutes)
    return BookingWish(
        visitor,
        wish.doctor.id,
        wish.doctor.slug,
        kind.id,
        start,
        end,
        start - timedelta(minutes=kind.buffer_before),
        end + timedelta(minutes=kind.buffer_after),
        now,
    )
