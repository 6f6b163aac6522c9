"""Appointments whose instant no longer has the promised hour on the clinic's clock. A law may change the clocks, and a
wrong time zone may be corrected. Time zone data then give another hour for the same instant, while the patient still
knows the promised one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.schedule_versions import versions_seen
from webapp.clinic.service import Clinic
from webapp.core.local_time import instants_of, wall_minute, wall_time
from webapp.database import rows, table_of
from webapp.scheduling.models import OCCUPIES, OPEN, Appointment
from webapp.scheduling.slots import pieces_of, to_datetime
from webapp.sql_functions import minute_of

# Two zones show times that are at most so far apart.
_FURTHEST = timedelta(hours=26)


class BrokenPromise(NamedTuple):
    """An appointment ahead and what was promised, a `wall_minute`. All instants are UTC."""

    id: int
    reference: str
    version: int
    status: str
    doctor_id: int
    patient_id: int
    starts_at: datetime
    ends_at: datetime
    busy_from: datetime
    busy_until: datetime
    promised_minute: int

    @property
    def promised(self) -> datetime:
        """The naive wall-clock time that was promised."""
        return wall_time(self.promised_minute)

    def start_in(self, clinic: Clinic) -> datetime | None:
        """The instant at which the clinic's clock shows the promised time; None if the clocks skip it that day.

        If there are two instants, it is the one nearer to the present start.
        """
        meant = instants_of(self.promised, clinic.zone)
        return min(meant, key=lambda instant: abs(instant - self.starts_at), default=None)


_APPOINTMENT = table_of(Appointment).c


def find_broken(
    session: Session, clinic: Clinic, *, now: datetime, any_status: bool = False, limit: int | None = None
) -> tuple[int, list[BrokenPromise]]:
    """How many appointments ahead have another hour than the promised one, and the first `limit` of them.

    An appointment is ahead until both its instant and its promised hour are over. Only scheduled, confirmed and arrived
    ones count, unless `any_status`.
    """
    if not any_status and _is_known_unbroken(session, clinic):
        return 0, []
    broken = _condition(session, clinic, now)
    query = (
        sa.select(*(_APPOINTMENT[name] for name in BrokenPromise._fields), sa.func.count().over())
        .where(broken if any_status else sa.and_(broken, OPEN))
        .order_by(_APPOINTMENT.starts_at, _APPOINTMENT.id)
        .limit(limit)
    )
    found = rows(session, query).all()
    if not found and not any_status and not _may_be_open_again(session, broken):
        _note_unbroken(session, clinic)
    return (found[0][-1] if found else 0), [BrokenPromise._make(row[:-1]) for row in found]


# If no promise is broken, none will be until a schedule or the zone changes: as time passes, appointments only drop out
# of the query. A process knows one version of the data about time zones.


def _may_be_open_again(session: Session, broken: sa.ColumnElement[bool]) -> bool:
    """Whether an appointment with a broken promise still takes its time, such as one that is completed before its hour:
    undoing that changes no schedule.
    """
    query = sa.select(sa.exists().where(broken, OCCUPIES))
    return bool(rows(session, query).scalar())


def _is_known_unbroken(session: Session, clinic: Clinic) -> bool:
    versions = versions_seen(session)
    return versions is not None and bool(versions.cache.find(("promises", clinic.zone.key), versions.of_all_doctors()))


def _note_unbroken(session: Session, clinic: Clinic) -> None:
    if (versions := versions_seen(session)) is not None:
        versions.cache.keep(("promises", clinic.zone.key), versions.of_all_doctors(), value=True)


def _condition(session: Session, clinic: Clinic, now: datetime) -> sa.ColumnElement[bool]:
    """The condition of a broken promise.

    The offsets come from Python's time zone data; the database, which may have other data, only adds them.
    """
    since = now - _FURTHEST
    latest: datetime | None = rows(
        session, sa.select(sa.func.max(_APPOINTMENT.starts_at)).where(_APPOINTMENT.starts_at > since)
    ).scalar()
    first, last = (instant.astimezone(clinic.zone).date() for instant in (since, latest or since))
    *changes, lasting = pieces_of(clinic.zone, first, last)
    offset: sa.ColumnElement[int] = sa.literal(lasting.offset, sa.Integer)
    if changes:
        ends = ((_APPOINTMENT.starts_at < to_datetime(piece.end), piece.offset) for piece in changes)
        offset = sa.case(*ends, else_=lasting.offset)
    return sa.and_(
        _APPOINTMENT.starts_at > since,
        sa.or_(_APPOINTMENT.starts_at > now, _APPOINTMENT.promised_minute > wall_minute(now, clinic.zone)),
        _APPOINTMENT.promised_minute != minute_of(_APPOINTMENT.starts_at) + offset,
    )
