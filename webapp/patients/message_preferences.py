"""Which messages about appointments a patient wants. Mails about the account itself are always sent."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.core import phones
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.models import Patient, link_is_active
from webapp.patients.schemas import MessagePreferences


def get_message_preferences(session: Session, actor: Actor) -> MessagePreferences | None:
    """The actor's preferences; None for staff, who are not patients here."""
    if actor.is_staff:
        return None
    query = sa.select(Patient.wants_email, Patient.wants_sms).where(Patient.user_id == actor.user_id)
    row = session.execute(query).one_or_none()
    return MessagePreferences(wants_email=row.wants_email, wants_sms=row.wants_sms) if row else None


def change_message_preferences(session: Session, actor: Actor, command: MessagePreferences, *, now: datetime) -> None:
    """Store the actor's preferences, for themselves and for people without an account for whom they book.

    Raises:
        Invalid: text messages need a telephone number. NoSuchPatient: the actor is no patient.
    """
    query = sa.select(Patient.id, Patient.phone).where(Patient.user_id == actor.user_id)
    own = None if actor.is_staff else session.execute(query.with_for_update(key_share=True)).one_or_none()
    if own is None:
        raise NoSuchPatient
    if command.wants_sms and not phones.can_get_texts(own.phone):
        sentence = _("Add your mobile number under “Your details” first. Text messages need one.")
        raise Invalid(sentence, code="no_phone", field="wants_sms")
    theirs = sa.and_(Patient.managed_by_id == own.id, link_is_active(), Patient.user_id.is_(None))
    session.execute(
        sa.update(Patient)
        .where(sa.or_(Patient.id == own.id, theirs))
        .values(**command.model_dump())
        .execution_options(synchronize_session=False)
    )
    audit.record_by(
        session,
        actor,
        "messages_chosen",
        subject=("patient", own.id),
        now=now,
        details={"email": command.wants_email, "sms": command.wants_sms},
    )


def take_over_message_preferences(session: Session, manager_id: int, patient_id: int) -> None:
    """Give a person without an account the preferences of the patient who books for them."""
    wishes = sa.select(Patient.wants_email, Patient.wants_sms).where(Patient.id == manager_id)
    email, sms = session.execute(wishes).one()
    session.execute(sa.update(Patient).where(Patient.id == patient_id).values(wants_email=email, wants_sms=sms))


def stop_texts(session: Session, actor: Actor) -> None:
    """Switch text messages off: the telephone number may not be the actor's."""
    session.execute(sa.update(Patient).where(Patient.user_id == actor.user_id).values(wants_sms=False))
