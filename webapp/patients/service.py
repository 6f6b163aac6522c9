"""Patients: registration, their own profile, and the lock that a booking takes on them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.audit import service as audit
from webapp.auth import login_throttle
from webapp.auth import service as auth
from webapp.auth.addresses import confirmation
from webapp.auth.models import User
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor
from webapp.clinic import documents
from webapp.clinic.service import Clinic, get_clinic
from webapp.clinic.settings import REQUIRED
from webapp.core import phones
from webapp.core.names import sort_key
from webapp.database import rows, table_of
from webapp.events.kinds import DoneBy, PatientJoined
from webapp.events.publishing import publish
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.patients.addresses import announce_changes
from webapp.patients.duplicates import note_duplicates
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.guardianship import renew_ends, require_same_birth_date
from webapp.patients.models import Patient, link_is_active
from webapp.patients.schemas import (
    Contact,
    NewPatient,
    PatientChoice,
    PatientDetails,
    Profile,
    Register,
    UpdateProfile,
)
from webapp.patients.search_index import keep_words

EARLIEST_BIRTH_YEAR = 1900

Details = TypeVar("Details", Register, NewPatient, UpdateProfile, PatientDetails)
New = TypeVar("New", Register, NewPatient)


def require_birth_date(birth_date: date | None, now: datetime) -> None:
    """Require a birth date that is possible. It is compared with today in UTC, which is precise enough.

    Raises:
        Invalid: it lies in the future, or too far in the past.
    """
    if birth_date is not None and birth_date.year < EARLIEST_BIRTH_YEAR:
        raise Invalid(_("Enter a date of birth in 1900 or later."), code="birth_date", field="birth_date")
    if birth_date is not None and birth_date > now.date():
        raise Invalid(_("The date of birth can’t be in the future."), code="birth_date", field="birth_date")


def checked(session: Session, details: Details, *, saved: str = "", now: datetime) -> Details:
    """The details with the telephone number as it will be stored; `saved` is the stored one, which may stay unchanged.

    Raises:
        Invalid: the birth date or the phone number is not possible.
    """
    require_birth_date(details.birth_date, now)
    phone = phones.read_phone(details.phone, get_clinic(session).home_country, saved=saved)
    return details.model_copy(update={"phone": phone})


def register(session: Session, command: Register, password_hash: str, *, now: datetime) -> int:
    """Create an account with a patient's record, send its confirmation mail, and return the user's id.

    Raises:
        EmailTaken: the address already has an account. Invalid: the birth date or the phone number is not possible, or
            is missing although the clinic requires it.
    """
    user_id = _create_account(session, command, password_hash, has_password=True, now=now)
    letterhead = get_clinic(session).letterhead
    confirmation.send(session, user_id, command.email, command.name, letterhead, now=now)
    return user_id


def register_without_password(session: Session, command: NewPatient, *, now: datetime) -> int:
    """Create an account with a patient's record for the owner of a mailbox, and return the user's id.

    The caller has made sure that the address is theirs, and confirms it.

    Raises:
        EmailTaken, Invalid: as for `register`.
    """
    return _create_account(session, command, passwords.unusable_hash(), has_password=False, now=now)


def register_confirmed(
    session: Session, command: Register, password_hash: str, *, shown: int | None, now: datetime
) -> int:
    """Create an account with a patient's record for the owner of a mailbox, as above, with the password's hash.

    `shown` is the version of the privacy notice that they were shown.

    Raises:
        EmailTaken, Invalid: as for `register`.
    """
    return _create_account(session, command, password_hash, has_password=True, shown=shown, now=now)


def _create_account(
    session: Session,
    command: New,
    password_hash: str,
    *,
    has_password: bool,
    shown: int | None = None,
    now: datetime,
) -> int:
    require_details(command, get_clinic(session))
    command = checked(session, command, now=now)
    user_id = auth.create_user(
        session,
        email=command.email,
        name=command.name,
        password_hash=password_hash,
        role="patient",
        now=now,
        has_password=has_password,
    )
    documents.note_consent(session, user_id, shown=shown, now=now)
    patient = Patient(
        user_id=user_id,
        name=command.name,
        birth_date=command.birth_date,
        phone=command.phone,
        email=command.email,
        created_at=now,
    )
    session.add(patient)
    session.flush()
    keep_words(session, patient.id, name=command.name, email=command.email, phone=command.phone)
    # Only staff see them: the person who registers does not learn who has a record here.
    note_duplicates(session, patient.id, now=now)
    by = DoneBy(user_id, "patient", command.name)
    publish(session, PatientJoined(by=by, patient_id=patient.id), now=now)
    return user_id


def require_details(command: Register | NewPatient, clinic: Clinic) -> None:
    """Require the details that the clinic asks of each new patient.

    Raises:
        Invalid: the phone number or the date of birth is missing.
    """
    if clinic.asks_phone == REQUIRED and not command.phone:
        raise Invalid(_("Enter your phone number."), code="phone_needed", field="phone")
    if clinic.asks_birth_date == REQUIRED and command.birth_date is None:
        raise Invalid(_("Enter your date of birth."), code="birth_date_needed", field="birth_date")


def register_and_count(
    session: Session, command: Register, password_hash: str, *, attempt_id: int, now: datetime
) -> int:
    """Register, count the registration towards its limit, and return the user's id: all of it or nothing.

    Raises:
        EmailTaken: the address already has an account.
    """
    user_id = register(session, command, password_hash, now=now)
    login_throttle.count(session, attempt_id)
    return user_id


def patient_of_user(session: Session, user_id: int) -> int:
    """The id of the patient's record of an account that has one."""
    return session.scalars(sa.select(Patient.id).where(Patient.user_id == user_id)).one()


