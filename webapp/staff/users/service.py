"""Accounts and whom they belong to: a doctor’s account is tied to a doctor, a patient's to a patient's record.

What becomes of a patient who starts to work at the clinic, or of somebody who stops to:

- A patient who is made a doctor or an admin keeps their record, their visits and the tie to both. They cannot book,
  move or cancel for themselves while they are staff, for staff do so for everybody; reception does it for them. Made
  a patient again, they find everything as it was.
- Who is made a patient and has no record gets one, as at registration.
- Who is made a doctor is tied to a doctor who has no account. Who stops being one is untied: the doctor, their hours
  and their visits stay, and another account can be made for them.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import queries, roles
from webapp.auth import service as auth
from webapp.auth.queries import UserFacts
from webapp.auth.schemas import Actor, Email, PersonName, Role
from webapp.core.i18n import gettext as _
from webapp.core.optimistic_lock import require_unchanged
from webapp.doctors import service as doctors
from webapp.doctors.models import Doctor
from webapp.events.kinds import PatientJoined
from webapp.events.publishing import publish
from webapp.exceptions import Conflict, Invalid
from webapp.patients.models import Patient
from webapp.patients.search_index import keep_words
from webapp.scheduling.models import ACTIVE, Appointment


class InviteUser(BaseModel):
    """An account for somebody who works at the clinic. `doctor_id` says which doctor they are."""

    name: PersonName
    email: Email
    role: Role
    doctor_id: int | None = None


class ChangeRole(BaseModel):
    """What an account may do from now on. `doctor_id` is for doctors, and says which one they are."""

    role: Role
    doctor_id: int | None = None


class UserState(BaseModel):
    """What two admins could change at the same time."""

    role: Role
    doctor_id: int | None


class UserView(NamedTuple):
    """An account with its ties. `upcoming` counts the visits to come of the patient's record.

    `doctor_slug` is the doctor's name in addresses, '' without one.
    """

    facts: UserFacts
    doctor: tuple[int, str] | None
    doctor_slug: str
    patient: tuple[int, str] | None
    upcoming: int

    @property
    def state(self) -> UserState:
        """What an editor of the role has seen."""
        return UserState(role=self.facts.role, doctor_id=self.doctor[0] if self.doctor else None)


class DoctorHasAccount(Conflict):
    """A doctor has one account at most, and this one has got theirs."""

    code = "doctor_has_account"

    def __init__(self) -> None:
        super().__init__(_("This doctor has an account already. Choose another doctor."), field="doctor")


def get_user(session: Session, user_id: int, *, now: datetime) -> UserView:
    """One account in full.

    Raises:
        NotFound: there is none with this id.
    """
    facts = queries.get_user(session, user_id, now=now)
    whose = sa.select(Doctor.id, Doctor.name, Doctor.slug).where(Doctor.user_id == user_id)
    doctor = session.execute(whose).one_or_none()
    patient = session.execute(sa.select(Patient.id, Patient.name).where(Patient.user_id == user_id)).one_or_none()
    upcoming = 0
    if patient:
        hers = sa.select(sa.func.count(Appointment.id)).where(
            Appointment.patient_id == patient.id, Appointment.status.in_(ACTIVE), Appointment.starts_at > now
        )
        upcoming = session.scalar(hers) or 0
    return UserView(
        facts,
        (doctor.id, doctor.name) if doctor else None,
        doctor.slug if doctor else "",
        (patient.id, patient.name) if patient else None,
        upcoming,
    )


def doctors_without_account(session: Session) -> list[tuple[int, str]]:
    """The doctors whom an account can be made for, active or not, as id and name."""
    query = sa.select(Doctor.id, Doctor.name).where(Doctor.user_id.is_(None)).order_by(Doctor.name, Doctor.id)
    return [(row.id, row.name) for row in session.execute(query)]


def invite(session: Session, actor: Actor, command: InviteUser, *, now: datetime) -> tuple[int, str]:
    """Make an account for an admin or for a doctor; return its id and the token of its first-password link.

    Raises:
        EmailTaken, DoctorHasAccount. Invalid: which doctor is not said, or said where there is none to say; or the
        role is that of patients, who make their accounts themselves.
    """
    if command.role == "patient":
        raise Invalid(_("Choose doctor or admin: patients make their accounts themselves."), field="role")
    _lock_doctor(session, command.role, command.doctor_id, tied_to=None)
    user_id, token = auth.create_invited_user(session, actor, command.email, command.name, command.role, now=now)
    _tie(session, command.doctor_id, user_id)
    return user_id, token


def change_role(session: Session, actor: Actor, user_id: int, command: ChangeRole, *, seen: str, now: datetime) -> None:
    """Give an account another role, and the ties that belong to it; see the head of this module.

    Raises:
        NotFound, DoctorHasAccount, EditedMeanwhile. Invalid: as for `invite`. LastAdmin: nobody else could run the
        clinic.
    """
    _lock_doctor(session, command.role, command.doctor_id, tied_to=user_id)
    account = roles.lock_account(session, actor, user_id)
    require_unchanged(get_user(session, user_id, now=now).state, seen)
    if account.role != command.role:
        roles.set_role(session, actor, account, command.role, now=now)
    session.execute(sa.update(Doctor).where(Doctor.user_id == user_id).values(user_id=None))
    _tie(session, command.doctor_id, user_id)
    if command.role == "patient":
        _require_record(session, actor, account, now=now)


def _lock_doctor(session: Session, role: Role, doctor_id: int | None, *, tied_to: int | None) -> None:
    """Take the lock of the doctor whom an account is to be tied to. It has no account, or `tied_to` already."""
    if role != "doctor":
        if doctor_id is not None:
            raise Invalid(_("Only a doctor’s account is for a doctor. Choose nobody here."), field="doctor")
        return
    if doctor_id is None:
        raise Invalid(_("Choose which doctor this is."), field="doctor")
    doctors.lock_doctor(session, doctor_id=doctor_id)
    if session.scalar(sa.select(Doctor.user_id).where(Doctor.id == doctor_id)) not in {None, tied_to}:
        raise DoctorHasAccount


def _tie(session: Session, doctor_id: int | None, user_id: int) -> None:
    if doctor_id is not None:
        session.execute(sa.update(Doctor).where(Doctor.id == doctor_id).values(user_id=user_id))


def _require_record(session: Session, actor: Actor, account: roles.LockedAccount, *, now: datetime) -> None:
    """Every patient's account has a patient's record; without one it could not book."""
    if session.scalar(sa.select(Patient.id).where(Patient.user_id == account.user_id)) is not None:
        return
    patient = Patient(user_id=account.user_id, name=account.name, email=account.email, created_at=now)
    session.add(patient)
    session.flush()
    keep_words(session, patient.id, name=account.name, email=account.email, phone="")
    audit.record_by(session, actor, "patient_created", subject=("patient", patient.id), now=now)
    publish(session, PatientJoined(by=actor.done_by, patient_id=patient.id), now=now)
