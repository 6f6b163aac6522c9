"""Appointments written directly into the database, without the rules and the service, but not without the guard."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.cast import NOW, Cast
from webapp.core.local_time import wall_minute
from webapp.database import Database
from webapp.models import Appointment

_numbers = count(1)


def appointment(
    cast: Cast,
    start: str,
    *,
    doctor: str = "bob",
    patient: str = "alice",
    minutes: int = 30,
    before: int = 0,
    after: int = 0,
    status: str = "scheduled",
    squeezed: str = "",
) -> dict[str, Any]:
    """The row of one appointment; `start` is on the clinic's wall clock. `squeezed` is why it is in the second lane."""
    starts_at = cast.local(start)
    ends_at = starts_at + timedelta(minutes=minutes)
    return {
        "reference": f"TEST-{next(_numbers):04d}",
        "doctor_id": cast.doctor_ids[doctor],
        "patient_id": cast.patient_ids[patient],
        "visit_type_id": cast.long,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "promised_minute": wall_minute(starts_at, cast.zone),
        "busy_from": starts_at - timedelta(minutes=before),
        "busy_until": ends_at + timedelta(minutes=after),
        **({"lane": 1, "squeeze_reason": squeezed} if squeezed else {}),
        "status": status,
        "created_at": NOW,
        "updated_at": NOW,
    }


def put(cast: Cast, start: str, **details: Any) -> int:
    """Insert such an appointment and return its id; the guard may raise an IntegrityError."""
    return insert(cast, appointment(cast, start, **details))


def insert(cast: Cast, row: dict[str, Any]) -> int:
    """Insert a row, which may have been made invalid before."""
    query = sa.insert(Appointment).values(row).returning(Appointment.id)
    return cast.database.write(lambda session: session.scalars(query).one())


GUARDS = {"doctor": "busy_times_doctor_overlap", "patient": "appointments_patient_overlap"}
"""What the database names when it refuses an overlap, by whose time it is."""


def take_guard_away(database: Database, *names: str) -> None:
    """Drop the overlap triggers or constraints; with names, only those."""

    def work(session: Session) -> None:
        if database.is_sqlite:
            query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%overlap_on_%'"
            drop = "DROP TRIGGER {}"
        else:
            query = "SELECT conname, conrelid::regclass FROM pg_constraint WHERE contype = 'x'"
            drop = "ALTER TABLE {1} DROP CONSTRAINT {0}"
        for name, table in session.execute(sa.text(query)).all():
            if not names or name in names:
                session.execute(sa.text(drop.format(name, table)))

    database.write(work)
