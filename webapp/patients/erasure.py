"""Erases a patient's record: an anonymous row stays, to which the appointments belong."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import UtcDateTime
from webapp.events.kinds import AccountErased, PatientErased
from webapp.patients.models import NO_LINK, JoinedRecord, Patient, PatientWord, PossibleDuplicate


def blank_record(session: Session, event: PatientErased, /, *, now: datetime) -> None:
    """Blank the record; only its id and the time of erasing stay."""
    hide(session, event.patient_id)
    _update(
        session,
        sa.update(Patient)
        .where(Patient.id == event.patient_id)
        .values(
            name="",
            sort_name="",
            birth_date=None,
            phone="",
            email="",
            alert="",
            desk_note="",
            wants_email=False,
            wants_sms=False,
            closed_at=sa.func.coalesce(Patient.closed_at, sa.literal(now, UtcDateTime())),
            erase_on=None,
            erased_at=now,
        ),
    )


def detach_account(session: Session, event: AccountErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Remove the link from the record to its account."""
    _update(session, sa.update(Patient).where(Patient.user_id == event.user_id).values(user_id=None))


def hide(session: Session, patient_id: int) -> None:
    """Hide the record from searches, and end its links to people who book for it or for whom it books."""
    session.execute(sa.delete(PatientWord).where(PatientWord.patient_id == patient_id))
    pair = sa.or_(PossibleDuplicate.patient_id == patient_id, PossibleDuplicate.other_id == patient_id)
    session.execute(sa.delete(PossibleDuplicate).where(pair))
    forget_joins(session, patient_id)
    linked = sa.or_(Patient.managed_by_id == patient_id, Patient.id == patient_id)
    _update(session, sa.update(Patient).where(linked).values(NO_LINK))


def forget_joins(session: Session, patient_id: int) -> None:
    """Delete the stored state of records that were joined to this one, and of those that were joined to them."""
    stays = [patient_id]
    while stays:
        joins = sa.delete(JoinedRecord).where(JoinedRecord.stays_id.in_(stays)).returning(JoinedRecord.gone_id)
        stays = list(session.scalars(joins.execution_options(synchronize_session=False)))


def _update(session: Session, statement: sa.Update) -> None:
    session.execute(statement.execution_options(synchronize_session=False))
