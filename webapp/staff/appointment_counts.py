"""Numbers and examples of booked appointments, for the pages on which admins set up the clinic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import rows, table_of
from webapp.scheduling.models import OCCUPIES, Appointment

_APPOINTMENT = table_of(Appointment).c


def count_by_doctor(session: Session, doctor_ids: Sequence[int], start: datetime, end: datetime) -> dict[int, int]:
    """How many appointments begin in [start, end) and occupy time, by doctor; doctors without any are left out."""
    query = (
        sa.select(_APPOINTMENT.doctor_id, sa.func.count())
        .where(
            _APPOINTMENT.doctor_id.in_(list(doctor_ids)),
            _APPOINTMENT.starts_at >= start,
            _APPOINTMENT.starts_at < end,
            OCCUPIES,
        )
        .group_by(_APPOINTMENT.doctor_id)
    )
    return {row[0]: row[1] for row in rows(session, query)}


def next_starts(session: Session, *, now: datetime, limit: int) -> list[datetime]:
    """The instants at which the next booked appointments begin, each once."""
    query = (
        sa.select(_APPOINTMENT.starts_at)
        .where(_APPOINTMENT.starts_at > now, OCCUPIES)
        .distinct()
        .order_by(_APPOINTMENT.starts_at)
        .limit(limit)
    )
    return list(rows(session, query).scalars())
