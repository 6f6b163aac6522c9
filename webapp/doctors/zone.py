"""The clinic moves to another time zone: its wall clocks go on as they were, and so does the doctors' leave.

Opening hours, working hours, extra hours and closures are wall-clock already. Leave is kept as instants, so it is
shifted until the wall clock says the same as before. Booked visits are promises about instants and stay.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.schemas import Actor
from webapp.clinic import settings
from webapp.clinic.settings import ClinicZone
from webapp.database import table_of
from webapp.doctors.models import TimeOff


def change_zone(session: Session, actor: Actor, command: ClinicZone, *, seen: str, now: datetime) -> int:
    """Save the clinic's time zone and shift all leave that is not over; return how many stretches of it.

    Raises:
        Invalid: there is no such zone. EditedMeanwhile: somebody else saved another one after `seen` was read.
    """
    zones = settings.change_zone(session, actor, command, seen=seen, now=now)
    if zones.old == zones.new:
        return 0
    table = table_of(TimeOff)
    query = sa.select(table.c.id, table.c.starts_at, table.c.ends_at).where(table.c.ends_at > now)
    shifted = [
        {"number": number, "start": start, "end": end}
        for number, start, end in (
            (row.id, *_shifted(row.starts_at, row.ends_at, zones.old, zones.new)) for row in session.execute(query)
        )
    ]
    if shifted:
        update = (
            sa.update(table)
            .where(table.c.id == sa.bindparam("number"))
            .values(starts_at=sa.bindparam("start"), ends_at=sa.bindparam("end"))
        )
        session.connection().execute(update, shifted)
    return len(shifted)


def _shifted(starts_at: datetime, ends_at: datetime, old: ZoneInfo, new: ZoneInfo) -> tuple[datetime, datetime]:
    """The stretch that the wall clock of the new zone calls what the old one's did."""
    start, end = _on_same_clock(starts_at, old, new), _on_same_clock(ends_at, old, new)
    # In the hour that a change of the clocks skips or repeats, its end may come out before its start.
    return start, end if end > start else start + (ends_at - starts_at)


def _on_same_clock(instant: datetime, old: ZoneInfo, new: ZoneInfo) -> datetime:
    return instant.astimezone(old).replace(tzinfo=new).astimezone(UTC)
