"""Ends a guardian's access: both people are told weeks before, and the link is removed on the day. Reading ends on that
day in any case (`patients/guardianship.py`); this is the worker's nightly part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.appointments.calendars.ical import initials
from webapp.appointments.messages.redirection import withdraw_from
from webapp.audit import service as audit
from webapp.auth.models import User
from webapp.clinic.service import get_clinic
from webapp.core import formats
from webapp.database import Database
from webapp.notifications import outbox
from webapp.notifications.outbox import Message
from webapp.patients import guardianship
from webapp.patients.models import NO_LINK, Patient
from webapp.patients.search_index import keep_words

logger = logging.getLogger(__name__)

TEMPLATE = "guardian_ends"
ENDED = "guardian_ended"
PORTION = 100

_GUARDIAN, _GUARDIANS_ACCOUNT = aliased(Patient), aliased(User)
_GUARDIANS_EMAIL = sa.func.coalesce(_GUARDIANS_ACCOUNT.email, _GUARDIAN.email)
_LINKS: Any = (
    sa.select(
        Patient.id,
        Patient.name,
        Patient.user_id,
        Patient.phone,
        Patient.email,
        User.email.label("account_email"),
        Patient.managed_until,
        _GUARDIAN.id.label("guardian_id"),
        _GUARDIAN.name.label("guardian_name"),
        _GUARDIANS_EMAIL.label("guardian_email"),
        _GUARDIAN.phone.label("guardian_phone"),
    )
    .join(_GUARDIAN, _GUARDIAN.id == Patient.managed_by_id)
    .outerjoin(User, User.id == Patient.user_id)
    .outerjoin(_GUARDIANS_ACCOUNT, _GUARDIANS_ACCOUNT.id == _GUARDIAN.user_id)
    .order_by(Patient.id)
)


def run(database: Database, *, now: datetime, stop: Callable[[], bool] = lambda: False) -> dict[str, int]:
    """Renew the days, tell those whose day is near, and end the links whose day has come; returns the numbers.

    It can be stopped between two portions, and goes on when it is run again.
    """
    steps: tuple[tuple[str, Callable[[Session], list[int]], Callable[..., int]], ...] = (
        ("guardian_days", guardianship.list_stale, _renew),
        ("guardians_told", partial(_list_near, now=now), tell),
        ("guardian_links", partial(_list_over, now=now), end),
    )
    done: dict[str, int] = {}
    for name, find, work in steps:
        with database.reading() as session:
            found = find(session)
        for first in range(0, len(found), PORTION):
            if stop():
                return done
            done[name] = done.get(name, 0) + database.write(work, found[first : first + PORTION], now=now)
    if done:
        said = (done.get(name, 0) for name, _find, _work in steps)
        logger.info("Guardians: %d day(s) renewed, %d told, %d link(s) ended", *said)
    return done


def _list_near(session: Session, *, now: datetime) -> list[int]:
    return list(session.scalars(sa.select(Patient.id).where(*_is_near(session, now)).order_by(Patient.id)))


def _is_near(session: Session, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Patient.managed_until > now,
        Patient.managed_until <= guardianship.last_told_of(session, now=now),
        Patient.managed_by_id.is_not(None),
        Patient.managed_told_at.is_(None),
    )


def _is_over(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return Patient.managed_until <= now, Patient.managed_by_id.is_not(None)


def _list_over(session: Session, *, now: datetime) -> list[int]:
    return list(session.scalars(sa.select(Patient.id).where(*_is_over(now)).order_by(Patient.id)))


def _renew(session: Session, patient_ids: Sequence[int], *, now: datetime) -> int:  # noqa: ARG001
    guardianship.renew_ends(session, patient_ids)
    return len(patient_ids)


def tell(session: Session, patient_ids: Sequence[int], *, now: datetime) -> int:
    """Write the mails to these people and their guardians, once for each day; returns the number of links.

    If the record has no address that belongs to the young person, the overview asks the front desk for one.
    """
    links = session.execute(_LINKS.where(Patient.id.in_(list(patient_ids)), *_is_near(session, now))).all()
    letterhead = get_clinic(session).letterhead
    for link in links:
        said = {"clinic": letterhead, "until": formats.iso(link.managed_until)}
        key = f"{TEMPLATE}:{link.id}:{formats.iso(link.managed_until)}"
        # A name is what a person typed, and the mailbox may be another's.
        guardians = said | {"own": False, "name": initials(link.name)}
        young = said | {"own": True, "name": initials(link.guardian_name)}
        own_address = link.account_email or (link.email if link.email != link.guardian_email else "")
        for who, address, values in (("g", link.guardian_email, guardians), ("p", own_address, young)):
            if address:
                message = Message(f"{key}:{who}", "email", address, TEMPLATE, values, ("patient", link.id))
                outbox.enqueue(session, message._replace(expires_at=link.managed_until), now=now)
    _update(session, [link.id for link in links], managed_told_at=now)
    return len(links)


def end(session: Session, patient_ids: Sequence[int], *, now: datetime) -> int:
    """Remove these links, if their day has come; returns how many.

    If the address or telephone number on the record is the guardian's, it is removed with the link. Waiting messages no
    longer reach the guardian.
    """
    locked = sa.select(Patient.id).where(Patient.id.in_(list(patient_ids)), *_is_over(now)).order_by(Patient.id)
    ended = list(session.scalars(locked.with_for_update()))
    links = session.execute(_LINKS.where(Patient.id.in_(ended))).all()
    for link in links:
        # The day stays: the overview shows who needs contact details since then.
        values: dict[str, Any] = {**NO_LINK, "managed_until": link.managed_until}
        if link.user_id is None and link.email and link.email == link.guardian_email:
            values["email"] = ""
        if link.phone and link.phone == link.guardian_phone:
            values |= {"phone": "", "wants_sms": False}
        _update(session, [link.id], **values)
        email, phone = values.get("email", link.email), values.get("phone", link.phone)
        keep_words(session, link.id, name=link.name, email=email, phone=phone)
        withdraw_from(session, link.id, link.guardian_id, link.guardian_email, link.guardian_phone, now=now)
        audit.record(
            session,
            ENDED,
            subject=("patient", link.id),
            actor_user_id=None,
            actor_role="system",
            now=now,
            details={"managed_by": link.guardian_id},
        )
    return len(links)


def _update(session: Session, patient_ids: Sequence[int], **values: Any) -> None:
    update = sa.update(Patient).where(Patient.id.in_(list(patient_ids))).values(values)
    session.execute(update.execution_options(synchronize_session=False))
