"""The contents of a database in a few numbers by which an operator recognises it. It reads databases of every
version.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import UtcDateTime

COUNTED = ("users", "doctors", "patients", "appointments")
# A restored database brings back sessions that were signed out since the backup, links that were used, and codes that
# were tried. They are deleted, and people sign in again.
CREDENTIALS = ("refresh_tokens", "sessions", "password_links", "sign_in_codes", "passkey_challenges")

_APPOINTMENTS = sa.table("appointments", sa.column("created_at", UtcDateTime()))
_MESSAGES = sa.table("outbox_messages", sa.column("status", sa.String()))
_CLINIC = sa.table("clinic_settings", sa.column("name", sa.String()))
_VERSION = sa.table("alembic_version", sa.column("version_num", sa.String()))


class Contents(NamedTuple):
    """A few numbers. Without tables of ours, `revision` is None."""

    revision: str | None
    clinic: str
    counts: dict[str, int]
    newest: datetime | None
    waiting: int

    @property
    def holds_data(self) -> bool:
        """Whether anything would be lost with it: an account, a doctor, a patient."""
        return any(self.counts.values())

    def in_words(self) -> list[str]:
        """The contents in sentences."""
        newest = f"the newest was booked at {self.newest:%Y-%m-%d %H:%M} UTC" if self.newest else "there are none yet"
        return [
            f"Clinic: {self.clinic or 'without a name'}, schema revision {self.revision}.",
            ", ".join(f"{name.capitalize()}: {self.counts.get(name, 0)}" for name in COUNTED) + f" ({newest}).",
        ]


def read_contents(session: Session) -> Contents:
    """The contents of the database, in the snapshot of this session."""
    there = set(sa.inspect(session.connection()).get_table_names())
    counts = {
        name: session.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) or 0
        for name in COUNTED
        if name in there
    }
    waiting = sa.select(sa.func.count()).where(_MESSAGES.c.status.in_(("waiting", "sending")))
    return Contents(
        revision=session.scalar(sa.select(_VERSION.c.version_num)) if "alembic_version" in there else None,
        clinic=session.scalar(sa.select(_CLINIC.c.name)) or "" if "clinic_settings" in there else "",
        counts=counts,
        newest=session.scalar(sa.select(sa.func.max(_APPOINTMENTS.c.created_at))) if "appointments" in there else None,
        waiting=session.scalar(waiting) or 0 if "outbox_messages" in there else 0,
    )


def end_credentials(session: Session) -> None:
    """Delete everything that could sign in without a password."""
    there = set(sa.inspect(session.connection()).get_table_names())
    for name in CREDENTIALS:
        if name in there:
            session.execute(sa.delete(sa.table(name)))
