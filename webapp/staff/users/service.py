"""Accounts and their owners: a doctor’s account belongs to a doctor, a patient's to a patient's record.

When a patient starts to work at the clinic, or a staff member stops:

- A patient who becomes staff keeps the record, its appointments and its tie to the account. While they
  are staff they cannot book, move or cancel for themselves, because staff do so for any patient; the front desk does it
  for them. When they become a patient again, everything is as it was.
- An account that becomes a patient's and has no record gets one, as at registration.
- An account that becomes a doctor's is tied to a doctor without an account. When it stops being one, the tie ends: the
  doctor, the hours and the appointments stay, and another account can be made for the doctor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import queries, roles
from webapp.auth import service as auth
from webapp.auth.passwords import link_delivery
from webapp.auth.passwords.link_delivery import LinkDelivery
from webapp.auth.queries import UserFacts
from webapp.auth.schemas import Actor, Email, PersonName, Role
from webapp.core.optimistic_lock import require_unchanged
from webapp.doctors import service as doctors
from webapp.doctors.models import Doctor
from webapp.events.kinds import PatientJoined
from webapp.events.publishing import publish
from webapp.exceptions import Conflict, Invalid
from webapp.i18n import gettext as _
from webapp.patients.duplicates import note_duplicates
from webapp.patients.models import Patient
from webapp.patients.search_index import keep_words
from webapp.scheduling.models import ACTIVE, Appointment


class InviteUser(BaseModel):
    """An account for a person who works at the clinic. `doctor_id` says which doctor they are."""

    name: PersonName
    email: Email
    role: Role
    doctor_id: int | None = None


class ChangeRole(BaseModel):
    """The new role of an account. For the role of doctor, `doctor_id` says which doctor it is."""

    role: Role
    doctor_id: int | None = None


class UserState(BaseModel):
    """The values that two admins could change at the same time."""

    role: Role
    doctor_id: int | None


class UserView(NamedTuple):
    """An account with its ties. `upcoming` counts the future appointments of the patient's record.

    `doctor_slug` is the doctor's name in addresses, '' without one.
    """

    facts: UserFacts
    doctor: tuple[int, str] | None
    doctor_slug: str
    patient: tuple[int, str] | None
    upcoming: int

    @property
    def state(self) -> UserState:
        """The state that an editor of the role has seen."""
        return UserState(role=self.facts.role, doctor_id=self.doctor[0] if self.doctor else None)


class DoctorHasAccount(Conflict):
    """A doctor has at most one account, and this doctor has one already."""

    code = "doctor_has_account"

    def __init__(self) -> None:
        super().__init__(_("This doctor already has an account. Choose another doctor."), field="doctor")


def get_user(session: Session, user_id: int, *, now: datetime) -> UserView:
    """One account in full.

    Raises:
        NotFound: no account has this id.
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
    """The doctors for whom an account can be made, active or not, as id and name."""
    query = sa.select(Doctor.id, Doctor.name).where(Doctor.user_id.is_(None)).order_by(Doctor.sort_name, Doctor.id)
    return [(row.id, row.name) for row in session.execute(query)]


def invite(session: Session, actor: Actor, command: InviteUser, how: LinkDelivery, *, now: datetime) -> tuple[int, str]:
    """Create an account for staff; return its id, and what `link_delivery.hand_over` returns.

    Raises:
        EmailTaken, DoctorHasAccount. Invalid: the doctor is missing, or named for another role; or the role is that of
        patients, who register themselves.
    """
    if command.role == "patient":
        raise Invalid(_("Choose front desk, doctor or admin: patients create their own accounts."), field="role")
    _lock_doctor(session, command.role, command.doctor_id, tied_to=None)
    user_id = auth.create_invited_user(session, actor, command.email, command.name, command.role, now=now)
    _tie(session, command.doctor_id, user_id)
    return user_id, link_delivery.hand_over(session, actor, user_id, how, now=now)


def change_role(session: Session, actor: Actor, user_id: int, command: ChangeRole, *, seen: str, now: datetime) -> None:
    """Give an account another role, and the ties that belong to it; see the docstring of this module.

    Raises:
        NotFound, DoctorHasAccount, EditedMeanwhile. Invalid: as for `invite`. LastAdmin: no other account is an active
        admin.
    """
    _lock_doctor(session, command.role, command.doctor_id, tied_to=user_id)
    account = roles.lock_account(session, actor, user_id)
    require_unchanged(get_user(session, user_id, now=now).state, seen, wanted=command)
    if account.role != command.role:
        roles.set_role(session, actor, account, command.role, now=now)
    session.execute(sa.update(Doctor).where(Doctor.user_id == user_id).values(user_id=None))
    _tie(session, command.doctor_id, user_id)
    if command.role == "patient":
        require_record(session, actor, account, now=now)


def _lock_doctor(session: Session, role: Role, doctor_id: int | None, *, tied_to: int | None) -> None:
    """Lock the doctor for an account, and require that the doctor has no other account than `tied_to`."""
    if role != "doctor":
        if doctor_id is not None:
            raise Invalid(
                _("Only an account with the role Doctor can have a doctor. Choose “None” here."), field="doctor"
            )
        return
    if doctor_id is None:
        raise Invalid(_("Choose a doctor."), field="doctor")
    doctors.lock_doctor(session, doctor_id=doctor_id)
    if session.scalar(sa.select(Doctor.user_id).where(Doctor.id == doctor_id)) not in {None, tied_to}:
        raise DoctorHasAccount


def _tie(session: Session, doctor_id: int | None, user_id: int) -> None:
    if doctor_id is not None:
        session.execute(sa.update(Doctor).where(Doctor.id == doctor_id).values(user_id=user_id))


def require_record(session: Session, actor: Actor, account: roles.LockedAccount, *, now: datetime) -> None:
    """Create a patient's record for an account that lacks one, because it could not book without it."""
    if session.scalar(sa.select(Patient.id).where(Patient.user_id == account.user_id)) is not None:
        return
    patient = Patient(user_id=account.user_id, name=account.name, email=account.email, created_at=now)
    session.add(patient)
    session.flush()
    keep_words(session, patient.id, name=account.name, email=account.email, phone="")
    note_duplicates(session, patient.id, now=now)
    audit.record_by(session, actor, "patient_created", subject=("patient", patient.id), now=now)
    publish(session, PatientJoined(by=actor.done_by, patient_id=patient.id), now=now)


def note_listing(session: Session, actor: Actor, user_ids: Sequence[int], *, now: datetime) -> None:
    """Log which accounts an admin saw in the list."""
    audit.record_list_read(session, actor, "users_listed", "users", user_ids, now=now)


def note_reading(session: Session, actor: Actor, user_id: int, *, now: datetime) -> None:
    """Log that an admin opened an account."""
    audit.record_by(session, actor, "user_read", subject=("user", user_id), now=now)
