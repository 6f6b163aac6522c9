"""Deletes a patient's data: immediately, or when the legal period that the clinic has set is over. Everything that
names the person, and everything that they told the clinic, is deleted. Appointments stay with their doctor, time, type
and status, for the guard and for statistics, and point to an anonymous record; audit rows stay, without a name.
`docs/privacy.md` lists both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.booking import service as booking
from webapp.appointments.schemas import Cancellation
from webapp.audit import service as audit
from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.clinic.models import VisitType
from webapp.clinic.service import Clinic, get_clinic
from webapp.core.phones import shown
from webapp.doctors import service as doctors
from webapp.doctors.models import Doctor
from webapp.events.kinds import AccountErased, DoneBy, PatientErased
from webapp.events.publishing import publish
from webapp.exceptions import Conflict
from webapp.i18n import gettext as _
from webapp.patients import erasure as patients_erasure
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.models import Patient, link_is_active
from webapp.patients.names import name_shown
from webapp.scheduling.models import ACTIVE, Appointment

# The code of the clinic's reason with which upcoming appointments are cancelled.
REASON = "patient_left"
_SYSTEM = DoneBy(None, "system", "")


class AppointmentToCancel(NamedTuple):
    """An appointment that would be cancelled."""

    reference: str
    starts_at: datetime
    doctor_name: str
    visit_type: str
    patient_name: str


class Dependant(NamedTuple):
    """A person whom the patient books for and who has no account: they may go as well, or stay with the clinic."""

    id: int
    name: str


class Consequences(NamedTuple):
    """The consequences of deleting a patient. `erase_on` is the day on which a record that the law protects is
    erased.
    """

    name: str
    has_account: bool
    upcoming: list[AppointmentToCancel]
    people: list[Dependant]
    erase_on: date | None
    closed_at: datetime | None
    erased_at: datetime | None


class WorksHere(Conflict):
    """The account of this person has a role at the clinic, and its actions must stay attributable."""

    code = "works_here"

    def __init__(self) -> None:
        super().__init__(_("This person works at the clinic. Remove their staff role first."))


class ClosedAlready(Conflict):
    """The record is closed or erased."""

    code = "closed_already"

    def __init__(self) -> None:
        super().__init__(_("This record has already been closed."))


def consequences(session: Session, patient_id: int, *, now: datetime) -> Consequences:
    """The consequences of deleting this patient now.

    Raises:
        NoSuchPatient: there is no such patient.
    """
    row = session.execute(sa.select(Patient).where(Patient.id == patient_id)).scalar_one_or_none()
    if row is None:
        raise NoSuchPatient
    people = [Dependant(*each) for each in session.execute(_dependants(patient_id))]
    upcoming = [AppointmentToCancel(*each) for each in session.execute(_upcoming([patient_id], now=now))]
    return Consequences(
        name=name_shown(row.name),
        has_account=row.user_id is not None,
        upcoming=upcoming,
        people=people,
        erase_on=row.erase_on or _last_day(session, get_clinic(session), patient_id, now=now),
        closed_at=row.closed_at,
        erased_at=row.erased_at,
    )


def forget_patient(
    session: Session, actor: Actor, patient_id: int, *, people: Sequence[int] = (), now: datetime
) -> bool:
    """Delete a patient, and those of the `people` they book for; True if all is erased, False if a record waits.

    Upcoming appointments are cancelled, by the usual way and even if it is too late for that online; the account ends.

    Raises:
        NoSuchPatient. WorksHere: the account has a role at the clinic. ClosedAlready.
    """
    if not actor.is_staff:
        # Otherwise the audit rows of this action would keep the person's network address.
        actor = actor._replace(address="")
    theirs = {row.id for row in session.execute(_dependants(patient_id))}
    goes = [patient_id, *sorted(theirs & set(people))]
    account = _lock(session, goes, now=now)
    for appointment in session.execute(_upcoming(goes, now=now)).all():
        booking.cancel(session, actor, appointment.reference, Cancellation(), now=now, why=REASON, even_late=True)
    if account is not None:
        audit.record_by(session, actor, "account_deleted", subject=("user", account.id), now=now)
        publish(session, AccountErased(by=actor.done_by, user_id=account.id, email=account.email), now=now)
    clinic = get_clinic(session)
    erased = [_close_or_erase(session, clinic, actor, number, now=now) for number in goes]
    return all(erased)


def erase_due(session: Session, *, now: datetime, limit: int = 20) -> int:
    """Erase the closed records whose legal period is over, at most `limit`; returns how many."""
    today = get_clinic(session).today(now)
    due = sa.select(Patient.id).where(Patient.erase_on <= today).order_by(Patient.erase_on, Patient.id).limit(limit)
    ids = list(session.scalars(due))
    for patient_id in sorted(ids):
        session.execute(sa.select(Patient.id).where(Patient.id == patient_id).with_for_update(key_share=True))
        _erase(session, _SYSTEM, patient_id, now=now)
        audit.record(
            session, "patient_erased", subject=("patient", patient_id), actor_user_id=None, actor_role="system", now=now
        )
    return len(ids)


# ------------------------------------------------------------------------------------------------ steps


class _Account(NamedTuple):
    id: int
    email: str


def _lock(session: Session, goes: Sequence[int], *, now: datetime) -> _Account | None:
    """Lock the doctors, the account and the records, in this order; return the account of the first record."""
    upcoming = sa.select(Appointment.doctor_id).distinct().where(*_is_ahead(goes, now=now))
    for doctor_id in sorted(session.scalars(upcoming)):
        doctors.lock_doctor(session, doctor_id=doctor_id)
    owner = sa.select(Patient.user_id).where(Patient.id == goes[0]).scalar_subquery()
    query = sa.select(User.id, User.email, User.role).where(User.id == owner).with_for_update()
    account = session.execute(query).one_or_none()
    if account is not None and account.role != "patient":
        raise WorksHere
    records = sa.select(Patient.id, Patient.closed_at).where(Patient.id.in_(goes)).order_by(Patient.id)
    found = session.execute(records.with_for_update()).all()
    if len(found) < len(goes):
        raise NoSuchPatient
    if any(row.closed_at is not None for row in found):
        raise ClosedAlready
    return _Account(account.id, account.email) if account is not None else None


def _close_or_erase(session: Session, clinic: Clinic, actor: Actor, patient_id: int, *, now: datetime) -> bool:
    erase_on = _last_day(session, clinic, patient_id, now=now)
    if erase_on is None:
        _erase(session, actor.done_by, patient_id, now=now)
        audit.record_by(session, actor, "patient_erased", subject=("patient", patient_id), now=now)
        return True
    patients_erasure.hide(session, patient_id)
    session.execute(
        sa.update(Patient)
        .where(Patient.id == patient_id)
        .values(closed_at=now, erase_on=erase_on, wants_sms=False)
        .execution_options(synchronize_session=False)
    )
    audit.record_by(session, actor, "patient_closed", subject=("patient", patient_id), now=now)
    return False


def _last_day(session: Session, clinic: Clinic, patient_id: int, *, now: datetime) -> date | None:
    """The day on which the clinic may erase the record; None if that is today."""
    if not clinic.keep_records_years:
        return None
    latest = session.scalar(
        sa.select(sa.func.max(Appointment.starts_at)).where(
            Appointment.patient_id == patient_id, Appointment.starts_at <= now, Appointment.status != "cancelled"
        )
    )
    # The law does not require keeping a record without appointments.
    if latest is None:
        return None
    day = latest.astimezone(clinic.zone).date()
    year = day.year + clinic.keep_records_years
    try:
        ends = day.replace(year=year)
    except ValueError:
        # 29 February.
        ends = date(year, 3, 1)
    return ends if ends > clinic.today(now) else None


def _erase(session: Session, by: DoneBy, patient_id: int, *, now: datetime) -> None:
    row = session.execute(sa.select(Patient.name, Patient.email, Patient.phone).where(Patient.id == patient_id)).one()
    home = get_clinic(session).home_country
    appointments = sa.select(Appointment.id).where(Appointment.patient_id == patient_id)
    words = {row.name, row.email, row.phone, shown(row.phone, home) if row.phone else ""} - {""}
    erased = PatientErased(
        by=by,
        patient_id=patient_id,
        appointment_ids=tuple(session.scalars(appointments)),
        words=tuple(sorted(words)),
        addresses=_own_addresses(session, patient_id, row.email, row.phone),
    )
    publish(session, erased, now=now)


def _own_addresses(session: Session, patient_id: int, *addresses: str) -> tuple[str, ...]:
    """The addresses that belong to no other patient or account, because a family may share one."""
    others = sa.select(Patient.id).where(
        Patient.id != patient_id, sa.or_(Patient.email == sa.bindparam("it"), Patient.phone == sa.bindparam("it"))
    )
    accounts = sa.select(User.id).where(User.email == sa.bindparam("it"))
    query = sa.select(sa.or_(others.exists(), accounts.exists()))
    return tuple(it for it in addresses if it and not session.scalar(query, {"it": it}))


def _is_ahead(patient_ids: Sequence[int], *, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return Appointment.patient_id.in_(patient_ids), Appointment.status.in_(ACTIVE), Appointment.starts_at > now


def _upcoming(patient_ids: Sequence[int], *, now: datetime) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            Appointment.reference,
            Appointment.starts_at,
            Doctor.name.label("doctor_name"),
            VisitType.name.label("visit_type"),
            Patient.name.label("patient_name"),
        )
        .join(Doctor, Doctor.id == Appointment.doctor_id)
        .join(VisitType, VisitType.id == Appointment.visit_type_id)
        .join(Patient, Patient.id == Appointment.patient_id)
        .where(*_is_ahead(patient_ids, now=now))
        .order_by(Appointment.starts_at, Appointment.id)
    )


def _dependants(patient_id: int) -> sa.Select[int, str]:
    query = sa.select(Patient.id, Patient.name).where(
        Patient.managed_by_id == patient_id, link_is_active(), Patient.user_id.is_(None)
    )
    return query.order_by(Patient.sort_name, Patient.id)
