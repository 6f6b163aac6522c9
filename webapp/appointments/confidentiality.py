"""Makes an appointment confidential, or undoes that: whether the person who books for the patient sees it.

Sent messages cannot be taken back. Waiting messages do not reach the guardian, and the links in earlier ones stop
working for them.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.appointments.booking.appointment_row import lock_for_change, record, update_row
from webapp.appointments.exceptions import ChangedMeanwhile
from webapp.appointments.messages.appointment_messages import REMINDER
from webapp.appointments.messages.redirection import withdraw_from
from webapp.appointments.schemas import ChangeConfidentiality
from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _
from webapp.notifications.models import OutboxMessage
from webapp.patients.models import Patient, link_is_active


class InformedGuardian(NamedTuple):
    """The name of the person who books for the patient, or '', and how many messages about it they have got before."""

    guardian: str
    messages: int


class _Guardian(NamedTuple):
    id: int
    name: str
    email: str
    phone: str


def set_confidential(
    session: Session, actor: Actor, reference: str, command: ChangeConfidentiality, *, now: datetime
) -> InformedGuardian:
    """Hide an appointment from the person who books for the patient, or show it again; staff.

    Raises:
        ChangedMeanwhile: 409. NoSuchAppointment: 404. Forbidden: patients choose this when they book only.
    """
    if not actor.is_staff:
        raise Forbidden(_("Only clinic staff can change who sees this appointment."))
    view = lock_for_change(session, actor, reference, None)
    guardian = _find_guardian(session, view.patient_id)
    if view.confidential != command.confidential:
        if command.version not in {None, view.version}:
            raise ChangedMeanwhile
        update_row(session, view, now=now, confidential=command.confidential)
        action = "made_confidential" if command.confidential else "shown_to_guardian"
        record(session, actor, action, view.id, now, {}, visible=False)
        if guardian is not None and command.confidential:
            withdraw_from(session, view.patient_id, guardian.id, guardian.email, guardian.phone, now=now)
    if guardian is None:
        return InformedGuardian("", 0)
    return InformedGuardian(guardian.name, _count_sent(session, guardian, view.id, view.reference))


def _find_guardian(session: Session, patient_id: int) -> _Guardian | None:
    guardian = aliased(Patient)
    query = (
        sa.select(guardian.id, guardian.name, sa.func.coalesce(User.email, guardian.email), guardian.phone)
        .join(Patient, Patient.managed_by_id == guardian.id)
        .outerjoin(User, User.id == guardian.user_id)
        .where(Patient.id == patient_id, link_is_active())
    )
    row = session.execute(query).one_or_none()
    return _Guardian(*row) if row is not None else None


def _count_sent(session: Session, guardian: _Guardian, appointment_id: int, reference: str) -> int:
    addresses = [each for each in (guardian.email, guardian.phone) if each]
    to_them = OutboxMessage.recipient.in_(addresses), OutboxMessage.status.in_(("sent", "kept"))
    about = OutboxMessage.subject_type == "appointment", OutboxMessage.subject_id == appointment_id
    count = session.scalar(sa.select(sa.func.count(OutboxMessage.id)).where(*to_them, *about)) or 0
    reminders = sa.select(OutboxMessage.values).where(
        *to_them,
        OutboxMessage.template == REMINDER,
        OutboxMessage.subject_type == "patient",
        OutboxMessage.subject_id == guardian.id,
    )
    said = session.scalars(reminders)
    return count + sum(
        any(appointment["reference"] == reference for appointment in each.get("visits", [])) for each in said
    )