def find_own_patient(session: Session, actor: Actor) -> int | None:
    """The id of the actor's own patient's record, or None for staff."""
    return None if actor.is_staff else session.scalar(sa.select(Patient.id).where(Patient.user_id == actor.user_id))


_PATIENT = table_of(Patient).c
_LOCK_OWN = sa.select(_PATIENT.id).where(_PATIENT.user_id == sa.bindparam("value")).with_for_update(key_share=True)
_LOCK_BY_ID = sa.select(_PATIENT.id).where(_PATIENT.id == sa.bindparam("value")).with_for_update(key_share=True)


def lock_own_patient(session: Session, actor: Actor) -> int | None:
    """Lock the actor's own patient's record and return its id, or None for staff.

    Rules that count a patient's appointments run after this lock. Doctors are always locked before patients.
    """
    # A staff member who was a patient first still has a record, but must always name the patient of a booking.
    if actor.is_staff:
        return None
    found: int | None = rows(session, _LOCK_OWN, value=actor.user_id).scalar()
    if found is None:
        # While this waited for the lock, the account may have joined another record of the same person.
        found = rows(session, _LOCK_OWN, value=actor.user_id).scalar()
    return found


def lock_patient(session: Session, patient_id: int) -> None:
    """Lock any patient's record; the same order of locks holds."""
    rows(session, _LOCK_BY_ID, value=patient_id).all()


_USER_ID = sa.bindparam("user_id", type_=sa.Integer)
_OWN_RECORD = table_of(Patient).alias("own_record").c
_BOOKABLE = (
    sa.select(_PATIENT.id, _PATIENT.name, _PATIENT.user_id)
    .where(
        sa.or_(
            _PATIENT.user_id == _USER_ID,
            sa.and_(
                _PATIENT.managed_by_id
                == sa.select(_OWN_RECORD.id).where(_OWN_RECORD.user_id == _USER_ID).scalar_subquery(),
                link_is_active(_PATIENT),
            ),
        )
    )
    .order_by(_PATIENT.sort_name, _PATIENT.id)
)


