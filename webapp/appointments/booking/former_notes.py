"""Private notes when an appointment gets another doctor: each note stays with the doctor who wrote it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.models import FormerNote
from webapp.scheduling.models import Appointment


def hand_over(session: Session, appointment_id: int, *, giver: int, taker: int) -> None:
    """Give a locked appointment the note of the doctor who takes it over, and store another doctor's note separately.

    A process of an earlier release, which may still run during an upgrade, leaves another doctor's note in the
    appointment. So this is also called before the present doctor writes a note, with that doctor as the old and the new
    one.
    """
    this = Appointment.id == appointment_id
    query = sa.select(Appointment.private_note, Appointment.note_doctor_id).where(this)
    note, author = session.execute(query).one()
    if note and (author or giver) == taker:
        back = note
    else:
        back = _take_out(session, appointment_id, taker)
        if note:
            _put_in(session, appointment_id, author or giver, note)
    if (note, author) != (back, None):
        changed = sa.update(Appointment).where(this).values(private_note=back, note_doctor_id=None)
        session.execute(changed.execution_options(synchronize_session=False))


def _put_in(session: Session, appointment_id: int, doctor_id: int, note: str) -> None:
    """Keep a doctor's note; it replaces an older one."""
    _take_out(session, appointment_id, doctor_id)
    row = {"appointment_id": appointment_id, "doctor_id": doctor_id, "text": note}
    session.execute(sa.insert(FormerNote).values(row))


def _take_out(session: Session, appointment_id: int, doctor_id: int) -> str:
    """The note that is kept for this doctor, or ''."""
    theirs = sa.delete(FormerNote).where(FormerNote.appointment_id == appointment_id, FormerNote.doctor_id == doctor_id)
    found = session.execute(theirs.returning(FormerNote.text).execution_options(synchronize_session=False))
    return found.scalar_one_or_none() or ""
