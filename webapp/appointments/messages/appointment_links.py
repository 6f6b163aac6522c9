"""The links in messages: which appointment a link shows, and who holds it. The holder does not have to sign in.

A link names an appointment and the address that it was sent to. It is valid as long as the clinic would still write to
that address about the appointment: when an address is corrected, links sent to the wrong one stop working. They also
stop working when the account of that address is disabled.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.exceptions import AppointmentLinkOver
from webapp.appointments.messages.visit_messages import FACTS, LINK_PURPOSE, AppointmentFacts, addressee_of
from webapp.auth.models import User
from webapp.auth.schemas import NO_ACCOUNT, Actor
from webapp.clinic.service import get_clinic
from webapp.core import phones
from webapp.core.signing import unsign
from webapp.database import rows, table_of
from webapp.patients.models import Patient
from webapp.scheduling.models import Appointment

_FACTS_OF_REFERENCE = FACTS.where(table_of(Appointment).c.reference == sa.bindparam("reference"))


def find_link_access(session: Session, token: str, keys: Sequence[str], *, address: str = "") -> tuple[Actor, str]:
    """The holder of the link with this token, and the reference of its appointment.

    `address` is the client's IP address.

    Raises:
        AppointmentLinkOver: we did not sign it, there is no such appointment, its address is not connected to the
            appointment any more, or belongs to a disabled account; the error does not say which.
    """
    match unsign(keys, LINK_PURPOSE, token):
        case [str(reference), str(sent_to)]:
            actor = _find_link_access(session, reference, sent_to, address)
        case _:
            actor = None
    if actor is None:
        raise AppointmentLinkOver(get_clinic(session).phone_shown)
    return actor, reference


def _find_link_access(session: Session, reference: str, sent_to: str, address: str) -> Actor | None:
    found = rows(session, _FACTS_OF_REFERENCE, reference=reference).one_or_none()
    if found is None:
        return None
    facts = AppointmentFacts(*found)
    addressee = addressee_of(facts, sent_to)
    if addressee is None and "@" not in sent_to:
        # Links that were sent before numbers were stored in E.164 name them as they were typed.
        addressee = addressee_of(facts, phones.dialled_as(sent_to, get_clinic(session).home_country))
    if addressee is None:
        return None
    query = (
        sa.select(Patient.name)
        .outerjoin(User, User.id == Patient.user_id)
        .where(Patient.id == addressee.patient_id, User.active.is_not(False))
    )
    name = session.scalar(query)
    if name is None:
        return None
    return Actor(NO_ACCOUNT, 0, name, sent_to, "patient", address, visit_id=facts.id, patient_id=addressee.patient_id)