def bookable_patients(session: Session, actor: Actor) -> list[PatientChoice]:
    """The people a patient may book for: themselves first, then the people they manage, by name. Empty for staff."""
    if actor.is_staff:
        return []
    found = rows(session, _BOOKABLE, user_id=actor.user_id)
    choices = [PatientChoice(number, name, user_id == actor.user_id) for number, name, user_id in found]
    return sorted(choices, key=lambda choice: not choice.is_self)


def require_bookable_patient(session: Session, actor: Actor, patient_id: int) -> None:
    """Require that the actor may book for this patient.

    Raises:
        NoSuchPatient: the patient does not exist, or the actor may not book for them.
    """
    if session.scalar(_bookable(actor, patient_id)) is None:
        raise NoSuchPatient


def lock_bookable_patient(session: Session, actor: Actor, patient_id: int | None) -> int | None:
    """Lock the patient whom the actor books for and return the id, as `lock_own_patient` does.

    None means the actor's own record. Staff may name any patient; a patient may name themselves and the people they
    manage, which is checked again under the lock.

    Raises:
        NoSuchPatient: the patient does not exist, or the actor may not book for them.
    """
    if patient_id is None:
        return lock_own_patient(session, actor)
    found: int | None = session.scalar(_bookable(actor, patient_id).with_for_update(key_share=True))
    if found is None:
        raise NoSuchPatient
    return found


def _bookable(actor: Actor, patient_id: int) -> Any:
    """The id of this patient, where the actor may book for them. A closed record takes no bookings."""
    query = sa.select(Patient.id).where(Patient.id == patient_id, Patient.closed_at.is_(None))
    if actor.role == "patient":
        query = query.where(
            sa.or_(Patient.user_id == actor.user_id, sa.and_(Patient.managed_by_id == _own_id(actor), link_is_active()))
        )
    return query


def _own_id(actor: Actor) -> sa.ScalarSelect[int]:
    """The id of the actor's own record, as a subquery. The alias keeps it apart from the outer query's table."""
    own = aliased(Patient)
    return sa.select(own.id).where(own.user_id == actor.user_id).scalar_subquery()


def get_profile(session: Session, actor: Actor) -> Profile:
    """The actor's own data; staff have no patient's record, only a name."""
    row = session.execute(
        sa.select(Patient.name, Patient.phone, Patient.birth_date).where(Patient.user_id == actor.user_id)
    ).one_or_none()
    return Profile(*row) if row else Profile(actor.name, "", None)


def update_profile(session: Session, actor: Actor, command: UpdateProfile, *, now: datetime) -> None:
    """Change the actor's own data, in the account and in the patient's record alike.

    Without a telephone number that gets text messages, they are switched off.
    """
    command = checked(session, command, saved=get_profile(session, actor).phone, now=now)
    session.execute(sa.update(User).where(User.id == actor.user_id).values(name=command.name))
    query = sa.select(Patient.id, Patient.phone).where(Patient.user_id == actor.user_id)
    own = session.execute(query.with_for_update(key_share=True)).one_or_none()
    if own is not None:
        require_same_birth_date(session, own.id, command.birth_date)
    # For staff this changes only the account, not a patient's record that they may still have.
    mine = sa.and_(Patient.user_id == actor.user_id, sa.literal(not actor.is_staff))
    changed = session.execute(
        sa.update(Patient)
        .where(mine)
        .values(
            name=command.name,
            sort_name=sort_key(command.name),
            phone=command.phone,
            birth_date=command.birth_date,
            wants_sms=Patient.wants_sms if phones.can_get_texts(command.phone) else sa.false(),
        )
        .returning(Patient.id, Patient.email)
    ).one_or_none()
    if changed is not None:
        renew_ends(session, [changed.id])
        keep_words(session, changed.id, name=command.name, email=changed.email, phone=command.phone)
        before, after = Contact("", own.phone if own is not None else ""), Contact("", command.phone)
        announce_changes(session, actor.done_by, changed.id, before, after, now=now)
        note_duplicates(session, changed.id, now=now)
    audit.record_by(session, actor, "profile_changed", subject=("user", actor.user_id), now=now)
