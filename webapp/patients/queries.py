"""Patients for the API. Every query for an actor starts from `visible_to`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.auth.schemas import Actor
from webapp.patients.exceptions import NoSuchPatient, SearchNeeded
from webapp.patients.models import Patient, link_is_active
from webapp.patients.names import shown_name_column
from webapp.patients.search import search_part
from webapp.patients.search_parser import is_blank


class PatientView(NamedTuple):
    """One patient; `managed_by_id` is the patient who books for them. `created_at` is in UTC."""

    id: int
    name: str
    birth_date: date | None
    phone: str
    email: str
    has_account: bool
    managed_by_id: int | None
    wants_email: bool
    wants_sms: bool
    created_at: datetime


class PatientPart(NamedTuple):
    """Some of the patients, the total, and the id of the last one if more follow."""

    views: list[PatientView]
    total: int
    after: int | None = None


_VIEW: Any = sa.select(
    Patient.id,
    shown_name_column(),
    Patient.birth_date,
    Patient.phone,
    Patient.email,
    Patient.user_id.is_not(None),
    Patient.managed_by_id,
    Patient.wants_email,
    Patient.wants_sms,
    Patient.created_at,
    Patient.user_id,
)


def visible_to(actor: Actor) -> sa.ColumnElement[bool]:
    """Which patients exist for this actor: all for staff; for a patient themselves and the people they book for."""
    if actor.is_staff:
        return sa.true()
    own = aliased(Patient)
    mine = sa.select(own.id).where(own.user_id == actor.user_id).scalar_subquery()
    return sa.or_(Patient.user_id == actor.user_id, sa.and_(Patient.managed_by_id == mine, link_is_active()))


def get_patient(session: Session, actor: Actor, patient_id: int) -> PatientView:
    """One patient.

    Raises:
        NoSuchPatient: the patient does not exist, or the actor may not see the record.
    """
    found = _views(session, actor, Patient.id == patient_id)
    if not found:
        raise NoSuchPatient
    return found[0]


def get_own(session: Session, actor: Actor) -> PatientView:
    """The actor's own record.

    Raises:
        NoSuchPatient: the actor has no record.
    """
    found = [] if actor.is_staff else _views(session, actor, Patient.user_id == actor.user_id)
    if not found:
        raise NoSuchPatient
    return found[0]


def list_patients(
    session: Session, actor: Actor, text: str, *, after: int | None, skip: int, limit: int
) -> PatientPart:
    """A part of the patients whom the actor may see and who match `text`, by name; an empty text matches all.

    As on their pages, doctors have to search.

    Raises:
        NoSuchPatient: the part begins after a patient who no longer exists. SearchNeeded: a doctor gave no text.
    """
    if actor.role == "doctor" and is_blank(text):
        raise SearchNeeded
    # Staff may find every patient, so their search needs no list of ids.
    among = None if actor.is_staff else sa.select(Patient.id).where(visible_to(actor))
    found = search_part(session, text, among=among, after=after, skip=skip, limit=limit)
    views = {view.id: view for view in _views(session, actor, Patient.id.in_(found.ids))}
    last = found.ids[-1] if found.goes_on else None
    return PatientPart([views[number] for number in found.ids if number in views], found.total, last)


def _views(session: Session, actor: Actor, which: sa.ColumnElement[bool]) -> Sequence[PatientView]:
    found = session.execute(_VIEW.where(which, visible_to(actor)))
    return [_visible_part(actor, PatientView(*columns), user_id) for *columns, user_id in found]


def _visible_part(actor: Actor, view: PatientView, user_id: int | None) -> PatientView:
    # A patient with an account manages their own data, so the patient who books for them needs no contact details.
    theirs = user_id is not None and user_id != actor.user_id
    return view._replace(email="") if theirs and not actor.is_staff else view
