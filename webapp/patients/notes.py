"""Notes of staff about a patient: the alert that every day shows, and the note on the record.

Both may say something about health, so neither is ever written to the audit log or sent in a message.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.core.optimistic_lock import require_unchanged
from webapp.patients.exceptions import NoSuchPatient, RecordClosed
from webapp.patients.models import Patient
from webapp.patients.schemas import PatientNotes


def get_notes(session: Session, patient_id: int, *, lock: bool = False) -> PatientNotes:
    """The alert and the note about a patient.

    Raises:
        NoSuchPatient. RecordClosed: `lock` was asked for, and the record is locked until it is erased.
    """
    query = sa.select(Patient.alert, Patient.desk_note, Patient.closed_at).where(Patient.id == patient_id)
    row = session.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()
    if row is None:
        raise NoSuchPatient
    if lock and row.closed_at is not None:
        raise RecordClosed
    return PatientNotes.model_construct(alert=row.alert, desk_note=row.desk_note)


def write_notes(
    session: Session, actor: Actor, patient_id: int, notes: PatientNotes, *, seen: str, now: datetime
) -> None:
    """Save the alert and the note. `seen` is the fingerprint of the state that the form showed.

    Raises:
        NoSuchPatient, RecordClosed. EditedMeanwhile: another user saved first.
    """
    require_unchanged(get_notes(session, patient_id, lock=True), seen, wanted=notes)
    session.execute(
        sa.update(Patient)
        .where(Patient.id == patient_id)
        .values(alert=notes.alert, desk_note=notes.desk_note)
        .execution_options(synchronize_session=False)
    )
    audit.record_by(session, actor, "patient_notes_changed", subject=("patient", patient_id), now=now)
