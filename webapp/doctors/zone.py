"""Moving the clinic to another time zone: all wall-clock times stay the same, including those of doctors' leave.

Opening hours, working hours, extra hours and closures are wall-clock times already. Leave is stored as instants, so it
is shifted until the wall clock shows the same times as before. Appointments are promises about instants and stay.
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
    """Save the clinic's time zone and shift all leave that is not over; return how many spans were shifted.

    Raises:
        Invalid: there is no such zone. EditedMeanwhile: another user saved a different one after `seen` was read.
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
    """The span with the same wall-clock times in the new zone as in the old one."""
    start, end = _on_same_clock(starts_at, old, new), _on_same_clock(ends_at, old, new)
    # In an hour that a clock change skips or repeats, the end could otherwise lie before the start.
    return start, end if end > start else start + (ends_at - starts_at)


def _on_same_clock(instant: datetime, old: ZoneInfo, new: ZoneInfo) -> datetime:
    return instant.astimezone(old).replace(tzinfo=new).astimezone(UTC)
