"""Sets and removes flags on appointments that need attention, with a few statements for any number of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.impact.schemas import Pending
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.core.codes import stored
from webapp.scheduling.models import Appointment

# Databases limit the number of values in a statement.
IDS_AT_ONCE = 500


def flag(session: Session, actor: Actor, pending: Sequence[Pending], *, now: datetime) -> None:
    """Keep these appointments and flag them for attention; a few statements, however many they are."""
    ids: dict[str, list[int]] = defaultdict(list)
    for each in pending:
        ids[stored(each.code, each.why)].append(each.appointment.id)
    for why, of_this in ids.items():
        _set_flags(session, of_this, why, now=now)
        audit.record_all_by(session, actor, "flagged", subject_type="appointment", subject_ids=of_this, now=now)


def unflag(session: Session, actor: Actor, ids: Sequence[int], *, now: datetime) -> None:
    """Remove the flags from these appointments."""
    _set_flags(session, ids, "", now=now)
    audit.record_all_by(session, actor, "unflagged", subject_type="appointment", subject_ids=ids, now=now)


def _set_flags(session: Session, ids: Sequence[int], why: str, *, now: datetime) -> None:
    for at in range(0, len(ids), IDS_AT_ONCE):
        session.execute(
            sa.update(Appointment)
            .where(Appointment.id.in_(ids[at : at + IDS_AT_ONCE]))
            .values(flagged_why=why, version=Appointment.version + 1, updated_at=now)
            .execution_options(synchronize_session=False)
        )
