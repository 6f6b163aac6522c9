"""The e-mail address of a patient: the account's if there is an account, else the one that staff entered.

The record keeps a copy of the account's address, so that lists and the search read one table. Only `follow_account`
changes it, after every change of an account's address.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import User
from webapp.events.kinds import AccountAddressChanged, ContactChanged, DoneBy
from webapp.events.publishing import publish
from webapp.patients.models import Patient
from webapp.patients.schemas import Contact
from webapp.patients.search_index import keep_words


def follow_account(session: Session, event: AccountAddressChanged, /, *, now: datetime) -> None:  # noqa: ARG001
    """Copy the account's new address to its patient's record, if it has one."""
    account = sa.select(User.email).where(User.id == event.user_id).scalar_subquery()
    changed = session.execute(
        sa.update(Patient)
        .where(Patient.user_id == event.user_id)
        .values(email=account)
        .returning(Patient.id, Patient.name, Patient.email, Patient.phone)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if changed is not None:
        keep_words(session, changed.id, name=changed.name, email=changed.email, phone=changed.phone)


def announce_changes(
    session: Session, by: DoneBy, patient_id: int, before: Contact, after: Contact, *, now: datetime
) -> None:
    """Publish which contact details of a record have changed."""
    if before.email != after.email:
        changed = ContactChanged(by=by, patient_id=patient_id, channel="email", before=before.email)
        publish(session, changed, now=now)
    if before.phone != after.phone:
        changed = ContactChanged(by=by, patient_id=patient_id, channel="sms", before=before.phone)
        publish(session, changed, now=now)
